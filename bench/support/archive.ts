/** Asking an archive over DICOMweb what it holds: whether the work was done is checked here, outside of any clock. */
import { createHash } from 'node:crypto';
import { ctPixels, type Sample } from './data.ts';
import { HttpConnection, type HttpAnswer, partsOf } from './http.ts';
import type { Peer } from './peers.ts';
import { check } from './run.ts';

export const DICOM_JSON = 'application/dicom+json';
/** Pixel data as kept. */
export const FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';

export type Json = Readonly<Record<string, { readonly Value?: readonly unknown[] }>>;

export class ArchiveReader {
  readonly #peer: Peer;
  readonly #connection: HttpConnection;

  constructor(peer: Peer) {
    this.#peer = peer;
    this.#connection = new HttpConnection(peer.httpPort);
  }

  /** @param path  Below the DICOMweb root. @throws unless it is answered with 200 or 204. */
  async get(path: string, accept: string, more: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    const headers = { ...this.#peer.headers, accept, ...more };
    const answer = await this.#connection.ask({ path: this.#peer.dicomweb + path, headers, keep: true });
    check(
      answer.status === 200 || answer.status === 204,
      `${this.#peer.name}: GET ${path}: ${answer.status}`,
    );
    return answer;
  }

  async json(path: string): Promise<Json[]> {
    const { body } = await this.get(path, DICOM_JSON);
    return body && body.length > 0 ? (JSON.parse(body.toString('utf8')) as Json[]) : [];
  }

  /** Study Instance UIDs found by QIDO-RS, all pages together. */
  async studies(query: string): Promise<string[]> {
    const found: string[] = [];
    for (;;) {
      const page = await this.json(`/studies?${query}&limit=${PAGE}&offset=${found.length}`);
      found.push(...page.map((one) => String(one['0020000D']?.Value?.[0])));
      if (page.length < PAGE) return found;
    }
  }

  /** @throws unless the series has just these images and the pixels of some of them are what was sent. */
  async checkCtSeries(some: Pick<Sample, 'studyUid' | 'seriesUid'>, count: number): Promise<void> {
    const { studyUid, seriesUid } = some;
    const series = `/studies/${studyUid}/series/${seriesUid}`;
    const instances = await this.json(`${series}/instances?limit=${PAGE}`);
    const names = new Set(instances.map((one) => String(one['00080018']?.Value?.[0])));
    check(names.size === count, `${this.#peer.name} has ${names.size} of ${count} images`);
    for (const index of [0, Math.floor(count / 2), count - 1]) {
      const answer = await this.get(`${series}/instances/${seriesUid}.${index + 1}/frames/1`, FRAMES);
      const [pixels] = partsOf(answer);
      check(
        pixels !== undefined && sha256(pixels) === sha256(ctPixels(index)),
        `${this.#peer.name} gives other pixels than were sent (image ${index + 1} of ${count})`,
      );
    }
  }

  close(): void {
    this.#connection.close();
  }
}

const PAGE = 5000;

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
