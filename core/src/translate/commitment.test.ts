import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import type { DataSet } from '../dicom/data-set.ts';
import { dataSet } from '../dicom/element.ts';
import { toJson } from '../dicom/json.ts';
import { readDataSet } from '../dicom/read.ts';
import { Tags } from '../dicom/tags.gen.ts';
import { EXPLICIT_LE } from '../dicom/transfer-syntax.ts';
import { items, number, text, uidValue } from '../dicom/values.ts';
import { writeDataSet } from '../dicom/write.ts';
import { availabilityNotification } from './availability.ts';
import {
  commitmentRequest,
  commitmentResponse,
  commitmentResult,
  MAX_COMMITMENT_ITEMS,
  readCommitmentRequest,
  readCommitmentResult,
} from './commitment.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const one = { sopClassUid: CT, sopUid: '1.2.3.1' };
const two = { sopClassUid: CT, sopUid: '1.2.3.2' };
const overWire = (ds: DataSet): DataSet => readDataSet(writeDataSet(ds, EXPLICIT_LE), EXPLICIT_LE).dataSet;
const failure = (ds: DataSet): unknown => {
  try {
    return readCommitmentRequest(ds);
  } catch (error) {
    return error instanceof Fault ? [error.code, error.facts['tag'] ?? error.facts['limit']] : error;
  }
};

describe('A storage commitment request (PS3.4 Table J.3-1)', () => {
  it('says what is to be kept', () => {
    const request = { transactionUid: '1.2.9', items: [one, two] };
    expect(readCommitmentRequest(overWire(commitmentRequest(request)))).toEqual(request);
  });

  it('takes objects that are named within their studies (PS3.18 Annex J)', () => {
    const ds = dataSet({
      TransactionUID: '1.2.9',
      ReferencedStudySequence: [
        dataSet({
          StudyInstanceUID: '1.2.3',
          ReferencedSeriesSequence: [
            dataSet({
              SeriesInstanceUID: '1.2.3.0',
              ReferencedInstancesBySOPClassSequence: [
                dataSet({
                  ReferencedSOPClassUID: CT,
                  ReferencedInstanceSequence: [dataSet({ ReferencedSOPInstanceUID: '1.2.3.1' })],
                }),
              ],
            }),
          ],
        }),
      ],
    });
    expect(readCommitmentRequest(ds).items).toEqual([{ ...one, studyUid: '1.2.3', seriesUid: '1.2.3.0' }]);
  });

  const item = { ReferencedSOPClassUID: CT, ReferencedSOPInstanceUID: '1.2.3.1' };
  it.each<[string, DataSet, number]>([
    ['no transaction UID', dataSet({ ReferencedSOPSequence: [dataSet(item)] }), Tags.TransactionUID],
    [
      'a transaction UID that is none',
      dataSet({ TransactionUID: "1.2'; DROP", ReferencedSOPSequence: [dataSet(item)] }),
      Tags.TransactionUID,
    ],
    ['no sequence', dataSet({ TransactionUID: '1.2' }), Tags.ReferencedSOPSequence],
    [
      'an empty one',
      dataSet({ TransactionUID: '1.2', ReferencedSOPSequence: [] }),
      Tags.ReferencedSOPSequence,
    ],
    [
      'an item without a class',
      dataSet({
        TransactionUID: '1.2',
        ReferencedSOPSequence: [dataSet({ ReferencedSOPInstanceUID: '1.2' })],
      }),
      Tags.ReferencedSOPClassUID,
    ],
    [
      'an item without an instance',
      dataSet({ TransactionUID: '1.2', ReferencedSOPSequence: [dataSet({ ReferencedSOPClassUID: CT })] }),
      Tags.ReferencedSOPInstanceUID,
    ],
  ])('is refused with %s', (_, ds, tag) => {
    expect(failure(ds)).toEqual(['COMMIT_REQUEST', tag]);
  });

  it('is refused with more objects than the limit', () => {
    const shared = dataSet(item);
    const many = Array.from({ length: MAX_COMMITMENT_ITEMS + 1 }, () => shared);
    expect(failure(dataSet({ TransactionUID: '1.2', ReferencedSOPSequence: many }))).toEqual([
      ...['COMMIT_TOO_MANY', MAX_COMMITMENT_ITEMS],
    ]);
  });
});

describe('A storage commitment result (PS3.4 Table J.3-2)', () => {
  it('is event 1 without a failed sequence when everything is kept', () => {
    const { eventTypeId, dataSet: ds } = commitmentResult('1.2.9', 'LIGHTBOX', [{ item: one, reason: 0 }]);
    expect(eventTypeId).toBe(1);
    expect(text(ds, Tags.RetrieveAETitle)).toBe('LIGHTBOX');
    expect(ds.elements.has(Tags.FailedSOPSequence)).toBe(false);
    expect(uidValue(items(ds, Tags.ReferencedSOPSequence)[0]!, Tags.ReferencedSOPInstanceUID)).toBe(
      '1.2.3.1',
    );
  });

  it('is event 2 with the reason of each object that is not', () => {
    const answers = [
      { item: one, reason: 0 },
      { item: two, reason: 0x0112 },
    ];
    const { eventTypeId, dataSet: ds } = commitmentResult('1.2.9', 'LIGHTBOX', answers);
    expect(eventTypeId).toBe(2);
    expect(number(items(ds, Tags.FailedSOPSequence)[0]!, Tags.FailureReason)).toBe(0x0112);
    const read = readCommitmentResult(overWire(ds));
    expect(read.transactionUid).toBe('1.2.9');
    expect([...read.reasons]).toEqual([
      ['1.2.3.1', 0],
      ['1.2.3.2', 0x0112],
    ]);
    const none = commitmentResult('1.2.9', 'LIGHTBOX', [{ item: two, reason: 0x0112 }]);
    expect(none.dataSet.elements.has(Tags.ReferencedSOPSequence)).toBe(false);
  });

  it('does not count an object as kept that it also says is not, nor a failure without a reason as kept', () => {
    const reference = { ReferencedSOPClassUID: CT, ReferencedSOPInstanceUID: '1.2.3.1' };
    const both = dataSet({
      TransactionUID: '1.2.9',
      ReferencedSOPSequence: [dataSet(reference)],
      FailedSOPSequence: [dataSet(reference)],
    });
    expect(readCommitmentResult(both).reasons.get('1.2.3.1')).toBe(0x0110);
  });

  it('over the web has objects where they were named (PS3.18 Table J.2-1)', () => {
    const within = { ...two, studyUid: '1.2.3', seriesUid: '1.2.3.0' };
    const json = toJson(
      commitmentResponse([
        { item: one, reason: 0 },
        { item: within, reason: 0 },
        { item: { ...within, sopUid: '1.2.3.4' }, reason: 0x0112 },
      ]),
    );
    expect(Object.keys(json)).toEqual(['00081110', '00081199', '0008119B']);
    expect(JSON.stringify(json['0008119B'])).toContain('"00081197":{"vr":"US","Value":[274]}');
    expect(JSON.stringify(json['00081110'])).not.toContain('00081197');
    expect(JSON.stringify(json['00081110'])).toContain('1.2.3.2');
  });
});

describe('An Instance Availability Notification (PS3.4 Table R.3.2-1)', () => {
  it('names every object in its series, and nothing of the patient', () => {
    const ds = availabilityNotification('1.2.3', 'LIGHTBOX', [
      { ...one, seriesUid: '1.2.3.0' },
      { ...two, seriesUid: '1.2.3.0' },
    ]);
    expect([...ds.elements.keys()]).toEqual([
      Tags.ReferencedPerformedProcedureStepSequence,
      Tags.ReferencedSeriesSequence,
      Tags.StudyInstanceUID,
    ]);
    const series = items(ds, Tags.ReferencedSeriesSequence);
    expect(series).toHaveLength(1);
    const objects = items(series[0]!, Tags.ReferencedSOPSequence);
    expect(objects.map((object) => uidValue(object, Tags.ReferencedSOPInstanceUID))).toEqual([
      ...['1.2.3.1', '1.2.3.2'],
    ]);
    expect(text(objects[0]!, Tags.InstanceAvailability)).toBe('ONLINE');
    expect(text(objects[0]!, Tags.RetrieveAETitle)).toBe('LIGHTBOX');
  });
});
