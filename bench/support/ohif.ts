/**
 * OHIF's published build (npm @ohif/app) in front of Orthanc: its files as they are, a configuration that names the archive,
 * and the archive under the same origin.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createServer, request as httpRequest, Agent } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Peer } from './peers.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
};

const CONFIG = `window.config = {
  routerBasename: null, extensions: [], modes: [], customizationService: {}, showStudyList: true,
  maxNumberOfWebWorkers: 3, showCPUFallbackMessage: true, showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true, maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'Orthanc', name: 'Orthanc', wadoUriRoot: '/wado', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      qidoSupportsIncludeField: true, imageRendering: 'wadors', thumbnailRendering: 'wadors', enableStudyLazyLoad: true,
      supportsFuzzyMatching: false, supportsWildcard: true, omitQuotationForMultipartRequest: true,
    },
  }],
};`;

export interface Ohif {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param folder  The `dist` of @ohif/app. */
export async function startOhif(folder: string, orthanc: Peer): Promise<Ohif> {
  if (!existsSync(join(folder, 'index.html')))
    throw new Error(`${folder} is not the dist folder of @ohif/app`);
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    if (path.startsWith('/dicom-web')) {
      const { method, headers, url } = request;
      const onwards = { agent, method, path: url, headers, host: '127.0.0.1', port: orthanc.httpPort };
      const inner = httpRequest(onwards, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      inner.once('error', () => response.destroy());
      request.pipe(inner);
      return;
    }
    if (path === '/app-config.js') {
      response.writeHead(200, { 'content-type': 'text/javascript', 'cache-control': 'no-cache' }).end(CONFIG);
      return;
    }
    const named = join(folder, normalize(path));
    const file =
      named.startsWith(folder) && extname(named) !== '' && existsSync(named)
        ? named
        : join(folder, 'index.html');
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'cache-control': extname(file) === '.html' ? 'no-cache' : 'public, max-age=31536000, immutable',
    });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((settle) => server.close(settle));
    },
  };
}
