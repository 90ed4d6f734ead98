/**
 * Keys of a search or a retrieval as one writes them on a command line, and what each level needs.
 *
 * Source: PS3.4 §C.6.1.1 and §C.6.2.1 (unique keys), §C.4.1.2.1 (which of them every peer wants).
 * Layer:  server/cli.
 */
import type { DataSet, Tag } from '@lightbox/core/dicom/data-set.ts';
import { lookup, parseTag } from '@lightbox/core/dicom/dictionary.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { texts } from '@lightbox/core/dicom/values.ts';
import { UsageError } from './usage.ts';

export const UTF_8 = 'ISO_IR 192';

/** Highest first. */
const UNIQUE: readonly (readonly [level: string, tag: Tag])[] = [
  ['patient', Tags.PatientID],
  ['study', Tags.StudyInstanceUID],
  ['series', Tags.SeriesInstanceUID],
  ['image', Tags.SOPInstanceUID],
];

/** `KEY=VALUE`, or `KEY` alone: show it. */
export function parseKey(text: string): { tag: Tag; value: string } {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  const tag = parseTag(name.trim().replace(/^\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?$/, '$1$2'));
  const entry = tag === undefined ? undefined : lookup(tag);
  if (tag === undefined || !entry)
    throw new UsageError(
      `"${name}" is no attribute DICOM knows: write e.g. PatientName=Smith* or 0010,0010=Smith*.`,
    );
  const value = at < 0 ? '' : text.slice(at + 1);
  if (entry.vr === 'SQ' && value !== '')
    throw new UsageError(`${name} is a sequence and takes no value here.`);
  return { tag, value };
}

export const uniqueUpTo = (levelName: string, rootName: string): (readonly [string, Tag])[] => {
  const last = UNIQUE.findIndex(([name]) => name === levelName);
  return UNIQUE.slice(rootName === 'patient' ? 0 : 1, last + 1);
};

/** The unique keys of all levels above are there with one value each, as every peer wants it (PS3.4 §C.4.1.2.1). */
export function isBaseline(identifier: DataSet, levelName: string, rootName: string): boolean {
  return uniqueUpTo(levelName, rootName)
    .slice(0, -1)
    .every(([, tag]) => texts(identifier, tag).filter((value) => value !== '').length === 1);
}

export function wholeNumber(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`${option} takes a whole number, not "${text}".`);
  return Number(text);
}
