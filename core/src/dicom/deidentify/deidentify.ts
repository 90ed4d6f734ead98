/**
 * De-identifies one object: the same picture, of nobody.
 *
 * Source: PS3.15 §E.1.1 (de-identifier), §E.2 (Basic Application Level Confidentiality Profile), §E.3 (options).
 * Layer:  core/dicom. Pure: the key is in the hash that is passed in; pixels are blackened by the caller as `pixels` says.
 *
 * What is done to attributes that the standard's table does not name is in `unlisted.ts`, and why in
 * docs/de-identification.md.
 */
import { Fault } from '../../base/fault.ts';
import type { DataSet, Element, Tag } from '../data-set.ts';
import { creatorTagOf, isPrivate, isPrivateCreator } from '../dictionary.ts';
import { dataSetOf, makeElement } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { ascii, effectiveVr, elementTexts, text } from '../values.ts';
import { VR_FACTS, type Vr } from '../vr.ts';
import { cleanText, REMOVED } from './clean-text.ts';
import { dummyElement, dummyItem } from './dummies.ts';
import { areFreeNumbers, isCalm, isCoded, isFree, isSilent } from './harmless.ts';
import { gatherIdentifiers, type Identifiers } from './identifiers.ts';
import { marks } from './marks.ts';
import { type DeviceRule, type PixelPlan, planPixels } from './pixels.ts';
import { type Action, checkOptions, chooseAction, type DeidentifyOption, profileRow } from './profile.ts';
import { dateShift, type KeyedHash, mapAe, mapUid, patientPseudonym } from './pseudonyms.ts';
import type { Rectangle } from './rectangles.ts';
import { type Declared, declaredSafe, safePrivate } from './safe-private.ts';
import { shiftDate, shiftDateTime } from './shift-dates.ts';
import {
  contentRow,
  hasPlaces,
  isAge,
  isContent,
  mayBeEmpty,
  needsItem,
  valueOf,
  withoutOldAge,
} from './structured-content.ts';
import { unlistedRule } from './unlisted.ts';

export interface DeidentifyRequest {
  readonly options: ReadonlySet<DeidentifyOption>;
  /** Of the project: one key gives one set of UIDs, pseudonyms and shifts, in every study and on every day. */
  readonly hash: KeyedHash;
  /** The patient's new name and ID. Default: derived from the patient's ID and its issuer. */
  readonly pseudonym?: { readonly name: string; readonly id: string } | undefined;
  /** Parts of the picture to blacken; they go before every rule. */
  readonly rectangles?: readonly Rectangle[] | undefined;
  readonly deviceRules?: readonly DeviceRule[] | undefined;
  /** A person has looked at the pixels of this object and found nothing in them. */
  readonly pixelsReviewed?: boolean | undefined;
}

export interface Deidentified {
  /** Bulk values that were kept still point into the original stream; those taken out are gone. */
  readonly dataSet: DataSet;
  /** What the caller has to do with the pixels; without `cleanPixelData` it is advice. */
  readonly pixels: PixelPlan;
  readonly patient: { readonly name: string; readonly id: string };
}

interface Work {
  readonly request: DeidentifyRequest;
  readonly options: ReadonlySet<DeidentifyOption>;
  readonly identifiers: Identifiers | undefined;
  readonly shiftDays: number;
  /** Private blocks that their makers call harmless. */
  readonly declared: Declared;
  /** Nothing is to be hidden in the pixels, so that pictures in private elements may stay too. */
  readonly calmPixels: boolean;
  /** Content items point at each other by their places, so that none may go. */
  readonly places: boolean;
  readonly original: { readonly id: string | undefined; readonly name: string | undefined };
  readonly patient: { readonly name: string; readonly id: string };
}

/**
 * A new data set by the Basic Profile and the options.
 *
 * @throws Fault DEIDENTIFY_OPTIONS, DEIDENTIFY_DIRECTORY for a DICOMDIR; DEIDENTIFY_PIXELS when pixels shall be clean and
 *         nobody can say where names are; DEIDENTIFY_FEATURES when a face shall be taken out that cannot be.
 */
export function deidentify(ds: DataSet, request: DeidentifyRequest): Deidentified {
  const { options, hash } = request;
  checkOptions(options);
  if (ds.elements.has(Tags.DirectoryRecordSequence)) throw new Fault('DEIDENTIFY_DIRECTORY');
  const pixels = planPixels(ds, request.rectangles, request.deviceRules);
  checkPixels(ds, request, pixels);
  const key = patientKey(ds);
  const pseudonym = patientPseudonym(key, hash);
  const work: Work = {
    request,
    options,
    identifiers: gatherIdentifiers(ds, options),
    shiftDays: options.has('retainModifiedDates') ? dateShift(key, hash) : 0,
    declared: options.has('retainSafePrivate') ? declaredSafe(ds) : new Map(),
    calmPixels:
      (pixels.verdict === 'none' || pixels.verdict === 'clean') && !options.has('cleanVisualFeatures'),
    places: options.has('cleanStructuredContent') && hasPlaces(ds),
    original: { id: text(ds, Tags.PatientID), name: text(ds, Tags.PatientName) },
    patient: request.pseudonym ?? { name: pseudonym, id: pseudonym },
  };
  const cleaned = cleanSet(ds, work);
  const patient: Element[] = [];
  if (ds.elements.has(Tags.PatientName)) patient.push(made(Tags.PatientName, 'PN', [work.patient.name], ds));
  if (ds.elements.has(Tags.PatientID)) patient.push(made(Tags.PatientID, 'LO', [work.patient.id], ds));
  const elements = new Map(cleaned.elements);
  for (const element of [...patient, ...marks(ds, options, pixels)]) elements.set(element.tag, element);
  return {
    dataSet: dataSetOf(elements.values(), ds.charsets, ds.littleEndian),
    pixels,
    patient: work.patient,
  };
}

function checkPixels(ds: DataSet, request: DeidentifyRequest, plan: PixelPlan): void {
  const { options } = request;
  if (plan.verdict === 'none') return;
  if (options.has('cleanPixelData') && plan.verdict === 'review' && request.pixelsReviewed !== true)
    throw new Fault('DEIDENTIFY_PIXELS', { why: plan.why });
  if (!options.has('cleanVisualFeatures')) return;
  // A volume can be rendered into a face (§E.3.2); rectangles on its slices do not prevent that.
  const volume = ['CT', 'MR', 'PT'].includes(text(ds, Tags.Modality) ?? '');
  if (volume || (plan.why !== 'given' && request.pixelsReviewed !== true))
    throw new Fault('DEIDENTIFY_FEATURES');
}

/** Who the patient is, as far as it can be told: two issuers may use one ID for two people. */
function patientKey(ds: DataSet): string {
  const part = (tag: Tag): string => text(ds, tag)?.trim() ?? '';
  const id = part(Tags.PatientID);
  if (id !== '') return `id\\${id}\\${part(Tags.IssuerOfPatientID)}`;
  const name = part(Tags.PatientName);
  if (name !== '') return `name\\${name}\\${part(Tags.PatientBirthDate)}`;
  return `study\\${part(Tags.StudyInstanceUID)}`;
}

function cleanSet(ds: DataSet, work: Work): DataSet {
  const kept: Element[] = [];
  const creators = new Set<Tag>();
  for (const element of ds.elements.values()) {
    // Group lengths would be wrong, and are retired (PS3.5 §7.2).
    if ((element.tag & 0xffff) === 0) continue;
    const clean = isPrivate(element.tag) ? cleanPrivate(element, ds, work) : cleanElement(element, ds, work);
    if (!clean || isEmptied(element, clean)) continue;
    kept.push(clean);
    const creator = creatorTagOf(element.tag);
    if (creator !== undefined) creators.add(creator);
  }
  // A creator stays in its own block when something of the block stays (PS3.5 §7.8.1).
  for (const tag of creators) {
    const creator = ds.elements.get(tag);
    if (creator) kept.push(creator);
  }
  return dataSetOf(kept, ds.charsets, ds.littleEndian);
}

/** Content of which nothing is left is not there: most such sequences have at least one item. */
const isEmptied = ({ tag, items }: Element, clean: Element): boolean =>
  isContent(tag) && !mayBeEmpty(tag) && (items?.length ?? 0) > 0 && clean.items?.length === 0;

/** A private element stays when it is known to be harmless and its value, looked at, is. */
function cleanPrivate(element: Element, ds: DataSet, work: Work): Element | undefined {
  if (isPrivateCreator(element.tag) || !work.options.has('retainSafePrivate')) return undefined;
  const safe = safePrivate(element, ds, work.declared);
  if (!safe) return undefined;
  const { vr } = safe;
  if (vr === 'SQ') return recurse(element, work);
  // A UN value is little endian always, which a big endian data set could not say after its VR is named.
  if (!element.bytes || (element.vr !== vr && !ds.littleEndian)) return undefined;
  const listed = { ...element, vr };
  return isHarmless(listed, safe.version, ds, work) ? keptPrivate(listed, safe.version, ds, work) : undefined;
}

function keptPrivate(element: Element, version: boolean, ds: DataSet, work: Work): Element {
  return element.vr === 'UI' && !version && !work.options.has('retainUids')
    ? mapped(element, ds, work)
    : element;
}

function isHarmless(element: Element, version: boolean, ds: DataSet, work: Work): boolean {
  const { vr } = element;
  const { identifiers } = work;
  const values = (): string[] => elementTexts(element, ds);
  switch (VR_FACTS[vr].kind) {
    case 'number':
      return areFreeNumbers(element, ds, identifiers);
    case 'bytes':
      // Pictures are kept in them, whose pixels nobody blackens.
      return work.calmPixels && isSilent(element.bytes ?? new Uint8Array(0), identifiers);
    case 'items':
      return true;
    case 'text':
      break;
  }
  if (vr === 'UI') return values().every((one) => /^[0-9.]*$/.test(one) && (!version || one.length <= 16));
  if (vr === 'CS' || vr === 'DS' || vr === 'IS')
    return values().every((one) => isCoded(one, vr)) && isFree(values(), identifiers);
  return isCalm(values(), identifiers);
}

function cleanElement(element: Element, ds: DataSet, work: Work): Element | undefined {
  const row = profileRow(element.tag);
  // Without its bitmap an overlay plane is not valid (PS3.3 §C.9.2), and a bitmap cannot be cleaned by rule.
  if (isOverlay(element.tag)) return undefined;
  if (!row) return cleanUnlisted(element, ds, work);
  const action = chooseAction(row, work.options);
  return apply(action, row.basic, element, ds, work);
}

const isOverlay = (tag: Tag): boolean => tag >= 0x60000000 && tag <= 0x60ffffff;

function apply(
  action: Action,
  basic: Action,
  element: Element,
  ds: DataSet,
  work: Work,
): Element | undefined {
  const vr = effectiveVr(element);
  switch (action) {
    case 'X':
      return undefined;
    case 'Z':
      return emptied(element, vr);
    case 'D':
      return dummied(element, vr, ds, work);
    case 'K':
      return element.items ? recurse(element, work) : kept(element, vr, ds);
    case 'U*':
      return recurse(element, work);
    case 'U':
      return mapped(element, ds, work);
    case 'C':
      return cleaned(element, vr, basic, ds, work);
    default:
      return action satisfies never;
  }
}

function recurse(element: Element, work: Work): Element {
  const items = element.items ?? [];
  if (isContent(element.tag) && work.options.has('cleanStructuredContent')) {
    const some = cleanContent(items, work, !work.places);
    return {
      tag: element.tag,
      vr: 'SQ',
      items:
        some.length === 0 && needsItem(element.tag) ? cleanContent(items.slice(0, 1), work, false) : some,
    };
  }
  return { tag: element.tag, vr: 'SQ', items: items.map((item) => cleanSet(item, work)) };
}

/** Content items by Table E.3.4-1; others, and what else is in an item, attribute by attribute. */
function cleanContent(items: readonly DataSet[], work: Work, mayRemove: boolean): DataSet[] {
  const out: DataSet[] = [];
  for (const item of items) {
    const row = contentRow(item);
    const action = row && chooseAction(row, work.options);
    if (action === 'X' && mayRemove) continue;
    const clean = cleanSet(item, work);
    const value = valueOf(item);
    if (!action || !value) {
      out.push(clean);
      continue;
    }
    const elements = new Map(clean.elements);
    elements.set(value.tag, contentValue(action, isAge(row), value, item, work));
    const made = dataSetOf(elements.values(), item.charsets, item.littleEndian);
    out.push(isAge(row) ? withoutOldAge(made) : made);
  }
  return out;
}

function contentValue(action: Action, age: boolean, value: Element, item: DataSet, work: Work): Element {
  const { tag } = value;
  const vr = effectiveVr(value);
  const clean = value.items && recurse(value, work);
  switch (action) {
    case 'K':
      return clean && age ? { ...clean, items: clean.items?.map(withoutOldAge) } : (clean ?? value);
    case 'C':
      return cleaned(value, vr, 'D', item, work) ?? dummied(value, vr, item, work);
    default:
      // A reference is made a dummy by its UIDs, and a measurement may be without a value (Type 2, PS3.3 Table C.18.1-1).
      if (tag === Tags.ReferencedSOPSequence && clean) return clean;
      return tag === Tags.MeasuredValueSequence ? emptied(value, vr) : dummied(value, vr, item, work);
  }
}

const emptied = ({ tag, items }: Element, vr: Vr): Element =>
  items || vr === 'SQ' ? { tag, vr: 'SQ', items: [] } : { tag, vr, bytes: new Uint8Array(0) };

const isEmpty = ({ bytes, items, bulk, fragments }: Element): boolean =>
  !bulk && !fragments && (items ? items.length === 0 : !bytes || bytes.length === 0);

function dummied(element: Element, vr: Vr, ds: DataSet, work: Work): Element {
  const { tag, items } = element;
  if (isEmpty(element)) return emptied(element, vr);
  if (tag === Tags.PatientID || tag === Tags.PatientName) return patientElsewhere(element, vr, ds, work);
  if (tag === Tags.ReferencedPerformedProcedureStepSequence) return recurse(element, work);
  if (items || vr === 'SQ') return { tag, vr: 'SQ', items: [dummyItem(tag, items ?? [])] };
  return vr === 'UI' ? mapped(element, ds, work) : dummyElement(tag, vr);
}

/** The patient once more in an item: under the same pseudonym when it is the same one. */
function patientElsewhere(element: Element, vr: Vr, ds: DataSet, { original, patient }: Work): Element {
  const value = elementTexts(element, ds)[0];
  const [own, other] =
    element.tag === Tags.PatientID ? [original.id, patient.id] : [original.name, patient.name];
  return made(element.tag, vr, [value === own ? other : REMOVED], ds);
}

/** Kept as it is; an age over 89 only as 90 and more (45 CFR 164.514(b)(2)(i)(C)). */
function kept(element: Element, vr: Vr, ds: DataSet): Element {
  if (vr !== 'AS') return element;
  const ages = elementTexts(element, ds).map((age) =>
    /^\d{3}Y$/.test(age) && Number(age.slice(0, 3)) > 89 ? '090Y' : age,
  );
  return made(element.tag, vr, ages, ds);
}

function mapped(element: Element, ds: DataSet, { request }: Work): Element {
  const uids = elementTexts({ ...element, vr: 'UI' }, ds).map((uid) => mapUid(uid, request.hash));
  return made(element.tag, 'UI', uids, ds);
}

/** C: what cannot be cleaned by rule gets what the Basic Profile demands. */
function cleaned(element: Element, vr: Vr, basic: Action, ds: DataSet, work: Work): Element | undefined {
  const { tag } = element;
  if (element.items) return recurse(element, work);
  switch (vr) {
    case 'DA':
    case 'DT':
      return shifted(element, vr, ds, work);
    case 'TM':
      return element;
    case 'AE':
      return made(
        tag,
        vr,
        elementTexts(element, ds).map((title) => mapAe(title, work.request.hash)),
        ds,
      );
    case 'CS':
    case 'LO':
    case 'LT':
    case 'SH':
    case 'ST':
    case 'UC':
    case 'UT':
      if (tag === Tags.TimezoneOffsetFromUTC) break;
      return element.bulk && !element.bytes
        ? apply(basic, basic, element, ds, work)
        : cleanedText(element, vr, ds, work);
    default:
      break;
  }
  if (tag === Tags.TimezoneOffsetFromUTC && /^[+-]\d{4}$/.test(elementTexts(element, ds)[0] ?? ''))
    return element;
  return apply(basic, basic, element, ds, work);
}

function cleanedText(element: Element, vr: Vr, ds: DataSet, work: Work): Element {
  const values = elementTexts(element, ds).map((value) => {
    const clean = cleanText(value, work.identifiers);
    return vr === 'CS'
      ? clean
          .toUpperCase()
          .replace(/[^A-Z0-9 _]+/g, ' ')
          .trim() || REMOVED
      : clean;
  });
  return made(element.tag, vr, values, ds);
}

function shifted(element: Element, vr: 'DA' | 'DT', ds: DataSet, work: Work): Element {
  const shift = vr === 'DA' ? shiftDate : shiftDateTime;
  const values = elementTexts(element, ds).map((value) => (value === '' ? '' : shift(value, work.shiftDays)));
  const known = values.filter((value) => value !== undefined);
  return known.length === values.length ? made(element.tag, vr, known, ds) : dummyElement(element.tag, vr);
}

function cleanUnlisted(element: Element, ds: DataSet, work: Work): Element | undefined {
  const { tag } = element;
  const vr = effectiveVr(element);
  const { options } = work;
  switch (unlistedRule(element)) {
    case 'keep':
      return element;
    case 'remove':
      return undefined;
    case 'items':
      return recurse(element, work);
    case 'uid':
      return options.has('retainUids') ? element : mapped(element, ds, work);
    case 'person':
      return dummied(element, vr, ds, work);
    case 'date':
      if (options.has('retainModifiedDates')) return cleaned(element, vr, 'D', ds, work);
      return options.has('retainFullDates') ? element : dummied(element, vr, ds, work);
    case 'technical':
      return element.bytes && isCalm(elementTexts(element, ds), work.identifiers)
        ? element
        : dummied(element, vr, ds, work);
    case 'text': {
      const graphic = tag === Tags.UnformattedTextValue && options.has('cleanGraphics');
      if (!(graphic || options.has('cleanDescriptors')) || !element.bytes || !VR_FACTS[vr].charset)
        return dummied(element, vr, ds, work);
      return cleanedText(element, vr, ds, work);
    }
    case 'coded': {
      if (isEmpty(element)) return element;
      // Not by the character set: in JIS X 0201 the backslash is a yen sign, and these VRs know no character sets.
      const values = ascii(element.bytes ?? new Uint8Array(0)).split('\\');
      // The meaning of the pixels hangs on group 0028, and its codes are read by every reader before they are believed.
      const fits = tag >>> 16 === 0x0028 && vr === 'CS' && values.every((one) => one.length <= 16);
      return element.bytes &&
        (fits || values.every((one) => isCoded(one, vr))) &&
        isFree(values, work.identifiers)
        ? element
        : // Never empty (Type 1C, PS3.3 §C.12.1.1.2); without it text is read by the default repertoire.
          tag === Tags.SpecificCharacterSet
          ? undefined
          : emptied(element, vr);
    }
  }
}

const made = (tag: Tag, vr: Vr, values: readonly string[], ds: DataSet): Element =>
  makeElement(tag, values.length === 1 && values[0] === '' ? [] : values, {
    vr,
    charsets: ds.charsets,
    littleEndian: ds.littleEndian,
  });
