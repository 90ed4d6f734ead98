/**
 * Instance Availability Notification as a data set: these objects of a study can be had from us.
 *
 * Source: PS3.4 Table R.3.2-1, PS3.3 §C.4.23. Attributes beyond the table are forbidden (PS3.4 §R.3.2.1.2).
 * Layer:  core/translate.
 */
import type { DataSet } from '../dicom/data-set.ts';
import { dataSet } from '../dicom/element.ts';

export interface AvailableObject {
  readonly seriesUid: string;
  readonly sopClassUid: string;
  readonly sopUid: string;
}

/** (PS3.3 §C.4.23.1.1) */
export type Availability = 'ONLINE' | 'NEARLINE' | 'OFFLINE' | 'UNAVAILABLE';

/** The objects of one study, grouped by series in the order they come. No procedure step is referred to: the sequence is empty (type 2). */
export function availabilityNotification(
  studyUid: string,
  retrieveAe: string,
  objects: readonly AvailableObject[],
  availability: Availability = 'ONLINE',
): DataSet {
  const bySeries = new Map<string, DataSet[]>();
  for (const { seriesUid, sopClassUid, sopUid } of objects) {
    const item = dataSet({
      ...{ InstanceAvailability: availability, RetrieveAETitle: retrieveAe },
      ...{ ReferencedSOPClassUID: sopClassUid, ReferencedSOPInstanceUID: sopUid },
    });
    const series = bySeries.get(seriesUid);
    if (series) series.push(item);
    else bySeries.set(seriesUid, [item]);
  }
  return dataSet({
    ReferencedPerformedProcedureStepSequence: [],
    StudyInstanceUID: studyUid,
    ReferencedSeriesSequence: [...bySeries].map(([SeriesInstanceUID, ReferencedSOPSequence]) =>
      dataSet({ SeriesInstanceUID, ReferencedSOPSequence }),
    ),
  });
}
