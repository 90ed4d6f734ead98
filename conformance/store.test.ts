/**
 * A modality sends with DCMTK's storescu; what Lightbox gives back is what came over the wire, byte for byte (law 2).
 * The bytes on the wire are known from DCMTK's own storescp in bit-preserving mode, fed by the same storescu call.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { describeWith, manifest } from '../tools/testing.ts';
import {
  Capture,
  contextProfile,
  DCMTK_SENDS,
  dumpUids,
  run,
  storescu,
  temporaryFolder,
  type FileNames,
} from './support/dcmtk.ts';
import { Lightbox } from './support/lightbox.ts';

/** Retired JPEG processes, and process 14, which storescp does not accept: there is nothing to compare with. */
const NOT_CAPTURED = new Set(['1.2.840.10008.1.2.4.53', '1.2.840.10008.1.2.4.55', '1.2.840.10008.1.2.4.57']);

function dataSetHash(file: Buffer): string {
  return createHash('sha256')
    .update(file.subarray(readPart10(file, { limits: { depth: 1000 } }).dataSetOffset))
    .digest('hex');
}

describeWith(['storescu', 'storescp', 'dcmdump', 'testdata'], 'C-STORE from DCMTK (PS3.4 Annex B)', () => {
  let box: Lightbox;
  let sink: Capture;
  const folder = temporaryFolder();
  const captured = temporaryFolder();
  /** First file of each SOP Instance UID, by transfer syntax. */
  const groups = new Map<string, FileNames[]>();
  const answers = new Map<string, string>();

  beforeAll(async () => {
    box = await Lightbox.ready();
    sink = await Capture.start(captured.path);
    const rows = manifest().filter(
      (row) => row.expected !== 'broken' && DCMTK_SENDS.has(row.transferSyntax) && row.dcmtkParse === 'ok',
    );
    const seen = new Set<string>();
    const byFile = new Map((await dumpUids(rows.map((row) => row.file))).map((names) => [names.file, names]));
    for (const row of rows) {
      const names = byFile.get(row.file);
      if (!names || !names.sopClassUid || seen.has(names.sopUid)) continue;
      seen.add(names.sopUid);
      groups.set(row.transferSyntax, [...(groups.get(row.transferSyntax) ?? []), names]);
    }
    for (const [syntax, files] of groups) {
      // storescu stops at 128 contexts (PS3.8 §9.3.2.2: ids 1 to 255, odd).
      const classes = [...new Set(files.map((names) => names.sopClassUid))].slice(0, 128);
      const profile = contextProfile(folder.path, syntax, classes);
      const sent = await storescu(
        box.dicomPort,
        files.map((names) => names.file),
        profile,
      );
      for (const [file, answer] of sent.answers) answers.set(file, answer);
      await storescu(
        sink.port,
        files.map((names) => names.file),
        profile,
      );
    }
  }, 900_000);

  afterAll(async () => {
    sink.stop();
    folder.dispose();
    captured.dispose();
    await box.stop();
  });

  it('answers Success for every valid and odd file', () => {
    const refused = [...groups.values()]
      .flat()
      // Without UIDs of study, series and instance an object belongs nowhere: 0xC000 is the right answer (PS3.4 §B.2.3).
      .filter((names) => [names.studyUid, names.seriesUid, names.sopUid].every(isUid))
      .map((names) => [names.file.split('/testdata/')[1], answers.get(names.file) ?? 'no answer'] as const)
      .filter(([, answer]) => answer !== 'Success')
      .filter(([file]) => !(String(file) in REFUSED_WITH_REASON));
    expect(refused).toEqual([]);
    expect(answers.size).toBeGreaterThan(400);
  });

  it('gives every data set back byte for byte as it came over the wire', async () => {
    const wire = new Map<string, string>();
    for (const file of sink.files()) {
      const bytes = readFileSync(file);
      const uid = (await dumpUids([file]))[0]?.sopUid;
      if (uid && !wire.has(uid)) wire.set(uid, dataSetHash(bytes));
    }
    const wrong: string[] = [];
    let compared = 0;
    const sent = [...groups].flatMap(([syntax, files]) => files.map((names) => ({ ...names, syntax })));
    for (const names of sent) {
      if (answers.get(names.file) !== 'Success') continue;
      if (!wire.has(names.sopUid) && NOT_CAPTURED.has(names.syntax)) continue;
      const path = `/dicom-web/studies/${names.studyUid}/series/${names.seriesUid}/instances/${names.sopUid}`;
      const answer = await box.get(path, { accept: 'application/dicom; transfer-syntax=*' });
      if (!answer.ok) {
        wrong.push(`${names.file}: ${answer.status} ${await answer.text()}`);
        continue;
      }
      const kept = dataSetHash(Buffer.from(await answer.arrayBuffer()));
      if (kept !== wire.get(names.sopUid)) wrong.push(`${names.file}: other bytes`);
      compared += 1;
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(400);
  }, 600_000);

  it('serves files that dcmdump reads', async () => {
    for (const files of groups.values()) {
      const names = files.find((one) => answers.get(one.file) === 'Success');
      if (!names) continue;
      const answer = await box.get(
        `/dicom-web/studies/${names.studyUid}/series/${names.seriesUid}/instances/${names.sopUid}`,
        { accept: 'application/dicom; transfer-syntax=*' },
      );
      const path = `${folder.path}/served.dcm`;
      writeFileSync(path, Buffer.from(await answer.arrayBuffer()));
      expect(await run('dcmdump', ['+P', 'SOPInstanceUID', path])).toMatchObject({ code: 0 });
    }
  });

  it('finds every stored study by findscu and by QIDO-RS', async () => {
    const studies = new Set(
      [...groups.values()]
        .flat()
        .filter((names) => answers.get(names.file) === 'Success')
        .map((names) => names.studyUid),
    );
    let missing = 0;
    for (const uid of studies) {
      const found = await box.getJson<unknown[]>(`/dicom-web/studies?StudyInstanceUID=${uid}`);
      // Two rows where objects of one study name two patients: shown apart, with a warning.
      if (found.length === 0) missing += 1;
    }
    expect(missing).toBe(0);
    expect(studies.size).toBeGreaterThan(100);
  });

  it('keeps the first and sets other content with the same SOP Instance UID aside', async () => {
    const first = [...groups.values()]
      .flat()
      .find(
        (names) => answers.get(names.file) === 'Success' && names.sopClassUid === '1.2.840.10008.5.1.4.1.1.2',
      );
    if (!first) throw new Error('no CT was stored');
    const changed = `${folder.path}/changed.dcm`;
    copyFileSync(first.file, changed);
    await run('dcmodify', ['-nb', '-i', '(0008,103e)=changed by the test', changed]);
    const syntax = [...groups].find(([, files]) => files.includes(first))?.[0] ?? '';
    const profile = contextProfile(folder.path, syntax, [first.sopClassUid]);
    const sent = await storescu(box.dicomPort, [first.file, changed], profile);
    expect(sent.answers.get(first.file)).toBe('Success');
    expect(sent.answers.get(changed)).not.toBe(undefined);
    const [series] = await box.getJson<Record<string, { Value?: unknown[] }>[]>(
      `/dicom-web/studies/${first.studyUid}/series?SeriesInstanceUID=${first.seriesUid}`,
    );
    expect(JSON.stringify(series)).not.toContain('changed by the test');
  });
});

/** Odd files a clear refusal is right for, with the reason. */
const REFUSED_WITH_REASON: Readonly<Record<string, string>> = {
  'synth/broken/deep_nesting.dcm': 'sequences nested deeper than the limit of 64',
  'microscopy/highdicom__seg_image_sm_control_labelmap.dcm': 'storescu does not know its SOP class',
  'microscopy/highdicom__seg_image_sm_control_labelmap_palette_color.dcm':
    'storescu does not know its SOP class',
};
