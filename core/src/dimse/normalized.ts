/**
 * DIMSE-N: the operations and notifications on normalized objects, as commands.
 *
 * Source: PS3.7 §10.1 (services), §10.3 (protocol): N-EVENT-REPORT §10.3.1, N-GET §10.3.2, N-SET §10.3.3, N-ACTION §10.3.4,
 *         N-CREATE §10.3.5, N-DELETE §10.3.6.
 * Layer:  core/dimse.
 *
 * Who asks for something of an object that is there names it as "requested"; who tells of one, or makes one, names it as
 * "affected". Every answer says "affected".
 */
import { type Command, COMMANDS, NO_DATA_SET } from './command.ts';

interface Named {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly messageId: number;
}

const requested = ({ sopClassUid, sopInstanceUid, messageId }: Named): Omit<Command, 'commandField'> => ({
  ...{ requestedSopClassUid: sopClassUid, requestedSopInstanceUid: sopInstanceUid },
  ...{ messageId, dataSetType: NO_DATA_SET },
});

const WITH_DATA = { dataSetType: 0x0001 };

/** A notification of the SCP (§10.3.1.1). Its data set is optional in PS3.7, and there in every service of PS3.4. */
export const eventReport = (
  { sopClassUid, sopInstanceUid, messageId }: Named,
  eventTypeId: number,
): Command => ({
  ...{ commandField: COMMANDS.eventReportRequest, messageId, eventTypeId, ...WITH_DATA },
  ...{ affectedSopClassUid: sopClassUid, affectedSopInstanceUid: sopInstanceUid },
});

/** (§10.3.2.1) Without `attributeIdentifiers`: all of them. */
export const getAttributes = (named: Named, attributeIdentifiers?: readonly number[]): Command => ({
  ...{ commandField: COMMANDS.getAttributesRequest, ...requested(named) },
  ...(attributeIdentifiers?.length ? { attributeIdentifiers } : {}),
});

/** (§10.3.3.1) */
export const setAttributes = (named: Named): Command => ({
  ...{ commandField: COMMANDS.setRequest, ...requested(named), ...WITH_DATA },
});

/** (§10.3.4.1) */
export const action = (named: Named, actionTypeId: number): Command => ({
  ...{ commandField: COMMANDS.actionRequest, ...requested(named), actionTypeId, ...WITH_DATA },
});

/** (§10.3.5.1) Without an instance UID the SCP makes one. */
export const create = ({
  sopClassUid,
  sopInstanceUid,
  messageId,
}: Omit<Named, 'sopInstanceUid'> & { readonly sopInstanceUid?: string | undefined }): Command => ({
  ...{ commandField: COMMANDS.createRequest, messageId, ...WITH_DATA },
  ...{ affectedSopClassUid: sopClassUid, affectedSopInstanceUid: sopInstanceUid },
});

/** (§10.3.6.1) */
export const remove = (named: Named): Command => ({
  ...{ commandField: COMMANDS.deleteRequest, ...requested(named) },
});

/**
 * What every answer repeats of its request: class and instance as affected, and the type of the event or action (§10.3.1.2,
 * §10.3.4.2). Of a C-STORE and other requests that name what is affected it says just that.
 *
 * @param sopClassUid  Of the context, where the request has none.
 */
export function namesOfAnswer(
  request: Command,
  sopClassUid: string,
): Pick<Command, 'affectedSopClassUid' | 'affectedSopInstanceUid' | 'eventTypeId' | 'actionTypeId'> {
  const { affectedSopClassUid, requestedSopClassUid, affectedSopInstanceUid, requestedSopInstanceUid } =
    request;
  return {
    affectedSopClassUid: affectedSopClassUid ?? requestedSopClassUid ?? sopClassUid,
    affectedSopInstanceUid: affectedSopInstanceUid ?? requestedSopInstanceUid,
    ...{ eventTypeId: request.eventTypeId, actionTypeId: request.actionTypeId },
  };
}

/** Bit 15 of the command field marks an answer (PS3.7 §E.1). */
export const isAnswer = ({ commandField }: Command): boolean => (commandField & 0x8000) !== 0;
