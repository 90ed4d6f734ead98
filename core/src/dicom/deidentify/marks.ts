/**
 * What a de-identified object says about itself: that it was done, how, and what became of dates and pixels.
 *
 * Source: PS3.15 §E.1.1 step 6, §E.3.1, §E.3.2, §E.3.6; PS3.3 §C.12.1.1, §C.7.6.1; codes PS3.16 CID 7050.
 * Layer:  core/dicom.
 */
import type { DataSet, Element } from '../data-set.ts';
import { dataSet, makeElement } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { text, texts } from '../values.ts';
import type { PixelPlan } from './pixels.ts';
import { type DeidentifyOption, METHOD_CODES } from './profile.ts';

/** Software that did it, for (0012,0063); a new edition of a table is a new text. */
const METHOD = 'Lightbox, PS3.15 Annex E 2024e, E.3.4-1 and E.3.10-1 of 2026a';

export function marks(ds: DataSet, options: ReadonlySet<DeidentifyOption>, pixels: PixelPlan): Element[] {
  const codes = new Set<string>(
    (Object.keys(METHOD_CODES) as (keyof typeof METHOD_CODES)[])
      .filter((name) => name === 'basic' || options.has(name))
      .map((name) => METHOD_CODES[name][0]),
  );
  const known: ReadonlyMap<string, string> = new Map(Object.values(METHOD_CODES));
  // An object that was de-identified before keeps the codes it has.
  for (const item of ds.elements.get(Tags.DeidentificationMethodCodeSequence)?.items ?? []) {
    const earlier = text(item, Tags.CodeValue) ?? '';
    if (known.has(earlier) && texts(item, Tags.CodingSchemeDesignator)[0] === 'DCM') codes.add(earlier);
  }
  const before = text(ds, Tags.LongitudinalTemporalInformationModified);
  const dates = options.has('retainModifiedDates')
    ? 'MODIFIED'
    : !options.has('retainFullDates')
      ? 'REMOVED'
      : before === 'MODIFIED' || before === 'REMOVED'
        ? before
        : 'UNMODIFIED';
  const out = [
    makeElement(Tags.PatientIdentityRemoved, 'YES'),
    makeElement(Tags.DeidentificationMethod, METHOD),
    makeElement(
      Tags.DeidentificationMethodCodeSequence,
      [...codes]
        .sort()
        .map((code) =>
          dataSet({ CodeValue: code, CodingSchemeDesignator: 'DCM', CodeMeaning: known.get(code) ?? code }),
        ),
    ),
    makeElement(Tags.LongitudinalTemporalInformationModified, dates),
  ];
  if (pixels.verdict !== 'none') {
    if (options.has('cleanPixelData')) out.push(makeElement(Tags.BurnedInAnnotation, 'NO'));
    if (options.has('cleanVisualFeatures')) out.push(makeElement(Tags.RecognizableVisualFeatures, 'NO'));
  }
  return out;
}
