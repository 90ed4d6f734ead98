/** Which priors are fetched, and why others are not. */
import { expect, it } from 'vitest';
import { choosePriors, type PriorStudy, type PriorSubject } from './priors.ts';

const TODAY = Date.UTC(2026, 2, 31) / 86_400_000;
const subject: PriorSubject = {
  ...{ studyUid: '1', patientId: 'P', issuer: 'A', birthDate: '19700101', date: '20260331' },
  ...{ modalities: ['CT'], bodyParts: ['CHEST'] },
};
const prior = (studyUid: string, more: Partial<PriorStudy> = {}): PriorStudy => ({
  ...{
    studyUid,
    patientId: 'P',
    issuer: '',
    birthDate: '',
    date: '20250101',
    description: '',
    modalities: ['CT'],
  },
  here: false,
  ...more,
});
const why = (found: PriorStudy[], action = {}, of = subject): string[] =>
  choosePriors({ from: ['X'], ...action }, of, found, TODAY).map(
    (one) => `${one.study.studyUid} ${one.why ?? 'fetch'}`,
  );

it('takes the newest of the same patient and modality, and counts what is here', () => {
  const found = [
    prior('2', { date: '20200101' }),
    prior('3', { date: '20240101' }),
    prior('4', { date: '20250601', here: true }),
    prior('5', { date: '20230101' }),
    prior('6', { modalities: ['MR'], date: '20260101' }),
  ];
  expect(why(found)).toEqual(['6 modality', '4 here', '3 fetch', '5 fetch', '2 enough']);
  expect(why(found, { atMost: 1 })).toEqual(['6 modality', '4 here', '3 enough', '5 enough', '2 enough']);
  expect(why(found, { sameModality: false, atMost: 1 })[0]).toBe('6 fetch');
  expect(why(found, { modalities: ['MR'] })[0]).toBe('6 fetch');
});

it.each<[string, Partial<PriorStudy>, string]>([
  ['another ID', { patientId: 'Q' }, 'patient'],
  ['another issuer', { issuer: 'B' }, 'patient'],
  ['another birth date', { birthDate: '19700102' }, 'patient'],
  ['the same issuer', { issuer: 'A' }, 'fetch'],
  ['the study itself', { studyUid: '1' }, 'same'],
  ['one from later', { date: '20260401' }, 'later'],
  ['one from the same day', { date: '20260331' }, 'fetch'],
  ['one without a date', { date: '' }, 'fetch'],
  ['one without modalities', { modalities: [] }, 'fetch'],
])('%s: %o %s', (_, more, expected) =>
  expect(why([prior('2', more)])).toEqual([`${more.studyUid ?? '2'} ${expected}`]),
);

it('of a patient without an ID nothing is fetched', () => {
  expect(why([prior('2', { patientId: '' })], {}, { ...subject, patientId: '' })).toEqual(['2 patient']);
});

it('counts months from the date of the study, to the end of short ones', () => {
  const months = { newerThanMonths: 1 };
  expect(why([prior('2', { date: '20260228' })], months)).toEqual(['2 fetch']);
  expect(why([prior('2', { date: '20260227' })], months)).toEqual(['2 older']);
  expect(why([prior('2', { date: '' })], months)).toEqual(['2 older']);
});

it('looks at body parts where they are known', () => {
  const found = [
    prior('2', { bodyParts: ['HEAD'], date: '20250103' }),
    prior('3', { bodyParts: ['ABDOMEN', 'CHEST'], date: '20250102' }),
    prior('4', { bodyParts: [], date: '20250101' }),
  ];
  expect(why(found, { sameBodyPart: true })).toEqual(['2 bodyPart', '3 fetch', '4 fetch']);
});
