/**
 * The commands of the terminal, and starting and stopping, as an administrator meets them.
 */
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from './support/dcmtk.ts';
import { writeImages } from './support/images.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

const repository = resolve(import.meta.dirname, '..');
const node = join(repository, 'node_modules/.bin/node');

function lightbox(args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(node, [join(repository, 'server/src/cli/main.ts'), ...args], {
    ...{ cwd: repository, encoding: 'utf8', env: { ...process.env, ...env }, timeout: 60_000 },
  });
  return { status, output: stdout + stderr };
}

describe('commands', () => {
  let box: Lightbox;
  const folder = temporaryFolder();
  const data = temporaryFolder();

  beforeAll(async () => {
    box = await Lightbox.ready({ data: data.path });
  });
  afterAll(async () => {
    await box.stop();
    folder.dispose();
    data.dispose();
  });

  let images: ReturnType<typeof writeImages>;

  it('send stores a folder and says what is no DICOM', async () => {
    images = writeImages(folder.path, '5', 4, () => 0.5);
    writeFileSync(join(folder.path, 'notes.txt'), 'x'.repeat(300));
    const to = `LIGHTBOX@127.0.0.1:${box.dicomPort}`;
    const sent = lightbox(['send', folder.path, '--to', to]);
    expect(sent.output).toContain('4 sent, 1 failed');
    expect(sent.output).toContain('notes.txt: The file does not begin with a DICOM preamble');
    expect(sent.status).toBe(1);
    const found = await box.getJson<unknown[]>(`/dicom-web/studies/${images[0]?.studyUid}/instances`);
    expect(found).toHaveLength(4);
  });

  it('send to nobody says what to look for', () => {
    const sent = lightbox(['send', folder.path, '--to', 'NOBODY@127.0.0.1:1']);
    expect(sent.status).toBe(1);
    expect(sent.output).toContain('DIMSE_UNREACHABLE');
    expect(sent.output).toContain('is the program running');
  });

  describe('find', () => {
    const find = (...args: string[]): ReturnType<typeof lightbox> =>
      lightbox(['find', '--at', `LIGHTBOX@127.0.0.1:${box.dicomPort}`, '--calling', 'FINDER', ...args]);

    beforeAll(async () => {
      const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
      const device = { aeTitle: 'FINDER', verbs: ['echo', 'find'] };
      expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
    });

    it('shows a table of studies, and of what is below them', () => {
      const studies = find('PatientID=KILL-*', 'StudyID');
      expect(studies.output).toMatch(/^Date +Time +Patient +PatientID +Born .* StudyID$/m);
      expect(studies.output).toMatch(
        /^2026-01-02 +10:11 +Kill Test +KILL-5 +1970-01-01 +CT .* 4 +1\.2\.826\S+\.5 +1$/m,
      );
      expect(studies.output).toContain('1 match');
      expect(studies.status).toBe(0);
      const study = `StudyInstanceUID=${images[0]?.studyUid}`;
      expect(find('--level', 'series', study).output).toMatch(/^ +1 +CT /m);
      expect(find('--level', 'image', study, `SeriesInstanceUID=${images[0]?.seriesUid}`).output).toContain(
        '4 matches',
      );
      // Without the unique keys of the levels above: a relational query.
      expect(find('--level', 'image', 'InstanceNumber=2').output).toContain('1 match');
      expect(find('--level', 'patient', 'PatientName=Test*').output).toContain('Kill Test');
      expect(find('PatientID=NOBODY')).toMatchObject({ status: 0, output: '0 matches\n' });
    });

    it('ends by C-CANCEL at the limit, and gives DICOM JSON', () => {
      const found = find('--level', 'image', '--limit', '2', '--json');
      expect(found.status).toBe(0);
      expect(found.output).toContain('2 matches; there may be more (--limit 2)');
      const json = JSON.parse(found.output.slice(0, found.output.lastIndexOf(']') + 1)) as Record<
        string,
        unknown
      >[];
      expect(json).toHaveLength(2);
      expect(json[0]?.['00080018']).toMatchObject({ vr: 'UI' });
    });

    it.each([
      ['who does not know us', ['--calling', 'STRANGER'], 'does not know our AE title STRANGER'],
      ['nobody there', ['--at', 'LIGHTBOX@127.0.0.1:1'], 'The connection was refused'],
      ['no such host', ['--at', 'LIGHTBOX@nowhere.invalid:104'], 'The host name is not known'],
      ['a key that is no date', ['StudyDate=soon'], 'The device answered 0xA900'],
    ])('says in plain words: %s', (_, args, words) => {
      const found = find(...args);
      expect(found.output).toContain(words);
      expect(found.status).toBe(1);
    });

    it.each([
      [['--level', 'planet']],
      [['Nonsense=1']],
      [['--limit', 'many']],
      [['--at', 'here']],
      [['--colour']],
    ])('asks for %s to be put right', (args) => {
      const found = find(...args);
      expect(found.output).toContain('Usage: npm run lightbox -- find');
      expect(found.status).toBe(2);
    });
  });

  it('finds nobody slowly: a port that never answers', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((settle) => silent.once('listening', settle));
    const { port } = silent.address() as AddressInfo;
    // The child has a process of its own: this one has to go on accepting.
    const child = spawn(node, [
      join(repository, 'server/src/cli/main.ts'),
      'find',
      '--at',
      `A@127.0.0.1:${port}`,
      '--timeout',
      '1',
    ]);
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const status = await new Promise((settle) => child.once('exit', settle));
    silent.close();
    expect(output).toContain('No answer in time');
    expect(status).toBe(1);
  });

  it('a second start on the same data is refused, a busy port too', async () => {
    const second = lightbox(['serve'], { LIGHTBOX_DATA: data.path });
    expect(second.output).toContain('DATA_LOCKED');
    expect(second.status).toBe(1);
    const other = temporaryFolder();
    const busy = lightbox(['serve'], { LIGHTBOX_DATA: other.path, LIGHTBOX_HTTP_PORT: String(box.httpPort) });
    expect(busy.output).toContain('PORT_BUSY');
    expect(busy.output).toContain('LIGHTBOX_HTTP_PORT');
    expect(busy.status).toBe(1);
    other.dispose();
  });

  it('a DICOM port in use, a wrong database and a folder that cannot be written are named', () => {
    const other = temporaryFolder();
    const env = { LIGHTBOX_DATA: other.path, LIGHTBOX_HTTP_PORT: '0', LIGHTBOX_DICOM_PORT: '0' };
    const busy = lightbox(['serve'], { ...env, LIGHTBOX_DICOM_PORT: String(box.dicomPort) });
    expect(busy).toMatchObject({ status: 1 });
    expect(busy.output).toContain('LIGHTBOX_DICOM_PORT');
    const away = lightbox(['serve'], { ...env, DATABASE_URL: 'postgresql://u:hunter2@127.0.0.1:1/x' });
    expect(away).toMatchObject({ status: 1 });
    expect(away.output).toContain('setting DATABASE_URL');
    expect(away.output).not.toContain('hunter2');
    // Not even root can make a folder below a file.
    writeFileSync(join(other.path, 'file'), '');
    const folderless = lightbox(['serve'], { ...env, LIGHTBOX_DATA: join(other.path, 'file/data') });
    expect(folderless).toMatchObject({ status: 1 });
    expect(folderless.output).toContain('DATA_FOLDER');
    for (const { output } of [busy, away, folderless]) expect(output).not.toMatch(/^ {4}at /m);
    other.dispose();
  });

  it('stops cleanly; verify and reindex agree with what was stored; it starts again', async () => {
    expect(await box.stop()).toBe(0);
    const env = { LIGHTBOX_DATA: data.path };
    const verified = lightbox(['verify'], env);
    expect(verified.output).toContain('4 objects');
    const head = /audit trail: \d+ rows hold; head (\S+)/.exec(verified.output)?.[1] ?? '';
    expect(lightbox(['verify', '--head', head], env)).toMatchObject({ status: 0 });
    const wrong = lightbox(['verify', '--head', `1:${'0'.repeat(64)}`], env);
    expect([wrong.status, wrong.output]).toEqual([1, expect.stringContaining('BROKEN at row 1')]);
    expect(lightbox(['reindex'], env).output).toContain('4 objects indexed');
    expect(lightbox(['verify'], env)).toMatchObject({ status: 0 });
    await box.run();
    expect(await box.getJson<unknown[]>('/dicom-web/instances')).toHaveLength(4);
  });
});
