/** A study another archive has: whose it is, what of it is here, its series, and fetching. Layer: web/share. */
import { ActionIcon, Alert, Button, Checkbox, Table, Text } from '@mantine/core';
import { IconAlertTriangle, IconChevronDown, IconChevronRight, IconDownload } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { listRemoteSeries, type OtherSystem } from '../api/transfers.ts';
import { formatDate, formatTime, personName } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';
import type { Match } from './use-search.ts';

const COLUMN_COUNT = 12;

export function ArchiveMatch(props: {
  match: Match;
  archive: OtherSystem | undefined;
  /** Chosen, to be fetched with others; undefined: this person may not fetch. */
  marked: boolean | undefined;
  onMark: () => void;
  onFetch: ((seriesUid?: string) => void) | undefined;
}) {
  const { t, i18n } = useTranslation();
  const [open, setOpen] = useState(false);
  const { study } = props.match;
  const name = personName(study.patientName);
  const there = study.instanceCount === null ? '?' : `${study.seriesCount ?? '?'} / ${study.instanceCount}`;
  const Chevron = open ? IconChevronDown : IconChevronRight;
  return (
    <>
      <Table.Tr
        data-testid="archive-row"
        data-study-uid={study.studyUid}
        data-here={study.here?.instances ?? 0}
      >
        <Table.Td style={{ whiteSpace: 'nowrap' }}>
          {props.marked === undefined ? null : (
            <Checkbox
              display="inline-block"
              size="xs"
              mr={4}
              style={{ verticalAlign: 'middle' }}
              aria-label={t('list.mark', { name: name.main || t('list.noName') })}
              checked={props.marked}
              onChange={props.onMark}
            />
          )}
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={t('archives.series')}
            aria-expanded={open}
            onClick={() => setOpen(!open)}
          >
            <Chevron size={18} />
          </ActionIcon>
        </Table.Td>
        <Table.Td ff="monospace">{props.archive?.aeTitle}</Table.Td>
        <Table.Td dir="auto">
          <Text fw={600} size="sm">
            {name.main || t('list.noName')}
          </Text>
          {name.beside ? <Text size="sm">{name.beside}</Text> : null}
        </Table.Td>
        <Table.Td>{study.patientId}</Table.Td>
        <Table.Td>{formatDate(study.birthDate, i18n.language)}</Table.Td>
        <Table.Td>
          {formatDate(study.date, i18n.language)} {formatTime(study.time)}
        </Table.Td>
        <Table.Td>{study.modalities.join(' ')}</Table.Td>
        <Table.Td dir="auto">{study.description}</Table.Td>
        <Table.Td>{study.accession}</Table.Td>
        <Table.Td>{there}</Table.Td>
        <Table.Td>
          <Here match={props.match} />
        </Table.Td>
        <Table.Td>
          {props.onFetch ? (
            <Button
              size="compact-sm"
              leftSection={<IconDownload size={14} />}
              data-testid="archive-fetch"
              onClick={() => props.onFetch?.()}
            >
              {t('archives.fetch')}
            </Button>
          ) : null}
        </Table.Td>
      </Table.Tr>
      {open ? (
        <Table.Tr>
          <Table.Td colSpan={COLUMN_COUNT} pl={48}>
            <SeriesOf match={props.match} onFetch={props.onFetch} />
          </Table.Td>
        </Table.Tr>
      ) : null}
    </>
  );
}

function Here({ match: { study } }: { match: Match }) {
  const { t } = useTranslation();
  const { here, instanceCount } = study;
  if (!here) return <Text size="sm">{t('archives.notHere')}</Text>;
  if (!here.samePatient)
    return (
      <Alert color="red" p="xs" icon={<IconAlertTriangle aria-hidden />}>
        {t('archives.otherPatient')}
      </Alert>
    );
  const whole = instanceCount !== null && here.instances >= instanceCount;
  return (
    <Link to="/studies/$studyUid" params={{ studyUid: study.studyUid }}>
      {whole ? '✓ ' : ''}
      {here.series} / {here.instances}
    </Link>
  );
}

function SeriesOf({ match, onFetch }: Pick<Parameters<typeof ArchiveMatch>[0], 'match' | 'onFetch'>) {
  const { t } = useTranslation();
  const { deviceId, study } = match;
  const series = useQuery({
    // What is here of it changes while it is fetched.
    queryKey: ['remote-series', deviceId, study.studyUid, study.here?.instances],
    queryFn: () => listRemoteSeries(deviceId, study.studyUid),
    placeholderData: (previous) => previous,
  });
  if (series.error) return <ProblemAlert error={series.error} onRetry={() => void series.refetch()} />;
  if (!series.data) return <Loading />;
  if (series.data.length === 0) return <Text size="sm">{t('archives.noSeries')}</Text>;
  return (
    <Table withRowBorders={false} aria-label={t('archives.series')}>
      <Table.Tbody>
        {series.data.map((one) => (
          <Table.Tr key={one.seriesUid} data-testid="archive-series">
            <Table.Td w={48}>{one.number ?? ''}</Table.Td>
            <Table.Td w={70}>{one.modality}</Table.Td>
            <Table.Td dir="auto">
              {[one.description, one.bodyPart].filter(Boolean).join(' · ') || '–'}
            </Table.Td>
            <Table.Td>
              {t('archives.seriesCounts', { there: one.instanceCount ?? '?', here: one.here })}
            </Table.Td>
            <Table.Td w={120}>
              {onFetch ? (
                <Button size="compact-xs" variant="default" onClick={() => onFetch(one.seriesUid)}>
                  {t('archives.fetch')}
                </Button>
              ) : null}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
