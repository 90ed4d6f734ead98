/** Workitems as they may be created, changed and finished (PS3.4 Table CC.2.5-3). */
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import { tagOf } from '../dicom/dictionary.ts';
import { dataSet } from '../dicom/element.ts';
import { type DicomJson, tagHex, toJson } from '../dicom/json.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { discontinued, performed, scheduledJson } from './testing.ts';
import { WORKITEM_ATTRIBUTES } from './workitem-attributes.ts';
import {
  changedWorkitem,
  DEFAULT_WORKLIST,
  inState,
  missingForFinal,
  newWorkitem,
  withCancelReason,
  withCancelTime,
  workitemText,
} from './workitem-checks.ts';
import { assigned, cancelRequested, eventJson, eventsOfChange, stateReport } from './workitem-events.ts';

const NOW = '20260301090000.000000+0000';
const UID = '1.2.3';

const without = (json: DicomJson, keyword: string): DicomJson => {
  const copy = { ...json };
  delete copy[tagHex(tagOf(keyword)!)];
  return copy;
};
const emptied = (json: DicomJson, keyword: string): DicomJson => {
  const hex = tagHex(tagOf(keyword)!);
  return { ...json, [hex]: { vr: json[hex]!.vr } };
};
const refusal = (work: () => unknown): { status: number; tag: unknown } | undefined => {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return { status: error.row.dimse, tag: error.facts['tag'] };
    throw error;
  }
  return undefined;
};

describe('creating a workitem', () => {
  it('keeps what was sent, with a name, a class and the time', () => {
    const { workitem, changed } = newWorkitem(scheduledJson(), UID, NOW);
    expect(changed).toBe(false);
    expect(workitemText(workitem, Tags.SOPInstanceUID)).toBe(UID);
    expect(workitemText(workitem, Tags.SOPClassUID)).toBe('1.2.840.10008.5.1.4.34.6.1');
    expect(workitemText(workitem, Tags.ScheduledProcedureStepModificationDateTime)).toBe(NOW);
    expect(workitem[tagHex(Tags.PatientName)]?.Value).toEqual([{ Alphabetic: 'Grün^Erika' }]);
    expect(workitem[tagHex(Tags.TransactionUID)]).toBeUndefined();
    expect(Object.keys(workitem)).toEqual(Object.keys(workitem).sort());
  });

  const needed = WORKITEM_ATTRIBUTES.filter(({ create }) => create === '1/1').map(({ keyword }) => keyword);
  it('five attributes need a value', () => {
    expect(needed).toEqual([
      'ScheduledProcedureStepPriority',
      'ProcedureStepLabel',
      'ScheduledProcedureStepStartDateTime',
      'InputReadinessState',
      'ProcedureStepState',
    ]);
  });
  it.each(needed)('refuses one without %s (0120), or with an empty one (0121)', (keyword) => {
    const tag = tagOf(keyword);
    const missing = refusal(() => newWorkitem(without(scheduledJson(), keyword), UID, NOW));
    expect(missing).toEqual({ status: 0x0120, tag });
    const empty = refusal(() => newWorkitem(emptied(scheduledJson(), keyword), UID, NOW));
    expect(empty).toEqual(
      keyword === 'ProcedureStepState' ? { status: 0xc309, tag: undefined } : { status: 0x0121, tag },
    );
  });

  it.each(['IN PROGRESS', 'COMPLETED', 'CANCELED', 'scheduled'])('refuses one that is %s (C309)', (state) => {
    expect(refusal(() => newWorkitem(scheduledJson({ ProcedureStepState: state }), UID, NOW))?.status).toBe(
      0xc309,
    );
  });

  it.each([
    ['a transaction UID', { TransactionUID: '1.2' }],
    ['progress', { ProcedureStepProgressInformationSequence: [dataSet({ ProcedureStepProgress: '1' })] }],
    [
      'something performed',
      { UnifiedProcedureStepPerformedProcedureSequence: [dataSet({ PatientID: 'x' })] },
    ],
    ['a priority that is none', { ScheduledProcedureStepPriority: 'NOW' }],
    ['a readiness that is none', { InputReadinessState: 'MAYBE' }],
    ['a start that is no time', { ScheduledProcedureStepStartDateTime: '20261332' }],
    ['another name', { SOPInstanceUID: '9.9' }],
  ])('refuses one with %s (0106)', (_, more) => {
    expect(refusal(() => newWorkitem(scheduledJson(more), UID, NOW))?.status).toBe(0x0106);
  });

  it('refuses a performer without a code, in the item (0120)', () => {
    const performers = [dataSet({ HumanPerformerName: 'A^B', HumanPerformerOrganization: 'C' })];
    const json = scheduledJson({ ScheduledHumanPerformersSequence: performers });
    expect(refusal(() => newWorkitem(json, UID, NOW))).toEqual({
      ...{ status: 0x0120, tag: Tags.HumanPerformerCodeSequence },
    });
  });

  it('puts in what may be empty and was left out, and says so', () => {
    const { workitem, changed } = newWorkitem(without(scheduledJson(), 'AdmissionID'), UID, NOW);
    expect(changed).toBe(true);
    expect(workitem[tagHex(Tags.AdmissionID)]).toEqual({ vr: 'LO' });
    const unlabelled = newWorkitem(without(scheduledJson(), 'WorklistLabel'), UID, NOW);
    expect(unlabelled.changed).toBe(true);
    expect(workitemText(unlabelled.workitem, Tags.WorklistLabel)).toBe(DEFAULT_WORKLIST);
  });
});

const created = (): DicomJson => newWorkitem(scheduledJson(), UID, '20260301080000').workitem;

describe('changing a workitem', () => {
  it('puts attributes in the place of others and notes when', () => {
    const changed = changedWorkitem(created(), toJson(dataSet({ ProcedureStepLabel: 'Other' })), NOW);
    expect(workitemText(changed, Tags.ProcedureStepLabel)).toBe('Other');
    expect(workitemText(changed, Tags.ScheduledProcedureStepModificationDateTime)).toBe(NOW);
    expect(workitemText(changed, Tags.PatientID)).toBe('P-1');
  });

  const forbidden = WORKITEM_ATTRIBUTES.filter(
    ({ set, keyword }) => (set === 'no' || set === '-/-') && keyword !== 'TransactionUID',
  );
  it.each(forbidden.map(({ keyword }) => keyword))('refuses %s (0106)', (keyword) => {
    const hex = tagHex(tagOf(keyword)!);
    expect(refusal(() => changedWorkitem(created(), { [hex]: { vr: 'LO', Value: ['1'] } }, NOW))).toEqual({
      ...{ status: 0x0106, tag: tagOf(keyword) },
    });
  });
  it('the patient is among them', () => {
    const keywords = forbidden.map(({ keyword }) => keyword);
    expect(keywords).toEqual(expect.arrayContaining(['PatientName', 'PatientID', 'ProcedureStepState']));
  });

  it('refuses to take a value away that has to be there (0121), and odd values (0106)', () => {
    const label = { [tagHex(Tags.ProcedureStepLabel)]: { vr: 'LO' as const } };
    expect(refusal(() => changedWorkitem(created(), label, NOW))?.status).toBe(0x0121);
    const odd = toJson(dataSet({ InputReadinessState: 'MAYBE' }));
    expect(refusal(() => changedWorkitem(created(), odd, NOW))?.status).toBe(0x0106);
  });
});

describe('the final state', () => {
  it('COMPLETED needs what was performed, all of it', () => {
    expect(missingForFinal(created(), 'COMPLETED')).toEqual([
      Tags.UnifiedProcedureStepPerformedProcedureSequence,
    ]);
    const whole = changedWorkitem(created(), toJson(performed()), NOW);
    expect(missingForFinal(whole, 'COMPLETED')).toEqual([]);
  });

  it.each([
    'PerformedStationNameCodeSequence',
    'PerformedProcedureStepStartDateTime',
    'PerformedWorkitemCodeSequence',
    'PerformedProcedureStepEndDateTime',
    'OutputInformationSequence',
  ])('COMPLETED needs %s', (keyword) => {
    const short = changedWorkitem(created(), toJson(performed({}, { [keyword]: undefined })), NOW);
    expect(missingForFinal(short, 'COMPLETED')).toEqual([tagOf(keyword)]);
  });

  it('CANCELED needs why and when; when is filled in', () => {
    const given = changedWorkitem(created(), toJson(discontinued()), NOW);
    expect(missingForFinal(given, 'CANCELED')).toEqual([Tags.ProcedureStepCancellationDateTime]);
    expect(missingForFinal(withCancelTime(given, NOW), 'CANCELED')).toEqual([]);
    expect(missingForFinal(withCancelTime(created(), NOW), 'CANCELED')).toEqual([
      Tags.ProcedureStepDiscontinuationReasonCodeSequence,
    ]);
    expect(missingForFinal(withCancelTime(withCancelReason(created(), {}), NOW), 'CANCELED')).toEqual([]);
  });

  it.each(['SOPClassUID', 'ScheduledProcedureStepPriority', 'InputReadinessState', 'ProcedureStepState'])(
    'both need %s',
    (keyword) => {
      const whole = withCancelTime(
        withCancelReason(changedWorkitem(created(), toJson(performed()), NOW), {}),
        NOW,
      );
      expect(missingForFinal(without(whole, keyword), 'COMPLETED')).toEqual([tagOf(keyword)]);
      expect(missingForFinal(without(whole, keyword), 'CANCELED')).toEqual([tagOf(keyword)]);
    },
  );
});

describe('events (PS3.4 Table CC.2.4-1)', () => {
  it('a state report says state and readiness', () => {
    const { type, information } = stateReport(UID, inState(created(), 'IN PROGRESS'));
    expect(type).toBe(1);
    expect(information).toEqual({
      '00404041': { vr: 'CS', Value: ['READY'] },
      '00741000': { vr: 'CS', Value: ['IN PROGRESS'] },
    });
  });

  it('of a canceled one also why', () => {
    const { information } = stateReport(UID, withCancelReason(created(), toJson(discontinued())));
    expect(information[tagHex(Tags.ProcedureStepDiscontinuationReasonCodeSequence)]).toBeDefined();
  });

  it('a cancel request says who asks and why, and no more', () => {
    const reasons = toJson(dataSet({ ReasonForCancellation: 'Wrong side', PatientID: 'P-1' }));
    expect(cancelRequested(UID, 'RIS', reasons).information).toEqual({
      '00741236': { vr: 'AE', Value: ['RIS'] },
      '00741238': { vr: 'LT', Value: ['Wrong side'] },
    });
  });

  it('a change tells of what changed only', () => {
    const types = (changes: Parameters<typeof dataSet>[0]): number[] =>
      eventsOfChange(UID, created(), changedWorkitem(created(), toJson(dataSet(changes)), NOW)).map(
        ({ type }) => type,
      );
    expect(types({ ProcedureStepLabel: 'Other' })).toEqual([]);
    expect(types({ InputReadinessState: 'INCOMPLETE' })).toEqual([1]);
    const progress = [dataSet({ ProcedureStepProgress: '40' })];
    expect(types({ ProcedureStepProgressInformationSequence: progress })).toEqual([3]);
    const station = [dataSet({ CodeValue: 'WS2', CodingSchemeDesignator: '99TEST', CodeMeaning: 'Two' })];
    expect(types({ ScheduledStationNameCodeSequence: station })).toEqual([5]);
  });

  it('tells nobody of an assignment that is none', () => {
    expect(assigned(UID, created())?.type).toBe(5);
    expect(assigned(UID, without(created(), 'ScheduledStationNameCodeSequence'))).toBeUndefined();
  });

  it('over the web it is one data set with its command', () => {
    expect(eventJson(stateReport(UID, created()), 23)).toEqual({
      '00000002': { vr: 'UI', Value: ['1.2.840.10008.5.1.4.34.6.4'] },
      '00000100': { vr: 'US', Value: [256] },
      '00000110': { vr: 'US', Value: [23] },
      '00000800': { vr: 'US', Value: [1] },
      '00001000': { vr: 'UI', Value: [UID] },
      '00001002': { vr: 'US', Value: [1] },
      '00404041': { vr: 'CS', Value: ['READY'] },
      '00741000': { vr: 'CS', Value: ['SCHEDULED'] },
    });
  });
});
