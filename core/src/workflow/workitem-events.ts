/**
 * What watchers of workitems are told: five kinds of event and what each says.
 *
 * Source: PS3.4 Table CC.2.4-1 (event information), §CC.2.4.3 (when), PS3.18 §8.10.5 and PS3.7 Table 10.3-1 (over the web).
 * Layer:  core/workflow.
 */
import { type DicomJson, tagHex } from '../dicom/json.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { COMMANDS } from '../dimse/command.ts';
import { ALL_WORKITEMS, UPS_EVENT, UPS_EVENT_TYPE } from '../dimse/ups.ts';
import { itemsOf, sorted } from './workitem-checks.ts';

export interface WorkitemEvent {
  /** Of the workitem; the well-known one for news of the service itself. */
  readonly sopUid: string;
  /** 1 to 5, see UPS_EVENT_TYPE. */
  readonly type: number;
  readonly information: DicomJson;
}

/** Those of these attributes that are there, empty ones left out. */
const pick = (json: DicomJson, ...tags: number[]): DicomJson =>
  sorted(
    Object.fromEntries(
      tags.flatMap((tag) => {
        const element = json[tagHex(tag)];
        return element?.Value?.length ? [[tagHex(tag), element] as const] : [];
      }),
    ),
  );

const progressOf = (workitem: DicomJson): DicomJson =>
  itemsOf(workitem, Tags.ProcedureStepProgressInformationSequence)[0] ?? {};

/** UPS State Report. */
export const stateReport = (sopUid: string, workitem: DicomJson): WorkitemEvent => ({
  ...{ sopUid, type: UPS_EVENT_TYPE.state },
  information: sorted({
    ...pick(workitem, Tags.ProcedureStepState, Tags.InputReadinessState),
    ...pick(
      progressOf(workitem),
      Tags.ReasonForCancellation,
      Tags.ProcedureStepDiscontinuationReasonCodeSequence,
    ),
  }),
});

/** UPS Cancel Requested. */
export const cancelRequested = (sopUid: string, requestingAe: string, reasons: DicomJson): WorkitemEvent => ({
  ...{ sopUid, type: UPS_EVENT_TYPE.cancelRequested },
  information: sorted({
    ...pick(
      reasons,
      Tags.ReasonForCancellation,
      Tags.ProcedureStepDiscontinuationReasonCodeSequence,
      Tags.ContactURI,
      Tags.ContactDisplayName,
    ),
    [tagHex(Tags.RequestingAE)]: { vr: 'AE', Value: [requestingAe] },
  }),
});

/** UPS Progress Report. */
export const progressReport = (sopUid: string, workitem: DicomJson): WorkitemEvent => ({
  ...{ sopUid, type: UPS_EVENT_TYPE.progress },
  information: {
    [tagHex(Tags.ProcedureStepProgressInformationSequence)]: {
      vr: 'SQ',
      Value: [pick(progressOf(workitem), ...PROGRESS)],
    },
  },
});
const PROGRESS = [
  ...[Tags.ProcedureStepProgress, Tags.ProcedureStepProgressDescription],
  ...[Tags.ProcedureStepProgressParametersSequence, Tags.ProcedureStepCommunicationsURISequence],
];

/** UPS Assigned; undefined when nobody is. */
export function assigned(sopUid: string, workitem: DicomJson): WorkitemEvent | undefined {
  const [human = {}] = itemsOf(workitem, Tags.ScheduledHumanPerformersSequence);
  const information = sorted({
    ...pick(workitem, Tags.ScheduledStationNameCodeSequence),
    ...pick(human, Tags.HumanPerformerCodeSequence, Tags.HumanPerformerOrganization),
  });
  return Object.keys(information).length ? { sopUid, type: UPS_EVENT_TYPE.assigned, information } : undefined;
}

/** SCP Status Change: we are back, and have kept all workitems and subscriptions. */
export const restarted = (): WorkitemEvent => ({
  ...{ sopUid: ALL_WORKITEMS, type: UPS_EVENT_TYPE.scpStatus },
  information: {
    [tagHex(Tags.SCPStatus)]: { vr: 'CS', Value: ['RESTARTED'] },
    [tagHex(Tags.SubscriptionListStatus)]: { vr: 'CS', Value: ['WARM START'] },
    [tagHex(Tags.UnifiedProcedureStepListStatus)]: { vr: 'CS', Value: ['WARM START'] },
  },
});

/** What an N-SET gives to tell: readiness, progress, assignment (§CC.2.4.3). */
export function eventsOfChange(sopUid: string, before: DicomJson, after: DicomJson): WorkitemEvent[] {
  const differs = (a: DicomJson, b: DicomJson, ...tags: number[]): boolean =>
    JSON.stringify(pick(a, ...tags)) !== JSON.stringify(pick(b, ...tags));
  const events: WorkitemEvent[] = [];
  if (differs(before, after, Tags.InputReadinessState)) events.push(stateReport(sopUid, after));
  if (differs(progressOf(before), progressOf(after), ...PROGRESS)) events.push(progressReport(sopUid, after));
  if (differs(before, after, Tags.ScheduledStationNameCodeSequence, Tags.ScheduledHumanPerformersSequence)) {
    const event = assigned(sopUid, after);
    if (event) events.push(event);
  }
  return events;
}

/**
 * An event as the text of a WebSocket frame: the command and the information of the N-EVENT-REPORT in one data set.
 *
 * @param messageId  Counts on within one connection.
 */
export function eventJson({ sopUid, type, information }: WorkitemEvent, messageId: number): DicomJson {
  const us = (value: number): DicomJson[string] => ({ vr: 'US', Value: [value] });
  return sorted({
    ...information,
    '00000002': { vr: 'UI', Value: [UPS_EVENT] },
    '00000100': us(COMMANDS.eventReportRequest),
    '00000110': us(messageId),
    '00000800': us(1),
    '00001000': { vr: 'UI', Value: [sopUid] },
    '00001002': us(type),
  });
}
