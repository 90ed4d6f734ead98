/**
 * Searches another archive by C-FIND: studies by what a person has typed, and the series of one study.
 *
 * Source: PS3.4 §C.4.1 (C-FIND), §C.4.1.1.3.1 (character set).
 * Layer:  server/doors/dimse.
 */
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { STUDY_ROOT_FIND } from '@lightbox/core/dimse/negotiate.ts';
import {
  byNumber,
  type FoundSeries,
  type FoundStudy,
  type Key,
  seriesKeys,
  seriesOf,
  type StudyKeys,
  studyKeys,
  studyOf,
} from '@lightbox/core/translate/found-elsewhere.ts';
import type { Device } from '../../identity/types.ts';
import { addressed } from './carrier.ts';
import { DimseClient } from './client.ts';
import type { DoorParts } from './door.ts';
import { dialOf } from './tls-client.ts';

export type SearchParts = Pick<DoorParts, 'config' | 'certificates'>;

const UTF_8 = 'ISO_IR 192';
const TIMEOUT_MS = 30_000;
/** A search nobody waits for any more is ended by C-CANCEL; an archive that does not listen is left after this. */
const CANCEL_MS = 5000;
/** A study has some dozens of series. */
const MAX_SERIES = 2000;

/** Matches as they come. @throws Fault DIMSE_*, TRANSFER_DEVICE. */
export async function* searchStudies(
  parts: SearchParts,
  device: Device,
  keys: StudyKeys,
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<FoundStudy> {
  for await (const match of find(parts, device, identifierOf('STUDY', studyKeys(keys)), limit, signal)) {
    const study = studyOf(match, keys);
    if (study) yield study;
  }
}

/** In the order of their numbers. @throws Fault DIMSE_*, TRANSFER_DEVICE. */
export async function searchSeries(
  parts: SearchParts,
  device: Device,
  studyUid: string,
  signal: AbortSignal,
): Promise<FoundSeries[]> {
  const found: FoundSeries[] = [];
  const identifier = identifierOf('SERIES', seriesKeys(studyUid));
  for await (const match of find(parts, device, identifier, MAX_SERIES, signal)) {
    const series = seriesOf(match);
    if (series) found.push(series);
  }
  return found.sort(byNumber);
}

async function* find(
  parts: SearchParts,
  device: Device,
  identifier: DataSet,
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<DataSet> {
  const { host, port, aeTitle: calledAe } = addressed(device);
  const { aeTitle: callingAe, tls } = parts.config;
  const client = await DimseClient.open({
    ...{ host, port, calledAe, callingAe, timeoutMs: TIMEOUT_MS },
    tls: dialOf(device, callingAe, parts.certificates, tls.profile),
    contexts: [{ sopClassUid: STUDY_ROOT_FIND, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }],
  });
  let patience: NodeJS.Timeout | undefined;
  const leave = (): void => {
    patience = setTimeout(() => client.abort(), CANCEL_MS);
  };
  signal.addEventListener('abort', leave, { once: true });
  try {
    if (signal.aborted) return;
    for await (const match of client.find(STUDY_ROOT_FIND, identifier, limit)) {
      if (signal.aborted) return;
      yield match;
    }
  } finally {
    signal.removeEventListener('abort', leave);
    if (client.usable) await client.close();
    clearTimeout(patience);
  }
}

function identifierOf(level: string, keys: readonly Key[]): DataSet {
  const charsets = keys.some(([, typed]) => /[^\0-\x7f]/.test(typed)) ? [UTF_8] : [];
  const elements = keys.map(([tag, typed]) =>
    makeElement(tag, typed === '' ? undefined : typed, { charsets }),
  );
  elements.push(makeElement(Tags.QueryRetrieveLevel, level));
  if (charsets.length > 0) elements.push(makeElement(Tags.SpecificCharacterSet, UTF_8));
  return dataSetOf(elements, charsets);
}
