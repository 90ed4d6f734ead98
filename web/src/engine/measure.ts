/**
 * What is written beside a measurement: mm only where the image has a spacing in the patient, HU only where values are HU.
 *
 * Source: PS3.3 §10.7.1.3 (spacing at the detector is not spacing in the patient), §C.8.2.1.1.2 (HU).
 * Layer:  web/engine.
 */
import type { DicomJson } from './instance.ts';
import { textOf } from './instance.ts';
import { isHounsfield, valuePerSuv } from './voi.ts';

/** As Cornerstone's tools keep them; `unit` is mm, px, or of an ultrasound region. */
export interface Statistics {
  readonly length?: number;
  readonly unit?: string;
  readonly angle?: number;
  readonly area?: number;
  readonly areaUnit?: string;
  readonly mean?: number;
  readonly stdDev?: number;
  readonly min?: number;
  readonly max?: number;
}

export interface MeasureWords {
  readonly area: string;
  readonly mean: string;
  readonly deviation: string;
  readonly range: string;
}

const round = (value: number, digits: number): string => value.toFixed(digits);

export function measurementLines(json: DicomJson, found: Statistics, words: MeasureWords): string[] {
  const lines: string[] = [];
  const { length, angle, area, mean, stdDev, min, max } = found;
  if (isNumber(length)) lines.push(inMillimetres(length, found.unit));
  if (isNumber(angle)) lines.push(`${round(angle, 1)}°`);
  const values = valueUnit(json);
  const value = (one: number): string =>
    `${round(one / values.scale, values.digits)}${values.unit ? ` ${values.unit}` : ''}`;
  if (isNumber(mean)) lines.push(`${words.mean} ${value(mean)}`);
  if (isNumber(stdDev)) lines.push(`${words.deviation} ${value(stdDev)}`);
  if (isNumber(min) && isNumber(max))
    lines.push(`${words.range} ${round(min / values.scale, values.digits)} … ${value(max)}`);
  if (isNumber(area)) lines.push(`${words.area} ${inMillimetres(area, found.areaUnit)}`);
  return lines;
}

/** What one value of the image is called; PET in SUV where the header allows it. */
function valueUnit(json: DicomJson): { unit: string; scale: number; digits: number } {
  if (isHounsfield(json)) return { unit: 'HU', scale: 1, digits: 1 };
  if (textOf(json, '00080060') === 'PT') {
    const perSuv = valuePerSuv(json);
    if (perSuv !== null) return { unit: 'SUVbw', scale: perSuv, digits: 2 };
    return { unit: textOf(json, '00541001'), scale: 1, digits: 1 };
  }
  return { unit: '', scale: 1, digits: 1 };
}

/** Ultrasound regions count in cm (PS3.3 §C.8.5.5.1.15); Cornerstone also adds where a calibration came from. */
function inMillimetres(value: number, unit = 'px'): string {
  switch (unit.replace(/ US Region$/, '')) {
    case 'cm':
      return `${round(value * 10, 1)} mm`;
    case 'cm²':
      return `${round(value * 100, 1)} mm²`;
    default:
      return `${round(value, 1)} ${unit}`;
  }
}

const isNumber = (value: number | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);
