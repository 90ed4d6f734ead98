/**
 * Instance Availability Notification on an association of our own.
 *
 * Source: PS3.4 §R.3.2.1 (N-CREATE), PS3.7 §10.1.5.
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { INSTANCE_AVAILABILITY } from '@lightbox/core/dimse/negotiate.ts';
import { create } from '@lightbox/core/dimse/normalized.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { AvailabilityPort } from '../../archive/availability.ts';
import type { Certificates } from '../../identity/certificates.ts';
import type { Config } from '../../platform/config.ts';
import { DimseClient } from './client.ts';
import { dialOf } from './tls-client.ts';

/** It was taken before, and we did not hear so. */
const TAKEN = `0x${STATUS.duplicateInstance.toString(16).padStart(4, '0')}`;

export function availabilityPort(
  { aeTitle: callingAe, tls }: Pick<Config['dicom'], 'aeTitle' | 'tls'>,
  certificates: Certificates,
): AvailabilityPort {
  return async (device, noticeUid, dataSet) => {
    const { host, port, aeTitle } = device;
    if (host === undefined || port === undefined) throw new Fault('RETRIEVE_DESTINATION');
    const client = await DimseClient.open({
      ...{ host, port, calledAe: aeTitle, callingAe },
      contexts: [{ sopClassUid: INSTANCE_AVAILABILITY, transferSyntaxUids: [EXPLICIT_LE, IMPLICIT_LE] }],
      tls: dialOf(device, callingAe, certificates, tls.profile),
    });
    try {
      await client.perform(
        INSTANCE_AVAILABILITY,
        (messageId) => create({ sopClassUid: INSTANCE_AVAILABILITY, sopInstanceUid: noticeUid, messageId }),
        dataSet,
      );
    } catch (error) {
      if (!(error instanceof Fault) || error.facts['status'] !== TAKEN) throw error;
    } finally {
      await client.close();
    }
  };
}
