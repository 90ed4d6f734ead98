/** A PDF, page under page, fitted to the width of its cell. Drawn by PDF.js, so it looks the same everywhere. Layer: web/viewer. */
import { Alert, Button } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Loading } from '../../ui/page.tsx';
import { openPdf, pdfProblem, TextLayer, type PDFDocumentProxy, type PDFPageProxy } from './pdf.ts';

const ZOOM_STEP = 1.25;
const [LEAST_ZOOM, GREATEST_ZOOM] = [0.25, 6];
/** Canvas pixels of one page; browsers refuse larger ones, and a phone has no memory for them. */
const MAX_PIXELS = 16_000_000;

interface Size {
  readonly width: number;
  readonly height: number;
}

export function PdfDocument({ url, title }: { url: string; title: string }) {
  const { t } = useTranslation();
  const [pdf, setPdf] = useState<{ document: PDFDocumentProxy; first: Size } | null>(null);
  const [problem, setProblem] = useState<ReturnType<typeof pdfProblem> | null>(null);
  const [zoom, setZoom] = useState(1);
  const [width, setWidth] = useState(0);
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    let closed = false;
    const task = openPdf(url);
    const load = async (): Promise<void> => {
      const document = await task.promise;
      const { width: across, height } = (await document.getPage(1)).getViewport({ scale: 1 });
      if (!closed) setPdf({ document, first: { width: across, height } });
    };
    load().catch((error: unknown) => {
      if (!closed) setProblem(pdfProblem(error));
    });
    return () => {
      closed = true;
      void task.destroy();
    };
  }, [url]);

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const count = pdf?.document.numPages ?? 0;
  return (
    <div className="pdf">
      <div className="document-bar" role="toolbar" aria-label={t('viewer.pdf.tools')}>
        <Button
          size="compact-sm"
          variant="default"
          aria-label={t('viewer.pdf.smaller')}
          disabled={zoom <= LEAST_ZOOM}
          onClick={() => setZoom(Math.max(LEAST_ZOOM, zoom / ZOOM_STEP))}
        >
          −
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => setZoom(1)}>
          {t('viewer.pdf.fitWidth')}
        </Button>
        <Button
          size="compact-sm"
          variant="default"
          aria-label={t('viewer.pdf.larger')}
          disabled={zoom >= GREATEST_ZOOM}
          onClick={() => setZoom(Math.min(GREATEST_ZOOM, zoom * ZOOM_STEP))}
        >
          +
        </Button>
        {count > 0 ? <span>{t('viewer.pdf.pages', { count })}</span> : null}
      </div>
      <div className="pdf-pages" ref={box}>
        {problem ? (
          <Alert color="orange" role="alert" data-testid="pdf-problem">
            {t(`viewer.pdf.problem.${problem}`)}
          </Alert>
        ) : !pdf || width === 0 ? (
          <Loading />
        ) : (
          Array.from({ length: count }, (_, at) => (
            <PdfPage
              key={at}
              document={pdf.document}
              number={at + 1}
              guess={pdf.first}
              width={width * zoom}
              label={t('viewer.pdf.page', { title, number: at + 1, count })}
            />
          ))
        )}
      </div>
    </div>
  );
}

interface PageProps {
  readonly document: PDFDocumentProxy;
  readonly number: number;
  /** Size until the page's own is known. */
  readonly guess: Size;
  readonly width: number;
  readonly label: string;
}

function PdfPage({ document, number, guess, width, label }: PageProps) {
  const { t } = useTranslation();
  const frame = useRef<HTMLDivElement>(null);
  const [near, setNear] = useState(false);
  const [page, setPage] = useState<PDFPageProxy | null>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    if (!frame.current) return undefined;
    // Pages out of sight give their memory back.
    const observer = new IntersectionObserver(([entry]) => setNear(entry?.isIntersecting ?? false), {
      rootMargin: '100% 0px',
    });
    observer.observe(frame.current);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (!near || page) return undefined;
    let closed = false;
    document.getPage(number).then(
      (found) => {
        if (!closed) setPage(found);
      },
      () => {
        if (!closed) setFailed(true);
      },
    );
    return () => {
      closed = true;
    };
  }, [document, number, near, page]);

  const own = page?.getViewport({ scale: 1 }) ?? guess;
  const scale = width / own.width;
  useEffect(() => {
    const element = frame.current;
    if (!near || !page || !element) return undefined;
    return drawPage(page, scale, element, () => setFailed(true));
  }, [near, page, scale]);

  return (
    <div
      ref={frame}
      className="pdf-page"
      role="group"
      aria-label={label}
      data-testid="pdf-page"
      style={{ width: own.width * scale, height: own.height * scale }}
    >
      {failed ? <p role="alert">{t('viewer.pdf.pageFailed', { number })}</p> : null}
    </div>
  );
}

/** Draws into canvas and text layer of its own, put in place when ready. @returns what takes them away again. */
function drawPage(page: PDFPageProxy, scale: number, frame: HTMLElement, onFail: () => void): () => void {
  const viewport = page.getViewport({ scale });
  const canvas = window.document.createElement('canvas');
  const area = viewport.width * viewport.height;
  const sharpness = Math.min(window.devicePixelRatio || 1, Math.sqrt(MAX_PIXELS / area));
  canvas.width = Math.floor(viewport.width * sharpness);
  canvas.height = Math.floor(viewport.height * sharpness);
  const task = page.render({ canvas, viewport, transform: [sharpness, 0, 0, sharpness, 0, 0] });
  const words = window.document.createElement('div');
  words.className = 'textLayer';
  words.style.setProperty('--total-scale-factor', String(scale));
  let text: TextLayer | undefined;
  let closed = false;
  const draw = async (): Promise<void> => {
    await task.promise;
    if (closed) return;
    frame.append(canvas);
    frame.dataset['drawn'] = 'true';
    text = new TextLayer({ textContentSource: page.streamTextContent(), container: words, viewport });
    await text.render();
    if (!closed) frame.append(words);
  };
  draw().catch(() => {
    if (!closed) onFail();
  });
  return () => {
    closed = true;
    task.cancel();
    text?.cancel();
    canvas.remove();
    words.remove();
    // Frees the pixels at once in browsers that collect late.
    canvas.width = 0;
    delete frame.dataset['drawn'];
  };
}
