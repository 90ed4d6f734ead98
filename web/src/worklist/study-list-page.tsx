/** The study list: what a radiologist's day begins with. Layer: web/worklist. */
import { Button, Code, Group, Modal, Skeleton, Stack, Table, Text } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconDownload, IconSend, IconStack2, IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { readStatus } from '../api/admin.ts';
import type { ListQuery } from '../api/studies.ts';
import { formatNumber } from '../ui/format.ts';
import { Empty, ProblemAlert, usePageTitle } from '../ui/page.tsx';
import { Filters } from './filters.tsx';
import { isFiltered } from './list-model.ts';
import { StudyRow } from './study-row.tsx';
import { useStudies } from './use-studies.ts';

const ROW = 52;
const CARD = 84;
/** As many as one request may name. */
const MOST_MARKED = 500;
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
  const [exported, setExported] = useState<readonly string[]>([]);
  const [sent, setSent] = useState<readonly string[]>([]);
  /** Chosen to be sent or taken away together; they stay chosen while the list is searched. */
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const mark = (studyUid: string) => {
    const next = new Set(marked);
    if (!next.delete(studyUid) && next.size < MOST_MARKED) next.add(studyUid);
    setMarked(next);
  };
  /** What a key is about: those chosen, else the one the cursor is on. */
  const meant = marked.size ? [...marked] : selected ? [selected] : [];
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
      // A dialog has the keys, wherever the focus went.
      if (event.ctrlKey || event.metaKey || event.altKey || help || exported.length || sent.length) return;
      if (target.closest('input, textarea, select, [role=dialog], [role=menu], [role=listbox]')) return;
      if (event.key === '/') {
        event.preventDefault();
        searchBox.current?.focus();
      } else if (event.key === '?') setHelp(true);
      else if (event.key === 'e' && mayExport) setExported(meant);
      else if (event.key === 's' && maySend) setSent(meant);
      else if (event.key === 'x' && selected && (mayExport || maySend)) mark(selected);
      else if (event.key === 'Escape') setMarked(new Set());
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
      {marked.size ? (
        <Group className="marked" gap="xs" px="md" role="status" data-testid="marked">
          <Text size="sm">{t('list.marked', { count: marked.size })}</Text>
          {maySend ? (
            <Button
              size="compact-sm"
              leftSection={<IconSend size={14} />}
              onClick={() => setSent([...marked])}
            >
              {t('send.open')}
            </Button>
          ) : null}
          {mayExport ? (
            <Button
              size="compact-sm"
              variant="default"
              leftSection={<IconDownload size={14} />}
              onClick={() => setExported([...marked])}
            >
              {t('export.open')}
            </Button>
          ) : null}
          <Button
            size="compact-sm"
            variant="subtle"
            color="gray"
            leftSection={<IconX size={14} />}
            onClick={() => setMarked(new Set())}
          >
            {t('list.unmark')}
          </Button>
        </Group>
      ) : null}
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
              <StudyRow
                key={item.key}
                study={study}
                index={item.index}
                top={item.start}
                selected={study.studyUid === selected}
                marked={mayExport || maySend ? marked.has(study.studyUid) : undefined}
                onSelect={() => setSelected(study.studyUid)}
                onMark={() => mark(study.studyUid)}
                onOpen={() => open(study.studyUid)}
                onExport={mayExport ? () => setExported([study.studyUid]) : undefined}
                onSend={maySend ? () => setSent([study.studyUid]) : undefined}
              />
            ) : null;
          })}
        </div>
      </div>
      <Help opened={help} onClose={() => setHelp(false)} />
      {exported.length ? (
        <Suspense fallback={null}>
          <ExportDialog studyUids={exported} onClose={() => setExported([])} />
        </Suspense>
      ) : null}
      {sent.length ? (
        <Suspense fallback={null}>
          <SendDialog studyUids={sent} onClose={() => setSent([])} />
        </Suspense>
      ) : null}
    </main>
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

const SHORTCUTS = ['↑ ↓', 'Enter', '/', 'Home End', '?', 'E', 'S', 'X'] as const;

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
