/** A recording: twelve leads on ECG paper, any other channel on a strip of its own; measurements beside it. Layer: web/viewer. */
import { Alert } from '@mantine/core';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import type { DocumentContent } from '../../api/viewer.ts';
import { LEADS, type EcgLead } from './ecg.ts';
import { EcgPaper } from './ecg-paper.tsx';
import { extremes, tracePath, type Trace, valuesOf } from './traces.ts';

type Waveform = Extract<DocumentContent, { kind: 'waveform' }>;
type Group = Waveform['groups'][number];
type Channel = Group['channels'][number];

export function WaveformDocument({ document }: { document: Waveform }) {
  const { t } = useTranslation();
  return (
    <>
      <Annotations annotations={document.annotations} />
      {document.groups.map((group, at) => (
        <section key={at} aria-label={group.label || t('viewer.ecg.group', { number: at + 1 })}>
          <GroupView group={group} number={at + 1} />
        </section>
      ))}
      {document.truncated ? <Alert color="orange">{t('viewer.document.truncated')}</Alert> : null}
    </>
  );
}

function GroupView({ group, number }: { group: Group; number: number }) {
  const { t, i18n } = useTranslation();
  const duration = group.samplingFrequency > 0 ? group.sampleCount / group.samplingFrequency : 0;
  const split = useMemo(() => splitChannels(group), [group]);
  const format = (value: number): string =>
    new Intl.NumberFormat(i18n.language, { maximumFractionDigits: 3 }).format(value);
  const filters = filterTexts(group.channels, format);
  if (group.problem)
    return (
      <Alert color="orange" role="alert" data-testid="waveform-problem">
        {t(`viewer.ecg.problem.${group.problem}`, { number })}
      </Alert>
    );
  return (
    <>
      <h3>
        <bdi>{group.label || t('viewer.ecg.group', { number })}</bdi>{' '}
        <small>
          {format(duration)} s · {format(group.samplingFrequency)} Hz
        </small>
      </h3>
      {filters.length > 1 || split.leads.length === 0 ? (
        <p className="ecg-filters">
          {filters.map((line) => (
            <bdi key={line}>{line || t('viewer.ecg.noFilters')}</bdi>
          ))}
        </p>
      ) : null}
      {group.short ? <Alert color="orange">{t('viewer.ecg.short')}</Alert> : null}
      {group.samplesPerValue > 1 ? (
        <Alert color="blue">{t('viewer.ecg.peaks', { count: Math.round(group.samplesPerValue * 2) })}</Alert>
      ) : null}
      {split.leads.length > 0 ? (
        <EcgPaper
          leads={split.leads}
          duration={duration}
          filters={filters.length > 1 ? t('viewer.ecg.seeAbove') : filters[0] || t('viewer.ecg.noFilters')}
        />
      ) : null}
      {split.others.map(({ channel, trace }, at) => (
        <ChannelStrip key={at} channel={channel} trace={trace} duration={duration} />
      ))}
      {group.moreChannels > 0 ? (
        <Alert color="orange">{t('viewer.ecg.more', { count: group.moreChannels })}</Alert>
      ) : null}
    </>
  );
}

/** Standard leads, in millivolts and in their usual order, and everything else as it is. */
function splitChannels(group: Group): {
  leads: EcgLead[];
  others: { channel: Channel; trace: Trace }[];
} {
  const rate = group.samplingFrequency / group.samplesPerValue;
  const leads: EcgLead[] = [];
  const others: { channel: Channel; trace: Trace }[] = [];
  for (const channel of group.channels) {
    const trace = { values: valuesOf(channel.values), rate, skew: channel.skew };
    const { lead, millivolts } = channel;
    if (lead === undefined || millivolts === undefined) others.push({ channel, trace });
    else leads.push({ ...trace, values: trace.values.map((value) => value * millivolts), lead });
  }
  const place = ({ lead }: EcgLead): number => LEADS.findIndex((name) => name === lead);
  return { leads: leads.sort((a, b) => place(a) - place(b)), others };
}

/** One line when all channels were filtered alike, else one for each kind. */
function filterTexts(channels: readonly Channel[], format: (value: number) => string): string[] {
  const lines = channels.map(({ highPass, lowPass, notch }) =>
    [
      highPass === undefined && lowPass === undefined
        ? ''
        : `${highPass === undefined ? '…' : format(highPass)}–${lowPass === undefined ? '…' : format(lowPass)} Hz`,
      notch ? `notch ${format(notch)} Hz` : '',
    ]
      .filter(Boolean)
      .join(' · '),
  );
  const kinds = [...new Set(lines)];
  if (kinds.length <= 1) return kinds;
  return kinds.map((kind) => {
    const names = channels.filter((_, at) => lines[at] === kind).map(({ label }) => label);
    return `${names.join(', ')}: ${kind || '–'}`;
  });
}

const STRIP = { width: 200, height: 24 };

function ChannelStrip({ channel, trace, duration }: { channel: Channel; trace: Trace; duration: number }) {
  const { t, i18n } = useTranslation();
  const path = useMemo(() => {
    const range = extremes(trace, 0, duration);
    if (!range) return undefined;
    const span = range.greatest - range.least || 1;
    const perUnit = (STRIP.height - 2) / span;
    const y = STRIP.height - 1 + range.least * perUnit;
    const perSecond = STRIP.width / (duration || 1);
    return { range, d: tracePath(trace, { from: 0, to: duration, x: 0, y, perSecond, perUnit }) };
  }, [trace, duration]);
  const number = (value: number): string =>
    new Intl.NumberFormat(i18n.language, { maximumSignificantDigits: 4 }).format(value);
  const unit = channel.calibrated ? channel.unit : t('viewer.ecg.counts');
  return (
    <figure className="strip-figure">
      <figcaption>
        <bdi>{channel.label || '–'}</bdi>
        {path ? ` · ${number(path.range.least)} … ${number(path.range.greatest)} ` : ' · '}
        <bdi>{path ? unit : t('viewer.ecg.empty')}</bdi>
      </figcaption>
      <svg
        viewBox={`0 0 ${STRIP.width} ${STRIP.height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={channel.label}
      >
        {path ? <path className="trace" data-channel={channel.label} d={path.d} /> : null}
      </svg>
    </figure>
  );
}

/** Statements and measurements of the whole recording; marks of single beats are told by their number. */
function Annotations({ annotations }: { annotations: Waveform['annotations'] }) {
  const { t } = useTranslation();
  const texts = annotations.filter(({ name, at }) => name === '' && at.length === 0);
  const measured = annotations.filter(({ name, at }) => name !== '' && at.length === 0);
  const marks = annotations.length - texts.length - measured.length;
  const global = measured.filter(({ channels }) => channels.length === 0);
  const single = measured.filter(({ channels }) => channels.length > 0);
  if (annotations.length === 0) return null;
  return (
    <section className="annotations" aria-label={t('viewer.ecg.annotations')}>
      {texts.length > 0 ? (
        <ul className="statements">
          {texts.map(({ value }, at) => (
            <li key={at} dir="auto">
              {value}
            </li>
          ))}
        </ul>
      ) : null}
      <Measurements rows={global} />
      {single.length > 0 ? (
        <details>
          <summary>{t('viewer.ecg.byLead', { count: single.length })}</summary>
          <Measurements rows={single} />
        </details>
      ) : null}
      {marks > 0 ? <p className="dim">{t('viewer.ecg.marks', { count: marks })}</p> : null}
    </section>
  );
}

function Measurements({ rows }: { rows: Waveform['annotations'] }) {
  if (rows.length === 0) return null;
  return (
    <dl className="measurements">
      {rows.map(({ name, value, unit, channels }, at) => (
        <div key={at}>
          <dt dir="auto">
            {name}
            {channels.length > 0 ? ` (${channels.join(', ')})` : ''}
          </dt>
          <dd>
            <bdi>{value || '–'}</bdi> <bdi>{unit}</bdi>
          </dd>
        </div>
      ))}
    </dl>
  );
}
