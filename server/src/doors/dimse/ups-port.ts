/**
 * Events of workitems to devices that watch them, on associations of our own.
 *
 * Source: PS3.4 §CC.2.4 (N-EVENT-REPORT; the SCP of UPS Event opens the association and asks for its role), §CC.3.1 (the class named
 *         in the command is UPS Push, as of all workitems), PS3.7 §10.1.1, §D.3.3.4.
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { eventReport } from '@lightbox/core/dimse/normalized.ts';
import { UPS_EVENT, UPS_PUSH } from '@lightbox/core/dimse/ups.ts';
import type { Certificates } from '../../identity/certificates.ts';
import type { TlsProfileName } from '../../platform/tls-profile.ts';
import type { WorkitemPort } from '../../ris/workitems/types.ts';
import { DimseClient } from './client.ts';
import { dialOf } from './tls-client.ts';
import { wireDataSet } from './ups-data-set.ts';

export function workitemPort(certificates: Certificates, profile: TlsProfileName): WorkitemPort {
  return {
    async report(device, callingAe, events, told) {
      const { host, port, aeTitle } = device;
      if (host === undefined || port === undefined) throw new Fault('WORKITEM_RECEIVER');
      const client = await DimseClient.open({
        ...{ host, port, calledAe: aeTitle, callingAe },
        tls: dialOf(device, callingAe, certificates, profile),
        contexts: [{ sopClassUid: UPS_EVENT, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }],
        provides: [UPS_EVENT],
      });
      try {
        // Peers that say nothing of roles mostly know what is coming; one that says no is taken at its word.
        if (client.roleOf(UPS_EVENT)?.scp === false) throw new Fault('DIMSE_NO_CONTEXT', { what: 'role' });
        for (const event of events) {
          const { sopUid: sopInstanceUid, type, information } = event;
          let refused: string | undefined;
          try {
            await client.perform(
              UPS_EVENT,
              (messageId) => eventReport({ sopClassUid: UPS_PUSH, sopInstanceUid, messageId }, type),
              wireDataSet(information),
            );
          } catch (error) {
            const fault = asFault(error);
            // It has heard, and does not want to: the next one it may want.
            if (fault.code !== 'DIMSE_STATUS') throw fault;
            refused = fault.code;
          }
          await told(event, refused);
        }
      } finally {
        await client.close();
      }
    },
  };
}
