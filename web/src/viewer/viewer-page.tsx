/** The viewer: whose study it is above, series at the side, the grid, tools and keys. Layer: web/viewer. */
import './viewer.css';
import { ActionIcon, Alert, Button, Menu, Modal, Table } from '@mantine/core';
import { IconArrowLeft, IconHelp } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { live } from '../api/live.ts';
import { readStudy, seriesThumbnail, type Detail } from '../api/studies.ts';
import { TOOLS, chooseTool, forgetImages, type ImageView, type ToolName } from '../engine/engine.ts';
import { formatDate, personName } from '../ui/format.ts';
import { Loading, ProblemAlert, usePageTitle } from '../ui/page.tsx';
import { Cell } from './cell.tsx';
import { CT_WINDOWS, LAYOUTS, hang, type Layout } from './presets.ts';

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
        if (news.type !== 'device.refused' && news.studyUid === studyUid)
          void client.invalidateQueries({ queryKey: ['study', studyUid] });
      }),
    [client, studyUid],
  );
  useEffect(() => () => forgetImages(), [studyUid]);
  if (study.error)
    return (
      <main id="main">
        <ProblemAlert error={study.error} onRetry={() => void study.refetch()} />
        <Button onClick={onBack}>{t('common.back')}</Button>
      </main>
    );
  if (!study.data) return <Loading />;
  // The key: another study starts from nothing, no image of the one before stays.
  return <Viewer key={studyUid} {...props} study={study.data} />;
}

const KEYS: readonly (readonly [string, string])[] = [
  ['↑ ↓ PageUp PageDown Home End', 'scroll'],
  ['W', 'tool.window'],
  ['S', 'tool.scroll'],
  ['P', 'tool.pan'],
  ['Z', 'tool.zoom'],
  ['L', 'tool.length'],
  ['A', 'tool.angle'],
  ['E', 'tool.ellipse'],
  ['I', 'invert'],
  ['R', 'rotate'],
  ['H', 'flip'],
  ['F', 'fit'],
  ['+ −', 'zoomKeys'],
  ['0', 'reset'],
  ['C', 'cine'],
  ['O', 'overlays'],
  ['1 – 5', 'windows'],
  ['?', 'help'],
];
const TOOL_KEYS: Readonly<Record<string, ToolName>> = {
  w: 'window',
  s: 'scroll',
  p: 'pan',
  z: 'zoom',
  l: 'length',
  a: 'angle',
  e: 'ellipse',
};

function Viewer({ study, seriesUid, onBack }: ViewerProps & { study: Detail }) {
  const { t, i18n } = useTranslation();
  const [layout, setLayout] = useState<Layout>(LAYOUTS[0]);
  const [cells, setCells] = useState(() => hang(study.series, 9, seriesUid));
  const [active, setActive] = useState(0);
  const [tool, setTool] = useState<ToolName>('window');
  const [overlays, setOverlays] = useState(true);
  const [playing, setPlaying] = useState(false);
  const [help, setHelp] = useState(false);
  const view = useRef<ImageView | null>(null);
  const onView = useCallback((next: ImageView | null) => {
    view.current?.cine(false);
    setPlaying(false);
    view.current = next;
  }, []);
  const name = personName(study.patientName);
  const shown = [name.main, name.beside].filter(Boolean).join(' · ') || t('list.noName');
  usePageTitle(shown);
  const seriesOf = (cell: number) => study.series.find((one) => one.seriesUid === cells[cell]);
  const isCt = seriesOf(active)?.modality === 'CT';
  const pick = (next: ToolName): void => {
    setTool(next);
    chooseTool(next);
  };
  const put = (cell: number, uid: string): void => {
    setCells((before) => before.map((one, at) => (at === cell ? uid : one)));
    setActive(cell);
  };
  const cine = (): void => setPlaying(view.current?.cine(!playing) ?? false);
  const actions = {
    invert: () => view.current?.invert(),
    rotate: () => view.current?.rotate(),
    flip: () => view.current?.flip(),
    fit: () => view.current?.fit(),
    reset: () => view.current?.reset(),
  } as const;

  const onKey = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      help ||
      target.closest('input[type=text], [role=menu]')
    )
      return;
    const images: Readonly<Record<string, () => void>> = {
      ArrowDown: () => view.current?.scroll(1),
      ArrowUp: () => view.current?.scroll(-1),
      PageDown: () => view.current?.scroll(10),
      PageUp: () => view.current?.scroll(-10),
      Home: () => void view.current?.goTo(0),
      End: () => void view.current?.goTo(Number.MAX_SAFE_INTEGER),
      i: actions.invert,
      r: actions.rotate,
      h: actions.flip,
      f: actions.fit,
      0: actions.reset,
      c: cine,
      o: () => setOverlays(!overlays),
      '+': () => view.current?.zoom(1.25),
      '-': () => view.current?.zoom(0.8),
      '?': () => setHelp(true),
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const preset = isCt ? CT_WINDOWS[Number(key) - 1] : undefined;
    const wanted = TOOL_KEYS[key];
    if (wanted) pick(wanted);
    else if (preset) view.current?.window(preset.centre, preset.width);
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
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('common.back')} onClick={onBack}>
          <IconArrowLeft />
        </ActionIcon>
        <h1 dir="auto" data-testid="viewer-patient">
          {shown}
        </h1>
        <span>
          {study.patientId} · {formatDate(study.birthDate, i18n.language)} {study.sex}
        </span>
        <span className="viewer-study" dir="auto">
          {formatDate(study.date, i18n.language)} {study.description}
        </span>
      </header>
      {study.warnings?.length || study.series.some((one) => one.otherPatient) ? (
        <Alert color="orange" role="alert" p="xs">
          {t('viewer.mismatch')}
        </Alert>
      ) : null}
      <div className="viewer-tools" role="toolbar" aria-label={t('viewer.tools')}>
        {TOOLS.map((one) => (
          <Button
            key={one}
            size="compact-sm"
            variant={tool === one ? 'filled' : 'default'}
            aria-pressed={tool === one}
            data-testid={`tool-${one}`}
            onClick={() => pick(one)}
          >
            {t(`viewer.tool.${one}`)}
          </Button>
        ))}
        <span className="gap" />
        {(Object.keys(actions) as (keyof typeof actions)[]).map((one) => (
          <Button key={one} size="compact-sm" variant="default" onClick={actions[one]}>
            {t(`viewer.${one}`)}
          </Button>
        ))}
        <Button
          size="compact-sm"
          variant={playing ? 'filled' : 'default'}
          aria-pressed={playing}
          onClick={cine}
        >
          {t('viewer.cine')}
        </Button>
        {isCt ? (
          <Menu>
            <Menu.Target>
              <Button size="compact-sm" variant="default">
                {t('viewer.windows')}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {CT_WINDOWS.map(({ key, centre, width }) => (
                <Menu.Item key={key} onClick={() => view.current?.window(centre, width)}>
                  {t(`viewer.preset.${key}`)} ({centre} / {width})
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        ) : null}
        <span className="gap" />
        {LAYOUTS.map((one) => (
          <Button
            key={one.name}
            size="compact-sm"
            variant={layout === one ? 'filled' : 'default'}
            aria-pressed={layout === one}
            onClick={() => {
              setLayout(one);
              setActive(0);
            }}
          >
            {one.name}
          </Button>
        ))}
        <ActionIcon variant="subtle" color="gray" aria-label={t('viewer.help')} onClick={() => setHelp(true)}>
          <IconHelp />
        </ActionIcon>
      </div>
      <div className="viewer-body">
        <nav className="strip" aria-label={t('viewer.series')}>
          {study.series.map((one) => (
            <button
              key={one.seriesUid}
              type="button"
              draggable
              aria-current={cells[active] === one.seriesUid}
              onDragStart={(event) => event.dataTransfer.setData('text/x-lightbox-series', one.seriesUid)}
              onClick={() => put(active, one.seriesUid)}
            >
              {one.kind === 'image' ? (
                <img
                  src={seriesThumbnail(study.studyUid, one)}
                  onError={(event) => (event.currentTarget.style.visibility = 'hidden')}
                  alt=""
                  loading="lazy"
                  width={96}
                  height={96}
                />
              ) : null}
              <span dir="auto">{one.description || t('study.series', { number: one.number ?? '' })}</span>
              <small>
                {one.modality} · {t('study.frames', { count: one.frameCount })}
                {one.otherPatient ? ' ⚠' : ''}
              </small>
            </button>
          ))}
        </nav>
        <div
          className="grid"
          style={{
            gridTemplateColumns: `repeat(${layout.columns}, minmax(0, 1fr))`,
            gridTemplateRows: `repeat(${layout.rows}, minmax(0, 1fr))`,
          }}
        >
          {cells.slice(0, layout.rows * layout.columns).map((_, cell) => (
            <Cell
              key={cell}
              studyUid={study.studyUid}
              series={seriesOf(cell)}
              active={active === cell}
              label={t('viewer.cell', { number: cell + 1 })}
              overlays={overlays}
              onActivate={() => setActive(cell)}
              onView={onView}
              onDropSeries={(uid) => put(cell, uid)}
            />
          ))}
        </div>
      </div>
      <Modal opened={help} onClose={() => setHelp(false)} title={t('viewer.help')}>
        <Table>
          <Table.Tbody>
            {KEYS.map(([key, what]) => (
              <Table.Tr key={key}>
                <Table.Td>
                  <kbd>{key}</kbd>
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
