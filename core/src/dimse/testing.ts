/**
 * Arbitrary PDUs and small helpers for the tests of this folder.
 *
 * Layer:  core/dimse, tests only.
 */
import fc from 'fast-check';
import { Fault } from '../base/fault.ts';
import { APPLICATION_CONTEXT, type Pdu } from './pdu.ts';
import type { UserInformation } from './user-information.ts';

/** Bytes of hexadecimal text; blanks do not count. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16),
  );
}

export function joinBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The code of the Fault that `work` throws, or what it returned. Any other exception goes through. */
export function outcomeOf<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
}

const byte = fc.integer({ min: 0, max: 255 });
const u16 = fc.integer({ min: 0, max: 0xffff });
export const anyUid = fc
  .array(fc.integer({ min: 0, max: 99_999 }), { minLength: 2, maxLength: 9 })
  .map((parts) => parts.join('.'));
/** Text that is not changed by taking padding away. */
const anyAe = fc.stringMatching(/^[A-Za-z0-9_.-]{1,16}$/);
const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const contextId = fc.integer({ min: 0, max: 127 }).map((half) => half * 2 + 1);
const some = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { minLength: 1, maxLength: 4 });

/** Every sub-item there is, each there or not. */
export const anyUserInformation: fc.Arbitrary<UserInformation> = fc
  .record(
    {
      maxPdu: fc.nat(0xffffffff),
      implementationClassUid: anyUid,
      implementationVersion: anyAe,
      window: fc.record({ invoked: u16, performed: u16 }),
      roles: some(fc.record({ sopClassUid: anyUid, scu: fc.boolean(), scp: fc.boolean() })),
      extended: some(fc.record({ sopClassUid: anyUid, info: bytes(8) })),
      common: some(
        fc.record({
          sopClassUid: anyUid,
          serviceClassUid: anyUid,
          related: fc.array(anyUid, { maxLength: 3 }),
        }),
      ),
      identity: fc.record({
        ...{ type: fc.integer({ min: 1, max: 5 }), responseRequested: fc.boolean() },
        ...{ primary: bytes(300), secondary: bytes(300) },
      }),
      identityResponse: bytes(64),
    },
    { requiredKeys: ['maxPdu'] },
  )
  .map((info) => info as UserInformation);

const associate = {
  protocolVersion: u16,
  calledAe: anyAe,
  callingAe: anyAe,
  applicationContext: fc.oneof(fc.constant(APPLICATION_CONTEXT), anyUid),
  user: anyUserInformation,
};

/** Any of the seven PDUs. */
export const anyPdu: fc.Arbitrary<Pdu> = fc.oneof(
  fc.record({
    type: fc.constant('associate-rq' as const),
    ...associate,
    contexts: fc.array(
      fc.record({
        ...{ id: contextId, abstractSyntax: anyUid },
        transferSyntaxes: fc.array(anyUid, { maxLength: 4 }),
      }),
      { maxLength: 6 },
    ),
  }),
  fc.record({
    type: fc.constant('associate-ac' as const),
    ...associate,
    contexts: fc.array(
      fc.record({ id: contextId, result: fc.integer({ min: 0, max: 4 }), transferSyntax: anyUid }),
      { maxLength: 6 },
    ),
  }),
  fc.record({ type: fc.constant('associate-rj' as const), result: byte, source: byte, reason: byte }),
  fc.record({
    type: fc.constant('p-data' as const),
    pdvs: fc.array(fc.record({ contextId, command: fc.boolean(), last: fc.boolean(), bytes: bytes(40) }), {
      minLength: 1,
      maxLength: 5,
    }),
  }),
  fc.constant({ type: 'release-rq' as const }),
  fc.constant({ type: 'release-rp' as const }),
  fc.record({ type: fc.constant('abort' as const), source: byte, reason: byte }),
);
