/**
 * PDF.js, loaded when the first PDF is opened: worker, fonts, character maps and decoders come from our own origin, and
 * nothing in a document is ever run (no scripting, no XFA forms, no embedded files).
 *
 * Layer: web/viewer.
 */
import {
  getDocument,
  GlobalWorkerOptions,
  type PDFDocumentLoadingTask,
  type PDFDocumentProxy,
} from 'pdfjs-dist';
import workerUrl from 'pdfjs-dist/build/pdf.worker.min.mjs?url';

export type { PDFDocumentProxy, PDFPageProxy } from 'pdfjs-dist';
export { TextLayer } from 'pdfjs-dist';

GlobalWorkerOptions.workerSrc = workerUrl;

/** Where the build puts what PDF.js loads by name (vite.config.ts). */
const PARTS = import.meta.env.BASE_URL + __PDF_PARTS__;
/** Pixels of one image in a PDF: 100 megapixels are 400 MB. */
const MAX_IMAGE_PIXELS = 100_000_000;

export function openPdf(url: string): PDFDocumentLoadingTask {
  return getDocument({
    url,
    cMapUrl: `${PARTS}cmaps/`,
    iccUrl: `${PARTS}iccs/`,
    standardFontDataUrl: `${PARTS}standard_fonts/`,
    wasmUrl: `${PARTS}wasm/`,
    maxImageSize: MAX_IMAGE_PIXELS,
    enableXfa: false,
    // Only the pages that are looked at are fetched.
    disableAutoFetch: true,
    rangeChunkSize: 256 * 1024,
  });
}

/** What failed, as a key of the texts. */
export function pdfProblem(error: unknown): 'password' | 'damaged' | 'network' {
  const name = error instanceof Error ? error.name : '';
  if (name === 'PasswordException') return 'password';
  return name === 'ResponseException' ? 'network' : 'damaged';
}

export type Opened = PDFDocumentProxy;
