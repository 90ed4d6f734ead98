/**
 * Objects in transfer syntaxes DCMTK cannot put on the wire (HTJ2K, JPEG XL, frame deflated): sent by our own `send`, given back
 * byte for byte (law 2). The bytes of the file are the truth: `send` puts its data set on the wire as it is.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isUid } from '@lightbox/core/base/uid.ts';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { describeWith, manifest } from '../tools/testing.ts';
import { DCMTK_SENDS, dumpUids } from './support/dcmtk.ts';
import { Lightbox } from './support/lightbox.ts';

const repository = resolve(import.meta.dirname, '..');

describeWith(['dcmdump', 'testdata'], 'lightbox send of what DCMTK cannot send', () => {
  const rows = manifest().filter(
    (row) =>
      row.expected !== 'broken' &&
      row.dcmtkParse === 'ok' &&
      /^[0-9.]+$/.test(row.transferSyntax) &&
      !DCMTK_SENDS.has(row.transferSyntax),
  );
  let box: Lightbox;

  beforeAll(async () => {
    box = await Lightbox.ready();
  });
  afterAll(async () => {
    await box.stop();
  });

  it('keeps every data set as it came', async () => {
    // Without UIDs of study, series and instance an object belongs nowhere and is refused (PS3.4 §B.2.3: 0xC000).
    const objects = (
      await dumpUids(
        rows.map((row) => row.file),
        '+f',
      )
    ).filter((names) => [names.studyUid, names.seriesUid, names.sopUid].every(isUid));
    const syntaxes = new Set(rows.map((row) => row.transferSyntax));
    for (const syntax of ['201', '202', '203'].map((last) => `1.2.840.10008.1.2.4.${last}`))
      expect(syntaxes).toContain(syntax);
    const child = spawn(
      join(repository, 'node_modules/.bin/node'),
      [
        join(repository, 'server/src/cli/main.ts'),
        ...['send', ...objects.map(({ file }) => file), '--to', `LIGHTBOX@127.0.0.1:${box.dicomPort}`],
      ],
      { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
    expect(await new Promise((settle) => child.once('close', settle)), output).toBe(0);
    expect(output).toContain(`${objects.length} sent, 0 failed`);
    const seen = new Set<string>();
    const wrong: string[] = [];
    for (const { file, sopUid, studyUid, seriesUid } of objects) {
      if (seen.has(sopUid)) continue;
      seen.add(sopUid);
      const answer = await box.get(`/dicom-web/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}`, {
        accept: 'application/dicom; transfer-syntax=*',
      });
      const dataSet = (bytes: Buffer): Buffer => bytes.subarray(readPart10(bytes).dataSetOffset);
      const same =
        answer.ok && dataSet(Buffer.from(await answer.arrayBuffer())).equals(dataSet(readFileSync(file)));
      if (!same) wrong.push(`${file}: ${answer.status}`);
    }
    expect(wrong).toEqual([]);
    expect(seen.size).toBeGreaterThan(10);
  });
});
