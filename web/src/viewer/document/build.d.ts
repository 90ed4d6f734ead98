/** Set by vite.config.ts: folder of what PDF.js loads by name. */
declare const __PDF_PARTS__: string;
