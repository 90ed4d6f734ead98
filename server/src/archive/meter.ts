/**
 * Counts what is taken in, by door and by what became of it.
 *
 * Layer:  server/archive.
 */
import type { Metrics } from '../platform/metrics.ts';
import type { Ingest } from './types.ts';

/** The same ingest, with every object and its bytes counted. */
export function meterIngest(ingest: Ingest, metrics: Metrics): Ingest {
  const objects = metrics.counter('lightbox_objects_total', 'Objects received, by what became of them', [
    'door',
    'outcome',
  ]);
  const bytes = metrics.counter('lightbox_object_bytes_total', 'Bytes of objects received', ['door']);
  return {
    async begin(source, form) {
      const door = source.kind;
      const writer = await ingest.begin(source, form).catch((error: unknown) => {
        objects({ door, outcome: 'refused' });
        throw error;
      });
      let received = 0;
      return {
        write(chunk) {
          received += chunk.length;
          return writer.write(chunk);
        },
        async finish() {
          bytes({ door }, received);
          try {
            const outcome = await writer.finish();
            objects({ door, outcome: outcome.status });
            return outcome;
          } catch (error) {
            objects({ door, outcome: 'failed' });
            throw error;
          }
        },
        async abort() {
          objects({ door, outcome: 'aborted' });
          await writer.abort();
        },
      };
    },
  };
}
