/**
 * Storage commitment on associations of our own: results to those who asked, and requests to other archives.
 *
 * Source: PS3.4 §J.3.2 (N-ACTION), §J.3.3 (N-EVENT-REPORT; the SCP opens the association and asks for its role), PS3.7 §D.3.3.4.
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { COMMANDS } from '@lightbox/core/dimse/command.ts';
import { STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE } from '@lightbox/core/dimse/negotiate.ts';
import { action, eventReport } from '@lightbox/core/dimse/normalized.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import { REQUEST_COMMITMENT } from '@lightbox/core/translate/commitment.ts';
import type { CommitmentPort } from '../../archive/commitment/types.ts';
import type { Certificates } from '../../identity/certificates.ts';
import type { Device } from '../../identity/types.ts';
import type { TlsProfileName } from '../../platform/tls-profile.ts';
import { DimseClient } from './client.ts';
import { dialOf } from './tls-client.ts';

/** Archives that look at their index alone have the result by then; others tell it on an association of theirs. */
const SAME_ASSOCIATION_MS = 3000;

const NAMED = { sopClassUid: STORAGE_COMMITMENT, sopInstanceUid: STORAGE_COMMITMENT_INSTANCE };

export function commitmentPort(certificates: Certificates, profile: TlsProfileName): CommitmentPort {
  const open = (device: Device, callingAe: string, scp: boolean): Promise<DimseClient> => {
    const { host, port, aeTitle } = device;
    if (host === undefined || port === undefined) throw new Fault('RETRIEVE_DESTINATION');
    return DimseClient.open({
      ...{ host, port, calledAe: aeTitle, callingAe },
      tls: dialOf(device, callingAe, certificates, profile),
      contexts: [{ sopClassUid: STORAGE_COMMITMENT, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }],
      ...(scp ? { provides: [STORAGE_COMMITMENT] } : {}),
    });
  };

  return {
    async report(device, callingAe, { eventTypeId, dataSet }) {
      const client = await open(device, callingAe, true);
      try {
        // Peers that say nothing of roles mostly know what is coming; one that says no is taken at its word.
        if (client.roleOf(STORAGE_COMMITMENT)?.scp === false)
          throw new Fault('DIMSE_NO_CONTEXT', { what: 'role' });
        await client.perform(
          STORAGE_COMMITMENT,
          (messageId) => eventReport({ ...NAMED, messageId }, eventTypeId),
          dataSet,
        );
      } finally {
        await client.close();
      }
    },

    async request(device, callingAe, dataSet, received) {
      const client = await open(device, callingAe, false);
      try {
        await client.perform(
          STORAGE_COMMITMENT,
          (messageId) => action({ ...NAMED, messageId }, REQUEST_COMMITMENT),
          dataSet,
        );
        // It has our request: what goes wrong from here on is no reason to ask again.
        await listen(client, received).catch(() => undefined);
      } finally {
        await client.close();
      }
    },
  };
}

async function listen(
  client: DimseClient,
  received: Parameters<CommitmentPort['request']>[3],
): Promise<void> {
  const request = await client.requested(SAME_ASSOCIATION_MS);
  if (!request) return;
  if (request.command.commandField !== COMMANDS.eventReportRequest || !request.dataSet)
    return client.answer(STATUS.unrecognizedOperation);
  let status: number = STATUS.success;
  await received(request.dataSet).catch((error: unknown) => {
    status = asFault(error).row.dimse;
  });
  await client.answer(status);
}
