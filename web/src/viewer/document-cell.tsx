/** PDF, structured report, waveform or video of a series as something to read. Text of DICOM is never HTML. Layer: web/viewer. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { SrNode } from '@lightbox/core/contract/api.ts';
import type { Series } from '../api/studies.ts';
import { readDocument, type DocumentContent } from '../api/viewer.ts';
import { formatDate } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';
import { tracePath, samplesOf } from './waveform.ts';

export function DocumentCell({ studyUid, series }: { studyUid: string; series: Series }) {
  const document = useQuery({
    queryKey: ['document', studyUid, series.seriesUid, series.thumbnailSopUid],
    queryFn: ({ signal }) => readDocument(studyUid, series.seriesUid, series.thumbnailSopUid, signal),
    staleTime: Infinity,
  });
  if (document.error) return <ProblemAlert error={document.error} onRetry={() => void document.refetch()} />;
  if (!document.data) return <Loading />;
  return (
    <div className="document" data-testid="document">
      <Content document={document.data} />
    </div>
  );
}

function Content({ document }: { document: DocumentContent }) {
  const { t, i18n } = useTranslation();
  switch (document.kind) {
    case 'pdf':
      return (
        <object data={document.url} type="application/pdf" aria-label={document.title}>
          <a href={document.url} target="_blank" rel="noreferrer">
            {t('viewer.openPdf')}
          </a>
        </object>
      );
    case 'video':
      return <video src={document.url} controls aria-label={document.title} />;
    case 'sr':
      return (
        <article>
          <h2 dir="auto">{document.title}</h2>
          <p>
            {formatDate(document.date, i18n.language)} · {document.completion} ·{' '}
            {document.verified ? t('viewer.verified') : t('viewer.unverified')}
          </p>
          <Nodes nodes={document.nodes} />
          {document.truncated ? <p role="alert">{t('viewer.truncated')}</p> : null}
        </article>
      );
    case 'waveform':
      return (
        <article>
          <h2 dir="auto">{document.title}</h2>
          {document.groups.flatMap((group, at) =>
            group.channels.map((channel, number) => (
              <figure key={`${at} ${number}`}>
                <figcaption>
                  {group.label} {channel.label} ({channel.unit}, {group.samplingFrequency} Hz)
                </figcaption>
                <svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label={channel.label}>
                  <path d={tracePath(samplesOf(channel.samples), 1000, 100)} />
                </svg>
              </figure>
            )),
          )}
          {document.annotations.map((line, at) => (
            <p key={at} dir="auto">
              {line}
            </p>
          ))}
        </article>
      );
    case 'none':
      return (
        <div className="tile reason" role="alert" data-testid="reason-tile">
          <strong>{document.title || t('viewer.cannotShow')}</strong>
          <p>{document.reason}</p>
        </div>
      );
    default:
      return document satisfies never;
  }
}

function Nodes({ nodes }: { nodes: readonly SrNode[] }) {
  return (
    <ul>
      {nodes.map((node, at) => (
        <li key={at} dir="auto">
          {node.name ? <strong>{node.name}: </strong> : null}
          {node.value}
          {node.children.length > 0 ? <Nodes nodes={node.children} /> : null}
        </li>
      ))}
    </ul>
  );
}
