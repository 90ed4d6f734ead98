/**
 * Documents through HTTP, on a real archive: objects of the shared test data, and some made to be wrong.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import type { Document, SrNode } from '@lightbox/core/contract/api.ts';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';
import { openTestArchive, type TestArchive } from '../../archive/testing.ts';
import type { IngestOutcome } from '../../archive/types.ts';
import type { AuditTrail } from '../../identity/audit.ts';
import type { AuditEntry, Principal } from '../../identity/types.ts';
import { createHttp } from '../../platform/http.ts';
import { createLog } from '../../platform/log.ts';
import { describeWith, sharedTestdata } from '../../../../tools/testing.ts';
import { documentRoutes } from './documents.ts';

type Answer = z.infer<typeof Document>;
type Attributes = Parameters<typeof dataSet>[0];

const STORAGE = '1.2.840.10008.5.1.4.1.1.';
const PDF = Buffer.from('%PDF-1.4\n% not much of one\n%%EOF\n');
const principal: Principal = {
  ...{ kind: 'user', id: 'u1', name: 'U', roles: ['radiologist'], remoteAddress: '127.0.0.1' },
};

let box: TestArchive;
let app: Awaited<ReturnType<typeof createHttp>>;
const written: AuditEntry[] = [];

beforeAll(async () => {
  box = await openTestArchive();
  app = await createHttp({ config: { publicUrl: undefined }, log: createLog({ logLevel: 'silent' }) });
  app.addHook('onRequest', (request, _reply, done) => {
    (request as unknown as { principal: Principal }).principal = principal;
    done();
  });
  // The audit trail is identity's and tested there: here what it is told is looked at.
  const audit = { record: (entry: AuditEntry) => void written.push(entry) } as unknown as AuditTrail;
  documentRoutes(app, { archive: box.archive, audit });
});
afterAll(async () => {
  await app?.close();
  await box?.close();
});

async function keep(file: Uint8Array): Promise<IngestOutcome> {
  const writer = await box.archive.ingest.begin(
    { kind: 'upload', by: 'test', remoteAddress: '127.0.0.1' },
    { form: 'part10' },
  );
  await writer.write(file);
  return writer.finish();
}

let next = 0;
/** Keeps an object of one SOP class with these attributes, in a study of its own. @returns its path. */
async function given(sopClass: string, attributes: Attributes): Promise<string> {
  next += 1;
  const outcome = await keep(
    writePart10(
      dataSet({
        ...{ SOPClassUID: STORAGE + sopClass, SOPInstanceUID: `1.2.9.${next}.1.1`, PatientID: 'P1' },
        ...{
          PatientName: 'Doc^Test',
          StudyInstanceUID: `1.2.9.${next}`,
          SeriesInstanceUID: `1.2.9.${next}.1`,
        },
        ...attributes,
      }),
      EXPLICIT_LE,
    ),
  );
  expect(outcome.status).toBe('stored');
  return pathOf(outcome);
}
const pathOf = ({ studyUid, seriesUid, sopInstanceUid }: IngestOutcome): string =>
  `/api/studies/${studyUid}/series/${seriesUid}/instances/${sopInstanceUid}/document`;
const get = (url: string, headers: Record<string, string> = {}) =>
  app.inject({ method: 'GET', url, headers });
async function read<K extends Answer['kind']>(url: string, kind: K): Promise<Extract<Answer, { kind: K }>> {
  const answer = await get(url);
  expect(answer.statusCode).toBe(200);
  const document = answer.json<Answer>();
  expect(document.kind).toBe(kind);
  return document as Extract<Answer, { kind: K }>;
}
const values = (base64: string): Float32Array =>
  new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);

describe('bytes of documents', () => {
  it('come by range, as an attachment in a sandbox, and are not sent twice', async () => {
    const path = await given('104.1', {
      ...{ MIMETypeOfEncapsulatedDocument: 'application/pdf', EncapsulatedDocumentLength: PDF.length },
      EncapsulatedDocument: Buffer.concat([PDF, Buffer.from([0])]),
    });
    const document = await read(path, 'pdf');
    expect(document).toMatchObject({ bytes: PDF.length, patient: { id: 'P1' }, url: `${path}/file` });
    const whole = await get(document.url);
    expect(whole.rawPayload).toEqual(PDF);
    expect(whole.headers).toMatchObject({
      'content-type': 'application/pdf',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'self'",
      'content-disposition': 'attachment; filename="1.2.9.1.1.1.pdf"',
      'accept-ranges': 'bytes',
    });
    const part = await get(document.url, { range: 'bytes=1-3' });
    expect([part.statusCode, part.payload]).toEqual([206, 'PDF']);
    expect((await get(document.url, { range: 'bytes=9999-' })).statusCode).toBe(416);
    const etag = String(whole.headers.etag);
    expect((await get(document.url, { 'if-none-match': etag })).statusCode).toBe(304);
  });

  it.each([
    ['104.1', 'application/pdf', '<script>alert(1)</script>', 'pdf-damaged'],
    ['104.2', 'text/XML', '<ClinicalDocument/>', 'encapsulated'],
    ['104.3', 'model/stl', 'solid x', 'encapsulated'],
    ['104.1', 'text/html', '<html><script>alert(1)</script>', 'encapsulated'],
  ])('of %s called %s are never served as a page', async (sopClass, type, text, reason) => {
    const path = await given(sopClass, {
      MIMETypeOfEncapsulatedDocument: type,
      EncapsulatedDocument: Buffer.from(text),
    });
    expect(await read(path, 'file')).toMatchObject({ reason, declaredType: type });
    const { headers } = await get(`${path}/file`);
    expect(headers['content-type']).toBe('application/octet-stream');
    expect(headers['content-disposition']).toMatch(/^attachment/);
  });

  it('larger than a read of the header are found without being read', async () => {
    const large = Buffer.alloc(3 * 1024 * 1024, 0x20);
    PDF.copy(large);
    const path = await given('104.1', { EncapsulatedDocument: large, DocumentTitle: 'Large' });
    expect(await read(path, 'pdf')).toMatchObject({ bytes: large.length, title: 'Large' });
    const tail = await get(`${path}/file`, { range: `bytes=${large.length - 4}-` });
    expect(tail.payload).toBe('    ');
  });

  it('are not there for an object without, nor an object for other UIDs', async () => {
    const path = await given('11.1', { ContentLabel: 'PR' });
    expect((await get(`${path}/file`)).statusCode).toBe(404);
    expect((await get(path.replace(/series\/[^/]+/, 'series/1.2.3'))).statusCode).toBe(404);
    expect((await get(path.replace(/series\/[^/]+/, 'series/x'))).statusCode).toBe(400);
  });
});

describe('looks', () => {
  it('are written down, once a minute for each kind, and when they fail', async () => {
    written.length = 0;
    const path = await given('11.1', {});
    await get(path);
    await get(path);
    await get('/api/studies/1.9/series/1.9.1/instances/1.9.1.1/document');
    expect(written.map(({ event, outcome, detail }) => [event, outcome, detail?.['what']])).toEqual([
      ['view', 'success', 'document'],
      ['view', 'failed', 'document'],
    ]);
  });
});

describe('reports', () => {
  it('link to objects that are here, and only to those', async () => {
    const image = (sop: string) =>
      dataSet({
        ...{ RelationshipType: 'CONTAINS', ValueType: 'IMAGE' },
        ReferencedSOPSequence: [
          dataSet({ ReferencedSOPClassUID: `${STORAGE}2`, ReferencedSOPInstanceUID: sop }),
        ],
      });
    await given('2', {
      StudyInstanceUID: '1.2.8',
      SeriesInstanceUID: '1.2.8.1',
      SOPInstanceUID: '1.2.8.1.1',
    });
    const path = await given('88.59', {
      ...{ StudyInstanceUID: '1.2.8', ValueType: 'CONTAINER' },
      ConceptNameCodeSequence: [
        dataSet({ CodeValue: '113000', CodingSchemeDesignator: 'DCM', CodeMeaning: 'Of Interest' }),
      ],
      ContentSequence: [image('1.2.8.1.1'), image('1.2.8.1.2')],
    });
    const { nodes, title } = await read(path, 'sr');
    expect(title).toBe('Of Interest');
    expect(nodes.map(({ reference }) => reference?.at)).toEqual([
      { studyUid: '1.2.8', seriesUid: '1.2.8.1' },
      undefined,
    ]);
  });

  it('have texts too long for a header in full', async () => {
    const words = 'word '.repeat(40_000);
    const path = await given('88.11', {
      ContentSequence: [dataSet({ RelationshipType: 'CONTAINS', ValueType: 'TEXT', TextValue: words })],
    });
    const { nodes } = await read(path, 'sr');
    expect(nodes[0]?.value).toBe(words.trim());
  });
});

describe('recordings', () => {
  const waveform = (samples: Int16Array, declared = samples.length): Attributes => ({
    WaveformSequence: [
      dataSet({
        ...{ NumberOfWaveformChannels: 1, NumberOfWaveformSamples: declared, SamplingFrequency: 1000 },
        ...{ WaveformBitsAllocated: 16, WaveformSampleInterpretation: 'SS' },
        ChannelDefinitionSequence: [dataSet({ ChannelLabel: 'a' })],
        WaveformData: { vr: 'OW', value: new Uint8Array(samples.buffer) },
      }),
    ],
  });

  it('longer than a page can draw keep their one spike', async () => {
    const samples = new Int16Array(4_000_000);
    samples[1_234_567] = 30_000;
    const [group] = (await read(await given('9.1.3', waveform(samples)), 'waveform')).groups;
    const drawn = values(group?.channels[0]?.values ?? '');
    expect(group).toMatchObject({ sampleCount: 4_000_000, short: false });
    expect(drawn.length).toBeLessThanOrEqual(1_500_000);
    expect(drawn.reduce((most, value) => Math.max(most, value), 0)).toBe(30_000);
    const at = drawn.indexOf(30_000) * (group?.samplesPerValue ?? 0);
    expect(Math.abs(at - 1_234_567)).toBeLessThan(10);
  });

  it('that declare a thousand million samples have those that are there', async () => {
    const path = await given('9.1.2', waveform(Int16Array.from([1, 2, 3]), 1_000_000_000));
    const [group] = (await read(path, 'waveform')).groups;
    expect(group).toMatchObject({ sampleCount: 3, short: true });
    expect([...values(group?.channels[0]?.values ?? '')]).toEqual([1, 2, 3]);
  });
});

/** Without a SOP Instance UID an object cannot be found again: it is put aside with that reason (PS3.3 §C.12.1). */
const NAMELESS = 'quarantined DICOM_UID';
/** Every file of the folders, and what the page gets of it. A new file has to be added here. */
const EXPECTED: Readonly<Record<string, string>> = {
  'document/dimse__pdf.dcm': 'pdf',
  'waveform/pydicom__waveform_ecg.dcm': 'waveform',
  'sr-pr-ko/dicomparser__report_dfl': 'sr',
  'sr-pr-ko/dimse__sr.dcm': 'sr',
  'sr-pr-ko/dtf__sr.dcm': 'sr',
  'sr-pr-ko/dwv__sr-arrow.dcm': NAMELESS,
  'sr-pr-ko/dwv__sr-circle.dcm': NAMELESS,
  'sr-pr-ko/dwv__sr-ellipse.dcm': NAMELESS,
  'sr-pr-ko/dwv__sr-protractor.dcm': NAMELESS,
  'sr-pr-ko/dwv__sr-rectangle.dcm': NAMELESS,
  'sr-pr-ko/dwv__sr-roi.dcm': NAMELESS,
  'sr-pr-ko/dwv__sr-ruler.dcm': NAMELESS,
  'sr-pr-ko/highdicom__sr_document.dcm': 'sr',
  'sr-pr-ko/highdicom__sr_document_with_multiple_groups.dcm': 'sr',
  'sr-pr-ko/pydicom__reportsi.dcm': 'sr',
  'sr-pr-ko/pydicom__test-SR.dcm': 'sr',
  'sr-pr-ko/tid1500-0_dwv__sr-arrow.dcm': 'sr',
  'sr-pr-ko/tid1500-0_dwv__sr-circle.dcm': 'sr',
  'sr-pr-ko/tid1500-0_dwv__sr-ellipse.dcm': 'sr',
  'sr-pr-ko/tid1500-0_dwv__sr-protractor.dcm': 'sr',
  'sr-pr-ko/tid1500-0_dwv__sr-rectangle.dcm': 'sr',
  'sr-pr-ko/tid1500-0_dwv__sr-roi.dcm': 'sr',
  'sr-pr-ko/tid1500-0_dwv__sr-ruler.dcm': 'sr',
  // A hanging protocol belongs to no patient and no study: it is put aside as well (PS3.3 §A.44).
  'sr-pr-ko/weasis__NeurosurgeryPlan.dcm': NAMELESS,
  'sr-pr-ko/weasis__prLUTs.dcm': 'none presentation-state',
  'sr-pr-ko/weasis__prOverlay.dcm': 'none presentation-state',
  'synth/document/cda.dcm': 'file encapsulated',
  'synth/document/pdf.dcm': 'pdf',
  'synth/ecg/ecg12.dcm': 'waveform',
  'synth/sr/rdsr_ct.dcm': 'sr',
  'synth/video/h264.dcm': 'video',
  'synth/video/hevc.dcm': 'video',
  'synth/video/mpeg2.dcm': 'file video-form',
};

describeWith(['testdata'], 'documents of the shared test data', () => {
  const folder = sharedTestdata() ?? '';
  const files = [...new Set(Object.keys(EXPECTED).map((path) => path.slice(0, path.lastIndexOf('/'))))]
    .flatMap((name) => readdirSync(join(folder, name)).map((file) => `${name}/${file}`))
    .sort();
  const paths = new Map<string, string>();

  it('are all listed here', () => {
    expect(files).toEqual(Object.keys(EXPECTED).sort());
  });

  it.each(files)('%s', async (name) => {
    const outcome = await keep(readFileSync(join(folder, name)));
    if (outcome.status === 'quarantined') {
      expect(`quarantined ${outcome.fault?.code}`).toBe(EXPECTED[name]);
      return;
    }
    paths.set(name, pathOf(outcome));
    const answer = await get(pathOf(outcome));
    expect(answer.statusCode).toBe(200);
    const document = answer.json<Answer>();
    const reason = 'reason' in document ? ` ${document.reason}` : '';
    expect(document.kind + reason).toBe(EXPECTED[name]);
    expect(document.title).not.toBe('');
  });

  it('give the video that lies in the fragments', async () => {
    const document = await read(paths.get('synth/video/h264.dcm') ?? '', 'video');
    expect(document).toMatchObject({ mediaType: 'video/mp4', coding: 'H.264' });
    const part = await get(document.url, { range: 'bytes=4-11' });
    expect([part.statusCode, part.payload]).toEqual([206, 'ftypisom']);
    expect((await get(document.url)).rawPayload.length).toBe(document.bytes);
  });

  it('give the ECG that was made: 75 beats a minute, 0.6 mV in lead I', async () => {
    const { groups } = await read(paths.get('synth/ecg/ecg12.dcm') ?? '', 'waveform');
    const [group] = groups;
    expect(group?.channels.map(({ lead }) => lead).join(' ')).toBe('I II III aVR aVL aVF V1 V2 V3 V4 V5 V6');
    const lead = group?.channels[0];
    const drawn = [...values(lead?.values ?? '')].map((value) => value * (lead?.millivolts ?? 0));
    expect(drawn.length).toBe(5000);
    expect(Math.max(...drawn)).toBeCloseTo(0.6, 1);
    const beats = drawn.filter((value, at) => value > 0.3 && (drawn[at - 1] ?? 0) <= 0.3).length;
    expect([12, 13]).toContain(beats);
  });

  it('give the dose that was written: CTDIvol 12.5 mGy, DLP 450.25', async () => {
    const { nodes } = await read(paths.get('synth/sr/rdsr_ct.dcm') ?? '', 'sr');
    const measured = new Map<string, string>();
    const walk = (list: readonly SrNode[]): void => {
      for (const { type, name, value, unit, children } of list) {
        if (type === 'NUM') measured.set(name, `${value} ${unit}`);
        walk(children);
      }
    };
    walk(nodes);
    expect(measured.get('Mean CTDIvol')).toBe('12.5 mGy');
    expect(measured.get('CT Dose Length Product Total')).toBe('450.25 mGy·cm');
  });
});
