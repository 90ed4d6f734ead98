/** One cell of the grid: a series as images or document, its corners, or the reason why it cannot be shown. Layer: web/viewer. */
import { Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Series } from '../api/studies.ts';
import { readMetadata } from '../api/viewer.ts';
import { ImageView, type ImageProblem, type ViewState } from '../engine/engine.ts';
import { readInstance, type DicomJson } from '../engine/instance.ts';
import { buildStack, type Frame } from '../engine/stack.ts';
import { ProblemAlert } from '../ui/page.tsx';
import { DocumentCell } from './document-cell.tsx';
import { corners } from './overlays.ts';

export interface CellProps {
  readonly studyUid: string;
  readonly series: Series | undefined;
  readonly active: boolean;
  readonly label: string;
  readonly overlays: boolean;
  readonly onActivate: () => void;
  readonly onView: (view: ImageView | null) => void;
  /** Of the active cell only. */
  readonly onState: (state: ViewState | null) => void;
  readonly onDropSeries: (seriesUid: string) => void;
  /** A report points at images: they are shown beside it. */
  readonly onOpenSeries: (seriesUid: string) => void;
}

export function Cell(props: CellProps) {
  const { t } = useTranslation();
  const { series } = props;
  return (
    <section
      className="cell"
      data-active={props.active}
      data-testid="cell"
      aria-label={props.label}
      tabIndex={0}
      onFocus={props.onActivate}
      onPointerDown={props.onActivate}
      onContextMenu={(event) => event.preventDefault()}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        const uid = event.dataTransfer.getData('text/x-lightbox-series');
        if (!uid) return;
        event.preventDefault();
        event.stopPropagation();
        props.onDropSeries(uid);
      }}
    >
      {series === undefined ? <p className="tile hint">{t('viewer.emptyCell')}</p> : null}
      {series?.otherPatient ? (
        <p className="cell-warning" role="alert">
          {t('viewer.otherPatient', { id: series.otherPatient.patientId })}
        </p>
      ) : null}
      {/* The key makes a new cell for another series: what was shown before is gone before the new one loads. */}
      {series?.kind === 'image' ? (
        <SeriesImages key={series.seriesUid} {...props} series={series} />
      ) : series ? (
        <DocumentCell
          key={series.seriesUid}
          studyUid={props.studyUid}
          series={series}
          onOpenSeries={props.onOpenSeries}
        />
      ) : null}
    </section>
  );
}

function SeriesImages(props: CellProps & { series: Series }) {
  const { t } = useTranslation();
  const { studyUid, series } = props;
  const metadata = useQuery({
    // The count is part of the key: images that arrive later are fetched.
    queryKey: ['metadata', studyUid, series.seriesUid, series.instanceCount],
    queryFn: ({ signal }) => readMetadata<DicomJson>(studyUid, series.seriesUid, signal),
    staleTime: Infinity,
  });
  const stack = useMemo(
    () => (metadata.data ? buildStack(studyUid, metadata.data.map(readInstance)) : undefined),
    [metadata.data, studyUid],
  );
  if (metadata.error)
    return (
      <div className="tile">
        <ProblemAlert error={metadata.error} onRetry={() => void metadata.refetch()} />
      </div>
    );
  if (!stack)
    return (
      <div className="tile" role="status" aria-label={t('common.loading')}>
        <Loader />
      </div>
    );
  if (stack.length === 0) return <p className="tile">{t('viewer.noPixels')}</p>;
  return <Images {...props} stack={stack} />;
}

function Images(props: CellProps & { stack: readonly Frame[] }) {
  const { t } = useTranslation();
  const { stack, onView, onState, active } = props;
  const element = useRef<HTMLDivElement>(null);
  const view = useRef<ImageView | null>(null);
  const [state, setState] = useState<ViewState | null>(null);
  const [problem, setProblem] = useState<ImageProblem | null>(null);
  useEffect(() => {
    if (!element.current) return undefined;
    const made = new ImageView(element.current, setState, setProblem);
    view.current = made;
    void made.show(stack);
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(element.current);
    return () => {
      observer.disconnect();
      view.current = null;
      made.close();
    };
  }, [stack]);
  useEffect(() => {
    if (!active) return undefined;
    onView(view.current);
    return () => onView(null);
  }, [active, onView, stack]);
  useEffect(() => {
    if (active) onState(state);
  }, [active, onState, state]);
  // Words are of the pixels on the screen; where a reason is shown, of the image that it is about.
  const at = problem ? (state?.index ?? null) : (state?.shown ?? null);
  const waiting = !problem && (state === null || state.shown !== state.index);
  return (
    <>
      <div className="pixels" ref={element} data-testid="pixels" data-index={state?.shown ?? undefined} />
      {waiting ? (
        <div className="waiting" role="status" aria-label={t('common.loading')}>
          <Loader size="sm" />
        </div>
      ) : null}
      {problem ? <ReasonTile problem={problem} /> : null}
      {props.overlays ? (
        <Overlays
          stack={stack}
          at={at}
          state={problem && state ? { ...state, letters: null, window: null } : state}
        />
      ) : null}
      {stack.length > 1 ? (
        <input
          className="scrollbar"
          type="range"
          min={0}
          max={stack.length - 1}
          value={state?.index ?? 0}
          aria-label={t('viewer.imageSlider')}
          onChange={(event) => void view.current?.goTo(Number(event.currentTarget.value))}
        />
      ) : null}
    </>
  );
}

function ReasonTile({ problem }: { problem: ImageProblem }) {
  const { t, i18n } = useTranslation();
  const key = `problem.${problem.code}`;
  return (
    <div className="tile reason" role="alert" data-testid="reason-tile">
      <strong>{t('viewer.cannotShow')}</strong>
      <p>{i18n.exists(key) ? t(key) : problem.message || t('viewer.damaged')}</p>
      <p className="code">{problem.code}</p>
    </div>
  );
}

function Overlays(props: { stack: readonly Frame[]; at: number | null; state: ViewState | null }) {
  const { t, i18n } = useTranslation();
  const { stack, at, state } = props;
  const frame = at === null ? undefined : stack[at];
  if (!frame || at === null) return null;
  const lines = corners(frame, at, stack.length, state, i18n.language, {
    image: t('viewer.word.image'),
    window: t('viewer.word.window'),
    thickness: t('viewer.word.thickness'),
    position: t('viewer.word.position'),
    lossy: t('viewer.word.lossy'),
    pixels: t('viewer.word.pixels'),
    table: t('viewer.word.table'),
    zoom: t('viewer.word.zoom'),
  });
  return (
    <div className="overlays">
      {Object.entries(lines).map(([corner, some]: [string, string[]]) => (
        <div key={corner} className={`corner ${corner}`} data-testid={corner}>
          {some.map((line, at) => (
            <div key={at} dir="auto">
              {line}
            </div>
          ))}
        </div>
      ))}
      {state?.letters?.map((letters, edge) => (
        <span key={edge} className={`edge edge-${edge}`}>
          {letters}
        </span>
      ))}
    </div>
  );
}
