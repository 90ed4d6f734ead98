/** `lightbox transfers`: what a running server sends, seen and changed from a terminal; and nobody without the right. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { cli, type CliResult } from './support/cli.ts';
import { temporaryFolder } from './support/dcmtk.ts';
import { HostileWeb, json, storeAnswer } from './support/hostile-web.ts';
import { writeImages, type WrittenImage } from './support/images.ts';
import { freePort } from './support/lightbox.ts';
import { Side } from './support/transfers.ts';

describeWith(['storescu'], 'lightbox transfers', () => {
  const side = new Side();
  const folder = temporaryFolder();
  const web = new HostileWeb();
  let images: WrittenImage[];
  let key: string;
  let id: string;
  const transfers = (...args: string[]): Promise<CliResult> =>
    cli(['transfers', ...args, '--server', side.box.url], { LIGHTBOX_API_KEY: key });

  beforeAll(async () => {
    await web.start();
    await side.start({ LIGHTBOX_TRANSFER_ATTEMPTS: '1' });
    images = writeImages(folder.path, '985', 4, () => 0.4);
    await side.store(images, folder.path);
    const made = await side.post<{ key: string }>('/api/keys', {
      name: 'terminal',
      rights: ['transfer.manage'],
    });
    key = made.key;
    const device = await side.device({
      ...{ aeTitle: 'HALF', host: null, offers: ['store'], dicomweb: { url: web.url } },
    });
    web.answer = ({ objects }, response) => {
      const [first = '', ...others] = objects.map(({ sopUid }) => sopUid);
      json(
        response,
        202,
        storeAnswer(
          [first],
          others.map((uid) => [uid, 0xa900]),
        ),
      );
    };
    id = (await side.send(device, images[0]?.studyUid ?? '')).id;
  });
  afterAll(async () => {
    await side.box.stop();
    await web.stop();
    folder.dispose();
  });

  it('lists them, and shows one with what was refused', async () => {
    await side.until(id, 'failed');
    const listed = await transfers();
    expect(listed.output).toMatch(
      new RegExp(`failed +send +HALF +Kill Test +1/4 +3 +TRANSFER_REFUSED +${id}`),
    );
    expect(listed).toMatchObject({ code: 0, output: expect.stringContaining('1 failed') as string });
    expect((await transfers('list', '--state', 'done')).output).not.toContain(id);
    const shown = await transfers('show', id);
    const refused = images.filter(({ sopUid }) => shown.output.includes(`${sopUid}  0xA900`));
    expect(refused).toHaveLength(3);
    expect(shown.output).toContain('the data set does not match its SOP class');
    const asJson = JSON.parse((await transfers('show', id, '--json')).output) as { failures: unknown[] };
    expect(asJson.failures).toHaveLength(3);
  });

  it('tries again and puts away', async () => {
    web.answer = ({ objects }, response) =>
      json(response, 200, storeAnswer(objects.map(({ sopUid }) => sopUid)));
    expect(await transfers('retry', id)).toMatchObject({
      ...{ code: 0, output: expect.stringMatching(/queued|running|done/) as string },
    });
    expect(await side.until(id, 'done')).toMatchObject({ sent: 4 });
    const away = await side.device({ aeTitle: 'AWAY', port: await freePort() });
    const dead = await side.send(away, images[0]?.studyUid ?? '');
    await side.until(dead.id, 'failed');
    expect(await transfers('cancel', dead.id)).toMatchObject({ code: 0 });
    expect((await side.row(dead.id)).state).toBe('cancelled');
    const again = await transfers('cancel', dead.id, 'nobody');
    expect(again.code).toBe(1);
    expect(again.output).toContain('TRANSFER_STATE');
    expect(again.output).toContain('NOT_FOUND');
  });

  it('says what is missing: key, right, server, command', async () => {
    const without = await cli(['transfers', '--server', side.box.url], { LIGHTBOX_API_KEY: '' });
    expect(without).toMatchObject({ code: 2, output: expect.stringContaining('LIGHTBOX_API_KEY') as string });
    const wrong = await cli(['transfers', '--server', side.box.url], { LIGHTBOX_API_KEY: side.box.key });
    expect(wrong).toMatchObject({ code: 1, output: expect.stringContaining('FORBIDDEN') as string });
    const nobody = await cli(['transfers', '--server', `http://127.0.0.1:${await freePort()}`], {
      LIGHTBOX_API_KEY: key,
    });
    expect(nobody).toMatchObject({
      code: 1,
      output: expect.stringContaining('is the server running') as string,
    });
    expect(await transfers('explode')).toMatchObject({ code: 2 });
    expect(await transfers('list', '--state', 'gone')).toMatchObject({ code: 2 });
  });
});
