/**
 * WADO-URI: one object by the names in the query, as DICOM or as a picture; what viewers and portals used before DICOMweb.
 *
 * Source: PS3.18 §9 (URI Service): §9.1 (parameters of both), §9.4 (Retrieve DICOM Instance), §9.5 (Retrieve Rendered Instance).
 * Layer:  server/doors/dicomweb.
 */
import { createHmac } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { anonymous } from '../../archive/export/anonymous.ts';
import type { PictureType, RenderOptions, ViewportOption } from '../../archive/render/types.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { Outgoing } from '../../platform/outgoing.ts';
import { notModified } from '../../platform/ranges.ts';
import { checkCharset, etagOf } from './answer.ts';
import { contextOf, type DoorContext, type DoorOptions, findIn } from './context.ts';
import { FRAME_AGE_SECONDS } from './frames.ts';
import { covers, parseAccept, type Wanted } from './media.ts';
import { annotationOf, MAX_SIDE, numberOf, PICTURES, tellUnknown } from './rendered.ts';
import { sendOne } from './retrieve.ts';

const DICOM = 'application/dicom';

/** `app.register(wadoUriDoor, { …, url: '/wado' })` */
export async function wadoUriDoor(
  app: FastifyInstance,
  options: DoorOptions & { readonly url: string },
): Promise<void> {
  const { url } = options;
  // Not the secret itself: what it makes is given away.
  const key = createHmac('sha256', options.secret).update('anonymous').digest('base64');
  const context = contextOf({ ...options, prefix: url });
  app.route({
    ...{ method: 'GET', url, config: { right: 'study.view' } },
    schema: { summary: 'Retrieve an object by its names (WADO-URI, PS3.18 §9)', tags: ['DICOMweb'] },
    handler: (request, reply) => wado(context, key, request, reply),
  });
}

const bad = (parameter: string, problem?: string): Fault => new Fault('BAD_REQUEST', { parameter, problem });

type Query = Readonly<Record<string, string | string[] | undefined>>;

/** One value of a parameter; undefined when it is not there. */
function one(query: Query, name: string): string | undefined {
  const value = query[name];
  if (Array.isArray(value) || value === '') throw bad(name);
  return value;
}

function uid(query: Query, name: string): string {
  const value = one(query, name);
  if (value === undefined || !isUid(value)) throw bad(name);
  return value;
}

async function wado(
  context: DoorContext,
  key: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const query = request.query as Query;
  if (one(query, 'requestType') !== 'WADO') throw bad('requestType');
  const scope = {
    studyUid: uid(query, 'studyUID'),
    seriesUid: uid(query, 'seriesUID'),
    sopUid: uid(query, 'objectUID'),
  };
  const anonymize = one(query, 'anonymize');
  if (anonymize !== undefined && anonymize !== 'yes') throw bad('anonymize');
  checkCharset(query['charset']);
  const accept = parseAccept(one(query, 'contentType') ?? request.headers.accept);
  // Before anything is looked up: a picture without its presentation state would be another picture.
  for (const name of ['presentationUID', 'presentationSeriesUID'])
    if (one(query, name) !== undefined) throw new Fault('NOT_IMPLEMENTED', { parameter: name });
  const [ref] = await findIn(context, request, scope, 'wado');
  const type = chosen(accept, ref);
  if (type !== DICOM) {
    if (anonymize !== undefined) throw bad('anonymize', 'only as application/dicom');
    return sendPicture(context, request, reply, ref, type);
  }
  if (anonymize === undefined) {
    const syntax = syntaxOf(query);
    return sendOne(context, request, reply, ref, {
      ...{ multipart: false, syntax: syntax ?? EXPLICIT_LE, orAsKept: syntax === undefined },
    });
  }
  const { retrieve } = context.archive;
  const made = await anonymous({ retrieve, renderer: context.renderer }, ref, key);
  const wanted = syntaxOf(query) ?? '*';
  if (wanted !== '*' && wanted !== made.transferSyntaxUid)
    throw new Fault('NOT_ACCEPTABLE', { transferSyntax: made.transferSyntaxUid });
  return reply.header('cache-control', 'no-store').type(DICOM).send(new Outgoing(made.pieces));
}

/** §9.3: without a type, a picture; what cannot be one is given as it is. */
function chosen(accept: readonly Wanted[], ref: InstanceRef): PictureType | typeof DICOM {
  for (const wanted of accept) {
    if (wanted.form === 'multipart') continue;
    if (wanted.type === '*' && ref.rows === undefined) return DICOM;
    const type = PICTURES.find((picture) => covers(wanted, picture));
    if (type && ref.rows !== undefined) return type;
    if (covers(wanted, DICOM)) return DICOM;
  }
  throw new Fault('NOT_ACCEPTABLE', {
    types: [...(ref.rows === undefined ? [] : PICTURES), DICOM].join(' '),
  });
}

/** §9.4.1.2.3: a UID, or any. */
function syntaxOf(query: Query): string | undefined {
  const syntax = one(query, 'transferSyntax');
  if (syntax !== undefined && syntax !== '*' && !isUid(syntax)) throw bad('transferSyntax');
  return syntax;
}

async function sendPicture(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: InstanceRef,
  type: PictureType,
): Promise<FastifyReply> {
  const query = request.query as Query;
  const frame = frameOf(query, ref);
  const annotation = annotationOf(query['annotation'] ?? query['imageAnnotation']);
  const options: RenderOptions = {
    ...{ type, annotation: annotation?.known, viewport: viewportOf(query, ref), window: windowOf(query) },
    quality: integerOf(query, 'imageQuality', 1, 100),
  };
  tellUnknown(reply, request.protocol + '://' + request.host + context.prefix, annotation?.unknown);
  if (
    notModified(request, reply, etagOf([ref], `wado ${frame} ${JSON.stringify(options)}`), FRAME_AGE_SECONDS)
  )
    return reply.send();
  const { bytes } = await context.renderer.rendered(ref, frame, options);
  return reply.type(type).send(bytes);
}

/** §9.5.2.1: of a multi-frame image only, from 1 to as many as it has. */
function frameOf(query: Query, { frameCount }: InstanceRef): number {
  const number = integerOf(query, 'frameNumber', 1, Math.max(1, frameCount));
  if (number !== undefined && frameCount <= 1) throw bad('frameNumber', 'the object has one frame');
  return (number ?? 1) - 1;
}

/** §9.5.1.2.4 and §9.5.1.2.5: the region first, the whole of which is then fitted into rows and columns. */
function viewportOf(query: Query, ref: InstanceRef): ViewportOption | undefined {
  const rows = integerOf(query, 'rows', 1, MAX_SIDE);
  const columns = integerOf(query, 'columns', 1, MAX_SIDE);
  if (rows !== undefined && columns === undefined) throw bad('columns', 'rows and columns go together');
  if (columns !== undefined && rows === undefined) throw bad('rows', 'rows and columns go together');
  const region = one(query, 'region');
  if (region === undefined) return rows && columns ? { width: columns, height: rows } : undefined;
  const [left = 0, top = 0, right = 0, bottom = 0, ...more] = region
    .split(',')
    .map((part) => numberOf(part.trim(), 'region'));
  if (more.length > 0 || left < 0 || top < 0 || right > 1 || bottom > 1 || left >= right || top >= bottom)
    throw bad('region', 'four numbers from 0 to 1: left, top, right, bottom');
  const [wide, high] = [ref.columns ?? 1, ref.rows ?? 1];
  const source = {
    ...{ x: Math.floor(left * wide), y: Math.floor(top * high) },
    width: Math.max(1, Math.round((right - left) * wide)),
    height: Math.max(1, Math.round((bottom - top) * high)),
  };
  return { width: columns ?? source.width, height: rows ?? source.height, source };
}

/** §9.5.1.2.6: both or none. */
function windowOf(query: Query): RenderOptions['window'] {
  const [center, width] = [one(query, 'windowCenter'), one(query, 'windowWidth')];
  if (center === undefined && width === undefined) return undefined;
  if (center === undefined) throw bad('windowCenter', 'windowCenter and windowWidth go together');
  if (width === undefined) throw bad('windowWidth', 'windowCenter and windowWidth go together');
  const window = { center: numberOf(center, 'windowCenter'), width: numberOf(width, 'windowWidth') };
  // PS3.3 §C.11.2.1.2
  if (window.width < 1) throw bad('windowWidth');
  return { ...window, shape: 'linear' };
}

function integerOf(query: Query, name: string, least: number, most: number): number | undefined {
  const text = one(query, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text) || Number(text) < least || Number(text) > most) throw bad(name);
  return Number(text);
}
