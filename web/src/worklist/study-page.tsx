/** One study: whose it is, what was done, its series. Layer: web/worklist. */
import { Alert, Button, Text } from '@mantine/core';
import { IconAlertTriangle, IconDownload, IconEdit, IconEye, IconSend } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { live } from '../api/live.ts';
import { readStudy, seriesThumbnail, type Detail } from '../api/studies.ts';
import { formatDate, formatTime, personName } from '../ui/format.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';
import { Thumbnail } from './thumbnail.tsx';

const ExportDialog = lazy(async () => ({ default: (await import('./export-dialog.tsx')).ExportDialog }));

const SendDialog = lazy(async () => ({ default: (await import('./send-dialog.tsx')).SendDialog }));

const CorrectDialog = lazy(async () => ({ default: (await import('./correct-dialog.tsx')).CorrectDialog }));

interface May {
  readonly mayCorrect: boolean;
  readonly mayExport: boolean;
  readonly maySend: boolean;
}

export function StudyPage(may: May) {
  const { studyUid = '' } = useParams({ strict: false }) as { studyUid?: string };
  const client = useQueryClient();
  const study = useQuery({
    queryKey: ['study', studyUid],
    queryFn: ({ signal }) => readStudy(studyUid, signal),
  });
  useEffect(
    () =>
      live.onNews((news) => {
        if ('studyUid' in news && news.studyUid === studyUid)
          void client.invalidateQueries({ queryKey: ['study', studyUid] });
      }),
    [client, studyUid],
  );
  if (study.error) return <ProblemAlert error={study.error} onRetry={() => void study.refetch()} />;
  return study.data ? <Shown study={study.data} {...may} /> : <Loading />;
}

function Shown({ study, mayCorrect, mayExport, maySend }: May & { study: Detail }) {
  const { t, i18n } = useTranslation();
  const [exporting, setExporting] = useState(false);
  const [sending, setSending] = useState(false);
  const [correcting, setCorrecting] = useState(false);
  const name = personName(study.patientName);
  const facts = [
    [t('list.column.patientId'), study.patientId],
    [t('list.column.birthDate'), formatDate(study.birthDate, i18n.language)],
    [t('list.column.sex'), study.sex],
    [t('list.column.date'), `${formatDate(study.date, i18n.language)} ${formatTime(study.time)}`],
    [t('list.column.accession'), study.accession],
    [t('list.column.description'), study.description],
    [t('study.referrer'), study.referrer.replaceAll('^', ' ').trim()],
  ].filter(([, value]) => value?.trim());
  return (
    <Page
      title={[name.main, name.beside].filter(Boolean).join(' · ') || t('list.noName')}
      actions={
        <>
          {mayCorrect ? (
            <Button
              variant="default"
              leftSection={<IconEdit size={18} />}
              onClick={() => setCorrecting(true)}
            >
              {t('correct.open')}
            </Button>
          ) : null}
          {maySend ? (
            <Button variant="default" leftSection={<IconSend size={18} />} onClick={() => setSending(true)}>
              {t('send.open')}
            </Button>
          ) : null}
          {mayExport ? (
            <Button
              variant="default"
              leftSection={<IconDownload size={18} />}
              onClick={() => setExporting(true)}
            >
              {t('export.open')}
            </Button>
          ) : null}
          <Button
            leftSection={<IconEye size={18} />}
            renderRoot={(rest) => (
              <Link to="/viewer/$studyUid" params={{ studyUid: study.studyUid }} {...rest} />
            )}
          >
            {t('study.open')}
          </Button>
        </>
      }
    >
      {exporting ? (
        <Suspense fallback={null}>
          <ExportDialog studyUids={[study.studyUid]} onClose={() => setExporting(false)} />
        </Suspense>
      ) : null}
      {correcting ? (
        <Suspense fallback={null}>
          <CorrectDialog study={study} onClose={() => setCorrecting(false)} />
        </Suspense>
      ) : null}
      {sending ? (
        <Suspense fallback={null}>
          <SendDialog studyUids={[study.studyUid]} onClose={() => setSending(false)} />
        </Suspense>
      ) : null}
      <dl className="facts">
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd dir="auto">{value}</dd>
          </div>
        ))}
      </dl>
      {study.corrected ? <p className="corrected">{t('correct.mark')}</p> : null}
      {study.arriving ? <p className="arriving">{t('list.arriving')}</p> : null}
      {study.warnings?.length || study.series.some((one) => one.otherPatient) ? (
        <Alert color="orange" role="alert" mb="md" icon={<IconAlertTriangle aria-hidden />}>
          {t('viewer.mismatch')}
        </Alert>
      ) : null}
      <div className="series-grid">
        {study.series.map((series) => (
          <Link
            key={series.seriesUid}
            className="series-card"
            to="/viewer/$studyUid"
            params={{ studyUid: study.studyUid }}
            search={{ series: series.seriesUid }}
          >
            <Thumbnail
              src={seriesThumbnail(study.studyUid, series)}
              size={152}
              image={series.kind === 'image'}
            />
            <Text fw={600} truncate title={series.description} dir="auto">
              {series.description || t('study.series', { number: series.number ?? '' })}
            </Text>
            <Text size="sm" c="dimmed">
              {series.modality} · {t('study.objects', { count: series.instanceCount })}
              {series.frameCount > series.instanceCount
                ? ` · ${t('study.frames', { count: series.frameCount })}`
                : ''}
            </Text>
          </Link>
        ))}
      </div>
    </Page>
  );
}
