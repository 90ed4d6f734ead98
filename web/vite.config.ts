/**
 * The browser build. In development /api and /dicom-web go to a running server.
 *
 * The `optimizeDeps` list is what Cornerstone's image loader needs in the development server: without it workers start
 * and nothing decodes, without an error.
 */
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const server = process.env['LIGHTBOX_DEV_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  worker: { format: 'es' },
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
