/**
 * The resources of our DICOMweb service, as its door registers them: each route once, with its right and media types.
 *
 * Source: PS3.18 §8.9 (Capabilities Description), PS3.2 Annex N.
 */
import fastify from 'fastify';
import { dicomwebDoor, type DicomwebOptions } from '../../server/src/doors/dicomweb/door.ts';
import { table } from './tables.ts';

/** Stands for every part of the house: the door is only put up, nobody goes through it. */
const nobody: unknown = new Proxy(() => undefined, {
  get: (_target, name) => (name === 'then' || typeof name === 'symbol' ? undefined : nobody),
  apply: () => nobody,
});

const GIVEN: ReadonlyMap<string | symbol, string> = new Map([
  ['prefix', '/dicom-web'],
  ['secret', 'none'],
  ['spoolFolder', '/nowhere'],
]);
/** What Fastify itself looks for among the options of a plugin. */
const OF_FASTIFY: ReadonlySet<string | symbol> = new Set([
  ...['name', 'logLevel', 'logSerializers', 'exposeHeadRoute', 'constraints', 'bodyLimit', 'errorHandler'],
]);

interface Row {
  readonly method: string;
  readonly url: string;
  readonly summary: string;
  readonly right: string;
}

export async function dicomwebResources(): Promise<string> {
  const app = fastify();
  const rows: Row[] = [];
  app.addHook('onRoute', ({ method, url, schema, config }) => {
    const { summary = '' } = (schema ?? {}) as { summary?: string };
    const right = (config as { right?: string } | undefined)?.right ?? 'signed in';
    for (const one of [method].flat()) {
      if (one !== 'HEAD' && one !== 'OPTIONS') rows.push({ method: one, url, summary, right });
    }
  });
  const options = new Proxy({} as DicomwebOptions, {
    get: (_target, name) => GIVEN.get(name) ?? (OF_FASTIFY.has(name) ? undefined : nobody),
  });
  await app.register(dicomwebDoor, options);
  await app.ready();
  const wadl = (await app.inject({ method: 'OPTIONS', url: '/dicom-web/' })).body;
  await app.close();
  const types = mediaTypes(wadl);
  return table(
    ['Method', 'Resource', 'Transaction', 'Right', 'Sent to us', 'Answered with'],
    rows.map(({ method, url, summary, right }) => {
      const path = url.replace(/^\/dicom-web/, '').replaceAll(/:(\w+)/g, '{$1}');
      const { asked = [], given = [] } = types.get(`${method} ${path.slice(1)}`) ?? {};
      return [method, `\`${path}\``, summary, right, asked.join('<br>'), given.join('<br>')];
    }),
  );
}

/** Media types by method and path, out of the WADL document the service gives about itself. */
function mediaTypes(wadl: string): Map<string, { asked: string[]; given: string[] }> {
  const found = new Map<string, { asked: string[]; given: string[] }>();
  const typesIn = (xml: string): string[] =>
    [...xml.matchAll(/mediaType="([^"]*)"/g)].map(([, type = '']) => type.replaceAll('&quot;', '"'));
  for (const [, path = '', methods = ''] of wadl.matchAll(/<resource path="([^"]*)">(.*?)<\/resource>/gs)) {
    for (const [, method = '', body = ''] of methods.matchAll(/<method name="(\w+)">(.*?)<\/method>/gs)) {
      const [request = '', response = ''] = body.split('<response>');
      found.set(`${method} ${path}`, { asked: typesIn(request), given: typesIn(response) });
    }
  }
  return found;
}
