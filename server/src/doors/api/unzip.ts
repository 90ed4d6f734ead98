/**
 * The files of a ZIP, one after another, with nothing believed that the ZIP says about itself: sizes are counted, checksums are
 * computed, names are only shown.
 *
 * Source: PKWARE APPNOTE 6.3 (ZIP, ZIP64; §4.4.4 encryption, §4.4.7 CRC-32).
 * Layer:  server/doors/api.
 */
import { crc32 } from 'node:zlib';
import type { Readable } from 'node:stream';
import yauzl from 'yauzl';
import { Fault } from '@lightbox/core/base/fault.ts';

export interface ZipLimits {
  /** Files in the ZIP. */
  readonly files: number;
  /** Unpacked bytes of all. */
  readonly unpackedBytes: number;
  /** Unpacked bytes for each packed byte, of one file and of the whole: deflate reaches 1,032, images 20 (attack A20). */
  readonly ratio: number;
  /** Up to here the ratio is not asked. */
  readonly ratioFreeBytes: number;
}

/** A DVD has 4.7 GB, a study of CT perfusion 20,000 files. */
export const ZIP_LIMITS: ZipLimits = {
  files: 200_000,
  unpackedBytes: 64 * 1024 ** 3,
  ratio: 200,
  ratioFreeBytes: 64 * 1024 ** 2,
};

export interface ZipMember {
  /** As stored; for showing only. */
  readonly name: string;
  /** As the ZIP says; what `open` gives is never more. */
  readonly length: number;
  /** Why it cannot be opened. */
  readonly fault: Fault | undefined;
  /** Once. Throws Fault UPLOAD_ZIP when the bytes are not what the ZIP promised. */
  open(): AsyncIterable<Buffer>;
}

/** @throws Fault UPLOAD_ZIP, UPLOAD_ZIP_LIMIT; what concerns one file alone is in its member. */
export async function* readZip(path: string, bytes: number, limits = ZIP_LIMITS): AsyncGenerator<ZipMember> {
  const zip = await openZip(path);
  try {
    if (zip.entryCount > limits.files) throw new Fault('UPLOAD_ZIP_LIMIT', { files: zip.entryCount });
    const most = (packed: number): number => Math.max(limits.ratioFreeBytes, packed * limits.ratio);
    let unpacked = 0;
    for (let entry = await nextEntry(zip); entry; entry = await nextEntry(zip)) {
      const name = nameOf(entry);
      if (name.endsWith('/')) continue;
      const { uncompressedSize } = entry;
      let fault: Fault | undefined;
      if (entry.isEncrypted()) fault = new Fault('UPLOAD_ENCRYPTED');
      else if (uncompressedSize > most(entry.compressedSize)) fault = new Fault('UPLOAD_ZIP_LIMIT');
      else unpacked += uncompressedSize;
      // Entries may share their packed bytes, so that each alone looks harmless.
      if (unpacked > Math.min(limits.unpackedBytes, most(bytes))) throw new Fault('UPLOAD_ZIP_LIMIT');
      const opened = entry;
      yield { name, length: uncompressedSize, fault, open: () => contentOf(zip, opened) };
    }
  } finally {
    zip.close();
  }
}

/** With `validateEntrySizes` the reader ends an entry that is longer or shorter than declared. */
function openZip(path: string): Promise<yauzl.ZipFile> {
  const options = { lazyEntries: true, autoClose: false, validateEntrySizes: true, decodeStrings: false };
  return new Promise((settle, fail) => {
    yauzl.open(path, options, (cause, opened) =>
      cause ? fail(new Fault('UPLOAD_ZIP', {}, { cause })) : settle(opened),
    );
  });
}

/** Undecoded, names cannot be refused by the library: `../x` is only a name, no path is ever made of it. */
function nameOf(entry: yauzl.Entry): string {
  const raw = entry.fileName as unknown as Buffer;
  return yauzl
    .getFileNameLowLevel(entry.generalPurposeBitFlag, raw, entry.extraFields, false)
    .replaceAll(/[\p{Cc}\u2028\u2029]/gu, '?')
    .slice(0, 1000);
}

async function* contentOf(zip: yauzl.ZipFile, entry: yauzl.Entry): AsyncGenerator<Buffer> {
  const damaged = (cause?: unknown): Fault => new Fault('UPLOAD_ZIP', {}, { cause });
  const stream = await new Promise<Readable>((settle, fail) =>
    zip.openReadStream(entry, (cause, opened) => (cause ? fail(damaged(cause)) : settle(opened))),
  );
  let crc = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      crc = crc32(chunk, crc);
      yield chunk;
    }
  } catch (cause) {
    throw damaged(cause);
  }
  // An image with a turned bit is worse than none.
  if (crc !== entry.crc32) throw damaged();
}

function nextEntry(zip: yauzl.ZipFile): Promise<yauzl.Entry | undefined> {
  return new Promise((settle, fail) => {
    const done = (run: () => void): void => {
      zip.removeListener('entry', onEntry);
      zip.removeListener('end', onEnd);
      zip.removeListener('error', onError);
      run();
    };
    const onEntry = (entry: yauzl.Entry): void => done(() => settle(entry));
    const onEnd = (): void => done(() => settle(undefined));
    const onError = (cause: Error): void => done(() => fail(new Fault('UPLOAD_ZIP', {}, { cause })));
    zip.once('entry', onEntry);
    zip.once('end', onEnd);
    zip.once('error', onError);
    zip.readEntry();
  });
}
