/**
 * A workitem as it may be created, changed and finished.
 *
 * Source: PS3.4 §CC.2.5.3 (N-CREATE), §CC.2.6.3 (N-SET), §CC.2.5.1.1 and Table CC.2.5-3 (final state), §CC.2.2.3 (cancel).
 * Layer:  core/workflow. Data sets are DICOM JSON; the caller brings the time as DT.
 */
import { Fault, type FaultCode } from '../base/fault.ts';
import { parseDateTime } from '../dicom/date-time.ts';
import { lookup } from '../dicom/dictionary.ts';
import { type DicomJson, type DicomJsonElement, type DicomJsonValue, tagHex } from '../dicom/json.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { UPS_PUSH } from '../dimse/ups.ts';
import { WORKITEM_ATTRIBUTES, type WorkitemAttribute } from './workitem-attributes.ts';
import type { WorkitemState } from './workitem-states.ts';

/** Who did not name a worklist gets this one (Worklist Label, 2/1: the SCP fills it in). */
export const DEFAULT_WORKLIST = 'Lightbox';

const key = {
  transaction: tagHex(Tags.TransactionUID),
  charset: tagHex(Tags.SpecificCharacterSet),
  sopClass: tagHex(Tags.SOPClassUID),
  sopInstance: tagHex(Tags.SOPInstanceUID),
  state: tagHex(Tags.ProcedureStepState),
  label: tagHex(Tags.WorklistLabel),
  modified: tagHex(Tags.ScheduledProcedureStepModificationDateTime),
  progress: tagHex(Tags.ProcedureStepProgressInformationSequence),
  canceledAt: tagHex(Tags.ProcedureStepCancellationDateTime),
  discontinued: tagHex(Tags.ProcedureStepDiscontinuationReasonCodeSequence),
  output: tagHex(Tags.OutputInformationSequence),
};

/** Enumerated values (PS3.3 Tables C.30.1-1, C.30.2-1 and C.30.3-1). */
const VALUES: ReadonlyMap<string, readonly string[]> = new Map([
  [tagHex(Tags.ScheduledProcedureStepPriority), ['HIGH', 'MEDIUM', 'LOW']],
  [tagHex(Tags.InputReadinessState), ['INCOMPLETE', 'UNAVAILABLE', 'READY']],
]);

const values = (json: DicomJson, hex: string): readonly DicomJsonValue[] => json[hex]?.Value ?? [];
export const itemsOf = (json: DicomJson, tag: number): readonly DicomJson[] =>
  values(json, tagHex(tag)) as readonly DicomJson[];

/** The first value as text; undefined when there is none. */
export function workitemText(json: DicomJson, tag: number): string | undefined {
  const value = values(json, tagHex(tag))[0];
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
}

const hasValue = (element: DicomJsonElement | undefined): boolean =>
  element?.InlineBinary !== undefined ||
  (element?.Value ?? []).some(
    (value) => value !== null && (typeof value !== 'string' || value.trim() !== ''),
  );

const at = (code: FaultCode, { tag }: { readonly tag: number }): Fault => new Fault(code, { tag });

/** An element of text, or a sequence. */
const elementOf = (tag: number, ...Value: DicomJsonValue[]): DicomJsonElement => ({
  vr: lookup(tag)?.vr ?? 'UN',
  ...(Value.length ? { Value } : {}),
});

/** Checks values, not only that they are there. @throws Fault WORKITEM_VALUE. */
function checkValues(json: DicomJson): void {
  for (const [hex, element] of Object.entries(json)) {
    const [first] = element.Value ?? [];
    if (typeof first !== 'string' || first.trim() === '') continue;
    const fits =
      VALUES.get(hex)?.includes(first.trim()) ?? (element.vr !== 'DT' || parseDateTime(first) !== undefined);
    if (!fits) throw new Fault('WORKITEM_VALUE', { tag: Number.parseInt(hex, 16) });
  }
}

/** @throws Fault WORKITEM_MISSING, WORKITEM_EMPTY, WORKITEM_VALUE. @returns what was not there and may be empty. */
function checkCreate(json: DicomJson, rows: readonly WorkitemAttribute[]): WorkitemAttribute[] {
  const left: WorkitemAttribute[] = [];
  for (const row of rows) {
    const element = json[tagHex(row.tag)];
    if (row.create === '1/1') {
      if (!element) throw at('WORKITEM_MISSING', row);
      if (!hasValue(element)) throw at('WORKITEM_EMPTY', row);
    }
    if (row.create === 'empty' && hasValue(element)) throw at('WORKITEM_VALUE', row);
    if (!element && ['2/1', '2/2', '1C/2', 'empty'].includes(row.create)) left.push(row);
    for (const item of itemsOf(json, row.tag)) checkCreate(item, row.items);
  }
  return left;
}

/**
 * The workitem that a request makes. Attributes that may be empty and were left out are put in empty (type 2), and said so.
 *
 * @param now  As DT.
 * @throws Fault WORKITEM_NOT_SCHEDULED, WORKITEM_MISSING, WORKITEM_EMPTY, WORKITEM_VALUE.
 */
export function newWorkitem(
  given: DicomJson,
  sopUid: string,
  now: string,
): { readonly workitem: DicomJson; readonly changed: boolean } {
  const state = given[key.state];
  // Asked before anything else: it has a status of its own (C309).
  if (state && workitemText(given, Tags.ProcedureStepState) !== 'SCHEDULED')
    throw new Fault('WORKITEM_NOT_SCHEDULED');
  const left = checkCreate(given, WORKITEM_ATTRIBUTES);
  checkValues(given);
  const named = workitemText(given, Tags.SOPInstanceUID);
  if (named !== undefined && named !== sopUid)
    throw new Fault('WORKITEM_VALUE', { tag: Tags.SOPInstanceUID });
  const workitem: DicomJson = { ...given };
  for (const { tag } of left) workitem[tagHex(tag)] = elementOf(tag);
  const unlabelled = !hasValue(given[key.label]);
  if (unlabelled) workitem[key.label] = elementOf(Tags.WorklistLabel, DEFAULT_WORKLIST);
  workitem[key.sopClass] = elementOf(Tags.SOPClassUID, UPS_PUSH);
  workitem[key.sopInstance] = elementOf(Tags.SOPInstanceUID, sopUid);
  workitem[key.modified] = elementOf(Tags.ScheduledProcedureStepModificationDateTime, now);
  delete workitem[key.transaction];
  delete workitem[key.charset];
  const optional = new Set([key.transaction, key.label]);
  const filled = left.some(({ tag }) => !optional.has(tagHex(tag)));
  return { workitem: sorted(workitem), changed: unlabelled || filled };
}

/**
 * The workitem with some attributes set: each takes the place of the one that was there, sequences as a whole (PS3.7 §10.1.3).
 *
 * @throws Fault WORKITEM_VALUE for what may not be set, WORKITEM_EMPTY for what may not lose its value, WORKITEM_MISSING in items.
 */
export function changedWorkitem(workitem: DicomJson, changes: DicomJson, now: string): DicomJson {
  for (const row of WORKITEM_ATTRIBUTES) {
    const element = changes[tagHex(row.tag)];
    if (!element || tagHex(row.tag) === key.transaction) continue;
    if (row.set === 'no' || row.set === '-/-') throw at('WORKITEM_VALUE', row);
    if (row.set.endsWith('/1') && row.set !== '-/1' && !hasValue(element)) throw at('WORKITEM_EMPTY', row);
    for (const item of itemsOf(changes, row.tag)) checkItem(item, row.items);
  }
  checkValues(changes);
  const changed: DicomJson = { ...workitem, ...changes };
  changed[key.modified] = elementOf(Tags.ScheduledProcedureStepModificationDateTime, now);
  delete changed[key.transaction];
  delete changed[key.charset];
  return sorted(changed);
}

function checkItem(item: DicomJson, rows: readonly WorkitemAttribute[]): void {
  for (const row of rows) {
    const element = item[tagHex(row.tag)];
    if (row.set === '1/1' && !element) throw at('WORKITEM_MISSING', row);
    if (row.set.endsWith('/1') && element && !hasValue(element)) throw at('WORKITEM_EMPTY', row);
    for (const inner of itemsOf(item, row.tag)) checkItem(inner, row.items);
  }
}

/** The workitem in another state; the attribute alone. */
export const inState = (workitem: DicomJson, state: WorkitemState): DicomJson =>
  sorted({ ...workitem, [key.state]: elementOf(Tags.ProcedureStepState, state) });

/** With what the SCP fills in when a workitem becomes CANCELED: when, if nobody said so (Table CC.2.5-3). */
export function withCancelTime(workitem: DicomJson, now: string): DicomJson {
  return withProgress(workitem, (progress) =>
    hasValue(progress[key.canceledAt])
      ? progress
      : { ...progress, [key.canceledAt]: elementOf(Tags.ProcedureStepCancellationDateTime, now) },
  );
}

/** PS3.16 CID 9300: for who asks to cancel and gives no code. */
const UNSPECIFIED: DicomJson = {
  '00080100': { vr: 'SH', Value: ['110513'] },
  '00080102': { vr: 'SH', Value: ['DCM'] },
  '00080104': { vr: 'LO', Value: ['Discontinued for unspecified reason'] },
};

/** With the reasons of who asked to cancel it, so that the final state holds what it has to (§CC.2.2.3). */
export function withCancelReason(workitem: DicomJson, reasons: DicomJson): DicomJson {
  return withProgress(workitem, (progress) => {
    const told = Object.fromEntries(
      [Tags.ReasonForCancellation, Tags.ProcedureStepDiscontinuationReasonCodeSequence].flatMap((tag) => {
        const element = reasons[tagHex(tag)];
        return element && hasValue(element) ? [[tagHex(tag), element] as const] : [];
      }),
    );
    const code = elementOf(Tags.ProcedureStepDiscontinuationReasonCodeSequence, UNSPECIFIED);
    return {
      ...progress,
      ...(hasValue(progress[key.discontinued]) ? {} : { [key.discontinued]: code }),
      ...told,
    };
  });
}

function withProgress(workitem: DicomJson, change: (progress: DicomJson) => DicomJson): DicomJson {
  const [progress = {}] = itemsOf(workitem, Tags.ProcedureStepProgressInformationSequence);
  return sorted({ ...workitem, [key.progress]: { vr: 'SQ', Value: [sorted(change(progress))] } });
}

/** Tags that the final state demands and that have no value; empty when it may be taken. */
export function missingForFinal(workitem: DicomJson, state: 'COMPLETED' | 'CANCELED'): number[] {
  const missing = new Set<number>();
  const look = (json: DicomJson, rows: readonly WorkitemAttribute[]): void => {
    for (const row of rows) {
      const { tag, final } = row;
      const wanted =
        final === 'R' || (final === 'P' && state === 'COMPLETED') || (final === 'X' && state === 'CANCELED');
      const element = json[tagHex(tag)];
      // "If there are no relevant output objects, then this sequence may have no items."
      const there = tagHex(tag) === key.output ? element !== undefined : hasValue(element);
      if (wanted && !there) missing.add(tag);
      for (const item of itemsOf(json, tag)) look(item, row.items);
    }
  };
  look(workitem, WORKITEM_ATTRIBUTES);
  return [...missing];
}

/** In tag order, as it is written. */
export const sorted = (json: DicomJson): DicomJson =>
  Object.fromEntries(Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1)));
