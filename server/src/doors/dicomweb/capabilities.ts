/**
 * What this DICOMweb service offers, as the OPTIONS method tells it: the methods of one resource, and at the root a WADL
 * document of all.
 *
 * Source: PS3.18 §8.9 (Capabilities Description), Annex H; W3C WADL (2009); RFC 9110 §9.3.7.
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { rootUrl } from './answer.ts';

export interface Resource {
  /** Below the root of the service: `/studies/:study`. */
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** PS3.18's name of the transaction and resource. */
  readonly summary: string;
  readonly requestTypes?: readonly string[] | undefined;
  readonly answerTypes: readonly string[];
  /** Query parameters beside `accept` and `charset`. */
  readonly query?: readonly string[] | undefined;
}

/** OPTIONS on every resource and on the root, and a plain word for methods that a resource does not know. */
export function describeCapabilities(
  app: FastifyInstance,
  prefix: string,
  resources: readonly Resource[],
): void {
  const byUrl = new Map<string, Resource[]>();
  for (const resource of resources) byUrl.set(resource.url, [...(byUrl.get(resource.url) ?? []), resource]);
  const options = (
    url: string,
    handler: (request: FastifyRequest, reply: FastifyReply) => FastifyReply,
  ): void => {
    app.route({
      ...{ method: 'OPTIONS', url, config: { signedIn: true }, handler },
      schema: { summary: 'Capabilities (PS3.18 §8.9)', tags: ['DICOMweb'] },
    });
  };
  const known: { readonly path: RegExp; readonly allow: string }[] = [];
  for (const [url, own] of byUrl) {
    const methods = own.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    const allow = [...methods, 'OPTIONS'].join(', ');
    options(url, (_request, reply) => reply.status(204).header('allow', allow).send());
    known.push({ path: pathOf(`${prefix}${url}`), allow });
  }
  // Told to everybody: which methods there are stands in the standard.
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const resource = known.find((one) => one.path.test(path));
    if (!resource) throw new Fault('NOT_FOUND');
    reply.header('allow', resource.allow);
    throw new Fault('METHOD_NOT_ALLOWED');
  });
  options('/', (request, reply) =>
    reply
      .header('allow', 'OPTIONS')
      .type('application/vnd.sun.wadl+xml')
      .send(wadl(rootUrl(request, prefix), byUrl)),
  );
}

/** Addresses of one resource. */
const pathOf = (url: string): RegExp =>
  new RegExp(`^${url.replaceAll(/[.]/g, '\\.').replaceAll(/:\w+/g, '[^/]+').replace('*', '.+')}$`);

function wadl(base: string, byUrl: ReadonlyMap<string, readonly Resource[]>): string {
  const resources = [...byUrl].map(([url, own]) => {
    const path = url
      .slice(1)
      .replaceAll(/:(\w+)/g, '{$1}')
      .replace('*', '{path}');
    const params = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => param(name, 'template'));
    return `<resource path="${path}">${params.join('')}${own.map(methodText).join('')}</resource>`;
  });
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n<application xmlns="http://wadl.dev.java.net/2009/02">' +
    `<resources base="${escaped(base)}">\n${resources.join('\n')}\n</resources></application>\n`
  );
}

/** A method with what may be asked and what may be answered, all of it from the table of routes (Annex H). */
function methodText({ method, summary, query = [], requestTypes = [], answerTypes }: Resource): string {
  const shown = (types: readonly string[]): string =>
    types.map((type) => `<representation mediaType="${escaped(type)}"/>`).join('');
  const asked = [
    param('Accept', 'header', answerTypes),
    ...['accept', 'charset', ...query].map((name) => param(name, 'query')),
  ];
  return (
    `<method name="${method}"><doc title="${escaped(summary)}"/>` +
    `<request>${asked.join('')}${shown(requestTypes)}</request><response>${shown(answerTypes)}</response></method>`
  );
}

function param(
  name: string,
  style: 'template' | 'query' | 'header',
  options: readonly string[] = [],
): string {
  const given = options.map((option) => `<option value="${escaped(option)}"/>`).join('');
  return given === ''
    ? `<param name="${name}" style="${style}"/>`
    : `<param name="${name}" style="${style}">${given}</param>`;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
