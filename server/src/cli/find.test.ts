import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { text, texts } from '@lightbox/core/dicom/values.ts';
import { describe, expect, it } from 'vitest';
import { identifierOf } from './find.ts';
import { parsePeer } from './peer.ts';
import { UsageError } from './usage.ts';

describe('what find asks (PS3.4 §C.4.1)', () => {
  it('the keys given, the columns of the level, and its unique keys', () => {
    const { identifier, columns } = identifierOf(
      ['PatientName=Müller*', '0018,0015', 'StudyDate=20260101-'],
      'series',
      'patient',
    );
    expect(text(identifier, Tags.PatientName)).toBe('Müller*');
    expect(text(identifier, Tags.SpecificCharacterSet)).toBe('ISO_IR 192');
    expect(text(identifier, Tags.QueryRetrieveLevel)).toBe('SERIES');
    expect(text(identifier, Tags.StudyDate)).toBe('20260101-');
    for (const tag of [Tags.PatientID, Tags.StudyInstanceUID, Tags.SeriesInstanceUID, Tags.BodyPartExamined])
      expect(identifier.elements.has(tag)).toBe(true);
    expect(columns).toContain(Tags.BodyPartExamined);
    expect([...identifier.elements.keys()]).toEqual(
      [...identifier.elements.keys()].toSorted((a, b) => a - b),
    );
  });

  it('lists of values, values with an equals sign, tags in brackets', () => {
    const { identifier } = identifierOf(
      ['StudyInstanceUID=1.2\\1.3', 'PatientName=Yamada=山田', '(0010,0020)=7'],
      'study',
      'study',
    );
    expect(texts(identifier, Tags.StudyInstanceUID)).toEqual(['1.2', '1.3']);
    expect(text(identifier, Tags.PatientName)).toBe('Yamada=山田');
    expect(text(identifier, Tags.PatientID)).toBe('7');
  });

  it.each(['Nonsense=1', '=1', '0043,1010=x', 'RequestAttributesSequence=x'])('%s is refused', (key) => {
    expect(() => identifierOf([key], 'study', 'study')).toThrow(UsageError);
  });
});

describe('a peer on the command line', () => {
  it.each([
    ['PACS@host:104', { calledAe: 'PACS', host: 'host', port: 104 }],
    ['MY PACS@10.0.0.1:11112', { calledAe: 'MY PACS', host: '10.0.0.1', port: 11112 }],
    ['PACS@[::1]:104', { calledAe: 'PACS', host: '::1', port: 104 }],
  ])('%s', (given, peer) => expect(parsePeer('--to', given)).toEqual(peer));

  it.each([
    undefined,
    '',
    'PACS',
    'PACS@host',
    '@host:1',
    'PACS@host:0',
    'PACS@host:65536',
    'SEVENTEEN_LETTERS@h:1',
  ])('%s is refused', (given) => expect(() => parsePeer('--to', given)).toThrow(UsageError));
});
