/** Retrieve identifiers, counters and statuses (PS3.4 §C.4.2, §C.4.3, Annexes Y and Z). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../base/fault.ts';
import type { DataSet, Tag } from '../dicom/data-set.ts';
import { dataSetOf, makeElement } from '../dicom/element.ts';
import { Tags } from '../dicom/tags.gen.ts';
import {
  beginCounting,
  counted,
  countersFor,
  finalStatus,
  outcomeOf,
  retrieveClass,
  selectionOf,
  type RetrieveClass,
} from './retrieve.ts';

const PATIENT: RetrieveClass = { verb: 'get', root: 'patient', withoutBulk: false };
const STUDY: RetrieveClass = { verb: 'move', root: 'study', withoutBulk: false };
const COMPOSITE: RetrieveClass = { verb: 'get', root: 'instance', withoutBulk: true };

const identifier = (level: string, keys: readonly (readonly [Tag, ...string[]])[]): DataSet =>
  dataSetOf([
    makeElement(Tags.QueryRetrieveLevel, level),
    ...keys.map(([tag, ...values]) => makeElement(tag, values)),
  ]);
const P = [Tags.PatientID, 'P1'] as const;
const ST = [Tags.StudyInstanceUID, '1.2'] as const;
const SE = [Tags.SeriesInstanceUID, '1.2.3'] as const;
const SOP = [Tags.SOPInstanceUID, '1.2.3.4', '1.2.3.5'] as const;

describe('identifiers (PS3.4 §C.4.2.2.1, §C.6)', () => {
  it.each([
    ['a patient', PATIENT, false, 'PATIENT', [P], { level: 'patient', patientId: 'P1' }],
    [
      'studies of a patient',
      PATIENT,
      false,
      'STUDY',
      [P, [Tags.StudyInstanceUID, '1.2', '1.3']],
      { level: 'study', patientId: 'P1', studyUids: ['1.2', '1.3'] },
    ],
    ['a study', STUDY, false, 'STUDY', [ST], { level: 'study', studyUids: ['1.2'] }],
    [
      'a study, and whose it is: that narrows',
      STUDY,
      false,
      'STUDY',
      [P, ST],
      { level: 'study', patientId: 'P1', studyUids: ['1.2'] },
    ],
    [
      'images',
      STUDY,
      false,
      'IMAGE',
      [ST, SE, SOP],
      { level: 'instance', studyUids: ['1.2'], seriesUids: ['1.2.3'], sopUids: ['1.2.3.4', '1.2.3.5'] },
    ],
    [
      'images, relational',
      STUDY,
      true,
      'IMAGE',
      [SOP],
      { level: 'instance', sopUids: ['1.2.3.4', '1.2.3.5'] },
    ],
    [
      'composite instances',
      COMPOSITE,
      false,
      'IMAGE',
      [SOP],
      { level: 'instance', sopUids: ['1.2.3.4', '1.2.3.5'] },
    ],
    [
      'a key that is no unique key is ignored',
      STUDY,
      false,
      'STUDY',
      [ST, [Tags.Modality, 'CT']],
      { level: 'study', studyUids: ['1.2'] },
    ],
  ] as const)('%s', (_, model, relational, level, keys, expected) => {
    expect(selectionOf(identifier(level, keys), model, relational)).toEqual(expected);
  });

  it.each([
    ['no level', STUDY, false, '', [ST], Tags.QueryRetrieveLevel],
    ['a level there is not', STUDY, false, 'FRAME', [SOP], Tags.QueryRetrieveLevel],
    ['the patient level in Study Root', STUDY, false, 'PATIENT', [P], Tags.QueryRetrieveLevel],
    ['the study level in Composite Instance Root', COMPOSITE, false, 'STUDY', [ST], Tags.QueryRetrieveLevel],
    ['no key of the level', STUDY, false, 'SERIES', [ST], Tags.SeriesInstanceUID],
    ['no key of the level, relational', STUDY, true, 'SERIES', [ST], Tags.SeriesInstanceUID],
    ['no key above the level', STUDY, false, 'IMAGE', [ST, SOP], Tags.SeriesInstanceUID],
    [
      'an empty key above the level',
      STUDY,
      false,
      'SERIES',
      [[Tags.StudyInstanceUID], SE],
      Tags.StudyInstanceUID,
    ],
    ['two patients', PATIENT, true, 'PATIENT', [[Tags.PatientID, 'A', 'B']], Tags.PatientID],
    [
      'two studies above',
      STUDY,
      false,
      'SERIES',
      [[Tags.StudyInstanceUID, '1.2', '1.3'], SE],
      Tags.StudyInstanceUID,
    ],
    ['a wildcard', STUDY, false, 'STUDY', [[Tags.StudyInstanceUID, '1.2*']], Tags.StudyInstanceUID],
    ['a key below the level', STUDY, false, 'STUDY', [ST, SE], Tags.SeriesInstanceUID],
  ] as const)('%s: A900H with the offending element', (_, model, relational, level, keys, tag) => {
    const fault = caught(() => selectionOf(identifier(level, keys), model, relational));
    expect(fault.code).toBe('RETRIEVE_IDENTIFIER');
    expect(fault.row.dimse).toBe(0xa900);
    expect(fault.facts['tag']).toBe(tag);
  });

  it('knows its SOP classes', () => {
    expect(retrieveClass('1.2.840.10008.5.1.4.1.2.2.2')).toEqual(STUDY);
    expect(retrieveClass('1.2.840.10008.5.1.4.1.2.5.3')).toEqual(COMPOSITE);
    expect(retrieveClass('1.2.840.10008.5.1.4.1.2.2.1')).toBeUndefined();
  });
});

describe('counters (PS3.7 §9.1.4.1)', () => {
  it('always add up to the number of objects', () => {
    const outcome = fc.constantFrom('completed', 'failed', 'warnings');
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 50 }), fc.nat(50), (outcomes, more) => {
        const total = outcomes.length + more;
        let counts = beginCounting(total);
        for (const one of outcomes) {
          counts = counted(counts, one);
          expect(counts.remaining + counts.completed + counts.failed + counts.warnings).toBe(total);
        }
        expect(counts.remaining).toBe(more);
        for (const one of ['completed', 'failed', 'warnings'] as const)
          expect(counts[one]).toBe(outcomes.filter((was) => was === one).length);
      }),
    );
  });

  it.each([
    [0x0000, 'completed'],
    [0xb000, 'warnings'],
    [0xb007, 'warnings'],
    [0xa700, 'failed'],
    [0xc000, 'failed'],
    [0x0122, 'failed'],
  ] as const)('a C-STORE answered with %i counts as %s', (status, outcome) => {
    expect(outcomeOf(status)).toBe(outcome);
  });

  it.each([
    ['nothing matched', 0, 0, 0, 0, false, 0x0000],
    ['all done', 0, 3, 0, 0, false, 0x0000],
    ['one failed', 0, 2, 1, 0, false, 0xb000],
    ['one with a warning', 0, 2, 0, 1, false, 0xb000],
    ['all with a warning', 0, 0, 0, 3, false, 0xb000],
    ['all failed', 0, 0, 3, 0, false, 0xa702],
    ['cancelled', 1, 1, 1, 0, true, 0xfe00],
  ])('%s', (_, remaining, completed, failed, warnings, cancelled, status) => {
    expect(finalStatus({ remaining, completed, failed, warnings }, cancelled)).toBe(status);
  });

  it('say what remains while there is something', () => {
    const counts = { remaining: 1, completed: 2, failed: 3, warnings: 4 };
    expect(countersFor(0xff00, counts)).toEqual(counts);
    expect(countersFor(0xfe00, counts)).toEqual(counts);
    for (const status of [0x0000, 0xb000, 0xa702])
      expect(countersFor(status, counts)).toEqual({ completed: 2, failed: 3, warnings: 4 });
  });
});

function caught(work: () => unknown): Fault {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
  }
  throw new Error('no Fault');
}
