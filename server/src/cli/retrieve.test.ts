import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { text, texts } from '@lightbox/core/dicom/values.ts';
import { describe, expect, it } from 'vitest';
import { askedFor } from './retrieve.ts';
import { UsageError } from './usage.ts';

const calling = 'LIGHTBOX';

describe('what get and move ask (PS3.4 §C.4.2.2.1)', () => {
  it('a study, in Study Root', () => {
    const { identifier, root, relational } = askedFor(['StudyInstanceUID=1.2\\1.3'], { calling });
    expect(root).toBe('study');
    expect(relational).toBe(false);
    expect(text(identifier, Tags.QueryRetrieveLevel)).toBe('STUDY');
    expect(texts(identifier, Tags.StudyInstanceUID)).toEqual(['1.2', '1.3']);
    expect(identifier.elements.size).toBe(2);
  });

  it('a patient, in Patient Root', () => {
    const { identifier, root } = askedFor(['PatientID=4711'], { calling, level: 'patient' });
    expect(root).toBe('patient');
    expect(text(identifier, Tags.PatientID)).toBe('4711');
  });

  it('an image alone, which needs relational retrieval', () => {
    expect(askedFor(['SOPInstanceUID=1.2.3'], { calling, level: 'image' }).relational).toBe(true);
  });

  it.each([
    ['a key that is not unique', ['StudyInstanceUID=1.2', 'Modality=CT'], {}],
    ['a key below the level', ['StudyInstanceUID=1.2', 'SeriesInstanceUID=1.3'], {}],
    ['no key of the level', ['StudyInstanceUID=1.2'], { level: 'series' }],
    ['a key without a value', ['StudyInstanceUID'], {}],
    ['a level there is not', ['StudyInstanceUID=1.2'], { level: 'frame' }],
    ['a root there is not', ['StudyInstanceUID=1.2'], { root: 'world' }],
    ['patients in Study Root', ['PatientID=1'], { level: 'patient', root: 'study' }],
  ])('%s is said before anybody is called', (_, keys, options) => {
    expect(() => askedFor(keys, { calling, ...options })).toThrow(UsageError);
  });
});
