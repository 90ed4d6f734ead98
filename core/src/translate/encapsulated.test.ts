import { describe, expect, it } from 'vitest';
import { dataSet } from '../dicom/element.ts';
import { isVideoSyntax, looksLikePdf, videoCoding, videoContainer } from './encapsulated.ts';
import { noteReason, objectFacts } from './object-note.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

describe('what a stream really is', () => {
  it.each([
    ['%PDF-1.7', true],
    ['\n\n%PDF-1.4', true],
    ['<html>%PD', false],
    [`${' '.repeat(1030)}%PDF-1.7`, false],
    ['', false],
  ])('%j is a PDF: %s', (text, expected) => {
    expect(looksLikePdf(bytes(text))).toBe(expected);
  });

  it.each([
    ['\0\0\0\x20ftypisom', 'mp4'],
    [`G${'\0'.repeat(187)}G`, 'mpeg-ts'],
    ['\0\0\x01\xba', 'mpeg-ps'],
    ['\0\0\x01\xb3', 'mpeg-es'],
    ['\0\0\0\x01\x67', 'annex-b'],
    ['RIFF', ''],
    ['', ''],
  ])('%j is %s', (text, expected) => {
    expect(videoContainer(bytes(text))).toBe(expected);
  });

  it('knows the video transfer syntaxes (PS3.5 §A.4)', () => {
    const root = '1.2.840.10008.1.2.4.';
    expect(['100', '102', '108', '106.1'].map((one) => isVideoSyntax(root + one))).not.toContain(false);
    expect(['90', '109', '201', '1000'].map((one) => isVideoSyntax(root + one))).not.toContain(true);
    expect(['100', '104', '107'].map((one) => videoCoding(root + one))).toEqual(['MPEG-2', 'H.264', 'HEVC']);
  });
});

describe('objects without image or text', () => {
  const storage = '1.2.840.10008.5.1.4.1.1.';
  it.each([
    [`${storage}11.1`, 'presentation-state'],
    [`${storage}66.4`, 'segmentation'],
    [`${storage}66.1`, 'registration'],
    [`${storage}66`, 'raw-data'],
    [`${storage}481.5`, 'radiotherapy'],
    [`${storage}104.3`, 'encapsulated'],
    ['1.2.840.10008.5.1.4.38.1', 'hanging-protocol'],
    ['1.3.12.2.1107.5.9.1', 'no-image'],
  ])('%s: %s', (uid, reason) => {
    expect(noteReason(uid)).toBe(reason);
  });

  it('tell their names and what they belong to', () => {
    const image = dataSet({ ReferencedSOPInstanceUID: '1.2.3' });
    const facts = objectFacts(
      dataSet({
        ContentLabel: 'LABEL',
        SegmentSequence: [dataSet({ SegmentLabel: 'Liver' }), dataSet({})],
        ReferencedSeriesSequence: [dataSet({ ReferencedImageSequence: [image, image] })],
      }),
    );
    expect(facts).toEqual([
      { keyword: 'ContentLabel', value: 'LABEL' },
      { keyword: 'Segments', value: 'Liver, –' },
      { keyword: 'References', value: '1' },
    ]);
  });
});
