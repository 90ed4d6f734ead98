/**
 * WADO-URI: one object by its names, as a picture or as DICOM, and the status for everything that is asked wrongly.
 *
 * Source: PS3.18 §9.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import sharp from 'sharp';
import { readPart10 } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { text } from '@lightbox/core/dicom/values.ts';
import { describeWith } from '../tools/testing.ts';
import { run, temporaryFolder } from './support/dcmtk.ts';
import { CT, ctHeader, ctImage, fileMeta } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const STUDY = '1.2.826.0.1.3680043.7.2';
const NAMES = { studyUID: STUDY, seriesUID: `${STUDY}.1`, objectUID: `${STUDY}.1.1` };

describe('WADO-URI (PS3.18 §9)', () => {
  let box: Lightbox;
  const kept = Buffer.from(
    ctImage({
      ...{ studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid: `${STUDY}.1.1`, number: 1, side: 64 },
      ...{ patientId: 'WADO', patientName: 'Wado^Walter', chance: () => 0.5 },
    }),
  );
  const several = `${STUDY}.2`;
  beforeAll(async () => {
    box = await Lightbox.ready();
    expect((await stowFile(box, kept)).status).toBe(200);
    const names = { studyUid: several, seriesUid: `${several}.1`, sopUid: `${several}.1.1`, number: 1 };
    const header = ctHeader({ ...names, patientId: 'WADO', side: 16, frames: 3 });
    const frames = Buffer.concat([fileMeta(CT, names.sopUid), header, Buffer.alloc(3 * 16 * 16 * 2, 7)]);
    expect((await stowFile(box, frames)).status).toBe(200);
  });
  afterAll(() => box.stop());

  const ask = (
    query: Record<string, string> | string = '',
    headers: Record<string, string> = {},
    names: Record<string, string> = NAMES,
  ): Promise<Response> => {
    const all = new URLSearchParams({ requestType: 'WADO', ...names });
    for (const [name, value] of new URLSearchParams(query)) all.set(name, value);
    return box.get(`/wado?${all}`, headers);
  };
  const bytesOf = async (answer: Response): Promise<Buffer> => Buffer.from(await answer.arrayBuffer());

  it('gives a JPEG where nothing else is asked (§9.3)', async () => {
    const answer = await ask();
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/jpeg']);
    const { width, height } = await sharp(await bytesOf(answer)).metadata();
    expect([width, height]).toEqual([64, 64]);
    const etag = answer.headers.get('etag') ?? '';
    expect((await ask('', { 'if-none-match': etag })).status).toBe(304);
  });

  it.each([
    ['contentType=image/png', 'image/png'],
    ['contentType=image/png;q=0.1,image/gif', 'image/gif'],
    ['contentType=image/bmp,image/jpeg', 'image/jpeg'],
    ['contentType=*/*', 'image/jpeg'],
    ['contentType=application/dicom', `application/dicom; transfer-syntax=${EXPLICIT_LE}`],
  ])('gives for %s: %s', async (query, type) => {
    const answer = await ask(query.replaceAll(';', '%3B'), { accept: '*/*' });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type]);
  });

  it('fits into rows and columns, a region of it too (§9.5.1.2.4, §9.5.1.2.5)', async () => {
    const size = async (query: string): Promise<unknown> => {
      const { width, height } = await sharp(await bytesOf(await ask(query))).metadata();
      return [width, height];
    };
    expect(await size('rows=32&columns=128')).toEqual([32, 32]);
    expect(await size('region=0,0,0.5,0.25')).toEqual([32, 16]);
    expect(await size('region=0,0,0.5,0.25&rows=64&columns=64')).toEqual([64, 32]);
  });

  it('windows, annotates, and shows one frame', async () => {
    const png = async (query: string, names?: Record<string, string>): Promise<Buffer> =>
      sharp(await bytesOf(await ask(`contentType=image/png&${query}`, {}, names)))
        .toColourspace('b-w')
        .raw()
        .toBuffer();
    expect((await png('windowCenter=100000&windowWidth=1')).every((value) => value === 0)).toBe(true);
    expect((await png('annotation=patient')).equals(await png(''))).toBe(false);
    const unknown = await ask('annotation=weather');
    expect(unknown.headers.get('warning')).toMatch(/^299 .*\/wado: The following annotation values/);
    const names = { studyUID: several, seriesUID: `${several}.1`, objectUID: `${several}.1.1` };
    expect((await png('frameNumber=3', names)).length).toBe(256);
    expect((await ask('frameNumber=4', {}, names)).status).toBe(400);
  });

  it.each([
    ...['requestType=WADD', 'studyUID=x', 'seriesUID=', 'objectUID=1..2', 'anonymize=no', 'anonymize=yes'],
    ...['charset=latin1', 'frameNumber=1', 'frameNumber=0', 'imageQuality=101', 'imageQuality=', 'rows=10'],
    ...['columns=10', 'rows=0&columns=1', 'region=0,0,2,1', 'region=0,0,1', 'region=0.5,0,0.5,1'],
    ...['windowCenter=40', 'windowWidth=40', 'windowCenter=a&windowWidth=1', 'windowCenter=1&windowWidth=0'],
    ...['contentType=application/dicom&transferSyntax=a', 'contentType=application/dicom,image/jpeg'],
    ...['annotation=', 'contentType='],
  ])('answers 400 to %s and names the parameter', async (query) => {
    const answer = await ask(query);
    const problem = (await answer.json()) as { facts?: { parameter?: string } };
    expect([answer.status, problem.facts?.parameter]).toEqual([400, expect.any(String)]);
  });

  it.each([
    [{ studyUID: '1.2.404' }, 404],
    [{ seriesUID: '1.2.404' }, 404],
    [{ objectUID: '1.2.404' }, 404],
  ])('answers to other names %j: %i', async (names, status) =>
    expect((await ask('', {}, { ...NAMES, ...names })).status).toBe(status),
  );

  it.each([
    ['contentType=video/mpeg', 406],
    ['contentType=text/html', 406],
    ['contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.4.90', 406],
    // Without the presentation state it would be another picture.
    ['presentationUID=1.2.3&presentationSeriesUID=1.2.4', 501],
  ])('answers to %s: %i', async (query, status) => expect((await ask(query)).status).toBe(status));

  it('is shut to strangers, like everything', async () =>
    expect((await fetch(`${box.url}/wado?requestType=WADO`)).status).toBe(401));

  it('gives DICOM, in the transfer syntax asked for', async () => {
    const plain = await bytesOf(await ask('contentType=application/dicom'));
    expect(plain.equals(kept)).toBe(true);
    const implicit = await bytesOf(await ask(`contentType=application/dicom&transferSyntax=${IMPLICIT_LE}`));
    expect(readPart10(implicit).transferSyntaxUid).toBe(IMPLICIT_LE);
  });

  it('gives it without who it shows: the same stranger each time (§9.4.1.2.1, PS3.15 §E)', async () => {
    const query = 'contentType=application/dicom&anonymize=yes';
    const [one, again] = [await ask(query), await ask(query)];
    expect(one.status, await one.clone().text()).toBe(200);
    const bytes = await bytesOf(one);
    expect(bytes.equals(await bytesOf(again))).toBe(true);
    for (const known of ['Wado', 'WADO', STUDY]) expect(bytes.includes(known), known).toBe(false);
    const { dataSet } = readPart10(bytes);
    expect(text(dataSet, Tags.PatientIdentityRemoved)).toBe('YES');
    expect(text(dataSet, Tags.Rows) ?? dataSet.elements.get(Tags.Rows)).toBeDefined();
  });

  describeWith(['dcmdump'], 'read by DCMTK', () => {
    const folder = temporaryFolder();
    afterAll(() => folder.dispose());
    it('what it gives anonymously is DICOM', async () => {
      const file = `${folder.path}/anonymous.dcm`;
      writeFileSync(file, await bytesOf(await ask('contentType=application/dicom&anonymize=yes')));
      const { code, output } = await run('dcmdump', ['-Un', file]);
      expect([code, output.match(/^[EW]:/gm)]).toEqual([0, null]);
    });
  });
});
