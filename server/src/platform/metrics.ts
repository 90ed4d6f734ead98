/**
 * Numbers for monitoring, as Prometheus reads them: counts, bytes and waiting lines; never a name, an address or a UID.
 *
 * Source: Prometheus text format 0.0.4.
 * Layer:  server/platform. Parts above bring their own numbers by `gauge` and `counter`.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { FastifyInstance } from 'fastify';

export interface Metrics {
  /** A number that is read when somebody looks. */
  gauge(name: string, help: string, read: () => number | Promise<number>): void;
  /** A number that only grows, one for each combination of label values. Labels have few values, all of them ours. */
  counter<L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
  ): (values: Readonly<Record<L, string>>, by?: number) => void;
  /** Counts every request of a server by method, route pattern and status. */
  watchHttp(app: Pick<FastifyInstance, 'addHook'>): void;
  readonly contentType: string;
  text(): Promise<string>;
}

/** From a cached answer to a large retrieve. */
const SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export function createMetrics(): Metrics {
  const registry = new Registry();
  // Process memory and CPU, event-loop lag, garbage collection.
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    gauge(name, help, read) {
      new Gauge({
        ...{ name, help, registers },
        async collect() {
          this.set(await read());
        },
      });
    },
    counter(name, help, labelNames) {
      const counter = new Counter({ name, help, labelNames: [...labelNames], registers });
      return (values, by = 1) => counter.inc(values, by);
    },
    watchHttp(app) {
      const labelNames = ['method', 'route', 'status'] as const;
      const requests = new Counter({
        ...{ name: 'lightbox_http_requests_total', help: 'HTTP requests answered', labelNames, registers },
      });
      const seconds = new Histogram({
        ...{ name: 'lightbox_http_request_seconds', help: 'Time to the last byte of an answer' },
        ...{ labelNames: ['route'], buckets: SECONDS, registers },
      });
      app.addHook('onResponse', (request, reply, done) => {
        // The pattern, not the URL: URLs hold patient ids and UIDs.
        const route = request.routeOptions.url ?? 'none';
        requests.inc({ method: request.method, route, status: String(reply.statusCode) });
        seconds.observe({ route }, reply.elapsedTime / 1000);
        done();
      });
    },
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}
