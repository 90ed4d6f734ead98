/** An ECG as it is printed: grid, leads, calibration, and what to read it by. Layer: web/viewer. */
import { Button, SegmentedControl } from '@mantine/core';
import { useId, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import {
  fitsGrid,
  GAINS,
  isBeat,
  layOut,
  SPEEDS,
  type EcgLayout,
  type EcgLead,
  type EcgPaper as Paper,
} from './ecg.ts';

/** Of one page; a longer recording is turned page by page. */
const PAGE_SECONDS = 10;
const ZOOMS = [0, 1, 1.5, 2, 3] as const;
/** CSS pixels of a millimetre (CSS Values 4 §6.2). */
const MILLIMETRE = 96 / 25.4;

export interface EcgPaperProps {
  readonly leads: readonly EcgLead[];
  /** Seconds. */
  readonly duration: number;
  /** What the recorder filtered away, printed beside the scale. */
  readonly filters: string;
}

export function EcgPaper({ leads, duration, filters }: EcgPaperProps) {
  const { t, i18n } = useTranslation();
  const grid = fitsGrid(leads);
  const [layout, setLayout] = useState<EcgLayout>(grid ? 'grid' : 'stacked');
  const [speed, setSpeed] = useState<number>(SPEEDS[0]);
  const [gain, setGain] = useState<number>(10);
  const [zoom, setZoom] = useState<number>(0);
  const [from, setFrom] = useState(0);
  const seconds = Math.min(PAGE_SECONDS, duration);
  const paper = useMemo(
    () => layOut(leads, { layout, speed, gain, from, seconds }),
    [leads, layout, speed, gain, from, seconds],
  );
  const number = (value: number): string =>
    new Intl.NumberFormat(i18n.language, { maximumFractionDigits: 1 }).format(value);
  const scale = `${speed} mm/s · ${gain} mm/mV`;
  return (
    <figure className="ecg">
      <div className="document-bar" role="toolbar" aria-label={t('viewer.ecg.tools')}>
        {grid ? (
          <SegmentedControl
            size="xs"
            value={layout}
            aria-label={t('viewer.ecg.layout')}
            onChange={(value) => setLayout(value as EcgLayout)}
            data={[
              { value: 'grid', label: t(isBeat(seconds) ? 'viewer.ecg.gridBeat' : 'viewer.ecg.grid') },
              { value: 'stacked', label: t('viewer.ecg.stacked') },
            ]}
          />
        ) : null}
        <SegmentedControl
          size="xs"
          value={String(speed)}
          aria-label={t('viewer.ecg.speed')}
          onChange={(value) => setSpeed(Number(value))}
          data={SPEEDS.map((one) => ({ value: String(one), label: `${one} mm/s` }))}
        />
        <SegmentedControl
          size="xs"
          value={String(gain)}
          aria-label={t('viewer.ecg.gain')}
          onChange={(value) => setGain(Number(value))}
          data={GAINS.map((one) => ({ value: String(one), label: `${one} mm/mV` }))}
        />
        <SegmentedControl
          size="xs"
          value={String(zoom)}
          aria-label={t('viewer.ecg.zoom')}
          onChange={(value) => setZoom(Number(value))}
          data={ZOOMS.map((one) => ({
            ...{ value: String(one), label: one === 0 ? t('viewer.fit') : `${one * 100} %` },
          }))}
        />
      </div>
      {duration > PAGE_SECONDS ? (
        <div className="document-bar" role="group" aria-label={t('viewer.ecg.time')}>
          <Button
            size="compact-sm"
            variant="default"
            disabled={from <= 0}
            onClick={() => setFrom(Math.max(0, from - PAGE_SECONDS))}
          >
            {t('viewer.ecg.earlier')}
          </Button>
          <input
            type="range"
            min={0}
            max={Math.max(0, duration - seconds)}
            step={1}
            value={from}
            aria-label={t('viewer.ecg.time')}
            onChange={(event) => setFrom(Number(event.currentTarget.value))}
          />
          <Button
            size="compact-sm"
            variant="default"
            disabled={from + seconds >= duration}
            onClick={() => setFrom(Math.min(duration - seconds, from + PAGE_SECONDS))}
          >
            {t('viewer.ecg.later')}
          </Button>
          <span>
            {number(from)}–{number(from + seconds)} s / {number(duration)} s
          </span>
        </div>
      ) : null}
      {/* Scrolled by keyboard when it is larger than the cell. */}
      <div
        className="ecg-sheet"
        tabIndex={0}
        role="group"
        aria-label={t('viewer.ecg.paper', { leads: leads.map(({ lead }) => lead).join(', '), scale })}
      >
        <Sheet paper={paper} zoom={zoom} foot={[scale, filters].filter(Boolean).join(' · ')} />
      </div>
    </figure>
  );
}

function Sheet({ paper, zoom, foot }: { paper: Paper; zoom: number; foot: string }) {
  const id = useId();
  const { width, height } = paper;
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      width={zoom === 0 ? '100%' : width * zoom * MILLIMETRE}
      data-testid="ecg"
      aria-hidden
    >
      <defs>
        <pattern id={`${id}s`} width="1" height="1" patternUnits="userSpaceOnUse">
          <path className="fine" d="M1 0H0V1" />
        </pattern>
        <pattern id={`${id}l`} width="5" height="5" patternUnits="userSpaceOnUse">
          <path className="coarse" d="M5 0H0V5" />
        </pattern>
      </defs>
      <rect className="sheet" width={width} height={height} />
      <rect width={width} height={height} fill={`url(#${id}s)`} />
      <rect width={width} height={height} fill={`url(#${id}l)`} />
      {paper.pulses.map((path, at) => (
        <path key={at} className="trace pulse" d={path} />
      ))}
      {paper.strips.map((strip, at) => (
        <g key={at}>
          <path className="trace" data-lead={strip.label} d={strip.path} />
          <text x={strip.x} y={strip.y}>
            {strip.label}
          </text>
        </g>
      ))}
      <text className="foot" x={3} y={height - 2.5} data-testid="ecg-scale">
        {foot}
      </text>
    </svg>
  );
}
