/** Other archives: search them, see what of it is here, and fetch the rest. Layer: web/share. */
import { Alert, Button, Checkbox, Group, Loader, Select, Table, Text, TextInput } from '@mantine/core';
import { IconAlertTriangle, IconPlayerStop, IconSearch, IconDownload } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import {
  fetchFrom,
  listArchives,
  type Method,
  type OtherSystem,
  type RemoteSearch,
} from '../api/transfers.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';
import { ArchiveMatch } from './archive-match.tsx';
import { TransferTable, useAdvice } from './transfer-line.tsx';
import { keyOf, useSearch, type End } from './use-search.ts';
import { useTransfers } from './use-transfers.ts';

const METHODS: readonly Method[] = ['auto', 'get', 'move'];
const MODALITIES = ['CR', 'CT', 'DX', 'ECG', 'MG', 'MR', 'NM', 'OT', 'PT', 'RF', 'SC', 'SR', 'US', 'XA'];
const COLUMNS = [
  'more',
  'archive',
  'patientName',
  'patientId',
  'birthDate',
  'date',
  'modality',
  'description',
];
const SHOWN_TRANSFERS = 8;
/** As many as one request may name. */
const MOST_SCOPES = 1000;

type Keys = Omit<RemoteSearch, 'deviceIds' | 'limit'>;
const trimmed = (keys: Keys): Keys =>
  Object.fromEntries(Object.entries(keys).filter(([, value]) => value?.trim()));

export function OtherArchivesPage({ mayFetch, mayManage }: { mayFetch: boolean; mayManage: boolean }) {
  const { t } = useTranslation();
  const archives = useQuery({ queryKey: ['archives'], queryFn: listArchives });
  const search = useSearch();
  const [method, setMethod] = useState<Method>('auto');
  const client = useQueryClient();
  const fetching = useMutation({
    mutationFn: (wanted: { deviceId: string; studyUid: string; seriesUid?: string }) => {
      const { deviceId, ...scope } = wanted;
      return fetchFrom(deviceId, [scope], method);
    },
    onSuccess: () => client.invalidateQueries({ queryKey: ['transfers'] }),
  });
  /** Chosen to be fetched together; those of an earlier search do not count. */
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const chosen = search.matches.filter((match) => marked.has(keyOf(match)));
  const mark = (key: string) => {
    const next = new Set(marked);
    if (!next.delete(key)) next.add(key);
    setMarked(next);
  };
  const fetchChosen = useMutation({
    mutationFn: async () => {
      for (const deviceId of new Set(chosen.map((match) => match.deviceId))) {
        const scopes = chosen
          .filter((match) => match.deviceId === deviceId)
          .map(({ study }) => ({ studyUid: study.studyUid }));
        for (let at = 0; at < scopes.length; at += MOST_SCOPES)
          await fetchFrom(deviceId, scopes.slice(at, at + MOST_SCOPES), method);
      }
    },
    onSuccess: () => setMarked(new Set()),
    onSettled: () => client.invalidateQueries({ queryKey: ['transfers'] }),
  });
  const transfers = useTransfers({ kind: 'fetch', limit: SHOWN_TRANSFERS }, mayManage);
  // The latest, and what is not over: the rest stands on the page of transfers.
  const rows = (transfers.data?.items ?? []).filter(
    ({ state }, index) => index === 0 || (state !== 'done' && state !== 'cancelled'),
  );

  // When something has come, the row of its study says what is here now. What was there when the page opened is no news.
  const seen = useRef<ReadonlyMap<string, string>>(undefined);
  const { renew } = search;
  useEffect(() => {
    if (!transfers.data) return;
    const before = seen.current;
    seen.current = new Map(transfers.data.items.map(({ id, state }) => [id, state]));
    for (const row of before ? transfers.data.items : []) {
      if (before?.get(row.id) === row.state || row.state === 'queued' || row.state === 'running') continue;
      for (const studyUid of row.studyUids) renew(row.deviceId, studyUid).catch(() => undefined);
    }
  }, [transfers.data, renew]);

  const byId = new Map((archives.data ?? []).map((one) => [one.id, one]));
  return (
    <Page title={t('archives.title')} intro={t('archives.intro')}>
      <ProblemAlert error={archives.error} onRetry={() => void archives.refetch()} />
      {archives.isPending ? <Loading /> : null}
      {archives.data?.length === 0 ? (
        <Alert color="blue" title={t('archives.noneTitle')}>
          <Link to="/devices">{t('archives.none')}</Link>
        </Alert>
      ) : null}
      {archives.data?.length ? (
        <SearchForm archives={archives.data} search={search} method={method} onMethod={setMethod} />
      ) : null}
      {rows.length ? (
        <section aria-label={t('archives.fetches')}>
          <Text fw={600} mt="md">
            {t('archives.fetches')}
          </Text>
          <TransferTable rows={rows} />
        </section>
      ) : null}
      <ProblemAlert error={search.error ?? fetching.error ?? fetchChosen.error} />
      {search.ends
        .filter((end) => end.code)
        .map((end) => (
          <ArchiveProblem key={end.deviceId} end={end} archive={byId.get(end.deviceId)} />
        ))}
      {search.asked ? (
        <Group gap="xs" my="sm" role="status">
          {search.running ? <Loader size="xs" aria-hidden /> : null}
          <Text size="sm" data-testid="archive-count" data-running={search.running}>
            {search.running ? t('archives.searching') : ''}{' '}
            {t('archives.count', { count: search.matches.length })}
            {search.ends.some((end) => end.more) ? ` ${t('archives.cut')}` : ''}
          </Text>
          {chosen.length ? (
            <Button
              size="compact-sm"
              leftSection={<IconDownload size={14} />}
              loading={fetchChosen.isPending}
              onClick={() => fetchChosen.mutate()}
              data-testid="archive-fetch-marked"
            >
              {t('archives.fetchMarked', { count: chosen.length })}
            </Button>
          ) : null}
        </Group>
      ) : null}
      {search.matches.length ? (
        <Table.ScrollContainer minWidth={1080}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                {COLUMNS.map((name) => (
                  <Table.Th key={name}>
                    {name === 'more' ? (
                      <span className="visually-hidden">{t('archives.series')}</span>
                    ) : name === 'archive' ? (
                      t('archives.archive')
                    ) : (
                      t(`list.column.${name}`)
                    )}
                  </Table.Th>
                ))}
                <Table.Th>{t('list.column.accession')}</Table.Th>
                <Table.Th>{t('archives.there')}</Table.Th>
                <Table.Th>{t('archives.here')}</Table.Th>
                <Table.Th>
                  <span className="visually-hidden">{t('common.actions')}</span>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {search.matches.map((match) => (
                <ArchiveMatch
                  key={keyOf(match)}
                  match={match}
                  archive={byId.get(match.deviceId)}
                  marked={mayFetch ? marked.has(keyOf(match)) : undefined}
                  onMark={() => mark(keyOf(match))}
                  onFetch={
                    mayFetch
                      ? (seriesUid) =>
                          fetching.mutate({
                            ...{ deviceId: match.deviceId, studyUid: match.study.studyUid },
                            ...(seriesUid === undefined ? {} : { seriesUid }),
                          })
                      : undefined
                  }
                />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
    </Page>
  );
}

function ArchiveProblem({ end, archive }: { end: End; archive: OtherSystem | undefined }) {
  const { t } = useTranslation();
  const adviceOf = useAdvice();
  return (
    <Alert
      color="red"
      role="alert"
      my="sm"
      icon={<IconAlertTriangle aria-hidden />}
      title={t('archives.failed', { archive: archive?.aeTitle ?? '' })}
      data-testid="archive-problem"
    >
      {adviceOf(end.code, end.advice)}
    </Alert>
  );
}

function SearchForm(props: {
  archives: readonly OtherSystem[];
  search: ReturnType<typeof useSearch>;
  method: Method;
  onMethod: (method: Method) => void;
}) {
  const { t } = useTranslation();
  const { archives, search } = props;
  const [chosen, setChosen] = useState(() => archives.map(({ id }) => id));
  const [keys, setKeys] = useState<Keys>({});
  const set = (patch: Keys) => setKeys({ ...keys, ...patch });
  const filled = Object.keys(trimmed(keys)).length > 0;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (filled && chosen.length) search.begin({ ...trimmed(keys), deviceIds: chosen });
  };
  const typed = (name: 'patientName' | 'patientId' | 'accession' | 'description', maxLength: number) => (
    <TextInput
      label={t(`list.column.${name}`)}
      name={name}
      maxLength={maxLength}
      value={keys[name] ?? ''}
      onChange={(event) => set({ [name]: event.currentTarget.value })}
    />
  );
  const date = (name: 'birthDate' | 'dateFrom' | 'dateTo', label: string) => (
    <TextInput
      label={label}
      name={name}
      type="date"
      value={dashed(keys[name])}
      onChange={(event) => set({ [name]: event.currentTarget.value.replaceAll('-', '') })}
    />
  );
  return (
    <form onSubmit={submit} data-testid="archive-search">
      <Checkbox.Group label={t('archives.which')} value={chosen} onChange={setChosen} mb="sm">
        <Group mt="xs">
          {archives.map((one) => (
            <Checkbox
              key={one.id}
              value={one.id}
              label={one.description ? `${one.aeTitle} (${one.description})` : one.aeTitle}
            />
          ))}
        </Group>
      </Checkbox.Group>
      <Group align="flex-end" gap="sm">
        {typed('patientName', 64)}
        {typed('patientId', 64)}
        {date('birthDate', t('list.column.birthDate'))}
        {typed('accession', 16)}
        {date('dateFrom', t('list.from'))}
        {date('dateTo', t('list.to'))}
        <Select
          label={t('list.modality')}
          w={110}
          searchable
          clearable
          placeholder={t('list.all')}
          data={MODALITIES}
          value={keys.modality ?? null}
          onChange={(value) => set({ modality: value ?? '' })}
        />
        {typed('description', 64)}
        <Select
          label={t('archives.method')}
          w={190}
          allowDeselect={false}
          data={METHODS.map((value) => ({ value, label: t(`archives.methods.${value}`) }))}
          value={props.method}
          onChange={(value) => props.onMethod(METHODS.find((one) => one === value) ?? 'auto')}
        />
        {search.running ? (
          <Button
            variant="default"
            leftSection={<IconPlayerStop size={18} />}
            onClick={search.end}
            data-testid="archive-stop"
          >
            {t('archives.stop')}
          </Button>
        ) : (
          <Button
            type="submit"
            leftSection={<IconSearch size={18} />}
            disabled={!filled || !chosen.length}
            title={filled ? undefined : t('archives.fill')}
          >
            {t('list.search')}
          </Button>
        )}
      </Group>
    </form>
  );
}

const dashed = (value: string | undefined): string =>
  value && /^\d{8}$/.test(value) ? `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6)}` : '';
