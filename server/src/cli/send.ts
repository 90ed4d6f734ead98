/**
 * send: DICOM files and folders to another program by C-STORE, each object in the transfer syntax it has.
 *
 * Source: PS3.4 Annex B, PS3.7 §9.1.1.
 * Layer:  server/cli.
 */
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asFault } from '@lightbox/core/base/fault.ts';
import { DicomReader } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { uidValue } from '@lightbox/core/dicom/values.ts';
import { statusKind, statusMeaning, statusText } from '@lightbox/core/dimse/status.ts';
import { DimseClient } from '../doors/dimse/client.ts';
import type { TlsDial } from '../doors/dimse/tls-client.ts';
import { parsePeer, type PeerAddress, withAdvice } from './peer.ts';
import { FILES, Progress } from './progress.ts';
import { UsageError } from './usage.ts';

const PIECE_BYTES = 256 * 1024;

interface FileToSend {
  readonly path: string;
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
  readonly dataSetOffset: number;
}

/** @returns the exit code: 0 when every object was taken. */
export async function send(
  paths: readonly string[],
  to: string | undefined,
  callingAe: string,
  tls?: TlsDial,
): Promise<number> {
  if (paths.length === 0) throw new UsageError('Name at least one file or folder to send.');
  const peer = parsePeer('--to', to);
  return withAdvice({ calling: callingAe, tls }, () => sendAll(paths, peer, callingAe, tls));
}

async function sendAll(
  paths: readonly string[],
  peer: PeerAddress,
  callingAe: string,
  tls: TlsDial | undefined,
): Promise<number> {
  const files: FileToSend[] = [];
  let failed = 0;
  for (const path of paths) {
    for await (const file of filesOf(path)) {
      const found = await describe(file);
      if (typeof found === 'string') {
        failed += 1;
        console.error(`${file}: ${found}`);
      } else files.push(found);
    }
  }
  let sent = 0;
  const unreadable = failed;
  const progress = new Progress('Sending', FILES);
  // One association for each transfer syntax: a peer then cannot choose another one.
  for (const syntax of new Set(files.map((file) => file.transferSyntaxUid))) {
    const group = files.filter((file) => file.transferSyntaxUid === syntax);
    const classes = [...new Set(group.map((file) => file.sopClassUid))];
    for (let at = 0; at < classes.length; at += 128) {
      const some = classes.slice(at, at + 128);
      const client = await DimseClient.open({
        ...{ ...peer, callingAe, tls },
        contexts: some.map((sopClassUid) => ({ sopClassUid, transferSyntaxUids: [syntax] })),
      });
      try {
        for (const file of group.filter((one) => some.includes(one.sopClassUid))) {
          const problem = await sendOne(client, file);
          if (problem === undefined) sent += 1;
          else {
            failed += 1;
            progress.note(`${file.path}: ${problem}`);
          }
          progress.set(sent + failed - unreadable, files.length);
        }
      } finally {
        await client.close();
      }
    }
  }
  progress.end();
  console.log(`${sent} sent, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

async function* filesOf(path: string): AsyncGenerator<string> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new UsageError(`There is no file or folder "${path}".`);
  if (!found.isDirectory()) {
    yield path;
    return;
  }
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && entry.name !== 'DICOMDIR') yield join(entry.parentPath, entry.name);
  }
}

/** Reads the header; the pixels are passed over. */
async function describe(path: string): Promise<FileToSend | string> {
  const file = await open(path);
  try {
    const reader = new DicomReader();
    const { size } = await file.stat();
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let at = 0; at < size;) {
      const passed = Math.min(reader.skippable, size - at);
      if (passed > 0) {
        reader.skip(passed);
        at += passed;
        continue;
      }
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, at);
      if (bytesRead === 0) break;
      reader.push(piece.subarray(0, bytesRead));
      at += bytesRead;
    }
    const { dataSet, transferSyntaxUid, dataSetOffset } = reader.end();
    const sopClassUid = uidValue(dataSet, Tags.SOPClassUID);
    const sopInstanceUid = uidValue(dataSet, Tags.SOPInstanceUID);
    if (sopClassUid === undefined || sopInstanceUid === undefined) return 'no SOP Class or Instance UID';
    return { path, sopClassUid, sopInstanceUid, transferSyntaxUid, dataSetOffset };
  } catch (error) {
    return asFault(error).row.meaning;
  } finally {
    await file.close();
  }
}

/** @returns what went wrong. */
async function sendOne(client: DimseClient, file: FileToSend): Promise<string | undefined> {
  if (client.transferSyntaxOf(file.sopClassUid) === undefined)
    return 'the peer does not take this kind of object in this transfer syntax';
  // Read while it is sent: files may be larger than memory.
  const dataSet = createReadStream(file.path, { start: file.dataSetOffset, highWaterMark: PIECE_BYTES });
  const { status, comment } = await client.store(file, dataSet as AsyncIterable<Buffer>);
  if (statusKind(status) === 'success' || statusKind(status) === 'warning') return undefined;
  return `${statusMeaning(status)} (${statusText(status)})${comment === undefined ? '' : `: ${comment}`}`;
}
