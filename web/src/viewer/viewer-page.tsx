/** The viewer: whose study it is above, series at the side, the grid, tools and keys. Layer: web/viewer. */
import './viewer.css';
import { ActionIcon, Alert, Button, Modal, Table } from '@mantine/core';
import { IconArrowLeft } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { live } from '../api/live.ts';
import { readStudy, type Detail } from '../api/studies.ts';
import { chooseTool, forgetImages, type ImageView, type ViewState } from '../engine/engine.ts';
import { nameMeasurements, type ToolName } from '../engine/tools.ts';
import { formatDate, personName } from '../ui/format.ts';
import { Loading, ProblemAlert, usePageTitle } from '../ui/page.tsx';
import { Cell } from './cell.tsx';
import { KEYS, TOOL_KEYS, greyOfKey } from './keys.ts';
import { LAYOUTS, hang, type Layout } from './presets.ts';
import { Strip } from './strip.tsx';
import { Toolbar, type ActionName } from './toolbar.tsx';

export interface ViewerProps {
  readonly studyUid: string;
  readonly seriesUid?: string;
  readonly onBack: () => void;
}

export function ViewerPage(props: ViewerProps) {
  const { studyUid, onBack } = props;
  const { t } = useTranslation();
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
  useEffect(() => () => forgetImages(), [studyUid]);
  if (study.error)
    return (
      <main id="main" className="viewer" style={{ padding: 24 }}>
        <ProblemAlert error={study.error} onRetry={() => void study.refetch()} />
        <Button variant="default" w="fit-content" onClick={onBack}>
          {t('common.back')}
        </Button>
      </main>
    );
  if (!study.data)
    return (
      <main id="main" className="viewer">
        <Loading />
      </main>
    );
  // The key: another study starts from nothing, no image of the one before stays.
  return <Viewer key={studyUid} {...props} study={study.data} />;
}

function Viewer({ study, seriesUid, onBack }: ViewerProps & { study: Detail }) {
  const { t, i18n } = useTranslation();
  const [layout, setLayout] = useState<Layout>(LAYOUTS[0]);
  const [cells, setCells] = useState(() => hang(study.series, 9, seriesUid));
  const [active, setActive] = useState(0);
  const [tool, setTool] = useState<ToolName>('window');
  const [overlays, setOverlays] = useState(true);
  const [rate, setRate] = useState(0);
  const [help, setHelp] = useState(false);
  const [state, setState] = useState<ViewState | null>(null);
  const view = useRef<ImageView | null>(null);
  const onView = useCallback((next: ImageView | null) => {
    view.current?.cine(0);
    setRate(0);
    setState(null);
    view.current = next;
  }, []);
  // Tools are of the page, not of the viewer that was open before.
  useEffect(() => chooseTool('window'), []);
  useEffect(
    () =>
      nameMeasurements({
        area: t('viewer.word.area'),
        mean: t('viewer.word.mean'),
        deviation: t('viewer.word.deviation'),
        range: t('viewer.word.range'),
      }),
    [t],
  );
  const name = personName(study.patientName);
  const shown = [name.main, name.beside].filter(Boolean).join(' · ') || t('list.noName');
  usePageTitle(shown);
  const count = layout.rows * layout.columns;
  const seriesOf = (cell: number) => study.series.find((one) => one.seriesUid === cells[cell]);
  const pick = (next: ToolName): void => {
    setTool(next);
    chooseTool(next);
  };
  const put = (cell: number, uid: string): void => {
    setCells((before) => before.map((one, at) => (at === cell ? uid : one)));
    setActive(cell);
  };
  const play = (next: number): void => setRate(view.current?.cine(next) ? next : 0);
  const toggleCine = (): void => play(rate > 0 ? 0 : (view.current?.fileRate ?? 0));
  const act = (action: ActionName): void => {
    if (action === 'erase') view.current?.removeMeasurement();
    else view.current?.[action]();
  };

  /** Beside the document that points at it: in the cell where it already is, else in the next one, made if need be. */
  const openBeside = (cell: number, uid: string): void => {
    const shownAt = cells.slice(0, count).indexOf(uid);
    if (shownAt >= 0) return setActive(shownAt);
    if (count === 1) setLayout(LAYOUTS[1]);
    put(count === 1 ? 1 : (cell + 1) % count, uid);
  };

  const onKey = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || help) return;
    if (target.closest('input[type=text], [role=menu], [role=dialog]')) return;
    // A document scrolls and is read with the browser's own keys.
    if (target.closest('.document')) return;
    const images: Readonly<Record<string, () => void>> = {
      ArrowDown: () => view.current?.scroll(1),
      ArrowUp: () => view.current?.scroll(-1),
      PageDown: () => view.current?.scroll(10),
      PageUp: () => view.current?.scroll(-10),
      Home: () => void view.current?.goTo(0),
      End: () => void view.current?.goTo(Number.MAX_SAFE_INTEGER),
      i: () => act('invert'),
      r: () => act('rotate'),
      h: () => act('flip'),
      f: () => act('fit'),
      0: () => act('reset'),
      Delete: () => act('erase'),
      Backspace: () => act('erase'),
      c: toggleCine,
      '[': () => (rate > 0 ? play(Math.max(1, Math.round(rate * 0.8))) : undefined),
      ']': () => (rate > 0 ? play(Math.min(60, Math.ceil(rate * 1.25))) : undefined),
      o: () => setOverlays(!overlays),
      '+': () => view.current?.zoom(1.25),
      '-': () => view.current?.zoom(0.8),
      Escape: () => (view.current?.cancel() ? undefined : onBack()),
      '?': () => setHelp(true),
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const grey = greyOfKey(view.current?.choices() ?? [], key);
    const wanted = TOOL_KEYS[key];
    if (wanted) pick(wanted);
    else if (grey) void view.current?.grey(grey);
    else if (images[key]) images[key]();
    else return;
    event.preventDefault();
  };
  const newest = useRef(onKey);
  useEffect(() => {
    newest.current = onKey;
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => newest.current(event);
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);

  return (
    <main id="main" className="viewer">
      <header className="viewer-head">
        <ActionIcon
          className="tool"
          variant="transparent"
          size={36}
          aria-label={t('common.back')}
          data-testid="viewer-back"
          onClick={onBack}
        >
          <IconArrowLeft size={22} stroke={1.6} />
        </ActionIcon>
        <div className="viewer-who">
          <h1 dir="auto" data-testid="viewer-patient">
            {shown}
          </h1>
          <span>
            {[study.patientId, formatDate(study.birthDate, i18n.language), study.sex]
              .filter(Boolean)
              .join(' · ')}
          </span>
        </div>
        <div className="viewer-study" dir="auto">
          {[formatDate(study.date, i18n.language), study.description, study.accession]
            .filter(Boolean)
            .join(' · ')}
        </div>
        <Toolbar
          tool={tool}
          onTool={pick}
          onAction={act}
          inverted={state?.inverted ?? false}
          choices={() => view.current?.choices() ?? []}
          onGrey={(choice) => void view.current?.grey(choice)}
          rate={rate}
          canPlay={(seriesOf(active)?.frameCount ?? 0) > 1}
          onPlay={toggleCine}
          onRate={play}
          overlays={overlays}
          onOverlays={() => setOverlays(!overlays)}
          layout={layout}
          onLayout={(next) => {
            setLayout(next);
            setActive(0);
          }}
          onHelp={() => setHelp(true)}
        />
      </header>
      {study.warnings?.length || study.series.some((one) => one.otherPatient) ? (
        <Alert color="orange" variant="filled" role="alert" p="xs" radius={0}>
          {t('viewer.mismatch')}
        </Alert>
      ) : null}
      <div className="viewer-body">
        <Strip
          study={study}
          current={cells[active]}
          shown={new Set(cells.slice(0, count))}
          onPick={(uid) => put(active, uid)}
        />
        <div
          className="grid"
          data-many={count > 1}
          style={{
            gridTemplateColumns: `repeat(${layout.columns}, minmax(0, 1fr))`,
            gridTemplateRows: `repeat(${layout.rows}, minmax(0, 1fr))`,
          }}
        >
          {cells.slice(0, count).map((_, cell) => (
            <Cell
              key={cell}
              studyUid={study.studyUid}
              series={seriesOf(cell)}
              active={active === cell}
              label={t('viewer.cell', { number: cell + 1 })}
              overlays={overlays}
              onActivate={() => setActive(cell)}
              onView={onView}
              onState={setState}
              onDropSeries={(uid) => put(cell, uid)}
              onOpenSeries={(uid) => openBeside(cell, uid)}
            />
          ))}
        </div>
      </div>
      <Modal
        opened={help}
        onClose={() => setHelp(false)}
        title={t('viewer.help')}
        closeButtonProps={{ 'aria-label': t('common.close') }}
      >
        <Table>
          <Table.Tbody>
            {KEYS.map(([key, what]) => (
              <Table.Tr key={key}>
                <Table.Td>
                  {key.split(' ').map((one) => (
                    <kbd key={one}>{one}</kbd>
                  ))}
                </Table.Td>
                <Table.Td>{t(`viewer.${what}`)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Modal>
    </main>
  );
}
