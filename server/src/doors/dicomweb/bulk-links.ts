/**
 * Where a large value is fetched from: an address that only this server can make.
 *
 * The place of the value within its object is in the address, sealed together with the object's own names: who changes one
 * character, or carries it over to another object, has an address of nothing. It gives no right: whoever uses it is checked as
 * for the study.
 *
 * Source: PS3.18 §10.4.1.1.5 (bulk data resources: the URI is the server's own), RFC 2104 (HMAC).
 * Layer:  server/doors/dicomweb.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { InstanceRef } from '../../archive/types.ts';

type Names = Pick<InstanceRef, 'studyUid' | 'seriesUid' | 'sopUid'>;

/** 128 bits: not to be guessed, and metadata has one for every large value. */
const SEAL_BYTES = 16;
/** "00081115/0/00081199" for each of the levels that are read. */
const MAX_TOKEN = 2048;

/** As the archive writes them: see `Retrieve.metadata`. Within a text value the quotation marks would be escaped. */
const RELATIVE =
  /"BulkDataURI":"studies\/([^"/]+)\/series\/([^"/]+)\/instances\/([^"/]+)\/bulkdata\/([^"]+)"/g;

export class BulkLinks {
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  /** The last step of the address of a value; `path` as `toJson` has it: "7FE00010", "00081115/0/00081199". */
  token(names: Names, path: string): string {
    return Buffer.concat([this.#seal(names, path), Buffer.from(path)]).toString('base64url');
  }

  /** The path of a token that was made for this object; undefined for any other text. */
  path(names: Names, token: string): string | undefined {
    if (token.length > MAX_TOKEN) return undefined;
    const bytes = Buffer.from(token, 'base64url');
    const path = bytes.toString('utf8', SEAL_BYTES);
    const sealed =
      bytes.length > SEAL_BYTES && timingSafeEqual(bytes.subarray(0, SEAL_BYTES), this.#seal(names, path));
    // One spelling only: base64 has characters that decode to nothing.
    return sealed && bytes.toString('base64url') === token ? path : undefined;
  }

  /** DICOM JSON of the archive with its relative addresses made whole. */
  absolute(json: string, root: string): string {
    return json.replaceAll(
      RELATIVE,
      (_whole, studyUid: string, seriesUid: string, sopUid: string, path: string) => {
        const token = this.token({ studyUid, seriesUid, sopUid }, path);
        return `"BulkDataURI":"${root}/studies/${studyUid}/series/${seriesUid}/instances/${sopUid}/bulkdata/${token}"`;
      },
    );
  }

  #seal({ studyUid, seriesUid, sopUid }: Names, path: string): Buffer {
    const text = [studyUid, seriesUid, sopUid, path].join('\n');
    return createHmac('sha256', this.#secret).update(text).digest().subarray(0, SEAL_BYTES);
  }
}
