/**
 * The image engine: one object per grid cell, Cornerstone3D hidden behind it. Everything comes from our own server.
 *
 * Layer:  web/engine.
 */
import {
  Enums,
  RenderingEngine,
  cache,
  eventTarget,
  imageLoadPoolManager,
  imageLoader,
  init as initCore,
  metaData,
  type Types,
} from '@cornerstonejs/core';
import { init as initLoader, wadors } from '@cornerstonejs/dicom-image-loader';
import { ToolGroupManager, init as initTools } from '@cornerstonejs/tools';
import { applyChoice, drawTable, edges, readTable, windowOf } from './presentation.ts';
import { planeOf } from './instance.ts';
import { isWholeFrame } from './codestream.ts';
import { nearest, type Frame } from './stack.ts';
import {
  GROUP,
  cancelDrawing,
  chooseTool as chooseFor,
  forgetMeasurements,
  removeMeasurement,
  removeMeasurements,
  startTools,
  type ToolName,
} from './tools.ts';
import { greyChoices, type GreyChoice, type GreyTable } from './voi.ts';

const ENGINE = 'lightbox';
/** Decoded pixels kept in memory. A 500-slice CT takes 260 MB; phones kill a page at about 1 GB. */
const CACHE_BYTES = 768 * 1024 * 1024;
/** HTTP/1.1 browsers open six connections: two stay free for scrolling. */
const PREFETCH_AT_ONCE = 4;

const frames = new Map<string, Frame>();
/** Frames the browser's decoder failed on: asked for uncompressed from then on. */
const plain = new Set<string>();
const acceptOf = (imageId: string): string =>
  `multipart/related; type="application/octet-stream"; transfer-syntax=${plain.has(imageId) ? '1.2.840.10008.1.2.1' : '*'}`;
let starting: Promise<RenderingEngine> | undefined;

export interface ViewState {
  /** The image asked for. */
  readonly index: number;
  /** The image whose pixels are on the screen: what is written beside them must be of this one. */
  readonly shown: number | null;
  readonly window: { readonly centre: number; readonly width: number } | null;
  readonly zoom: number;
  /** Patient directions at the top, right, bottom and left edge. */
  readonly letters: readonly [string, string, string, string] | null;
  readonly inverted: boolean;
  /** A lookup table of the file is applied in place of a window. */
  readonly table: boolean;
}

export class ImageProblem extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Remembered until the engine starts: a tool may be chosen before the first image is there. */
let tool: ToolName = 'window';
export function chooseTool(name: ToolName): void {
  tool = name;
  chooseFor(name);
}

function start(): Promise<RenderingEngine> {
  starting ??= (() => {
    initCore();
    initLoader({
      maxWebWorkers: Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1)),
      beforeSend: (_request, imageId) => ({ Accept: acceptOf(imageId) }),
      beforeProcessing: (request) => {
        const body = request.response as ArrayBuffer;
        // A study that was left: nothing of it may come into memory again.
        if (!frames.has(`wadors:${new URL(request.responseURL).pathname}`))
          return Promise.reject(new ImageProblem('LEFT', ''));
        // Decoders make a picture of half a frame, or of none, without an error.
        return isWholeFrame(new Uint8Array(body))
          ? Promise.resolve(body)
          : Promise.reject(new ImageProblem('DECODE', ''));
      },
    });
    initTools();
    cache.setMaxCacheSize(CACHE_BYTES);
    imageLoadPoolManager.setMaxSimultaneousRequests(Enums.RequestType.Prefetch, PREFETCH_AT_ONCE);
    // The loader leaves a second, unawaited promise of every failed request; the failure itself is told by `#explain`.
    window.addEventListener('unhandledrejection', (event) => {
      if (event.reason instanceof XMLHttpRequest || event.reason instanceof ImageProblem)
        event.preventDefault();
    });
    metaData.addProvider(imagePlane, 20_000);
    startTools((imageId) => frames.get(imageId)?.instance.json);
    chooseFor(tool);
    return Promise.resolve(new RenderingEngine(ENGINE));
  })();
  return starting;
}

/**
 * The plane of a frame. Without Pixel Spacing sizes are pixels: a length is never called mm on the strength of
 * Imager Pixel Spacing, which is measured at the detector (PS3.3 §10.7.1.3).
 */
function imagePlane(type: string, ...ids: unknown[]): object | undefined {
  const frame = type === 'imagePlaneModule' ? frames.get(String(ids[0])) : undefined;
  if (!frame) return undefined;
  const { instance, index } = frame;
  const plane = planeOf(instance.json, index);
  const orientation = plane.orientation ?? [1, 0, 0, 0, 1, 0];
  const [row = 1, column = 1] = plane.spacing ?? [1, 1];
  return {
    frameOfReferenceUID: instance.json['00200052']?.Value?.[0],
    rows: instance.rows,
    columns: instance.columns,
    imageOrientationPatient: orientation,
    rowCosines: orientation.slice(0, 3),
    columnCosines: orientation.slice(3, 6),
    imagePositionPatient: plane.position ?? [0, 0, index],
    sliceThickness: plane.thickness,
    pixelSpacing: plane.spacing ?? undefined,
    rowPixelSpacing: row,
    columnPixelSpacing: column,
    usingDefaultValues: plane.spacing === null,
  };
}

const TELLING = [
  Enums.Events.IMAGE_RENDERED,
  Enums.Events.STACK_NEW_IMAGE,
  Enums.Events.STACK_VIEWPORT_SCROLL,
  Enums.Events.CAMERA_MODIFIED,
];

let nextId = 0;

export class ImageView {
  readonly #element: HTMLDivElement;
  readonly #id = `view-${(nextId += 1)}`;
  readonly #onState: (state: ViewState) => void;
  readonly #onProblem: (problem: ImageProblem | null) => void;
  #viewport: Types.IStackViewport | undefined;
  #stack: readonly Frame[] = [];
  #turn = 0;
  #closed = false;
  readonly #explaining = new Set<Frame>();
  #cine: ReturnType<typeof setInterval> | undefined;
  #imageIds: ReadonlySet<string> = new Set();
  /** The lookup table in use: chosen, or because the image has nothing else. */
  #table: { readonly at: number; readonly data: GreyTable } | null = null;

  constructor(
    element: HTMLDivElement,
    onState: (state: ViewState) => void,
    onProblem: (problem: ImageProblem | null) => void,
  ) {
    this.#element = element;
    this.#onState = onState;
    this.#onProblem = onProblem;
    for (const name of TELLING) element.addEventListener(name, this.#tell);
    eventTarget.addEventListener(Enums.Events.IMAGE_LOAD_ERROR, this.#failed);
  }

  /** Shows a stack from its middle or `at`. Resolves when the first image is drawn or the reason of failure is told. */
  async show(stack: readonly Frame[], at = Math.floor(stack.length / 2)): Promise<void> {
    const turn = (this.#turn += 1);
    this.#stack = stack;
    this.#imageIds = new Set(stack.map(({ imageId }) => imageId));
    this.#table = null;
    this.#onProblem(null);
    const engine = await start();
    if (this.#closed || turn !== this.#turn) return;
    for (const frame of stack) {
      frames.set(frame.imageId, frame);
      wadors.metaDataManager.add(frame.imageId, frame.instance.json as never);
    }
    // A fresh viewport: nothing of the image before can stay on the screen.
    if (this.#viewport) engine.disableElement(this.#id);
    engine.enableElement({
      viewportId: this.#id,
      type: Enums.ViewportType.STACK,
      element: this.#element,
      defaultOptions: { background: [0, 0, 0] },
    });
    ToolGroupManager.getToolGroup(GROUP)?.addViewport(this.#id, ENGINE);
    const viewport = engine.getViewport(this.#id) as Types.IStackViewport;
    this.#viewport = viewport;
    try {
      await viewport.setStack(
        stack.map((frame) => frame.imageId),
        at,
      );
    } catch {
      await this.#explain(stack[at]);
      return;
    }
    if (this.#closed || turn !== this.#turn) return;
    viewport.render();
    // PS3.3 §C.11.2: a lookup table where there is no window.
    const first = stack[at] && greyChoices(stack[at].instance.json, stack[at].index)[0];
    if (first?.kind === 'table') await this.grey(first);
    void this.#prefetch(turn);
  }

  async #prefetch(turn: number): Promise<void> {
    const waiting = new Set(this.#stack.keys());
    const work = async (): Promise<void> => {
      for (let next = nearest(waiting, this.index); next !== undefined; next = nearest(waiting, this.index)) {
        waiting.delete(next);
        if (turn !== this.#turn || this.#closed) return;
        const id = this.#stack[next]?.imageId;
        if (id && !cache.isLoaded(id))
          await imageLoader
            .loadAndCacheImage(id, { requestType: Enums.RequestType.Prefetch, priority: 10 } as never)
            .catch(() => undefined);
        // Past the cache limit the first images would be thrown out for the last.
        if (cache.getCacheSize() > CACHE_BYTES * 0.9) return;
      }
    };
    await Promise.all(Array.from({ length: PREFETCH_AT_ONCE }, work));
  }

  readonly #failed = (event: Event): void => {
    const { imageId } = (event as CustomEvent<{ imageId?: string }>).detail;
    const frame = this.#stack[this.index];
    if (frame && frame.imageId === imageId) void this.#explain(frame);
  };

  /**
   * What to do about a frame that failed: the server says why (406), or, when the browser's decoder was at fault, the
   * frame is asked for once more uncompressed.
   */
  async #explain(frame: Frame | undefined): Promise<void> {
    if (!frame || this.#explaining.has(frame)) return;
    this.#explaining.add(frame);
    try {
      let problem = await reasonOf(frame);
      if (!problem && !plain.has(frame.imageId)) {
        plain.add(frame.imageId);
        problem = await reasonOf(frame);
        if (!problem && (await this.#again(frame))) return;
      }
      // A reason that comes late must not cover another image.
      if (!this.#closed && this.#stack[this.index] === frame)
        this.#onProblem(problem ?? new ImageProblem('DECODE', ''));
    } finally {
      this.#explaining.delete(frame);
    }
  }

  async #again(frame: Frame): Promise<boolean> {
    const at = this.#stack.indexOf(frame);
    if (at < 0 || this.#closed || !this.#viewport) return true;
    try {
      await this.#viewport.setStack(
        this.#stack.map(({ imageId }) => imageId),
        at,
      );
      this.#viewport.render();
      return cache.isLoaded(frame.imageId);
    } catch {
      return false;
    }
  }

  readonly #tell = (event?: Event): void => {
    const viewport = this.#viewport;
    if (!viewport || this.#closed) return;
    if (event?.type === String(Enums.Events.STACK_NEW_IMAGE)) {
      this.#onProblem(null);
      this.#applyTable();
    }
    const range = viewport.getProperties().voiRange;
    const plane = this.#stack[this.shown ?? -1];
    const oriented = plane ? planeOf(plane.instance.json, plane.index).orientation !== null : false;
    this.#onState({
      index: this.index,
      shown: this.shown,
      window: range && !this.#table ? windowOf(range) : null,
      zoom: viewport.getZoom(),
      letters: oriented ? edges(viewport) : null,
      inverted: viewport.getProperties().invert === true,
      table: this.#table !== null,
    });
  };

  get index(): number {
    return this.#viewport?.getCurrentImageIdIndex() ?? 0;
  }

  /** Of the image on the screen; null before the first. */
  get shown(): number | null {
    const imageId = this.#viewport?.getCornerstoneImage()?.imageId;
    const at = this.#stack.findIndex((frame) => frame.imageId === imageId);
    return at < 0 ? null : at;
  }

  async goTo(index: number): Promise<void> {
    const last = this.#stack.length - 1;
    const wanted = Math.max(0, Math.min(last, index));
    if (!this.#viewport || wanted === this.index) return;
    try {
      await this.#viewport.setImageIdIndex(wanted);
    } catch {
      await this.#explain(this.#stack[wanted]);
    }
  }

  scroll(delta: number): void {
    this.#viewport?.scroll(delta, false, false);
  }

  /** What the image on the screen may be shown in. */
  choices(): GreyChoice[] {
    const frame = this.#stack[this.shown ?? this.index];
    return frame ? greyChoices(frame.instance.json, frame.index) : [];
  }

  async grey(choice: GreyChoice): Promise<void> {
    const frame = this.#stack[this.shown ?? this.index];
    const turn = this.#turn;
    const table = choice.kind === 'table' && frame ? await readTable(frame.instance.json, choice.at) : null;
    if (this.#closed || turn !== this.#turn) return;
    if (this.#table && !table) this.#viewport?.resetProperties();
    this.#table = table && { at: choice.kind === 'table' ? choice.at : 0, data: table };
    this.#change((viewport) => applyChoice(viewport, choice));
    this.#applyTable();
    this.#viewport?.render();
  }

  #applyTable(): void {
    if (this.#viewport && this.#table) drawTable(this.#viewport, this.#table.data);
  }

  invert(): void {
    this.#change((viewport) => {
      viewport.setProperties({ invert: viewport.getProperties().invert !== true });
      this.#applyTable();
    });
  }

  rotate(): void {
    this.#change((viewport) =>
      viewport.setViewPresentation({ rotation: ((viewport.getViewPresentation().rotation ?? 0) + 90) % 360 }),
    );
  }

  flip(): void {
    this.#change((viewport) =>
      viewport.setCamera({ flipHorizontal: viewport.getCamera().flipHorizontal !== true }),
    );
  }

  zoom(factor: number): void {
    this.#change((viewport) => viewport.setZoom(viewport.getZoom() * factor));
  }

  fit(): void {
    this.#change((viewport) => viewport.resetCamera());
  }

  reset(): void {
    this.#change((viewport) => {
      viewport.resetCamera();
      viewport.setCamera({ flipHorizontal: false, flipVertical: false });
      viewport.setViewPresentation({ rotation: 0 });
      viewport.resetProperties();
      const first = this.choices()[0];
      if (first?.kind === 'table') void this.grey(first);
      else this.#table = null;
    });
    removeMeasurements(this.#imageIds);
    this.#viewport?.render();
  }

  /** Gives up what is being drawn. @returns whether something was. */
  cancel(): boolean {
    return this.#viewport !== undefined && cancelDrawing(this.#element);
  }

  /** The chosen measurement, else the last one on this image. */
  removeMeasurement(): void {
    removeMeasurement(this.#imageIds, this.#stack[this.index]?.imageId);
    this.#viewport?.render();
  }

  /** Images a second that the file asks for (PS3.3 §C.7.6.5), else 10. */
  get fileRate(): number {
    return Math.round(1000 / (this.#stack[this.index]?.instance.frameMs ?? 100)) || 1;
  }

  /** Runs through the images at `rate` a second, or stops at 0. @returns whether it runs now. */
  cine(rate: number): boolean {
    clearInterval(this.#cine);
    this.#cine = undefined;
    if (rate <= 0 || this.#stack.length < 2) return false;
    let busy = false;
    this.#cine = setInterval(() => {
      if (busy) return;
      busy = true;
      void this.goTo((this.index + 1) % this.#stack.length).finally(() => (busy = false));
    }, 1000 / rate);
    return true;
  }

  resize(): void {
    void starting?.then((engine) => {
      if (this.#closed || !this.#viewport) return;
      // A fitted image is fitted again: no part of it may slip out of a smaller cell unseen.
      const fitted = Math.abs(this.#viewport.getZoom() - 1) < 0.01;
      engine.resize(true, true);
      if (fitted) this.fit();
    });
  }

  close(): void {
    this.#closed = true;
    this.cine(0);
    for (const name of TELLING) this.#element.removeEventListener(name, this.#tell);
    eventTarget.removeEventListener(Enums.Events.IMAGE_LOAD_ERROR, this.#failed);
    if (this.#viewport)
      void starting?.then((engine) => {
        ToolGroupManager.getToolGroup(GROUP)?.removeViewports(ENGINE, this.#id);
        engine.disableElement(this.#id);
      });
  }

  #change(work: (viewport: Types.IStackViewport) => unknown): void {
    if (!this.#viewport || this.#stack.length === 0) return;
    work(this.#viewport);
    this.#viewport.render();
    this.#tell();
  }
}

/** Why the server gives no pixels of a frame; null when it gives them. */
async function reasonOf({ imageId }: Frame): Promise<ImageProblem | null> {
  try {
    const answer = await fetch(imageId.slice('wadors:'.length), {
      credentials: 'same-origin',
      headers: { accept: acceptOf(imageId) },
    });
    if (answer.ok) {
      await answer.body?.cancel();
      return null;
    }
    const body = (await answer.json().catch(() => ({}))) as { code?: unknown; message?: unknown };
    return new ImageProblem(
      typeof body.code === 'string' ? body.code : `HTTP_${answer.status}`,
      typeof body.message === 'string' ? body.message : '',
    );
  } catch {
    return new ImageProblem('NETWORK', '');
  }
}

/** Patient data leave memory: decoded pixels, metadata and measurements. Called when a study is left or locked. */
export function forgetImages(): void {
  if (!starting) return;
  forgetMeasurements();
  cache.purgeCache();
  for (const imageId of frames.keys()) wadors.metaDataManager.remove(imageId);
  frames.clear();
  plain.clear();
}
