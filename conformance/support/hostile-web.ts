/** A DICOMweb server that answers what a test tells it to, also what no server should. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** Of a STOW-RS request: SOP Instance UIDs in order, and the transfer syntax each file says it is in. */
  readonly objects: readonly {
    readonly sopUid: string;
    readonly transferSyntax: string;
    readonly file: Buffer;
  }[];
}

export type Answering = (asked: Asked, response: ServerResponse) => void;

export class HostileWeb {
  readonly asked: Asked[] = [];
  answer: Answering = (_asked, response) => response.writeHead(404).end();
  /** Called before the body is read; true: it has answered. */
  early: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  readonly #server: Server;
  #port = 0;

  constructor() {
    this.#server = createServer((request, response) => void this.#hear(request, response));
  }

  async start(): Promise<this> {
    await new Promise<void>((settle) => this.#server.listen(0, '127.0.0.1', settle));
    const address = this.#server.address();
    this.#port = typeof address === 'object' && address ? address.port : 0;
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/dicom-web`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((settle) => this.#server.close(settle));
  }

  async #hear(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.early(request, response)) return;
    try {
      const body = await buffer(request);
      const { method = '', url = '', headers } = request;
      const asked = { method, url, headers, objects: objectsIn(headers['content-type'] ?? '', body) };
      this.asked.push(asked);
      this.answer(asked, response);
    } catch {
      response.destroy();
    }
  }
}

function objectsIn(type: string, body: Buffer): Asked['objects'] {
  const boundary = /boundary=([^;]+)/.exec(type)?.[1];
  if (boundary === undefined) return [];
  const delimiter = `\r\n--${boundary}`;
  const text = `\r\n${body.toString('latin1')}`;
  const parts = text.split(delimiter).slice(1, -1);
  if (!text.endsWith(`${delimiter}--\r\n`)) throw new Error('the body does not end as it should');
  return parts.map((part) => {
    const at = part.indexOf('\r\n\r\n');
    const file = Buffer.from(part.slice(at + 4), 'latin1');
    // (0008,0018) UI in explicit little endian (PS3.5 §7.1.2).
    const tag = file.indexOf(Buffer.from([0x08, 0x00, 0x18, 0x00, 0x55, 0x49]));
    const sopUid = file
      .toString('latin1', tag + 8, tag + 8 + file.readUInt16LE(tag + 6))
      .replaceAll('\0', '');
    return { sopUid, transferSyntax: syntaxOf(file), file };
  });
}

/** (0002,0010) of the file meta information. */
function syntaxOf(file: Buffer): string {
  const at = file.indexOf(Buffer.from([0x02, 0x00, 0x10, 0x00, 0x55, 0x49]));
  return file.toString('latin1', at + 8, at + 8 + file.readUInt16LE(at + 6)).replaceAll('\0', '');
}

export const json = (response: ServerResponse, status: number, body: unknown): void =>
  void response.writeHead(status, { 'content-type': 'application/dicom+json' }).end(JSON.stringify(body));

/** A Store Instances Response Module (PS3.18 Annex I.2). */
export const storeAnswer = (
  stored: readonly (string | readonly [uid: string, warning: number])[],
  failed: readonly (readonly [uid: string, reason: number])[] = [],
): unknown[] => [
  {
    '00081199': {
      vr: 'SQ',
      Value: stored.map((one) => {
        const [uid, warning] = typeof one === 'string' ? [one, undefined] : one;
        return {
          '00081155': { vr: 'UI', Value: [uid] },
          ...(warning === undefined ? {} : { '00081196': { vr: 'US', Value: [warning] } }),
        };
      }),
    },
    '00081198': {
      vr: 'SQ',
      Value: failed.map(([uid, reason]) => ({
        '00081155': { vr: 'UI', Value: [uid] },
        '00081197': { vr: 'US', Value: [reason] },
      })),
    },
  },
];

/** A multipart/related body of DICOM files, whole. */
export function multipart(files: readonly Buffer[], boundary = 'part'): Buffer {
  return Buffer.concat([
    ...files.flatMap((file) => [
      Buffer.from(`\r\n--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`),
      file,
    ]),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
}
export const MULTIPART = { 'content-type': 'multipart/related; type="application/dicom"; boundary=part' };
