/**
 * DICOMweb: store (STOW-RS), search (QIDO-RS) and retrieve (WADO-RS) over HTTP.
 *
 * Source: PS3.18 §10 (Studies Service), Table 10.3-2 (resources and transactions).
 * Layer:  server/doors/dicomweb. Decodes, asks the archive, encodes; who may is decided by the route's right.
 */
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { Archive } from '../../archive/types.ts';
import type { Allows, Audit, Right } from '../../identity/types.ts';
import type { DoorContext } from './context.ts';
import { bulkdata, frames } from './frames.ts';
import { metadata, MetadataCache } from './metadata.ts';
import { rendered, thumbnail } from './rendered.ts';
import { retrieve } from './retrieve.ts';
import { search, type SearchLevel } from './search.ts';
import { store } from './store.ts';
import { ViewLog } from '../../identity/view-log.ts';

export interface DicomwebOptions {
  readonly prefix: string;
  readonly archive: Archive;
  readonly renderer: Renderer;
  readonly audit: Audit;
  readonly allows: Allows;
  readonly log: FastifyBaseLogger;
}

const STUDY = '/studies/:study';
const SERIES = `${STUDY}/series/:series`;
const INSTANCE = `${SERIES}/instances/:instance`;

/** `app.register(dicomwebDoor, { prefix: '/dicom-web', archive, renderer, audit, allows, log })`. */
export async function dicomwebDoor(app: FastifyInstance, options: DicomwebOptions): Promise<void> {
  const { archive, renderer, audit, log } = options;
  const prefix = options.prefix.replace(/\/$/, '');
  const context: DoorContext = { archive, renderer, audit, log, prefix, views: new ViewLog(audit) };
  const cache = new MetadataCache();

  // Bodies are streams here: an object goes to disk while it arrives, whatever its size.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(['multipart/related', 'application/dicom'], (_request, payload, done) =>
    done(null, payload),
  );
  app.addContentTypeParser('*', (_request, _payload, done) => done(new Fault('UNSUPPORTED_MEDIA')));

  type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
  const get = (right: Right, url: string, handler: Handler): void => {
    app.route({ method: 'GET', url, config: { right }, schema: { hide: true }, handler });
  };
  const find = (url: string, level: SearchLevel): void =>
    get('study.search', url, (request, reply) => search(context, request, reply, level));

  for (const url of ['/studies', STUDY])
    app.route({
      method: 'POST',
      url,
      config: { right: 'study.store' },
      schema: { hide: true },
      handler: (request, reply) => store(context, request, reply),
    });

  find('/studies', 'study');
  find('/series', 'series');
  find('/instances', 'instance');
  find(`${STUDY}/series`, 'series');
  find(`${STUDY}/instances`, 'instance');
  find(`${SERIES}/instances`, 'instance');

  for (const url of [STUDY, SERIES, INSTANCE]) {
    get('study.view', url, (request, reply) => retrieve(context, request, reply));
    get('study.view', `${url}/metadata`, (request, reply) => metadata(context, cache, request, reply));
    get('study.view', `${url}/rendered`, (request, reply) => rendered(context, request, reply));
    get('study.view', `${url}/thumbnail`, (request, reply) => thumbnail(context, request, reply));
  }
  get('study.view', `${INSTANCE}/frames/:frames`, (request, reply) => frames(context, request, reply));
  get('study.view', `${INSTANCE}/frames/:frames/rendered`, (request, reply) =>
    rendered(context, request, reply),
  );
  get('study.view', `${INSTANCE}/frames/:frames/thumbnail`, (request, reply) =>
    thumbnail(context, request, reply),
  );
  get('study.view', `${INSTANCE}/bulkdata/*`, (request, reply) => bulkdata(context, request, reply));
}
