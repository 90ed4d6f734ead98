/** PDF, structured report, waveform or video of a series as something to read. Text of DICOM is never HTML. Layer: web/viewer. */
import './document/document.css';
import { Button, NativeSelect } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Fragment, lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Series } from '../api/studies.ts';
import { readDocument, readMetadata, type DocumentContent } from '../api/viewer.ts';
import { textOf, type DicomJson } from '../engine/instance.ts';
import { formatBytes, formatDate, formatTime, personName } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';
import { Person } from './document/person.tsx';
import type { OpenSeries } from './document/sr-document.tsx';

// Each kind is loaded when the first of it is opened; PDF.js alone is larger than the rest of the page.
const PdfDocument = lazy(async () => ({
  default: (await import('./document/pdf-document.tsx')).PdfDocument,
}));
const SrDocument = lazy(async () => ({ default: (await import('./document/sr-document.tsx')).SrDocument }));
const WaveformDocument = lazy(async () => ({
  default: (await import('./document/waveform-document.tsx')).WaveformDocument,
}));
const VideoDocument = lazy(async () => ({
  default: (await import('./document/video-document.tsx')).VideoDocument,
}));

export interface DocumentCellProps {
  readonly studyUid: string;
  readonly series: Series;
  readonly onOpenSeries: OpenSeries;
}

export function DocumentCell({ studyUid, series, onOpenSeries }: DocumentCellProps) {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState<string | null>(null);
  const { seriesUid, instanceCount } = series;
  const list = useQuery({
    queryKey: ['metadata', studyUid, seriesUid, instanceCount],
    queryFn: ({ signal }) => readMetadata<DicomJson>(studyUid, seriesUid, signal),
    staleTime: Infinity,
    enabled: instanceCount > 1,
  });
  const sopUid = chosen ?? series.thumbnailSopUid;
  const document = useQuery({
    queryKey: ['document', studyUid, seriesUid, sopUid],
    queryFn: ({ signal }) => readDocument(studyUid, seriesUid, sopUid, signal),
  });
  return (
    <div
      className="document"
      data-testid="document"
      tabIndex={0}
      role="group"
      aria-label={t('viewer.document.label')}
    >
      {instanceCount > 1 ? (
        <InstanceChoice list={list.data ?? []} value={sopUid} count={instanceCount} onChange={setChosen} />
      ) : null}
      {document.error ? (
        <ProblemAlert error={document.error} onRetry={() => void document.refetch()} />
      ) : document.data ? (
        // The key: of another object nothing of the one before stays.
        <article key={sopUid} className={`document-body ${document.data.kind}`}>
          <Head document={document.data} />
          <Suspense fallback={<Loading />}>
            <Content document={document.data} studyUid={studyUid} onOpenSeries={onOpenSeries} />
          </Suspense>
        </article>
      ) : (
        <Loading />
      )}
    </div>
  );
}

/** A series may hold many reports or recordings: each can be reached. */
function InstanceChoice(props: {
  list: readonly DicomJson[];
  value: string;
  count: number;
  onChange: (sopUid: string) => void;
}) {
  const { t, i18n } = useTranslation();
  const sorted = [...props.list].sort(
    (a, b) =>
      Number(textOf(a, '00200013') || 0) - Number(textOf(b, '00200013') || 0) ||
      textOf(a, '00080018').localeCompare(textOf(b, '00080018')),
  );
  return (
    <div className="document-bar">
      <NativeSelect
        size="xs"
        aria-label={t('viewer.document.choose')}
        data-testid="document-choice"
        value={props.value}
        onChange={(event) => props.onChange(event.currentTarget.value)}
        data={sorted.map((one, at) => ({
          value: textOf(one, '00080018'),
          label: [
            t('viewer.document.number', { number: at + 1, count: props.count }),
            formatDate(textOf(one, '00080023'), i18n.language),
            formatTime(textOf(one, '00080033')),
            textOf(one, '00420010'),
          ]
            .filter(Boolean)
            .join(' · '),
        }))}
      />
    </div>
  );
}

/** Whose document it is, from the object itself. */
function Head({ document }: { document: DocumentContent }) {
  const { t, i18n } = useTranslation();
  const { patient, date, time, institution, sopClassName } = document;
  const name = personName(patient.name);
  const lines = [
    [formatDate(date, i18n.language), formatTime(time)].filter(Boolean).join(' '),
    sopClassName === document.title ? '' : sopClassName,
    institution,
  ].filter(Boolean);
  return (
    <header className="document-head">
      <div>
        <h2 dir="auto" data-testid="document-title">
          {document.title}
        </h2>
        <p>
          <bdi>{[name.main, name.beside].filter(Boolean).join(' · ') || t('list.noName')}</bdi>
          {' · '}
          <bdi>{patient.id || '–'}</bdi>
          {patient.birthDate ? ` · * ${formatDate(patient.birthDate, i18n.language)}` : ''}
          {patient.sex ? ` · ${patient.sex}` : ''}
        </p>
        <p className="dim">
          {lines.map((line, at) => (
            <Fragment key={line}>
              {at > 0 ? ' · ' : ''}
              <bdi>{line}</bdi>
            </Fragment>
          ))}
        </p>
      </div>
      <div className="document-actions">
        {document.kind === 'sr' || document.kind === 'waveform' ? (
          <Button size="compact-sm" variant="default" onClick={() => window.print()}>
            {t('viewer.document.print')}
          </Button>
        ) : null}
        {'url' in document ? (
          <Button component="a" href={document.url} download size="compact-sm" variant="default">
            {t('viewer.document.save', { size: formatBytes(document.bytes, i18n.language) })}
          </Button>
        ) : null}
      </div>
    </header>
  );
}

function Content(props: { document: DocumentContent; studyUid: string; onOpenSeries: OpenSeries }) {
  const { document } = props;
  switch (document.kind) {
    case 'pdf':
      return <PdfDocument url={document.url} title={document.title} />;
    case 'video':
      return <VideoDocument document={document} />;
    case 'sr':
      return <SrDocument {...props} document={document} />;
    case 'waveform':
      return <WaveformDocument document={document} />;
    case 'file':
      return <Reason reason={document.reason} facts={[]} type={document.declaredType} />;
    case 'none':
      return <Reason reason={document.reason} facts={document.facts} />;
    default:
      return document satisfies never;
  }
}

type Facts = Extract<DocumentContent, { kind: 'none' }>['facts'];

function Reason({ reason, facts, type }: { reason: string; facts: Facts; type?: string }) {
  const { t, i18n } = useTranslation();
  const key = `viewer.document.reason.${reason}`;
  const rows = [...facts, ...(type ? [{ keyword: 'MIMETypeOfEncapsulatedDocument', value: type }] : [])];
  return (
    <div data-testid="reason-tile">
      <p role="status">{i18n.exists(key) ? t(key) : t('viewer.document.reason.no-image')}</p>
      {rows.length > 0 ? (
        <dl className="facts">
          {rows.map(({ keyword, value }) => (
            <div key={keyword}>
              <dt>{t(`viewer.document.fact.${keyword}`)}</dt>
              <dd dir="auto">{keyword === 'ContentCreatorName' ? <Person value={value} /> : value}</dd>
            </div>
          ))}
        </dl>
      ) : null}
    </div>
  );
}
