/**
 * Media types of DICOMweb: what a client would take, and what a transfer syntax is called on the web.
 *
 * Source: PS3.18 §8.3.3.1 (accept parameter), §8.7.3 (media types), Table 8.7.3-2 to 8.7.3-5, §8.7.5 and §8.7.8 (which one is
 *         selected); RFC 9110 §12.5.1.
 * Layer:  server/doors/dicomweb.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE, transferSyntax } from '@lightbox/core/dicom/transfer-syntax.ts';

/** One media range of an Accept header, the best first. */
export interface Wanted {
  /** `multipart/related` was asked for; for a wildcard both forms will do. */
  readonly form: 'multipart' | 'single' | 'any';
  /** The type inside: lower case, `*` for a wildcard. */
  readonly type: string;
  readonly transferSyntax: string | undefined;
  /** Types that a wildcard does not cover, because a more specific range speaks of them (RFC 9110 §12.5.1). */
  readonly except?: readonly string[] | undefined;
}

/** Longer Accept headers are no browser's (attack: quadratic parsing). */
const MAX_ACCEPT = 4096;

/** Splits at a separator outside quotation marks. */
function split(text: string, separator: string): string[] {
  const out: string[] = [];
  let quoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') quoted = !quoted;
    else if (char === separator && !quoted) {
      out.push(text.slice(start, at));
      start = at + 1;
    }
  }
  out.push(text.slice(start));
  return out.map((part) => part.trim()).filter((part) => part !== '');
}

/** Type and parameters of one media type; names in lower case, values without quotation marks. */
export function parseMediaType(text: string): { type: string; params: ReadonlyMap<string, string> } {
  const [type = '', ...rest] = split(text, ';');
  const params = new Map<string, string>();
  for (const part of rest) {
    const at = part.indexOf('=');
    if (at < 1) continue;
    params.set(
      part.slice(0, at).trim().toLowerCase(),
      part
        .slice(at + 1)
        .trim()
        .replace(/^"(.*)"$/s, '$1'),
    );
  }
  return { type: type.toLowerCase(), params };
}

/**
 * The ranges of an Accept header, best first; a missing one takes everything. Ranges with q=0 are left out.
 *
 * @throws Fault BAD_REQUEST when DICOM and rendered types stand side by side (§8.7.5).
 */
export function parseAccept(header: string | undefined): Wanted[] {
  if (header === undefined || header.trim() === '') return [ANYTHING];
  const ranges = split(header.slice(0, MAX_ACCEPT), ',').map((text) => {
    const { type, params } = parseMediaType(text);
    const q = Number(params.get('q') ?? '1');
    return { wanted: wantedOf(type, params), q: Number.isFinite(q) ? q : 1 };
  });
  const types = ranges.map(({ wanted }) => wanted.type);
  const rendered = ranges.some(({ wanted: { form, type } }) => form === 'single' && RENDERED.test(type));
  if (rendered && types.some((type) => DICOM.test(type)))
    throw new Fault('BAD_REQUEST', {
      parameter: 'accept',
      problem: 'DICOM and rendered media types in one list',
    });
  return ranges
    .filter(({ q }) => q > 0)
    .sort((a, b) => b.q - a.q)
    .map(({ wanted }) =>
      wanted.type.endsWith('*') ? { ...wanted, except: moreSpecific(wanted, types) } : wanted,
    );
}

const DICOM = /^application\/dicom(\+json|\+xml)?$/;
/** Text is left out: programs that ask for JSON often say that they take text too. */
const RENDERED = /^(image|video)\/[^*]|^application\/pdf$/;

const moreSpecific = ({ type: wildcard }: Wanted, types: readonly string[]): string[] =>
  types.filter((type) => type !== wildcard && type.startsWith(wildcard.slice(0, -1)));

const ANYTHING: Wanted = { form: 'any', type: '*', transferSyntax: undefined };

function wantedOf(type: string, params: ReadonlyMap<string, string>): Wanted {
  const syntax = params.get('transfer-syntax');
  if (type === '*/*') return { form: 'any', type: '*', transferSyntax: syntax };
  if (type === 'multipart/related' || type === 'multipart/*')
    return { form: 'multipart', type: (params.get('type') ?? '*').toLowerCase(), transferSyntax: syntax };
  return {
    form: 'single',
    type,
    transferSyntax: syntax,
  };
}

/** Whether a range covers a media type. */
export function covers(wanted: Wanted, type: string): boolean {
  if (wanted.except?.some((other) => isWithin(other, type))) return false;
  return isWithin(wanted.type, type);
}

function isWithin(range: string, type: string): boolean {
  if (range.endsWith('*')) return type.startsWith(range.slice(0, -1));
  return range === type || ALIASES.get(range) === type;
}

/** Names from before PS3.18 2016 that clients still send. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['image/x-dicom-rle', 'image/dicom-rle'],
  ['image/x-jls', 'image/jls'],
  ['video/mpeg2', 'video/mpeg'],
  ['application/json', 'application/dicom+json'],
  ['application/xml', 'application/dicom+xml'],
  ['text/xml', 'application/dicom+xml'],
]);

/** Media type of a frame in this transfer syntax (Table 8.7.3-4 and -5). */
export function frameMediaType(uid: string): string {
  const syntax = transferSyntax(uid);
  switch (syntax?.codec) {
    case 'rle':
      return 'image/dicom-rle';
    case 'jpeg':
    case 'jpeg-lossless':
      return 'image/jpeg';
    case 'jpeg-ls':
      return 'image/jls';
    case 'jpeg2000':
      return /\.9[23]$/.test(uid) ? 'image/jpx' : 'image/jp2';
    case 'htj2k':
      return 'image/jphc';
    case 'jpeg-xl':
      return 'image/jxl';
    case 'video':
      return /\.4\.10[01](\.1)?$/.test(uid) ? 'video/mpeg' : 'video/mp4';
    default:
      return 'application/octet-stream';
  }
}

/** The transfer syntax of an image type when the client names none (Table 8.7.3-4, marked D). */
export const DEFAULT_SYNTAX: ReadonlyMap<string, string> = new Map([
  ['application/octet-stream', EXPLICIT_LE],
  ['image/dicom-rle', '1.2.840.10008.1.2.5'],
  ['image/jpeg', '1.2.840.10008.1.2.4.70'],
  ['image/jls', '1.2.840.10008.1.2.4.80'],
  ['image/jp2', '1.2.840.10008.1.2.4.90'],
  ['image/jpx', '1.2.840.10008.1.2.4.92'],
  ['image/jphc', '1.2.840.10008.1.2.4.201'],
  ['image/jxl', '1.2.840.10008.1.2.4.110'],
  ['video/mpeg', '1.2.840.10008.1.2.4.101'],
  ['video/mp4', '1.2.840.10008.1.2.4.102'],
]);

/** What a retrieve of frames answers with. */
export interface FrameAnswer {
  readonly multipart: boolean;
  readonly type: string;
  /** '*': as kept. */
  readonly transferSyntax: string;
}

/**
 * Picks the form of frames: the first range that can be produced.
 *
 * @param own         Transfer syntax of the object as kept.
 * @param canProduce  Whether frames can be given in a transfer syntax.
 * @param single      Whether one part is enough for the answer.
 */
export function chooseFrames(
  accept: readonly Wanted[],
  own: string,
  canProduce: (uid: string) => boolean,
  single: boolean,
): FrameAnswer | undefined {
  for (const wanted of accept) {
    if (wanted.form === 'single' && !single) continue;
    const multipart = wanted.form !== 'single';
    const ownType = frameMediaType(own);
    const asKept = { multipart, transferSyntax: own };
    if (wanted.transferSyntax === '*') {
      if (covers(wanted, ownType)) return { ...asKept, type: ownType };
      // What browsers' viewers ask: any syntax, labelled as octets, the syntax named in the part's header.
      if (covers(wanted, 'application/octet-stream')) return { ...asKept, type: 'application/octet-stream' };
      continue;
    }
    if (wanted.transferSyntax !== undefined) {
      const type = frameMediaType(wanted.transferSyntax);
      const octets = covers(wanted, 'application/octet-stream');
      if ((covers(wanted, type) || octets) && canProduce(wanted.transferSyntax))
        return {
          multipart,
          type: covers(wanted, type) ? type : 'application/octet-stream',
          transferSyntax: wanted.transferSyntax,
        };
      continue;
    }
    if (wanted.type === '*') {
      if (canProduce(EXPLICIT_LE) && covers(wanted, 'application/octet-stream'))
        return { multipart, type: 'application/octet-stream', transferSyntax: EXPLICIT_LE };
      if (covers(wanted, ownType)) return { ...asKept, type: ownType };
      continue;
    }
    if (ownType !== 'application/octet-stream' && covers(wanted, ownType))
      return { ...asKept, type: ownType };
    for (const [type, uid] of DEFAULT_SYNTAX) {
      if (covers(wanted, type) && canProduce(uid)) return { multipart, type, transferSyntax: uid };
    }
  }
  return undefined;
}
