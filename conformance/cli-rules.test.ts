/** `lightbox rules`: a file of rules checked, put in, taken out and compared from a terminal. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

const repository = resolve(import.meta.dirname, '..');

describe('lightbox rules', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lightbox-cli-rules-'));
  const file = (name: string, ...rules: unknown[]): string => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify({ version: 1, rules }));
    return path;
  };
  const ct = (more: Record<string, unknown> = {}): unknown => ({
    ...{ name: 'ct', when: { attribute: 'Modality', equals: 'CT' }, then: { send: { devices: ['WS1'] } } },
    ...more,
  });
  let box: Lightbox;

  function cli(...args: string[]): Promise<{ code: number | null; output: string }> {
    return new Promise((settle) => {
      const child = spawn(
        join(repository, 'node_modules/.bin/node'),
        ['server/src/cli/main.ts', 'rules', ...args],
        {
          cwd: repository,
          env: { ...process.env, LIGHTBOX_DATA: box.data },
        },
      );
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
      child.once('close', (code) => settle({ code, output }));
    });
  }

  beforeAll(async () => {
    box = await Lightbox.ready();
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const device = { aeTitle: 'WS1', host: '127.0.0.1', port: 104, verbs: ['echo'], offers: ['store'] };
    expect((await box.post('/api/devices', device, { cookie })).ok).toBe(true);
  });
  afterAll(async () => {
    await box.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('says what is wrong with a file without a database, and what to write instead', async () => {
    const bad = file('bad.json', ct({ when: { attribute: 'Modalty', equals: 'CT' } }), ct({ than: {} }));
    const { code, output } = await cli('check', bad);
    expect(code).toBe(1);
    expect(output).toContain(
      'Rule "ct", rules[0].when.attribute is no attribute that DICOM knows. Write Modality?',
    );
    expect(output).toContain('rules[1].name is used twice');
    expect(output).toContain('rules[1].than is no field of this place. Write one of: then');
    expect(await cli('check', file('good.json', ct()))).toMatchObject({ code: 0 });
    expect(await cli('check', join(folder, 'none.json'))).toMatchObject({ code: 2 });
    expect(await cli('do', 'x')).toMatchObject({ code: 2 });
  });

  it('compares two files', async () => {
    const { code, output } = await cli('diff', file('a.json', ct()), file('b.json', ct({ enabled: false })));
    expect(code).toBe(1);
    expect(output).toBe('changed: ct\n  enabled: - -> false\n');
  });

  it('leaves the data of a running server alone, then puts a file in, takes it out, and the page has it', async () => {
    expect(await cli('export')).toMatchObject({
      code: 1,
      output: expect.stringContaining('DATA_LOCKED') as string,
    });
    await box.kill();
    expect(
      await cli('import', file('other.json', ct({ then: { send: { devices: ['WS2'] } } }))),
    ).toMatchObject({
      ...{
        code: 1,
        output: expect.stringContaining('is no device that objects may be sent to. Write WS1') as string,
      },
    });
    expect(await cli('import', file('good.json', ct()), '--comment', 'from review')).toMatchObject({
      code: 0,
    });
    expect(await cli('diff', file('good.json', ct()))).toMatchObject({ code: 0, output: 'no difference\n' });
    const out = join(folder, 'out.json');
    expect(await cli('export', out)).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual({ version: 1, rules: [ct()] });
    await box.run();
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const versions = await fetch(`${box.url}/api/rules/versions`, { headers: { cookie } });
    expect(await versions.json()).toMatchObject([{ author: 'terminal', comment: 'from review', rules: 1 }]);
  });
});
