/**
 * The log: lines of JSON on standard output that name codes, counts and UIDs of nobody.
 *
 * Values of patients must not be logged at all (law 7). As a second net, keys that could hold one or a secret are blanked
 * wherever they appear in the first levels of a line.
 * Layer:  server/platform.
 */
import { pino, type DestinationStream, type Logger } from 'pino';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Config } from './config.ts';

export type Log = Logger;

const SENSITIVE = [
  'password',
  'token',
  'secret',
  'cookie',
  'authorization',
  'key',
  'patientName',
  'patientId',
  'birthDate',
  'accession',
];

/** Own keys, and one and two levels deep. */
const REDACTED = SENSITIVE.flatMap((name) => [name, `*.${name}`, `*.*.${name}`, `*.headers.${name}`]);

export function createLog(config: Pick<Config, 'logLevel'>, destination?: DestinationStream): Log {
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: REDACTED, censor: '[blanked]' },
    serializers: { err: describeError, error: describeError },
  };
  return destination ? pino(options, destination) : pino(options);
}

/**
 * An error as facts. Messages of PostgreSQL can quote the values of a row ("Key (patient_id)=(…)"): of its errors only
 * code, table and constraint are kept.
 */
export function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const cause = error.cause === undefined ? undefined : describeError(error.cause);
  if (error instanceof Fault) {
    return {
      type: 'Fault',
      code: error.code,
      facts: error.facts,
      ...(cause ? { cause, stack: error.stack } : {}),
    };
  }
  if (isDatabaseError(error)) {
    const { code, table, constraint, routine } = error;
    return { type: 'DatabaseError', code, table, constraint, routine, stack: frames(error) };
  }
  const code = 'code' in error ? String(error.code) : undefined;
  return {
    type: error.name,
    code,
    message: error.message,
    stack: frames(error),
    ...(cause ? { cause } : {}),
  };
}

interface DatabaseError extends Error {
  readonly code?: string;
  readonly table?: string;
  readonly constraint?: string;
  readonly routine?: string;
}

const isDatabaseError = (error: Error): error is DatabaseError => 'severity' in error && 'routine' in error;

/** The stack without its first lines, which repeat the message. */
const frames = (error: Error): string | undefined =>
  error.stack
    ?.split('\n')
    .filter((line) => line.startsWith('    at '))
    .join('\n');
