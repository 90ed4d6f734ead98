/**
 * Storing objects as metadata with bulk data in other parts, JSON and XML, against a running Lightbox.
 *
 * Source: PS3.18 §10.5.1.2, §8.6.1.3, §8.7.3.3.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ctImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const STUDY = '1.2.826.0.1.3680043.10.1234.97';
const SERIES = `${STUDY}.1`;
/** 128 KB of pixels stay in memory on the way, 512 KB do not. */
const SIDES = [256, 512] as const;

interface Element {
  vr: string;
  Value?: unknown[];
  BulkDataURI?: string;
}
type Json = Record<string, Element>;

interface Part {
  readonly type: string;
  readonly location?: string;
  readonly body: Buffer | string;
}

describe('storing metadata and bulk data (PS3.18 §10.5)', () => {
  let box: Lightbox;
  const pixels: Buffer[] = [];
  const headers: Json[] = [];

  beforeAll(async () => {
    box = await Lightbox.ready();
    for (const [at, side] of SIDES.entries()) {
      const sopUid = `${SERIES}.${at + 1}`;
      const file = ctImage({
        ...{ studyUid: STUDY, seriesUid: SERIES, sopUid, number: at + 1, side, patientId: 'BULK' },
        chance: () => ((at + 3) * 0.17) % 1,
        value: (x, y) => (x * 7 + y * 13 + at) % 4096,
      });
      expect((await stowFile(box, file)).status).toBe(200);
      pixels.push(file.subarray(-side * side * 2));
      const [header] = await box.getJson<Json[]>(
        `/dicom-web/studies/${STUDY}/series/${SERIES}/instances/${sopUid}/metadata`,
      );
      headers.push(header!);
    }
  });
  afterAll(() => box.stop());

  const send = (parts: readonly Part[], inner: string): Promise<Response> =>
    fetch(`${box.url}/dicom-web/studies`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${box.key}`,
        accept: 'application/dicom+json',
        'content-type': `multipart/related; type="${inner}"; boundary=cut`,
      },
      body: Buffer.concat([
        ...parts.flatMap(({ type, location, body }) => [
          Buffer.from(
            `--cut\r\nContent-Type: ${type}\r\n${location === undefined ? '' : `Content-Location: ${location}\r\n`}\r\n`,
          ),
          Buffer.from(body as Buffer),
          Buffer.from('\r\n'),
        ]),
        Buffer.from('--cut--\r\n'),
      ]),
    });

  /** The same image in another study, its pixels where `uri` says. */
  function renamed(at: number, root: string, uri: string): Json {
    const header = structuredClone(headers[at]!);
    const sop = `${root}.1.${at + 1}`;
    for (const [tag, value] of [
      ['0020000D', root],
      ['0020000E', `${root}.1`],
      ['00080018', sop],
    ] as const)
      header[tag] = { vr: 'UI', Value: [value] };
    header['7FE00010'] = { vr: 'OW', BulkDataURI: uri };
    return header;
  }

  async function isThere(at: number, root: string): Promise<void> {
    const path = `/dicom-web/studies/${root}/series/${root}.1/instances/${root}.1.${at + 1}`;
    const frame = await box.get(`${path}/frames/1`, { accept: 'application/octet-stream' });
    expect(frame.status).toBe(200);
    expect(Buffer.from(await frame.arrayBuffer()).equals(pixels[at]!)).toBe(true);
    const [header] = await box.getJson<Json[]>(`${path}/metadata`);
    const uri = header?.['7FE00010']?.BulkDataURI ?? '';
    // Text of JSON and XML is Unicode (PS3.18 §F.2).
    const unicode = { '00080005': { vr: 'CS', Value: ['ISO_IR 192'] } };
    expect(header).toEqual({ ...unicode, ...renamed(at, root, uri) });
  }

  const octets = (location: string, body: Buffer): Part => ({
    type: 'application/octet-stream',
    location,
    body,
  });
  const json = (body: unknown): Part => ({ type: 'application/dicom+json', body: JSON.stringify(body) });

  it('takes several objects of JSON with their pixels', async () => {
    const root = `${STUDY}.11`;
    const metadata = SIDES.map((_, at) => renamed(at, root, `bulk/${at}`));
    const parts = [json(metadata), ...pixels.map((body, at) => octets(`bulk/${at}`, body))];
    const answer = await send(parts, 'application/dicom+json');
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining(`${root}.1.2`)]);
    for (const at of SIDES.keys()) await isThere(at, root);
  });

  it('takes XML with its pixels', async () => {
    const path = `/dicom-web/studies/${STUDY}/series/${SERIES}/instances/${SERIES}.2/metadata`;
    const own = await box.get(path, { accept: 'multipart/related; type="application/dicom+xml"' });
    const xml = /<\?xml[\s\S]*<\/NativeDicomModel>/.exec(await own.text())?.[0] ?? '';
    const root = `${STUDY}.12`;
    const body = xml.replaceAll(STUDY, root).replace(/<BulkData uri="[^"]*"/, '<BulkData uri="urn:pixels"');
    const parts = [{ type: 'application/dicom+xml', body }, octets('urn:pixels', pixels[1]!)];
    const answer = await send(parts, 'application/dicom+xml');
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining(`${root}.1.2`)]);
    await isThere(1, root);
  });

  it('takes JSON alone where there is no bulk data', async () => {
    const root = `${STUDY}.13`;
    const header = renamed(0, root, '');
    delete header['7FE00010'];
    const answer = await fetch(`${box.url}/dicom-web/studies`, {
      method: 'POST',
      headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/dicom+json' },
      body: JSON.stringify([header]),
    });
    expect(answer.status).toBe(200);
  });

  it('stores what is whole, and says which object lacks a part, has one compressed, or has no name', async () => {
    const root = `${STUDY}.14`;
    const metadata = [
      renamed(0, root, 'here'),
      renamed(1, root, 'nowhere'),
      renamed(1, `${root}.5`, 'jpeg'),
      { ...renamed(1, `${root}.6`, 'here'), '00080018': { vr: 'UI' } },
    ];
    const parts = [
      json(metadata),
      octets('here', pixels[0]!),
      { type: 'image/jpeg', location: 'jpeg', body: Buffer.from('no picture') },
    ];
    const answer = await send(parts, 'application/dicom+json');
    expect(answer.status).toBe(202);
    const said = (await answer.json()) as Json;
    expect(said['00081199']?.Value).toHaveLength(1);
    expect(said['0008119A']?.Value).toHaveLength(3);
    await isThere(0, root);
  });

  it.each([
    ['a part without a location', [json([]), { type: 'application/octet-stream', body: 'x' }]],
    ['two parts of one location', [json([]), octets('a', Buffer.from('x')), octets('a', Buffer.from('y'))]],
    ['no metadata', [octets('a', Buffer.from('x'))]],
    ['no JSON', [{ type: 'application/dicom+json', body: '{' }]],
  ] satisfies [string, Part[]][])('refuses a body with %s', async (_, parts) => {
    const answer = await send(parts, 'application/dicom+json');
    expect(answer.status).toBe(400);
    expect(readdirSync(join(box.data, 'incoming'))).toEqual([]);
  });
});
