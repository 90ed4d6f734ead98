/**
 * Names that are written into the picture itself: which parts of it have to be blackened, and how sure that is.
 *
 * Source: PS3.15 §E.3.1 (Clean Pixel Data), PS3.3 §C.8.5.5 (US Region Calibration: the bounds of each region),
 *         §C.8.6.1 (Conversion Type), §C.7.6.1.1.2 (Image Type), §C.7.6.1 (Burned In Annotation), §C.8.12.4
 *         (slides: Specimen Label in Image), §C.9.2 (overlays).
 * Layer:  core/dicom. It looks at attributes alone: nothing here recognizes letters in pixels.
 */
import type { DataSet } from '../data-set.ts';
import { Tags } from '../tags.gen.ts';
import { integer, number, text, texts, uidValue } from '../values.ts';
import { complement, type Rectangle } from './rectangles.ts';

export interface DeviceRule {
  /** All that are given have to be the same, letter case aside. */
  readonly modality?: string;
  readonly manufacturer?: string;
  readonly model?: string;
  readonly sopClassUid?: string;
  readonly rows?: number;
  readonly columns?: number;
  readonly rectangles: readonly Rectangle[];
}

export interface PixelPlan {
  /**
   * none: no pixels. clean: nothing is to be expected in them. blacken: the rectangles hold what could identify. review:
   * names are likely and nobody said where; a person has to look.
   */
  readonly verdict: 'none' | 'clean' | 'blacken' | 'review';
  readonly why:
    | 'no-pixels'
    | 'given'
    | 'device-rule'
    | 'ultrasound-regions'
    | 'declared-none'
    | 'declared-burned-in'
    | 'screen-or-document'
    | 'camera-or-ultrasound'
    | 'acquired';
  readonly rectangles: readonly Rectangle[];
  /** Overlays were kept in the unused bits of the pixels (retired, PS3.3 §C.9.2): those bits have to be cleared too. */
  readonly clearUnusedBits: boolean;
}

const SCREEN_WORDS = /SCREEN|CAPTURE|REPORT|SUMMARY|DOSE|EVIDENCE|PHOTO|BURNED|LABEL|OVERVIEW/;
/** Modalities whose pictures come from a screen, a camera or paper, or are drawn with the patient's name above. */
const DRAWN = new Set([
  ...[
    'US',
    'IVUS',
    'ES',
    'XC',
    'GM',
    'OP',
    'OT',
    'SC',
    'DOC',
    'HC',
    'EPS',
    'ECG',
    'BDUS',
    'BMD',
    'OPV',
    'LEN',
  ],
  ...['AR', 'KER', 'SRF', 'VA', 'DD', 'ST', 'TG', 'DG', 'CD', 'DS', 'CF', 'DF', 'VF'],
]);

/** What is to be done with the pixels of the original object. `given` rectangles go before every rule. */
export function planPixels(
  ds: DataSet,
  given: readonly Rectangle[] = [],
  rules: readonly DeviceRule[] = [],
): PixelPlan {
  const clearUnusedBits = hasEmbeddedOverlay(ds);
  const plan = (
    verdict: PixelPlan['verdict'],
    why: PixelPlan['why'],
    rectangles: readonly Rectangle[] = [],
  ): PixelPlan => ({ verdict, why, rectangles, clearUnusedBits });
  const rows = integer(ds, Tags.Rows, 1, 65535);
  const columns = integer(ds, Tags.Columns, 1, 65535);
  if (rows === undefined || columns === undefined) return plan('none', 'no-pixels');
  if (given.length > 0) return plan('blacken', 'given', given);
  const rule = rules.find((one) => matches(one, ds, rows, columns));
  if (rule) return plan('blacken', 'device-rule', rule.rectangles);
  const declared = text(ds, Tags.BurnedInAnnotation)?.toUpperCase();
  const regions = ultrasoundRegions(ds);
  if (regions.length > 0) {
    const outside = complement(regions, rows, columns);
    // A region that is the whole picture says nothing about where the name is.
    if (outside.length > 0) return plan('blacken', 'ultrasound-regions', outside);
  }
  if (declared === 'YES') return plan('review', 'declared-burned-in');
  if (declared === 'NO') return plan('clean', 'declared-none');
  const sopClass = uidValue(ds, Tags.SOPClassUID) ?? '';
  const screen =
    /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.7(\.|$)/.test(sopClass) ||
    ds.elements.has(Tags.ConversionType) ||
    text(ds, Tags.SpecimenLabelInImage)?.toUpperCase() === 'YES' ||
    texts(ds, Tags.ImageType).some((value) => SCREEN_WORDS.test(value.toUpperCase()));
  if (screen) return plan('review', 'screen-or-document');
  if (DRAWN.has(text(ds, Tags.Modality) ?? 'OT')) return plan('review', 'camera-or-ultrasound');
  return plan('clean', 'acquired');
}

const same = (a: string | undefined, b: string | undefined): boolean =>
  a === undefined || a.trim().toUpperCase() === (b ?? '').trim().toUpperCase();

function matches(rule: DeviceRule, ds: DataSet, rows: number, columns: number): boolean {
  return (
    same(rule.modality, text(ds, Tags.Modality)) &&
    same(rule.manufacturer, text(ds, Tags.Manufacturer)) &&
    same(rule.model, text(ds, Tags.ManufacturerModelName)) &&
    same(rule.sopClassUid, uidValue(ds, Tags.SOPClassUID)) &&
    (rule.rows ?? rows) === rows &&
    (rule.columns ?? columns) === columns
  );
}

/** Bounds of the calibrated regions; X1 and Y1 are inside (PS3.3 §C.8.5.5.1.2). */
function ultrasoundRegions(ds: DataSet): Rectangle[] {
  const out: Rectangle[] = [];
  // A hostile object could have a million; real ones have up to about ten.
  for (const item of (ds.elements.get(Tags.SequenceOfUltrasoundRegions)?.items ?? []).slice(0, 100)) {
    const left = number(item, Tags.RegionLocationMinX0);
    const top = number(item, Tags.RegionLocationMinY0);
    const right = number(item, Tags.RegionLocationMaxX1);
    const bottom = number(item, Tags.RegionLocationMaxY1);
    if (left === undefined || top === undefined || right === undefined || bottom === undefined) continue;
    if (right >= left && bottom >= top)
      out.push({ left, top, width: right - left + 1, height: bottom - top + 1 });
  }
  return out;
}

/** An overlay whose plane is in bits of Pixel Data has no Overlay Data, or an Overlay Bit Position above 0. */
function hasEmbeddedOverlay(ds: DataSet): boolean {
  for (let group = 0x6000; group <= 0x60fe; group += 2) {
    const base = group * 0x10000;
    if (!ds.elements.has(base + 0x0010)) continue;
    if (!ds.elements.has(base + 0x3000) || (integer(ds, base + 0x0102, 0, 15) ?? 0) > 0) return true;
  }
  return false;
}
