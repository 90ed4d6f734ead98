/**
 * The HTTP kit all doors stand on: request ids, security headers, errors as Problem JSON, and the promise that
 * every route says who may call it.
 *
 * Source: RFC 9457 (problem details, in our own shape `Problem` of core/contract/api.ts), PS3.18 §8.5 (statuses).
 * Layer:  server/platform. Who is asking is decided above, by identity's hooks.
 */
import { randomBytes } from 'node:crypto';
import Fastify, { type FastifyError, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import websocket from '@fastify/websocket';
import {
  hasZodFastifySchemaValidationErrors,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import type { FastifyBaseLogger } from 'fastify';
import type { Config } from './config.ts';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { isConnectionLoss } from './database.ts';
import { OPENAPI } from './openapi.ts';

declare module 'fastify' {
  /** Exactly one of these is on every route; start-up fails otherwise. */
  interface FastifyContextConfig {
    /** The right (identity/types.ts) the caller must have. */
    right?: string;
    /** Anyone, even signed out: only what the sign-in page needs. */
    public?: true;
    /** Any person or machine that is signed in, whatever the roles. */
    signedIn?: true;
    /** A read that happens by itself and so is no sign of a person at the screen (idle lock). */
    background?: true;
  }
}

/** With a public address there is a proxy in front; it is believed about X-Forwarded-* when it runs on this machine. */
export type HttpSettings = Pick<Config, 'publicUrl'>;

/** A small body: our own JSON. Uploads and STOW stream and set their own limits. */
const JSON_BODY_LIMIT = 1024 * 1024;
/** A request line and headers take milliseconds; a client that needs longer is holding a socket (attack: slowloris). */
const HEADERS_TIMEOUT_MS = 30_000;
/** What still comes of a refused body is read and dropped for so long, then the connection is closed. */
const LINGER_MS = 5000;
/** Over WebSockets we speak and others listen: a frame of theirs that is longer ends the connection. */
const MAX_FRAME = 1024;
/** A UID path with series, instance and frames list: longer parameters are refused by the router. */
const MAX_PARAM_LENGTH = 8192;

/**
 * A Fastify server without routes. Add doors, then `listen`.
 *
 * @throws on registration of a route whose `config` has none or several of `right`, `public`, `signedIn`.
 */
export async function createHttp(options: {
  readonly config: HttpSettings;
  readonly log: FastifyBaseLogger;
}) {
  const { config, log } = options;
  const https = config.publicUrl?.startsWith('https://') ?? false;
  const app = Fastify({
    http: { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 },
    loggerInstance: log,
    // Their lines hold URLs; ours below do not.
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: config.publicUrl === undefined ? false : 'loopback',
    bodyLimit: JSON_BODY_LIMIT,
    genReqId: () => randomBytes(8).toString('hex'),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    keepAliveTimeout: 75_000,
    return503OnClosing: true,
  }).withTypeProvider<ZodTypeProvider>();
  app.server.on('connection', (socket) => socket.setNoDelay(true));
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);

  app.addHook('onRoute', (route) => {
    const { right, public: open, signedIn } = route.config ?? {};
    if ([right, open, signedIn].filter((value) => value !== undefined).length !== 1)
      throw new Error(
        `route ${String(route.method)} ${route.url} must declare one of right, public, signedIn`,
      );
    // What answers with data is in the description of the API, which the tests of access walk through.
    if (route.schema?.hide === true && open === undefined)
      throw new Error(`route ${String(route.method)} ${route.url} must not be hidden`);
  });
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  app.addHook('onResponse', (request, _reply, done) => {
    // A body refused before its end would stay in the socket, and the next request of this connection behind it.
    const { raw } = request;
    if (!raw.complete && !raw.destroyed) {
      raw.resume();
      const patience = setTimeout(() => raw.destroy(), LINGER_MS);
      raw.once('close', () => clearTimeout(patience));
    }
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    // The pattern, not the URL: URLs hold patient ids and UIDs.
    request.log.info(
      {
        method: request.method,
        route: request.routeOptions.url ?? 'none',
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'request',
    );
    done();
  });
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply));
  app.setNotFoundHandler((request, reply) => sendProblem(new Fault('NOT_FOUND'), request, reply));

  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        // Image codecs are WebAssembly; nothing else may be compiled from text.
        scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
        workerSrc: ["'self'", 'blob:'],
        // Mantine and the viewer set element styles.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'blob:', 'data:'],
        mediaSrc: ["'self'", 'blob:'],
        fontSrc: ["'self'", 'data:'],
        connectSrc: ["'self'", 'blob:', 'data:'],
        frameSrc: ["'self'", 'blob:'],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'self'"],
      },
    },
    frameguard: { action: 'sameorigin' },
    referrerPolicy: { policy: 'no-referrer' },
    // Only behind TLS: on plain http in a clinic's network it would lock people out.
    strictTransportSecurity: https,
  });
  await app.register(rateLimit, {
    global: false,
    errorResponseBuilder: (_request, context) =>
      new Fault('TOO_MANY_REQUESTS', { retrySeconds: Math.ceil(context.ttl / 1000) }),
  });
  await app.register(swagger, OPENAPI);
  await app.register(websocket, { options: { maxPayload: MAX_FRAME } });
  return app;
}

/** Answers any thrown value as `Problem`; what is our own failure goes to the log, what is the caller's does not. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const fault = toFault(error);
  const status = fault.row.http;
  if (status >= 500)
    request.log.error({ code: fault.code, facts: fault.facts, err: fault.cause }, 'request failed');
  const facts = Object.fromEntries(Object.entries(fault.facts).filter(([, value]) => value !== undefined));
  if (typeof facts['retrySeconds'] === 'number') reply.header('retry-after', String(facts['retrySeconds']));
  return reply
    .status(status)
    .type('application/problem+json')
    .header('cache-control', 'no-store')
    .serializer((payload: unknown) => JSON.stringify(payload))
    .send({
      code: fault.code,
      message: fault.row.meaning,
      requestId: request.id,
      ...(Object.keys(facts).length ? { facts } : {}),
    });
}

/** Fastify's own errors as rows of our table. Only paths of wrong fields are told, never their values. */
export function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (isConnectionLoss(error)) return new Fault('DATABASE_UNREACHABLE', {}, { cause: error });
  if (hasZodFastifySchemaValidationErrors(error)) {
    const first = error.validation[0];
    return new Fault('BAD_REQUEST', {
      part: error.validationContext,
      field: first?.instancePath.replace(/^\//, '') || undefined,
      problem: first?.keyword,
    });
  }
  const { code, statusCode } = error as Partial<FastifyError>;
  // PostgreSQL keeps no NUL and no lone surrogate in text: a request with one in a value asks for what cannot be there.
  if (code === '22021' || code === '22P05') return new Fault('BAD_REQUEST', { problem: 'characters' });
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new Fault('TOO_LARGE');
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return new Fault('UNSUPPORTED_MEDIA');
  if (statusCode === 404) return new Fault('NOT_FOUND');
  if (statusCode === 503) return new Fault('BUSY');
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return new Fault('BAD_REQUEST');
  return asFault(error);
}

/** The server doors add their routes to. */
export type HttpApp = Awaited<ReturnType<typeof createHttp>>;
