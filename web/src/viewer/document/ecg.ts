/**
 * A standard ECG on paper: where each lead goes, in millimetres.
 *
 * Source: AHA/ACC/HRS 2007, Part I (25 mm/s, 10 mm/mV, three by four leads and a rhythm strip), IEC 60601-2-25 (calibration).
 * Layer:  web/viewer. Pure.
 */
import { extremes, tracePath, type Trace } from './traces.ts';

export const LEADS = ['I', 'II', 'III', 'aVR', 'aVL', 'aVF', 'V1', 'V2', 'V3', 'V4', 'V5', 'V6'] as const;
export type EcgLayout = 'grid' | 'stacked';
export const SPEEDS = [25, 50] as const;
export const GAINS = [5, 10, 20] as const;

/** A lead in millivolts. */
export interface EcgLead extends Trace {
  readonly lead: string;
}

export interface EcgSettings {
  readonly layout: EcgLayout;
  /** Millimetres for a second, and for a millivolt. */
  readonly speed: number;
  readonly gain: number;
  /** Seconds of the recording shown. */
  readonly from: number;
  readonly seconds: number;
}

export interface Strip {
  readonly label: string;
  readonly path: string;
  readonly x: number;
  /** Of the label. */
  readonly y: number;
}

export interface EcgPaper {
  readonly width: number;
  readonly height: number;
  readonly strips: readonly Strip[];
  /** Calibration pulses of one millivolt and 0.2 seconds, one in each row. */
  readonly pulses: readonly string[];
}

const LEFT = 12;
/** A recording as short as one averaged beat is shown whole in each column, with this between them. */
const BEAT_SECONDS = 2.5;
const BEAT_GAP = 3;
const MARGIN = 5;
/** Above the highest peak of a row there is room for the name. */
const LABEL = 6;
/** Room for the scale below the last row. */
const FOOT = 8;
const LEAST_ROW = 18;
const GRID: readonly (readonly string[])[] = [
  ['I', 'aVR', 'V1', 'V4'],
  ['II', 'aVL', 'V2', 'V5'],
  ['III', 'aVF', 'V3', 'V6'],
];
const COLUMNS = 4;

/** Whether the three by four layout shows all there is: every standard lead and no other. */
export function fitsGrid(leads: readonly EcgLead[]): boolean {
  return leads.length === LEADS.length && LEADS.every((name) => leads.some(({ lead }) => lead === name));
}

/** Whether all leads are shown for the same moment in the three by four layout, as averaged beats are. */
export const isBeat = (seconds: number): boolean => seconds <= BEAT_SECONDS;

/** A lead from one second to another, drawn from `x`. */
interface Piece {
  readonly lead: EcgLead;
  readonly from: number;
  readonly to: number;
  readonly x: number;
}

/** Rows are as high as their peaks need: no trace is cut, none runs into another. */
export function layOut(leads: readonly EcgLead[], settings: EcgSettings): EcgPaper {
  const { gain, speed } = settings;
  const rows =
    settings.layout === 'grid' && fitsGrid(leads) ? gridRows(leads, settings) : leads.map(whole(settings));
  const strips: Strip[] = [];
  const pulses: string[] = [];
  let top = MARGIN;
  let right = 0;
  for (const row of rows) {
    const peaks = row.map((piece) => extremes(piece.lead, piece.from, piece.to));
    const above = Math.max(gain, ...peaks.map((peak) => (peak?.greatest ?? 0) * gain)) + LABEL;
    const below = Math.max(3, ...peaks.map((peak) => -(peak?.least ?? 0) * gain));
    const height = Math.max(LEAST_ROW, above + below);
    const zero = top + above + (height - above - below) / 2;
    pulses.push(`M3 ${zero.toFixed(2)}H4V${(zero - gain).toFixed(2)}H9V${zero.toFixed(2)}H10`);
    for (const { lead, from, to, x } of row) {
      const path = tracePath(lead, { from, to, x, y: zero, perSecond: speed, perUnit: gain });
      strips.push({ label: lead.lead, path, x: x + 1, y: top + LABEL - 2 });
      right = Math.max(right, x + (to - from) * speed);
    }
    top += height;
  }
  return { width: right + MARGIN, height: top + FOOT, strips, pulses };
}

const whole =
  ({ from, seconds }: EcgSettings) =>
  (lead: EcgLead): Piece[] => [{ lead, from, to: from + seconds, x: LEFT }];

function gridRows(leads: readonly EcgLead[], settings: EcgSettings): Piece[][] {
  const { from, seconds, speed } = settings;
  const find = (name: string): EcgLead[] => leads.filter(({ lead }) => lead === name);
  const beat = isBeat(seconds);
  const quarter = seconds / COLUMNS;
  const rows = GRID.map((names) =>
    names.flatMap((name, column) =>
      find(name).map((lead): Piece =>
        beat
          ? { lead, from, to: from + seconds, x: LEFT + column * (seconds * speed + BEAT_GAP) }
          : {
              ...{ lead, from: from + column * quarter, to: from + (column + 1) * quarter },
              x: LEFT + column * quarter * speed,
            },
      ),
    ),
  );
  return beat ? rows : [...rows, ...find('II').map(whole(settings))];
}
