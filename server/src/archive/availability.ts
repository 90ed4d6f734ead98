/**
 * Instance Availability Notification: tells devices that want to know that a study is complete here and can be had.
 *
 * When no object of a study came for the quiet time, each such device is sent one notice of all its objects, again and again until it
 * takes it (about a week). The notice has a name made from what it says, so that one sent twice is known as the same.
 * Source: PS3.4 Annex R, PS3.3 §C.4.23.
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { Fault } from '@lightbox/core/base/fault.ts';
import { uidFromUuid } from '@lightbox/core/base/uid.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { availabilityNotification } from '@lightbox/core/translate/availability.ts';
import type { Audit, Device, Devices, Principal } from '../identity/types.ts';
import type { Config } from '../platform/config.ts';
import type { Events } from '../platform/events.ts';
import type { Jobs } from '../platform/jobs.ts';
import type { InstanceRef, Retrieve } from './types.ts';

declare module '../platform/jobs.ts' {
  interface JobTypes {
    'availability.tell': { aeTitle: string; studyUid: string };
  }
}

/** N-CREATE of a notice; DIMSE's door brings it. @throws Fault DIMSE_ codes. */
export type AvailabilityPort = (device: Device, noticeUid: string, dataSet: DataSet) => Promise<void>;

export interface AvailabilityParts {
  readonly config: { readonly dicom: Pick<Config['dicom'], 'aeTitle'> };
  readonly retrieve: Pick<Retrieve, 'list'>;
  readonly devices: Pick<Devices, 'list' | 'byAeTitle'>;
  readonly jobs: Pick<Jobs, 'handle' | 'add'>;
  readonly events: Events;
  readonly audit: Audit;
  readonly tell: AvailabilityPort;
}

const SYSTEM: Principal = { kind: 'system', id: 'system', name: 'Lightbox', roles: [], remoteAddress: '' };

/** @returns a function that ends it. */
export function announceAvailability(parts: AvailabilityParts): () => void {
  const { config, retrieve, devices, jobs, events, audit, tell } = parts;
  const { aeTitle: ours } = config.dicom;

  jobs.handle('availability.tell', async ({ aeTitle, studyUid }) => {
    const device = await devices.byAeTitle(aeTitle);
    // No longer wanted, or nothing to tell of.
    if (device?.offers.includes('availability') !== true) return;
    const objects = await retrieve.list({ studyUid });
    if (objects.length === 0) return;
    const notice = availabilityNotification(studyUid, ours, objects);
    const detail = { what: 'availability', peer: aeTitle, objects: objects.length };
    try {
      if (device.host === undefined || device.port === undefined)
        throw new Fault('RETRIEVE_DESTINATION', { known: true });
      await tell(device, noticeUid(aeTitle, objects), notice);
    } catch (error) {
      const code = error instanceof Fault ? error.code : 'INTERNAL';
      audit.record({
        ...{ event: 'commitment', outcome: 'failed', principal: SYSTEM, studyUids: [studyUid] },
        detail: { ...detail, code },
      });
      throw error;
    }
    audit.record({
      ...{ event: 'commitment', outcome: 'success', principal: SYSTEM, studyUids: [studyUid], detail },
    });
  });

  return events.subscribe('study.stable', async ({ studyUid }) => {
    for (const { aeTitle, offers } of await devices.list())
      if (offers.includes('availability'))
        await jobs.add(
          'availability.tell',
          { aeTitle, studyUid },
          { key: `availability ${aeTitle} ${studyUid}` },
        );
  });
}

/** The same objects told to the same device make the same notice, on whichever node and however often. */
function noticeUid(aeTitle: string, objects: readonly InstanceRef[]): string {
  const hash = createHash('sha256').update(aeTitle);
  for (const { sopUid } of objects) hash.update(`\n${sopUid}`);
  return uidFromUuid(hash.digest().subarray(0, 16));
}
