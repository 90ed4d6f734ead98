/**
 * DICOMweb: store (STOW-RS), search (QIDO-RS), retrieve (WADO-RS) and storage commitment over HTTP, and the worklist (UPS-RS).
 *
 * Source: PS3.18 §10 (Studies Service), Table 10.3-2 (resources and transactions), §13 (Storage Commitment Service),
 *         §11 (Worklist Service).
 * Layer:  server/doors/dicomweb. Decodes, asks the archive, encodes; who may is decided by the route's right.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Commitments } from '../../archive/commitment/types.ts';
import type { Allows, Right } from '../../identity/types.ts';
import { describeCapabilities, type Resource } from './capabilities.ts';
import { CommitmentResource } from './commitment.ts';
import { contextOf, type DoorOptions } from './context.ts';
import { allBulkdata, bulkdata, pixeldata } from './bulkdata.ts';
import { frames } from './frames.ts';
import { metadata, MetadataCache } from './metadata.ts';
import { PICTURES, rendered, thumbnail } from './rendered.ts';
import { retrieve } from './retrieve.ts';
import { search, type SearchLevel } from './search.ts';
import { store, STORED_TYPES } from './store.ts';
import { offerWorkitems } from './workitems.ts';
import type { NotificationParts } from './workitems-events.ts';

export interface DicomwebOptions extends DoorOptions {
  readonly prefix: string;
  readonly commitments: Commitments;
  /** undefined: no worklist is offered. */
  readonly worklist?: NotificationParts | undefined;
  readonly allows: Allows;
}

const STUDY = '/studies/:study';
const SERIES = `${STUDY}/series/:series`;
const INSTANCE = `${SERIES}/instances/:instance`;

/** `app.register(dicomwebDoor, { prefix: '/dicom-web', archive, renderer, audit, allows, log })`. */
export async function dicomwebDoor(app: FastifyInstance, options: DicomwebOptions): Promise<void> {
  const context = contextOf(options);
  const { prefix } = context;
  const cache = new MetadataCache();

  // Bodies are streams here: an object goes to disk while it arrives, whatever its size.
  app.removeAllContentTypeParsers();
  const streamed = [
    'multipart/related',
    'application/dicom',
    'application/dicom+json',
    'application/dicom+xml',
  ];
  app.addContentTypeParser(streamed, (_request, payload, done) => done(null, payload));
  app.addContentTypeParser('*', (request, payload, done) => {
    // That the method is not known goes before what is wrong with its body.
    if (request.is404) done(null, payload);
    else done(new Fault('UNSUPPORTED_MEDIA'));
  });

  type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
  const resources: Resource[] = [];
  const offer = (right: Right, resource: Resource, handler: Handler): void => {
    const { method, url, summary } = resource;
    resources.push(resource);
    app.route({ method, url, config: { right }, schema: { summary, tags: ['DICOMweb'] }, handler });
  };
  const find = (url: string, level: SearchLevel): void =>
    offer(
      'study.search',
      {
        method: 'GET',
        url,
        summary: `Search for ${PLURAL[level]} (PS3.18 §10.6)`,
        answerTypes: TEXT,
        query: SEARCH,
      },
      (request, reply) => search(context, request, reply, level),
    );
  const get = (
    url: string,
    summary: string,
    answerTypes: readonly string[],
    handler: Handler,
    query?: readonly string[],
  ): void => offer('study.view', { method: 'GET', url, summary, answerTypes, query }, handler);

  for (const url of ['/studies', STUDY])
    offer(
      'study.store',
      {
        ...{ method: 'POST', url, summary: 'Store instances (PS3.18 §10.5)', answerTypes: TEXT },
        requestTypes: STORED_TYPES.flatMap((type) => [`multipart/related; type="${type}"`, type]),
      },
      (request, reply) => store(context, request, reply),
    );

  find('/studies', 'study');
  find('/series', 'series');
  find('/instances', 'instance');
  find(`${STUDY}/series`, 'series');
  find(`${STUDY}/instances`, 'instance');
  find(`${SERIES}/instances`, 'instance');

  for (const url of [STUDY, SERIES, INSTANCE]) {
    get(
      url,
      'Retrieve instances (PS3.18 §10.4)',
      ['multipart/related; type="application/dicom"', 'application/dicom'],
      (request, reply) => retrieve(context, request, reply),
    );
    get(`${url}/metadata`, 'Retrieve metadata (PS3.18 §10.4)', TEXT, (request, reply) =>
      metadata(context, cache, request, reply),
    );
    get(
      `${url}/rendered`,
      'Retrieve rendered (PS3.18 §10.4)',
      PICTURES,
      (request, reply) => rendered(context, request, reply),
      RENDER,
    );
    get(
      `${url}/thumbnail`,
      'Retrieve thumbnail (PS3.18 §10.4)',
      ['image/jpeg'],
      (request, reply) => thumbnail(context, request, reply),
      ['viewport'],
    );
    get(`${url}/bulkdata`, 'Retrieve all bulk data (PS3.18 §10.4)', PIXELS, (request, reply) =>
      allBulkdata(context, request, reply),
    );
    get(`${url}/pixeldata`, 'Retrieve pixel data (PS3.18 §10.4)', PIXELS, (request, reply) =>
      pixeldata(context, request, reply),
    );
  }
  const frame = `${INSTANCE}/frames/:frames`;
  get(frame, 'Retrieve frames (PS3.18 §10.4)', PIXELS, (request, reply) => frames(context, request, reply));
  get(
    `${frame}/rendered`,
    'Retrieve rendered frames (PS3.18 §10.4)',
    PICTURES,
    (request, reply) => rendered(context, request, reply),
    RENDER,
  );
  get(
    `${frame}/thumbnail`,
    'Retrieve a thumbnail of a frame (PS3.18 §10.4)',
    ['image/jpeg'],
    (request, reply) => thumbnail(context, request, reply),
    ['viewport'],
  );
  get(`${INSTANCE}/bulkdata/:token`, 'Retrieve bulk data (PS3.18 §10.4)', PIXELS, (request, reply) =>
    bulkdata(context, request, reply),
  );

  const commitment = new CommitmentResource(context, options.commitments);
  const transaction = { url: '/commitment-requests/:transaction', answerTypes: SINGLE };
  offer(
    'study.store',
    {
      ...{ ...transaction, method: 'POST', requestTypes: SINGLE },
      summary: 'Request storage commitment (PS3.18 §13.4)',
    },
    (request, reply) => commitment.request(request, reply),
  );
  offer(
    'study.store',
    { ...transaction, method: 'GET', summary: 'Check the result of a storage commitment (PS3.18 §13.5)' },
    (request, reply) => commitment.check(request, reply),
  );
  if (options.worklist) resources.push(...offerWorkitems(app, offer, context, options.worklist));
  describeCapabilities(app, prefix, resources);
}

const SEARCH = [
  ...['includefield', 'limit', 'offset'],
  ...['fuzzymatching', 'emptyvaluematching', 'multiplevaluematching'],
];
const RENDER = ['annotation', 'quality', 'viewport', 'window', 'iccprofile'];
const PLURAL = { study: 'studies', series: 'series', instance: 'instances' } as const;
const SINGLE = ['application/dicom+json', 'application/dicom+xml'];
const TEXT = ['application/dicom+json', 'multipart/related; type="application/dicom+xml"'];
const PIXELS = ['multipart/related; type="application/octet-stream"', 'application/octet-stream'];
