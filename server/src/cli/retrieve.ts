/**
 * get and move: objects of another archive, by C-GET into a folder, by C-MOVE to a destination that archive knows.
 *
 * Source: PS3.4 §C.4.2 (C-MOVE), §C.4.3 (C-GET), §C.5.2 and §C.5.3 (relational retrieval, roles), PS3.10 §7.1 (files).
 * Layer:  server/cli.
 */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isUid } from '@lightbox/core/base/uid.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { keywordOf, storageSopClasses } from '@lightbox/core/dicom/dictionary.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writeFileMeta } from '@lightbox/core/dicom/write.ts';
import {
  finalStatus,
  PATIENT_ROOT_GET,
  PATIENT_ROOT_MOVE,
  STUDY_ROOT_GET,
  STUDY_ROOT_MOVE,
  type SubOperations,
} from '@lightbox/core/dimse/retrieve.ts';
import { statusKind, statusMeaning } from '@lightbox/core/dimse/status.ts';
import { DimseClient, type RetrieveAnswer } from '../doors/dimse/client.ts';
import type { TlsDial } from '../doors/dimse/tls-client.ts';
import type { IncomingObject, ObjectSink } from '../doors/dimse/incoming-object.ts';
import { isBaseline, parseKey, uniqueUpTo, wholeNumber } from './keys.ts';
import { parsePeer, withAdvice } from './peer.ts';
import { FILES, Progress } from './progress.ts';
import { UsageError } from './usage.ts';

export interface RetrieveCommand {
  readonly at?: string | undefined;
  readonly level?: string | undefined;
  readonly root?: string | undefined;
  readonly calling: string;
  readonly timeout?: string | undefined;
  readonly tls?: TlsDial | undefined;
  readonly syntax?: string | undefined;
}

const LEVELS: Readonly<Partial<Record<string, string>>> = {
  ...{ patient: 'PATIENT', study: 'STUDY', series: 'SERIES', image: 'IMAGE' },
};
/** One context is for the retrieval itself (PS3.8 §9.3.2.2: 128 in all). */
const MAX_CLASSES = 127;
const STORAGE = '1.2.840.10008.5.1.4.1.1.';
/** Rarely kept: ophthalmic measurements, signals other than the ECG, protocols, annotations. They go into a second association. */
const RARE = [
  '9.2.',
  '9.3.',
  '9.4.',
  '9.5.',
  '9.6.',
  '9.7.',
  '9.8.',
  '68.',
  '77.1.5.',
  '78.',
  '79.',
  '80.',
  '81.',
  '82.',
]
  .concat(['90.', '91.', '200.', '201.', '501.', '601.'])
  .map((suffix) => STORAGE + suffix);

interface Asked {
  readonly root: 'patient' | 'study';
  readonly identifier: DataSet;
  /** The peer has to know relational retrieval. */
  readonly relational: boolean;
}

/** @throws UsageError. */
export function askedFor(keys: readonly string[], options: RetrieveCommand): Asked {
  const levelName = options.level ?? 'study';
  const level = LEVELS[levelName];
  if (level === undefined)
    throw new UsageError(`There is no level "${levelName}": patient, study, series or image.`);
  const root = options.root ?? (levelName === 'patient' ? 'patient' : 'study');
  if (root !== 'patient' && root !== 'study')
    throw new UsageError(`There is no root "${root}": patient or study.`);
  const unique = uniqueUpTo(levelName, root).map(([, tag]) => tag);
  if (unique.length === 0) throw new UsageError('Study Root has no patient level: use --root patient.');
  const elements = keys.map(parseKey).map(({ tag, value }) => {
    if (!unique.includes(tag))
      throw new UsageError(
        `Only unique keys say what to retrieve at this level: ${unique.map((one) => keywordOf(one)).join(', ')}. Search with find first.`,
      );
    return makeElement(tag, value.split('\\'));
  });
  const wanted = unique.at(-1);
  if (!elements.some(({ tag, bytes }) => tag === wanted && bytes?.length))
    throw new UsageError(`Say which: ${wanted === undefined ? '' : (keywordOf(wanted) ?? '')}=VALUE`);
  const identifier = dataSetOf([...elements, makeElement(Tags.QueryRetrieveLevel, level)]);
  return { root, identifier, relational: !isBaseline(identifier, levelName, root) };
}

/** @returns the exit code: 0 when all that matched was retrieved. */
export async function get(
  keys: readonly string[],
  into: string | undefined,
  options: RetrieveCommand,
): Promise<number> {
  if (into === undefined) throw new UsageError('Name a folder for the files: --into FOLDER');
  const asked = askedFor(keys, options);
  const sopClass = asked.root === 'patient' ? PATIENT_ROOT_GET : STUDY_ROOT_GET;
  await mkdir(into, { recursive: true });
  const syntaxes = options.syntax === undefined ? [EXPLICIT_LE, IMPLICIT_LE] : options.syntax.split(',');
  const wrong = syntaxes.find((uid) => !isUid(uid));
  if (wrong !== undefined) throw new UsageError(`"${wrong}" is no UID of a transfer syntax.`);
  const classes = storageClasses();
  const work: Work = (client, progress, signal) =>
    client.get(sopClass, asked.identifier, (object) => fileFor(into, object), { progress, signal });
  return withAdvice(options, async () => {
    const first = await retrieve(asked, sopClass, options, 'Getting', work, {
      takes: classes.slice(0, MAX_CLASSES),
      syntaxes,
    });
    if ((first.counts.failed ?? 0) === 0 || statusKind(first.status) === 'cancel') return tell(first);
    // What failed may be of a kind that had no place in the first association.
    const rest = await retrieve(asked, sopClass, options, 'Getting the rest', work, {
      takes: classes.slice(MAX_CLASSES),
      syntaxes,
    });
    return tell(together(first, rest));
  });
}

/** Of what failed in one, the other may have had it. */
function together(first: RetrieveAnswer, rest: RetrieveAnswer): RetrieveAnswer {
  const completed = (first.counts.completed ?? 0) + (rest.counts.completed ?? 0);
  const warnings = (first.counts.warnings ?? 0) + (rest.counts.warnings ?? 0);
  const failed = Math.max(
    0,
    (first.counts.failed ?? 0) - (rest.counts.completed ?? 0) - (rest.counts.warnings ?? 0),
  );
  const missing = new Set(rest.failedUids);
  const failedUids = first.failedUids.filter((uid) => missing.has(uid));
  const counts = { completed, failed, warnings };
  return { ...first, status: finalStatus({ remaining: 0, ...counts }, false), counts, failedUids };
}

/** The SOP classes of objects, those that are met most before the others. */
function storageClasses(): string[] {
  const all = storageSopClasses().flatMap(({ uid, retired }) =>
    !retired && uid.startsWith(STORAGE) ? [uid] : [],
  );
  const rare = new Set(all.filter((uid) => RARE.some((prefix) => uid.startsWith(prefix))));
  return [...all.filter((uid) => !rare.has(uid)), ...rare];
}

/** @returns the exit code: 0 when all that matched was sent. */
export async function move(
  keys: readonly string[],
  destination: string | undefined,
  options: RetrieveCommand,
): Promise<number> {
  if (destination === undefined) throw new UsageError('Name an AE title the other side knows: --to AE');
  const asked = askedFor(keys, options);
  const sopClass = asked.root === 'patient' ? PATIENT_ROOT_MOVE : STUDY_ROOT_MOVE;
  const work: Work = (client, progress, signal) =>
    client.move(sopClass, asked.identifier, destination, { progress, signal });
  return withAdvice(options, async () =>
    tell(await retrieve(asked, sopClass, options, 'Moving', work, { takes: [], syntaxes: [] })),
  );
}

type Work = (
  client: DimseClient,
  progress: (counts: Partial<SubOperations>) => void,
  signal: AbortSignal,
) => Promise<RetrieveAnswer>;

/** One association, with a bar; Ctrl-C cancels. */
async function retrieve(
  { relational }: Asked,
  sopClassUid: string,
  options: RetrieveCommand,
  what: string,
  work: Work,
  { takes, syntaxes }: { readonly takes: readonly string[]; readonly syntaxes: readonly string[] },
): Promise<RetrieveAnswer> {
  const { host, port, calledAe } = parsePeer('--at', options.at);
  const timeout = wholeNumber('--timeout', options.timeout);
  const client = await DimseClient.open({
    ...{ host, port, calledAe, callingAe: options.calling, takes, tls: options.tls },
    timeoutMs: timeout === undefined ? undefined : timeout * 1000,
    contexts: [
      { sopClassUid, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] },
      ...takes.map((uid) => ({ sopClassUid: uid, transferSyntaxUids: syntaxes })),
    ],
    relational: relational ? [sopClassUid] : undefined,
  });
  const stop = new AbortController();
  const interrupted = (): void => stop.abort();
  process.once('SIGINT', interrupted);
  const bar = new Progress(what, FILES);
  try {
    return await work(client, (counts) => bar.set(doneOf(counts), totalOf(counts)), stop.signal);
  } finally {
    bar.end();
    process.off('SIGINT', interrupted);
    await client.close();
  }
}

const doneOf = ({ completed = 0, failed = 0, warnings = 0 }: Partial<SubOperations>): number =>
  completed + failed + warnings;
const totalOf = (counts: Partial<SubOperations>): number => doneOf(counts) + (counts.remaining ?? 0);

function tell({ status, comment, counts, failedUids }: RetrieveAnswer): number {
  const { completed = 0, failed = 0, warnings = 0 } = counts;
  for (const uid of failedUids) console.error(`not retrieved: ${uid}`);
  if (statusKind(status) !== 'success')
    console.error(
      `${statusMeaning(status)} (0x${status.toString(16).toUpperCase().padStart(4, '0')})${comment === undefined ? '' : `: ${comment}`}`,
    );
  console.log(`${completed + warnings} retrieved, ${failed} failed`);
  return statusKind(status) === 'success' || (statusKind(status) === 'warning' && failed === 0) ? 0 : 1;
}

/** A file that has its name only when it is whole. */
async function fileFor(folder: string, object: IncomingObject): Promise<ObjectSink> {
  const path = join(folder, `${object.sopInstanceUid}.dcm`);
  const part = `${path}.part`;
  const file = await open(part, 'w');
  await file.writeFile(writeFileMeta(object));
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
    },
    async finish() {
      await file.close();
      await rename(part, path);
    },
    async abort() {
      await file.close();
      await rm(part, { force: true });
    },
  };
}
