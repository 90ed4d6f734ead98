/**
 * Fetches a study, series or object from another archive: by C-GET on an association of ours, or by C-MOVE to our own port.
 *
 * Before a C-GET the archive is asked which kinds of objects there are, so that for each of them every transfer syntax fits into
 * one association, in a context of its own: then the archive can send what it keeps as it keeps it.
 *
 * Source: PS3.4 §C.4.2 (C-MOVE), §C.4.3 (C-GET), PS3.8 §9.3.2.2 (128 contexts), PS3.7 §D.3.3.4 (roles).
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { storageSopClasses } from '@lightbox/core/dicom/dictionary.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE, transferSyntaxes } from '@lightbox/core/dicom/transfer-syntax.ts';
import { text, uidValue } from '@lightbox/core/dicom/values.ts';
import { STUDY_ROOT_FIND } from '@lightbox/core/dimse/negotiate.ts';
import { STUDY_ROOT_GET, STUDY_ROOT_MOVE, type SubOperations } from '@lightbox/core/dimse/retrieve.ts';
import { statusKind, statusMeaning, statusText } from '@lightbox/core/dimse/status.ts';
import type { FetchCounts, FetchMethod } from '../../archive/transfers/types.ts';
import type { ObjectScope } from '../../archive/types.ts';
import type { Device, Principal } from '../../identity/types.ts';
import { DimseClient, type RetrieveAnswer } from './client.ts';
import type { DoorParts } from './door.ts';
import type { IncomingObject, ObjectSink } from './incoming-object.ts';
import { dialOf } from './tls-client.ts';

export type FetchParts = Pick<DoorParts, 'config' | 'archive' | 'certificates' | 'audit' | 'log'>;
export type Addressed = Device & { readonly host: string; readonly port: number };

const MAX_CONTEXTS = 128;
/** Archives bring studies back from slow stores before they answer. */
const PATIENCE_MS = 5 * 60_000;
/** What is under way arrives within so long after C-CANCEL. */
const CANCEL_MS = 10_000;
/** The kinds of objects are those of the first of each series; a series has one, rarely two. */
const LOOK_AT = 20;
const PLAIN = [EXPLICIT_LE, IMPLICIT_LE];

/**
 * @param report  Called as the archive tells its counters, and as objects arrive.
 * @returns what came. @throws Fault when not everything did.
 */
export async function fetchFrom(
  parts: FetchParts,
  device: Addressed,
  scope: ObjectScope,
  method: FetchMethod,
  report: (counts: FetchCounts) => void,
  signal: AbortSignal,
): Promise<FetchCounts> {
  if (method !== 'move') {
    try {
      return await getFrom(parts, device, scope, report, signal);
    } catch (error) {
      // An archive without C-GET, or one that could not send some of it that way.
      const { code } = asFault(error);
      if (method === 'get' || signal.aborted || !OTHER_WAY.has(code)) throw error;
    }
  }
  return moveFrom(parts, device, scope, report, signal);
}

const OTHER_WAY: ReadonlySet<string> = new Set(['DIMSE_NO_CONTEXT', 'DIMSE_STATUS', 'TRANSFER_MISSING']);

async function moveFrom(
  parts: FetchParts,
  device: Addressed,
  scope: ObjectScope,
  report: (counts: FetchCounts) => void,
  signal: AbortSignal,
): Promise<FetchCounts> {
  const contexts = [{ sopClassUid: STUDY_ROOT_MOVE, transferSyntaxUids: PLAIN }];
  const client = await open(parts, device, { contexts });
  const patience = impatient(client, signal);
  try {
    const { aeTitle } = parts.config;
    const end = await client.move(STUDY_ROOT_MOVE, identifierOf(scope), aeTitle, {
      progress: (counts) => report(countsOf(counts)),
      signal,
    });
    const counts = checked(end, signal);
    // The archive counts what it was acknowledged; by whom, only we can tell.
    const here = (await parts.archive.retrieve.list(scope)).length;
    if (!signal.aborted && here < counts.arrived)
      throw new Fault('TRANSFER_MISSING', { counted: counts.arrived, here });
    return counts;
  } finally {
    patience();
    await leave(client);
  }
}

async function getFrom(
  parts: FetchParts,
  device: Addressed,
  scope: ObjectScope,
  report: (counts: FetchCounts) => void,
  signal: AbortSignal,
): Promise<FetchCounts> {
  const classes = await classesOf(parts, device, scope);
  const client = await open(parts, device, {
    contexts: [
      { sopClassUid: STUDY_ROOT_GET, transferSyntaxUids: PLAIN },
      ...contextsFor(classes, MAX_CONTEXTS - 1),
    ],
    takes: classes,
  });
  let arrived = 0;
  let told: Partial<SubOperations> = {};
  const tell = (): void => {
    const { total, failed } = countsOf(told);
    report({ total: Math.max(total, arrived), arrived, failed });
  };
  const patience = impatient(client, signal);
  try {
    const take = (object: IncomingObject): Promise<ObjectSink> =>
      arriving(parts, device, object, () => {
        arrived += 1;
        tell();
      });
    const end = await client.get(STUDY_ROOT_GET, identifierOf(scope), take, {
      progress(counts) {
        told = counts;
        tell();
      },
      signal,
    });
    const counts = checked(end, signal);
    if (!signal.aborted && arrived < counts.arrived)
      throw new Fault('TRANSFER_MISSING', { counted: counts.arrived, here: arrived });
    return { ...counts, total: Math.max(counts.total, arrived), arrived };
  } finally {
    patience();
    await leave(client);
  }
}

/** An archive that goes on after C-CANCEL is left. @returns what ends the watch. */
function impatient(client: DimseClient, signal: AbortSignal): () => void {
  let timer: NodeJS.Timeout | undefined;
  const begin = (): void => {
    timer = setTimeout(() => client.abort(), CANCEL_MS);
  };
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  return () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', begin);
  };
}

function open(
  { config, certificates }: FetchParts,
  device: Addressed,
  options: Pick<Parameters<typeof DimseClient.open>[0], 'contexts' | 'takes'>,
): Promise<DimseClient> {
  const { host, port, aeTitle: calledAe } = device;
  return DimseClient.open({
    ...{ host, port, calledAe, callingAe: config.aeTitle, timeoutMs: PATIENCE_MS },
    tls: dialOf(device, config.aeTitle, certificates, config.tls.profile),
    ...options,
  });
}

const leave = (client: DimseClient): Promise<void> => (client.usable ? client.close() : Promise.resolve());

/** @throws Fault DIMSE_STATUS unless everything came. A warning without failures: it came, some of it with changes. */
function checked({ status, comment, counts }: RetrieveAnswer, signal: AbortSignal): FetchCounts {
  const kind = statusKind(status);
  if (!signal.aborted && ((counts.failed ?? 0) > 0 || kind === 'failure' || kind === 'cancel'))
    throw new Fault('DIMSE_STATUS', {
      ...{ status: statusText(status), meaning: statusMeaning(status), comment, failed: counts.failed },
    });
  return countsOf(counts);
}

const countsOf = ({
  remaining = 0,
  completed = 0,
  failed = 0,
  warnings = 0,
}: Partial<SubOperations>): FetchCounts => ({
  ...{ total: remaining + completed + failed + warnings, arrived: completed + warnings, failed },
});

/** PS3.4 §C.4.2.1.4.1: the unique keys from the top to the level. */
function identifierOf({ studyUid, seriesUid, sopUid }: ObjectScope): DataSet {
  const level = sopUid !== undefined ? 'IMAGE' : seriesUid !== undefined ? 'SERIES' : 'STUDY';
  return dataSetOf([
    makeElement(Tags.QueryRetrieveLevel, level),
    makeElement(Tags.StudyInstanceUID, studyUid),
    ...(seriesUid === undefined ? [] : [makeElement(Tags.SeriesInstanceUID, seriesUid)]),
    ...(sopUid === undefined ? [] : [makeElement(Tags.SOPInstanceUID, sopUid)]),
  ]);
}

/** Kinds of objects that will come; when the archive does not say, those of the standard. */
async function classesOf(parts: FetchParts, device: Addressed, scope: ObjectScope): Promise<string[]> {
  const found = new Set<string>();
  const client = await open(parts, device, {
    contexts: [{ sopClassUid: STUDY_ROOT_FIND, transferSyntaxUids: PLAIN }],
  });
  try {
    const series = new Set<string>();
    if (scope.seriesUid !== undefined) series.add(scope.seriesUid);
    else {
      const asked = dataSetOf([
        makeElement(Tags.QueryRetrieveLevel, 'SERIES'),
        makeElement(Tags.StudyInstanceUID, scope.studyUid),
        makeElement(Tags.SeriesInstanceUID, undefined),
        makeElement(Tags.Modality, undefined),
      ]);
      for await (const one of client.find(STUDY_ROOT_FIND, asked)) {
        const uid = uidValue(one, Tags.SeriesInstanceUID);
        if (uid !== undefined) series.add(uid);
      }
    }
    for (const seriesUid of series) {
      const asked = dataSetOf([
        makeElement(Tags.QueryRetrieveLevel, 'IMAGE'),
        makeElement(Tags.StudyInstanceUID, scope.studyUid),
        makeElement(Tags.SeriesInstanceUID, seriesUid),
        makeElement(Tags.SOPInstanceUID, scope.sopUid),
        makeElement(Tags.SOPClassUID, undefined),
      ]);
      for await (const one of client.find(STUDY_ROOT_FIND, asked, LOOK_AT)) {
        const uid = text(one, Tags.SOPClassUID);
        if (uid !== undefined && isUid(uid)) found.add(uid);
      }
    }
  } catch (error) {
    if (!OTHER_WAY.has(asFault(error).code)) throw error;
  } finally {
    await leave(client);
  }
  if (found.size === 0) for (const { uid } of storageSopClasses()) found.add(uid);
  return [...found].slice(0, MAX_CONTEXTS - 1);
}

/** Each class with as many transfer syntaxes as there is room for, each in a context of its own; the plain ones first. */
export function contextsFor(
  classes: readonly string[],
  room: number,
): { sopClassUid: string; transferSyntaxUids: string[] }[] {
  const each = Math.max(1, Math.floor(room / Math.max(1, classes.length)));
  const syntaxes = [
    ...PLAIN,
    ...transferSyntaxes().flatMap(({ uid, retired, codec }) =>
      PLAIN.includes(uid) || retired || codec === 'jpip' ? [] : [uid],
    ),
  ];
  return classes.flatMap((sopClassUid) =>
    each === 1
      ? [{ sopClassUid, transferSyntaxUids: PLAIN }]
      : syntaxes.slice(0, each).map((uid) => ({ sopClassUid, transferSyntaxUids: [uid] })),
  );
}

/** One object of a C-GET on its way through ingest. */
async function arriving(
  { archive, audit, config, log }: FetchParts,
  device: Addressed,
  object: IncomingObject,
  stored: () => void,
): Promise<ObjectSink> {
  const principal: Principal = {
    ...{ kind: 'device', id: device.aeTitle, name: device.aeTitle, roles: [], rights: [] },
    remoteAddress: device.host,
  };
  const writer = await archive.ingest.begin(
    {
      ...{ kind: 'dimse', by: device.aeTitle, remoteAddress: device.host },
      calledAe: config.aeTitle,
    },
    { form: 'dataset', ...object },
  );
  return {
    write: (bytes) => writer.write(bytes),
    abort: () => writer.abort(),
    async finish() {
      const { status, studyUid, fault } = await writer.finish();
      audit.record({
        ...{ event: 'store', outcome: fault ? 'failed' : 'success', principal },
        studyUids: studyUid === undefined ? [] : [studyUid],
        detail: { door: 'dicom', status, what: 'C-GET', ...(fault ? { code: fault.code } : {}) },
      });
      if (fault) {
        log.warn({ code: fault.code, from: device.aeTitle }, 'an object of a C-GET was not kept');
        throw fault;
      }
      stored();
    },
  };
}
