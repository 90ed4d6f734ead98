/**
 * WADO-RS rendered images and thumbnails: pictures for people and programs that know no DICOM.
 *
 * Source: PS3.18 §10.4.1.1.3 (rendered), §10.4.1.1.4 (thumbnail), §8.3.5 (parameters), §8.7.4 (rendered media types).
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { PictureType, RenderOptions } from '../../archive/render/types.ts';
import type { InstanceRef } from '../../archive/types.ts';
import { notModified } from '../../platform/ranges.ts';
import { acceptOf, etagOf, instancePath, type Part, rootUrl, sendMultipart } from './answer.ts';
import { type DoorContext, find } from './context.ts';
import { FRAME_AGE_SECONDS, parseFrameList } from './frames.ts';
import { covers, type Wanted } from './media.ts';

type QueryText = Readonly<Record<string, string | string[] | undefined>>;

export const PICTURES: readonly PictureType[] = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'];
/** Wider pictures than any display; also the most a codec of ours can write. */
export const MAX_SIDE = 16_383;
const DEFAULT_THUMBNAIL = 128;
const MAX_THUMBNAIL = 512;

/**
 * The rendering parameters of a URL.
 *
 * @throws Fault BAD_REQUEST naming the parameter.
 */
export function parseRenderOptions(text: QueryText, type: PictureType): RenderOptions {
  return {
    type,
    quality: quality(text['quality']),
    window: windowOf(text['window']),
    viewport: viewportOf(text['viewport']),
    annotation: annotationOf(text['annotation'])?.known,
    icc: iccOf(text['iccprofile'], type),
  };
}

const bad = (parameter: string): Fault => new Fault('BAD_REQUEST', { parameter });

/** A parameter without a value is of no form that the standard has. */
function list(value: string | string[] | undefined, parameter: string): string[] | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value) || value === '') throw bad(parameter);
  return value.split(',').map((part) => part.trim());
}

/** A decimal number; its size is the caller's to check. */
export function numberOf(text: string, parameter: string): number {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?$/.test(text)) throw bad(parameter);
  return Number(text);
}

/** §8.3.5.1.2: 1 to 100. */
function quality(value: string | string[] | undefined): number | undefined {
  const [only, ...rest] = list(value, 'quality') ?? [];
  if (only === undefined) return undefined;
  if (rest.length > 0 || !/^\d{1,3}$/.test(only) || Number(only) < 1 || Number(only) > 100)
    throw bad('quality');
  return Number(only);
}

/** §8.3.5.1.4: center, width, function, all three. */
function windowOf(value: string | string[] | undefined): RenderOptions['window'] {
  const parts = list(value, 'window');
  if (!parts) return undefined;
  const [center = '', width = '', shape] = parts;
  if (parts.length !== 3 || (shape !== 'linear' && shape !== 'linear-exact' && shape !== 'sigmoid'))
    throw bad('window');
  const window = { center: numberOf(center, 'window'), width: numberOf(width, 'window'), shape } as const;
  // PS3.3 §C.11.2.1.2: at least 1 for LINEAR, more than 0 for the others.
  if (shape === 'linear' ? window.width < 1 : window.width <= 0) throw bad('window');
  return window;
}

/** §8.3.5.1.3: vw,vh[,sx,sy,sw,sh]; empty ones have defaults. */
function viewportOf(value: string | string[] | undefined): RenderOptions['viewport'] {
  const parts = list(value, 'viewport');
  if (!parts) return undefined;
  const numbers = parts.map((part) => (part === '' ? undefined : numberOf(part, 'viewport')));
  const [width, height, x, y, sourceWidth, sourceHeight] = numbers;
  if (numbers.length > 6 || width === undefined || height === undefined) throw bad('viewport');
  for (const side of [width, height])
    if (!Number.isInteger(side) || side < 1 || side > MAX_SIDE) throw bad('viewport');
  if ([x, y, sourceWidth, sourceHeight].every((part) => part === undefined)) return { width, height };
  return {
    width,
    height,
    source: { x: x ?? 0, y: y ?? 0, width: sourceWidth ?? 0, height: sourceHeight ?? 0 },
  };
}

const ANNOTATIONS = ['patient', 'technique'] as const;

/** §8.3.5.1.1: keywords; those that are not known here are told. */
export function annotationOf(
  value: string | string[] | undefined,
): { readonly known: (typeof ANNOTATIONS)[number][]; readonly unknown: string[] } | undefined {
  const wanted = list(value, 'annotation');
  if (wanted?.some((one) => !/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(one))) throw bad('annotation');
  return (
    wanted && {
      known: ANNOTATIONS.filter((one) => wanted.includes(one)),
      unknown: wanted.filter((one) => !ANNOTATIONS.some((known) => known === one)),
    }
  );
}

/** (§8.3.5.1.1) */
export function tellUnknown(reply: FastifyReply, service: string, unknown: readonly string[] = []): void {
  const text = `The following annotation values are not supported: ${unknown.join(',')}`;
  if (unknown.length > 0) reply.header('warning', `299 ${service}: ${text}`);
}

const PROFILES = ['no', 'yes', 'srgb', 'displayp3'] as const;

/** §8.3.5.1.5. Adobe RGB and ROMM RGB are not made here: 400 says so. GIF has no profiles, and is asked for none. */
function iccOf(value: string | string[] | undefined, type: PictureType): RenderOptions['icc'] {
  const [only, ...rest] = list(value, 'iccprofile') ?? [];
  if (only === undefined) return undefined;
  const known = PROFILES.find((one) => one === only);
  if (!known || rest.length > 0)
    throw new Fault('BAD_REQUEST', { parameter: 'iccprofile', known: PROFILES.join(' ') });
  if (known !== 'no' && type === 'image/gif')
    throw new Fault('BAD_REQUEST', { parameter: 'iccprofile', problem: 'GIF has no colour profiles' });
  return known;
}

function pictureOf(accept: readonly Wanted[]): { wanted: Wanted; type: PictureType } {
  for (const wanted of accept) {
    const type = PICTURES.find((one) => covers(wanted, one));
    if (type) return { wanted, type };
  }
  throw new Fault('NOT_ACCEPTABLE', { types: PICTURES.join(' ') });
}

/** GET …/rendered of a study, series, instance or frame list. */
export async function rendered(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { wanted, type } = pictureOf(acceptOf(request));
  const options = parseRenderOptions(request.query as QueryText, type);
  const root = rootUrl(request, context.prefix);
  tellUnknown(reply, root, annotationOf((request.query as QueryText)['annotation'])?.unknown);
  const refs = await find(context, request, 'rendered');
  const { frames: frameText, instance } = request.params as { frames?: string; instance?: string };
  const [only] = refs;
  // One picture of many objects would show one and hide the others.
  const many = instance === undefined && refs.length > 1;
  if (many && wanted.form === 'single')
    throw new Fault('NOT_ACCEPTABLE', { problem: 'ask for multipart/related' });
  const multipart = many || wanted.form === 'multipart';
  const every =
    frameText !== undefined
      ? parseFrameList(frameText, Math.max(1, only.frameCount)).map((frame) => ({ ref: only, frame }))
      : multipart
        ? refs.flatMap((ref) => allFrames(context, ref))
        : refs.slice(0, 1).map((ref) => ({ ref, frame: 0 }));
  const [first, second] = every;
  if (!first) throw new Fault('PIXELS_NONE');
  if (second && wanted.form === 'single')
    throw new Fault('NOT_ACCEPTABLE', { problem: 'ask for multipart/related' });
  const name = `rendered ${multipart} ${JSON.stringify(options)} ${frameText ?? ''}`;
  if (notModified(request, reply, etagOf(refs, name), FRAME_AGE_SECONDS)) return reply.send();
  const picture = await context.renderer.rendered(first.ref, first.frame, options);
  if (!multipart && !second) return reply.type(type).send(picture.bytes);
  async function* parts(): AsyncGenerator<Part> {
    for (const one of every) {
      const place = `${root}${instancePath(one.ref)}/frames/${one.frame + 1}/rendered`;
      const shown = one === first ? picture : await context.renderer.rendered(one.ref, one.frame, options);
      yield { type, location: place, body: shown.bytes };
    }
  }
  return sendMultipart(request, reply, type, parts());
}

function allFrames(context: DoorContext, ref: InstanceRef): { ref: InstanceRef; frame: number }[] {
  if (ref.rows === undefined || !context.renderer.canDecode(ref)) return [];
  return Array.from({ length: Math.max(1, ref.frameCount) }, (_, frame) => ({ ref, frame }));
}

/** How many objects are tried before a study is said to have no picture. */
const MAX_TRIES = 5;

/** GET …/thumbnail of a study, series, instance or frame: of the middle one that can be shown. */
export async function thumbnail(
  context: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const accept = acceptOf(request);
  if (!accept.some((wanted) => covers(wanted, 'image/jpeg')))
    throw new Fault('NOT_ACCEPTABLE', { types: 'image/jpeg' });
  const text = (request.query as QueryText)['viewport'];
  // A thumbnail is of the whole image (§8.3.5.1.3).
  if ((list(text, 'viewport')?.length ?? 2) !== 2) throw bad('viewport');
  const viewport = viewportOf(text);
  const size = Math.min(
    MAX_THUMBNAIL,
    viewport ? Math.max(viewport.width, viewport.height) : DEFAULT_THUMBNAIL,
  );
  const refs = await find(context, request, 'thumbnail');
  const { frames: frameText } = request.params as { frames?: string };
  const shown = refs.filter((ref) => ref.rows !== undefined && context.renderer.canDecode(ref));
  const middle = Math.floor(shown.length / 2);
  const candidates = [...shown.slice(middle), ...shown.slice(0, middle)].slice(0, MAX_TRIES);
  let last = new Fault(refs.some((ref) => ref.rows !== undefined) ? 'PIXELS_UNSUPPORTED' : 'PIXELS_NONE');
  for (const ref of candidates) {
    if (notModified(request, reply, etagOf([ref], `thumbnail ${size} ${frameText ?? ''}`), FRAME_AGE_SECONDS))
      return reply.send();
    try {
      const picture =
        frameText === undefined
          ? await context.renderer.thumbnail(ref, size)
          : await context.renderer.rendered(
              ref,
              parseFrameList(frameText, Math.max(1, ref.frameCount))[0] ?? 0,
              {
                type: 'image/jpeg',
                viewport: { width: size, height: size },
              },
            );
      return reply.type(picture.type).send(picture.bytes);
    } catch (error) {
      last = asFault(error);
    }
  }
  throw last;
}
