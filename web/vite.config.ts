/**
 * The browser build. In development /api and /dicom-web go to a running server.
 *
 * Every text and WebAssembly file also lies beside itself as .br and .gz, so that the server compresses nothing itself.
 *
 * The `optimizeDeps` list is what Cornerstone's image loader needs in the development server: without it workers start
 * and nothing decodes, without an error.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const server = process.env['LIGHTBOX_DEV_SERVER'] ?? 'http://127.0.0.1:8080';

/** Brotli 11 takes 15 s for the viewer on a small machine and saves 2 % more than 9. */
const BROTLI_QUALITY = 9;
/** Below this the header of an encoding and a second file are not worth it. */
const COMPRESS_FROM_BYTES = 1024;

const precompress: Plugin = {
  name: 'precompress',
  apply: 'build',
  writeBundle({ dir = '.' }, bundle) {
    for (const name of Object.keys(bundle)) {
      if (!/\.(?:m?js|css|html|svg|wasm)$/.test(name)) continue;
      const file = join(dir, name);
      const bytes = readFileSync(file);
      if (bytes.length < COMPRESS_FROM_BYTES) continue;
      const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };
      writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params }));
      writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
    }
  },
};

/**
 * Cornerstone keeps one decoder per worker. When OpenJPEG gives up on a frame without throwing, that decoder still holds
 * the frame before, perhaps of another patient, and it would be shown as this one. Each frame gets a fresh decoder here,
 * and a decoder without pixels is a failure.
 */
const freshDecoders: Plugin = {
  name: 'fresh-decoders',
  transform(code, id) {
    const name = /decoders\/decode(JPEG2000|JPEGLS|JPEGBaseline8Bit|JPEGXL)\.js/.exec(id)?.[1];
    if (!name) return undefined;
    const made = /local\.decoder = new instance\.(\w+)\(\)/.exec(code)?.[1];
    const [taken, decoded] = ['const decoder = local.decoder;', 'decoder.decode();'];
    if (!made || !code.includes(taken) || !code.includes(decoded))
      throw new Error(`the decoder of ${name} has changed: look at it again`);
    return code
      .replace(taken, `local.decoder?.delete(); const decoder = (local.decoder = new local.codec.${made}());`)
      .replace(
        decoded,
        `${decoded} if (decoder.getDecodedBuffer().length === 0) throw new Error('no pixels were decoded');`,
      );
  },
};

const pdfjs = createRequire(import.meta.url).resolve('pdfjs-dist/package.json');
const { version } = JSON.parse(readFileSync(pdfjs, 'utf8')) as { version: string };
/** Browsers keep assets for ever, so their path holds the version. */
const PDF_PARTS = `assets/pdfjs-${version}/`;

/** What PDF.js loads by name while it draws: fonts that a PDF leaves out, character maps, colour profiles, decoders. */
function pdfParts(): Plugin {
  const files = ['cmaps', 'iccs', 'standard_fonts', 'wasm'].flatMap((folder) =>
    readdirSync(join(dirname(pdfjs), folder))
      // The scripting engine is left out: no document runs anything here.
      .filter((name) => !name.startsWith('quickjs'))
      .map((name) => `${folder}/${name}`),
  );
  return {
    name: 'pdf-parts',
    generateBundle() {
      for (const file of files)
        this.emitFile({
          ...{ type: 'asset', fileName: PDF_PARTS + file },
          source: readFileSync(join(dirname(pdfjs), file)),
        });
    },
    configureServer({ middlewares }) {
      middlewares.use(`/${PDF_PARTS}`, (request, response, next) => {
        const file = files.find((one) => `/${one}` === request.url);
        if (file === undefined) next();
        else response.end(readFileSync(join(dirname(pdfjs), file)));
      });
    },
  };
}

export default defineConfig({
  plugins: [react(), pdfParts(), precompress, freshDecoders],
  define: { __PDF_PARTS__: JSON.stringify(PDF_PARTS) },
  worker: { format: 'es', plugins: () => [freshDecoders] },
  build: { outDir: 'dist', emptyOutDir: true, chunkSizeWarningLimit: 4500 },
  server: { proxy: { '/api': server, '/dicom-web': server } },
  optimizeDeps: {
    exclude: ['@cornerstonejs/dicom-image-loader'],
    include: [
      'dicom-parser',
      'comlink',
      'pako',
      'uuid',
      '@cornerstonejs/codec-charls/decodewasmjs',
      '@cornerstonejs/codec-openjpeg/decodewasmjs',
      '@cornerstonejs/codec-openjph/wasmjs',
      '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs',
      '@cornerstonejs/codec-libjxl/decodewasmjs',
    ],
  },
});
