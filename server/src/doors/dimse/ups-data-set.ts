/**
 * Workitems, kept as JSON in UTF-8, as data sets on the wire and back.
 *
 * Source: PS3.18 Annex F, PS3.3 §C.12.1.1.2 (Specific Character Set).
 * Layer:  server/doors/dimse.
 */
import type { DataSet, Element } from '@lightbox/core/dicom/data-set.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import { type DicomJson, fromJson, toJson } from '@lightbox/core/dicom/json.ts';
import { readDataSet } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';

const UTF_8 = 'ISO_IR 192';

/** The data set, with its character set named where there is text beyond ASCII. */
export function wireDataSet(json: DicomJson): DataSet {
  const elements = new Map(fromJson(json).elements);
  if ([...elements.values()].some(beyondAscii))
    elements.set(Tags.SpecificCharacterSet, makeElement(Tags.SpecificCharacterSet, UTF_8));
  else elements.delete(Tags.SpecificCharacterSet);
  return dataSetOf(elements.values(), [UTF_8]);
}

const beyondAscii = (element: Element): boolean =>
  element.items?.some((item) => [...item.elements.values()].some(beyondAscii)) ??
  element.bytes?.some((byte) => byte > 0x7f) ??
  false;

/** @throws Fault DICOM_ within the limits of a small data set. */
export function readSmall(bytes: Uint8Array, transferSyntaxUid: string): DataSet {
  return readDataSet(bytes, transferSyntaxUid, {
    limits: { depth: 12, elements: 20_000, items: 5000, headerBytes: bytes.length * 4 + 1024 },
    keepBytes: bytes.length,
  }).dataSet;
}

export const jsonOf = (bytes: Uint8Array, transferSyntaxUid: string): DicomJson =>
  toJson(readSmall(bytes, transferSyntaxUid), { inlineBytes: bytes.length });
