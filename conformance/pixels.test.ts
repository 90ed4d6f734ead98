/**
 * WADO-RS frames as explicit little endian pixels equal what GDCM decodes from the same file (R19: pixel fidelity).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DIFFERENT } from '../tools/pixel-differences.ts';
import { describeWith, manifest, type ManifestRow } from '../tools/testing.ts';
import { dumpUids, type FileNames } from './support/dcmtk.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

/** Lossless syntaxes of PS3.5 Annex A: two decoders must agree to the bit. */
const LOSSLESS = new Set([
  '1.2.840.10008.1.2',
  '1.2.840.10008.1.2.1',
  '1.2.840.10008.1.2.2',
  '1.2.840.10008.1.2.1.99',
  '1.2.840.10008.1.2.5',
  '1.2.840.10008.1.2.4.57',
  '1.2.840.10008.1.2.4.70',
  '1.2.840.10008.1.2.4.80',
  '1.2.840.10008.1.2.4.90',
  '1.2.840.10008.1.2.4.201',
  '1.2.840.10008.1.2.4.202',
]);

describeWith(['dcmdump', 'testdata'], 'WADO-RS pixels against GDCM', () => {
  let box: Lightbox;
  const files: { row: ManifestRow; names: FileNames }[] = [];

  beforeAll(async () => {
    box = await Lightbox.ready();
    const rows = manifest().filter(
      (row) =>
        row.expected === 'valid' &&
        LOSSLESS.has(row.transferSyntax) &&
        /^[0-9a-f]{32}$/.test(row.gdcmPixelMd5),
    );
    const named = new Map((await dumpUids(rows.map((row) => row.file))).map((names) => [names.file, names]));
    const seen = new Set<string>();
    for (const row of rows) {
      const names = named.get(row.file);
      if (!names || seen.has(names.sopUid)) continue;
      seen.add(names.sopUid);
      const answer = await stowFile(box, readFileSync(row.file));
      if (answer.status === 200) files.push({ row, names });
      await answer.arrayBuffer();
    }
  }, 600_000);
  afterAll(async () => {
    await box.stop();
  });

  it('are equal for every lossless file', async () => {
    const wrong: string[] = [];
    let equal = 0;
    for (const { row, names } of files) {
      const path = `/dicom-web/studies/${names.studyUid}/series/${names.seriesUid}/instances/${names.sopUid}`;
      const meta = (await box.getJson<Record<string, { Value?: unknown[] }>[]>(`${path}/metadata`))[0];
      const count = Number(meta?.['00280008']?.Value?.[0] ?? 1);
      // Frames of single bits come apart here, each beginning at a byte; GDCM counts them as one run of bits.
      if (meta?.['00280100']?.Value?.[0] === 1 && count > 1) continue;
      const list = Array.from({ length: count }, (_, index) => index + 1).join(',');
      const answer = await box.get(`${path}/frames/${list}`, {
        accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1',
      });
      if (!answer.ok) {
        wrong.push(`${row.path}: ${answer.status} ${(await answer.text()).slice(0, 200)}`);
        continue;
      }
      const boundary = /boundary="?([^";]+)/.exec(answer.headers.get('content-type') ?? '')?.[1] ?? '';
      const pixels = Buffer.concat(parts(Buffer.from(await answer.arrayBuffer()), boundary));
      const md5 = createHash('md5').update(pixels).digest('hex');
      if (md5 === row.gdcmPixelMd5 || DIFFERENT.has(row.path)) equal += 1;
      else wrong.push(`${row.path} (${row.transferSyntax}): ${pixels.length} bytes, other pixels`);
    }
    expect(wrong).toEqual([]);
    expect(equal).toBeGreaterThan(250);
  }, 600_000);
});

/** Bodies of a multipart message (RFC 2046 §5.1.1). */
function parts(body: Buffer, boundary: string): Buffer[] {
  const mark = Buffer.from(`--${boundary}`);
  const found: Buffer[] = [];
  for (let at = body.indexOf(mark); at !== -1;) {
    const next = body.indexOf(mark, at + mark.length);
    if (next === -1) break;
    const start = body.indexOf('\r\n\r\n', at);
    if (start !== -1 && start < next) found.push(body.subarray(start + 4, next - 2));
    at = next;
  }
  return found;
}
