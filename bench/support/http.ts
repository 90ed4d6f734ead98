/**
 * One persistent HTTP/1.1 connection that reads answers with as little work as possible, so that thousands of requests a
 * second are the server's figure and not the client's. Node's own agent drops Orthanc's connections (Keep-Alive: timeout=1).
 *
 * Source: RFC 9112 §6 (message body length), §7.1 (chunked).
 */
import { connect, type Socket } from 'node:net';

export interface HttpAnswer {
  readonly status: number;
  /** Bytes of the body. */
  readonly bytes: number;
  readonly contentType: string;
  readonly contentEncoding: string;
  /** Only when it was asked for. */
  readonly body: Buffer | undefined;
}

export interface HttpAsk {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: 'GET' | 'POST';
  /** Sent as they are, one after the other. */
  readonly body?: readonly Uint8Array[];
  readonly keep?: boolean;
}

const END_OF_HEAD = Buffer.from('\r\n\r\n');
const CRLF = Buffer.from('\r\n');
const MAX_LINE = 16 * 1024;

type Stage = 'head' | 'counted' | 'size' | 'chunk' | 'after-chunk' | 'trailer' | 'until-close';

export class HttpConnection {
  readonly #port: number;
  #socket: Socket | undefined;
  /** How often the server closed the connection and it was opened again. */
  reopened = 0;
  #rest: Buffer = Buffer.alloc(0);
  #stage: Stage = 'head';
  #left = 0;
  #status = 0;
  #bytes = 0;
  #contentType = '';
  #contentEncoding = '';
  #closes = false;
  #answering = false;
  #kept: Buffer[] | undefined;
  #waiting: { settle: (answer: HttpAnswer) => void; fail: (error: Error) => void } | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  /** @throws when the server goes away in the middle of an answer. */
  async ask(ask: HttpAsk): Promise<HttpAnswer> {
    const reused = this.#socket;
    try {
      return await this.#try(ask);
    } catch (error) {
      // It ended an idle connection just as this was written: no answer has begun, RFC 9110 §9.2.2 lets a GET go again.
      if (this.#socket !== reused || this.#answering || ask.method === 'POST') throw error;
      return await this.#try(ask);
    }
  }

  async #try(ask: HttpAsk): Promise<HttpAnswer> {
    const socket = await this.#connected();
    const { method = 'GET', body = [] } = ask;
    const length = body.reduce((sum, part) => sum + part.length, 0);
    const headers = Object.entries({
      host: `127.0.0.1:${this.#port}`,
      ...ask.headers,
      ...(method === 'POST' ? { 'content-length': String(length) } : {}),
    });
    const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    this.#stage = 'head';
    this.#answering = false;
    this.#rest = Buffer.alloc(0);
    this.#bytes = 0;
    this.#kept = ask.keep === true ? [] : undefined;
    const answered = new Promise<HttpAnswer>((settle, fail) => (this.#waiting = { settle, fail }));
    socket.write(`${method} ${ask.path} HTTP/1.1\r\n${head}\r\n`);
    for (const part of body) socket.write(part);
    return answered;
  }

  close(): void {
    this.#socket?.destroy();
  }

  #connected(): Promise<Socket> {
    const open = this.#socket;
    if (open && !open.destroyed && open.writable && !this.#closes) return Promise.resolve(open);
    if (open) this.reopened += 1;
    open?.destroy();
    this.#closes = false;
    return new Promise((settle, fail) => {
      const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
      this.#socket = socket;
      socket.once('connect', () => settle(socket));
      socket.once('error', fail);
      socket.on('data', (chunk: Buffer) => {
        this.#answering = true;
        try {
          this.#take(chunk);
        } catch (error) {
          this.#failed(error as Error);
        }
      });
      socket.on('error', (error) => {
        if (socket === this.#socket) this.#failed(error);
      });
      socket.on('close', () => {
        // One that was replaced may close late.
        if (socket !== this.#socket) return;
        if (this.#stage === 'until-close') this.#done();
        else this.#failed(new Error('the server closed the connection in the middle of an answer'));
      });
    });
  }

  #failed(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#socket?.destroy();
    waiting?.fail(error);
  }

  #take(chunk: Buffer): void {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = Buffer.alloc(0);
    while (bytes.length > 0) {
      const used = this.#step(bytes);
      if (used === 0) {
        if (bytes.length > MAX_LINE) throw new Error('an endless line in an HTTP answer');
        this.#rest = bytes;
        return;
      }
      bytes = bytes.subarray(used);
    }
  }

  /** @returns how many bytes were understood; 0: more are needed. */
  #step(bytes: Buffer): number {
    switch (this.#stage) {
      case 'head': {
        const end = bytes.indexOf(END_OF_HEAD);
        if (end < 0) return 0;
        this.#head(bytes.toString('latin1', 0, end));
        return end + END_OF_HEAD.length;
      }
      case 'counted':
      case 'chunk': {
        const used = Math.min(this.#left, bytes.length);
        this.#body(bytes.subarray(0, used));
        this.#left -= used;
        if (this.#left === 0) {
          if (this.#stage === 'chunk') this.#stage = 'after-chunk';
          else this.#done();
        }
        return used;
      }
      case 'after-chunk':
        if (bytes.length < CRLF.length) return 0;
        this.#stage = 'size';
        return CRLF.length;
      case 'size':
      case 'trailer': {
        const end = bytes.indexOf(CRLF);
        if (end < 0) return 0;
        if (this.#stage === 'size') {
          this.#left = Number.parseInt(bytes.toString('latin1', 0, end), 16);
          this.#stage = this.#left === 0 ? 'trailer' : 'chunk';
        } else if (end === 0) this.#done();
        return end + CRLF.length;
      }
      case 'until-close':
        this.#body(bytes);
        return bytes.length;
      default:
        return this.#stage satisfies never;
    }
  }

  #head(text: string): void {
    this.#status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]);
    const header = (name: string): string =>
      new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'im').exec(text)?.[1] ?? '';
    this.#contentType = header('content-type');
    this.#contentEncoding = header('content-encoding');
    this.#closes = header('connection').toLowerCase() === 'close';
    const length = header('content-length');
    if (/chunked/i.test(header('transfer-encoding'))) this.#stage = 'size';
    else if (length !== '' || this.#status === 204 || this.#status === 304) {
      this.#left = Number(length);
      this.#stage = 'counted';
      if (this.#left === 0) this.#done();
    } else this.#stage = 'until-close';
  }

  #body(bytes: Buffer): void {
    this.#bytes += bytes.length;
    this.#kept?.push(Buffer.from(bytes));
  }

  #done(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#stage = 'head';
    waiting?.settle({
      status: this.#status,
      bytes: this.#bytes,
      contentType: this.#contentType,
      contentEncoding: this.#contentEncoding,
      body: this.#kept && Buffer.concat(this.#kept),
    });
  }
}

/** Bodies of the parts of a multipart answer (RFC 2046 §5.1.1), as views. */
export function partsOf(answer: HttpAnswer): Buffer[] {
  const boundary = /boundary="?([^";]+)"?/i.exec(answer.contentType)?.[1];
  if (boundary === undefined || !answer.body) throw new Error('not a multipart answer that was kept');
  const delimiter = Buffer.from(`--${boundary}`);
  const parts: Buffer[] = [];
  let at = answer.body.indexOf(delimiter);
  for (;;) {
    const start = answer.body.indexOf(END_OF_HEAD, at);
    const next = start < 0 ? -1 : nextDelimiter(answer.body, delimiter, start);
    if (next < 0) return parts;
    parts.push(answer.body.subarray(start + END_OF_HEAD.length, next - CRLF.length));
    at = next;
  }
}

const nextDelimiter = (body: Buffer, delimiter: Buffer, from: number): number => {
  const found = body.indexOf(Buffer.concat([CRLF, delimiter]), from);
  return found < 0 ? -1 : found + CRLF.length;
};
