/** The study list: what a radiologist's day begins with. Layer: web/worklist. */
import { ActionIcon, Button, Code, Modal, Skeleton, Stack, Table, Text } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconDownload, IconEye, IconSend, IconStack2 } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { readStatus } from '../api/admin.ts';
import { studyThumbnail, type ListQuery, type Study } from '../api/studies.ts';
import { formatDate, formatNumber, formatTime, personName } from '../ui/format.ts';
import { Empty, ProblemAlert, usePageTitle } from '../ui/page.tsx';
import { Filters } from './filters.tsx';
import { isFiltered } from './list-model.ts';
import { Thumbnail } from './thumbnail.tsx';
import { useStudies } from './use-studies.ts';

const ROW = 52;
const CARD = 84;
const NARROW = '(max-width: 699px)';
/** Kept in memory only: a filter holds names, which belong neither in an address nor on a disk. */
let remembered: ListQuery = { sort: 'date', descending: true };

const COLUMNS = [
  { key: 'thumbnail' },
  { key: 'patientName', sort: 'patientName' },
  { key: 'patientId', sort: 'patientId' },
  { key: 'birthDate', sort: 'birthDate' },
  { key: 'sex' },
  { key: 'modality', sort: 'modality' },
  { key: 'description', sort: 'description' },
  { key: 'date', sort: 'date' },
  { key: 'accession', sort: 'accession' },
  { key: 'counts' },
  { key: 'open' },
] as const;

const ExportDialog = lazy(async () => ({ default: (await import('./export-dialog.tsx')).ExportDialog }));

const SendDialog = lazy(async () => ({ default: (await import('./send-dialog.tsx')).SendDialog }));

export function StudyListPage(props: { mayStore: boolean; mayExport: boolean; maySend: boolean }) {
  const { mayStore, mayExport, maySend } = props;
  const { t, i18n } = useTranslation();
  usePageTitle(t('nav.studies'));
  const navigate = useNavigate();
  const [query, setQuery] = useState(remembered);
  const [selected, setSelected] = useState<string>();
  const [help, setHelp] = useState(false);
  const [exported, setExported] = useState<string>();
  const [sent, setSent] = useState<string>();
  const [narrow, setNarrow] = useState(() => window.matchMedia(NARROW).matches);
  const list = useStudies(query);
  const scroller = useRef<HTMLDivElement>(null);
  const searchBox = useRef<HTMLInputElement>(null);
  const rows = list.rows;
  const change = (next: ListQuery) => {
    remembered = next;
    setQuery(next);
    scroller.current?.scrollTo({ top: 0 });
  };
  useEffect(() => {
    const media = window.matchMedia(NARROW);
    const changed = () => setNarrow(media.matches);
    media.addEventListener('change', changed);
    return () => media.removeEventListener('change', changed);
  }, []);
  const height = narrow ? CARD : ROW;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    getItemKey: (index) => rows[index]?.studyUid ?? index,
    overscan: 8,
  });
  useEffect(() => virtual.measure(), [height, virtual]);
  const items = virtual.getVirtualItems();
  const lastIndex = items.at(-1)?.index ?? 0;
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && lastIndex >= rows.length - 15) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage, lastIndex, rows.length]);

  const open = (studyUid: string) => void navigate({ to: '/viewer/$studyUid', params: { studyUid } });
  const keys = useRef<(event: KeyboardEvent) => void>(() => undefined);
  useEffect(() => {
    keys.current = (event) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest('input, textarea, select, [role=dialog], [role=menu], [role=listbox]')) return;
      if (event.key === '/') {
        event.preventDefault();
        searchBox.current?.focus();
      } else if (event.key === '?') setHelp(true);
      else if (event.key === 'e' && selected && mayExport) setExported(selected);
      else if (event.key === 's' && selected && maySend) setSent(selected);
      else if (event.key === 'Enter' && selected && !target.closest('a, button')) open(selected);
      else if (
        ['ArrowDown', 'ArrowUp', 'Home', 'End', 'PageDown', 'PageUp'].includes(event.key) &&
        rows.length
      ) {
        event.preventDefault();
        list.touch();
        const at = rows.findIndex(({ studyUid }) => studyUid === selected);
        const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
        const wanted =
          event.key === 'Home' ? 0 : event.key === 'End' ? rows.length - 1 : at + (steps[event.key] ?? 0);
        const next = Math.min(rows.length - 1, Math.max(0, wanted));
        setSelected(rows[next]?.studyUid);
        virtual.scrollToIndex(next, { align: 'auto' });
      }
    };
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => keys.current(event);
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);

  const sortBy = (sort: NonNullable<ListQuery['sort']>) =>
    change({ ...query, sort, descending: query.sort === sort ? !query.descending : sort === 'date' });
  const empty = !rows.length && list.isSuccess;
  return (
    <main id="main" style={{ display: 'flex', flexDirection: 'column', flex: 1, minHeight: 0 }}>
      <h1 hidden>{t('nav.studies')}</h1>
      <Filters query={query} onChange={change} searchBox={searchBox} mayStore={mayStore} />
      <Text size="xs" c="dimmed" px="md" pt={8} role="status">
        {list.totalIsEstimate ? '≈ ' : ''}
        {t('list.count', { count: list.total, shown: formatNumber(list.total, i18n.language) })}
        {list.held ? (
          <Button size="compact-xs" ml="md" onClick={list.showHeld}>
            {t('list.held', { count: list.held })}
          </Button>
        ) : null}
      </Text>
      {list.error ? <ProblemAlert error={list.error} onRetry={() => void list.refetch()} /> : null}
      <div
        ref={scroller}
        className="list"
        role="grid"
        tabIndex={0}
        aria-label={t('nav.studies')}
        aria-rowcount={list.total + 1}
        aria-busy={list.isFetching}
        aria-activedescendant={selected ? `study-${selected}` : undefined}
        onPointerMove={list.touch}
        onWheel={list.touch}
      >
        <div className="list-head" role="row" aria-rowindex={1}>
          {COLUMNS.map((column) => {
            const label = t(`list.column.${column.key}`);
            if (!('sort' in column))
              return (
                <span key={column.key} role="columnheader">
                  {column.key === 'thumbnail' || column.key === 'open' ? '' : label}
                </span>
              );
            const active = query.sort === column.sort;
            const Arrow = query.descending ? IconArrowDown : IconArrowUp;
            return (
              <span
                key={column.key}
                role="columnheader"
                aria-sort={active ? (query.descending ? 'descending' : 'ascending') : 'none'}
              >
                <button type="button" data-active={active} onClick={() => sortBy(column.sort)}>
                  {label}
                  {active ? <Arrow size={14} aria-hidden /> : null}
                </button>
              </span>
            );
          })}
        </div>
        {list.isPending ? <Bones /> : null}
        {empty ? (
          isFiltered(query) ? (
            <NothingFound onClear={() => change({})} />
          ) : (
            <HowToSend mayStore={mayStore} />
          )
        ) : null}
        <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {items.map((item) => {
            const study = rows[item.index];
            return study ? (
              <Row
                key={item.key}
                study={study}
                index={item.index}
                top={item.start}
                selected={study.studyUid === selected}
                onSelect={() => setSelected(study.studyUid)}
                onOpen={() => open(study.studyUid)}
                onExport={mayExport ? () => setExported(study.studyUid) : undefined}
                onSend={maySend ? () => setSent(study.studyUid) : undefined}
              />
            ) : null;
          })}
        </div>
      </div>
      <Help opened={help} onClose={() => setHelp(false)} />
      {exported ? (
        <Suspense fallback={null}>
          <ExportDialog studyUid={exported} onClose={() => setExported(undefined)} />
        </Suspense>
      ) : null}
      {sent ? (
        <Suspense fallback={null}>
          <SendDialog studyUid={sent} onClose={() => setSent(undefined)} />
        </Suspense>
      ) : null}
    </main>
  );
}

function Row(props: {
  study: Study;
  index: number;
  top: number;
  selected: boolean;
  onSelect: () => void;
  onOpen: () => void;
  onExport: (() => void) | undefined;
  onSend: (() => void) | undefined;
}) {
  const { t, i18n } = useTranslation();
  const { study } = props;
  const name = personName(study.patientName);
  const date = `${formatDate(study.date, i18n.language)} ${formatTime(study.time)}`;
  const counts = `${study.seriesCount} / ${study.instanceCount}`;
  const arriving = study.arriving ? <span className="arriving">{t('list.arriving')}</span> : null;
  const corrected = study.corrected ? (
    <span className="corrected" title={t('correct.mark')}>
      {t('list.corrected')}
    </span>
  ) : null;
  return (
    <div
      className="list-row"
      role="row"
      id={`study-${study.studyUid}`}
      data-testid="study-row"
      data-study-uid={study.studyUid}
      aria-rowindex={props.index + 2}
      aria-selected={props.selected}
      style={{ transform: `translateY(${props.top}px)` }}
      onClick={props.onSelect}
      onDoubleClick={props.onOpen}
    >
      <span role="gridcell">
        <Thumbnail src={studyThumbnail(study.studyUid)} size={44} />
      </span>
      <span role="gridcell">
        <Link className="name" to="/studies/$studyUid" params={{ studyUid: study.studyUid }} dir="auto">
          {name.main || t('list.noName')}
        </Link>
        {name.beside ? <span className="beside">{name.beside}</span> : null}
        {corrected}
        <span className="card-lines">
          <br />
          {study.modalities.join(' ')} · {study.description || '–'} {arriving}
          <br />
          <Text span size="sm" c="dimmed">
            {study.patientId} · {date} · {counts}
          </Text>
        </span>
      </span>
      <span role="gridcell" className="wide" title={study.patientId}>
        {study.patientId}
      </span>
      <span role="gridcell" className="wide">
        {formatDate(study.birthDate, i18n.language)}
      </span>
      <span role="gridcell" className="wide">
        {study.sex}
      </span>
      <span role="gridcell" className="wide">
        {study.modalities.map((modality) => (
          <span key={modality} className="modality">
            {modality}
          </span>
        ))}
      </span>
      <span role="gridcell" className="wide" title={study.description} dir="auto">
        {study.description}
        {arriving}
      </span>
      <span role="gridcell" className="wide">
        {date}
      </span>
      <span role="gridcell" className="wide" title={study.accession}>
        {study.accession}
      </span>
      <span role="gridcell" className="wide" title={t('list.column.counts')}>
        {counts}
      </span>
      <span role="gridcell">
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          title={t('study.open')}
          aria-label={t('study.open')}
          onClick={props.onOpen}
        >
          <IconEye size={20} />
        </ActionIcon>
        {props.onExport ? (
          <ActionIcon
            className="wide"
            variant="subtle"
            color="gray"
            size="lg"
            title={t('export.open')}
            aria-label={t('export.open')}
            onClick={props.onExport}
          >
            <IconDownload size={20} />
          </ActionIcon>
        ) : null}
        {props.onSend ? (
          <ActionIcon
            className="wide"
            variant="subtle"
            color="gray"
            size="lg"
            title={t('send.open')}
            aria-label={t('send.open')}
            onClick={props.onSend}
          >
            <IconSend size={20} />
          </ActionIcon>
        ) : null}
      </span>
    </div>
  );
}

function Bones() {
  return (
    <Stack p="md" gap="xs" aria-hidden>
      {Array.from({ length: 10 }, (_, index) => (
        <Skeleton key={index} height={44} />
      ))}
    </Stack>
  );
}

function NothingFound({ onClear }: { onClear: () => void }) {
  const { t } = useTranslation();
  return (
    <Empty icon={<IconStack2 size={48} />} title={t('list.nothing')}>
      <Button variant="default" onClick={onClear}>
        {t('list.clear')}
      </Button>
    </Empty>
  );
}

function HowToSend({ mayStore }: { mayStore: boolean }) {
  const { t } = useTranslation();
  // Only some may read the status; others see the default address.
  const status = useQuery({ queryKey: ['status'], queryFn: readStatus, retry: false });
  const { aeTitle = 'LIGHTBOX', port = 11112 } = status.data?.dicom ?? {};
  const host = window.location.hostname;
  return (
    <Empty icon={<IconStack2 size={48} />} title={t('list.empty')}>
      <Text>{t('list.emptySend', { aeTitle, host, port })}</Text>
      <Code block>{`storescu -aec ${aeTitle} ${host} ${port} image.dcm`}</Code>
      {mayStore ? <Text>{t('list.emptyDrop')}</Text> : null}
    </Empty>
  );
}

const SHORTCUTS = ['↑ ↓', 'Enter', '/', 'Home End', '?', 'E', 'S'] as const;

function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t('help.title')}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Table>
        <Table.Tbody>
          {SHORTCUTS.map((keys, index) => (
            <Table.Tr key={keys}>
              <Table.Td>
                <Code>{keys}</Code>
              </Table.Td>
              <Table.Td>{t(`help.${index}`)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
