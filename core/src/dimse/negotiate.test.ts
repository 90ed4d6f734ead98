/** Negotiation (PS3.8 §9.3.3, PS3.7 §D.3.3). */
import { describe, expect, it } from 'vitest';
import { storageSopClasses } from '../dicom/dictionary.ts';
import {
  chooseTransferSyntax,
  negotiate,
  PATIENT_ROOT_FIND,
  STUDY_ROOT_FIND,
  VERIFICATION,
} from './negotiate.ts';
import { COMPOSITE_ROOT_GET, PATIENT_ROOT_MOVE, STUDY_ROOT_GET } from './retrieve.ts';
import type { AssociateRequest, ProposedContext } from './pdu.ts';
import type { UserInformation } from './user-information.ts';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const MR = '1.2.840.10008.5.1.4.1.1.4';
const US = '1.2.840.10008.5.1.4.1.1.6.1';
const IMPLICIT = '1.2.840.10008.1.2';
const EXPLICIT = '1.2.840.10008.1.2.1';
const BIG = '1.2.840.10008.1.2.2';
const JPEG = '1.2.840.10008.1.2.4.50';
const PRIVATE = '1.2.276.0.7230010.3.1.0.1';

const request = (
  contexts: readonly ProposedContext[],
  user: Partial<UserInformation> = {},
): AssociateRequest => ({
  ...{ type: 'associate-rq', protocolVersion: 1, calledAe: 'LIGHTBOX', callingAe: 'PEER' },
  ...{ applicationContext: '1.2.840.10008.3.1.1.1', contexts, user: { maxPdu: 16384, ...user } },
});
const context = (id: number, abstractSyntax: string, ...transferSyntaxes: string[]): ProposedContext => ({
  ...{ id, abstractSyntax, transferSyntaxes },
});
const answers = (...contexts: ProposedContext[]): (readonly [number, number, string])[] =>
  negotiate(request(contexts), 65536).accept.contexts.map(
    ({ id, result, transferSyntax }) => [id, result, transferSyntax] as const,
  );

describe('presentation contexts (PS3.8 Table 9-18)', () => {
  it('takes every Storage SOP class', () => {
    const classes = storageSopClasses();
    expect(classes.length).toBeGreaterThan(150);
    for (const { uid } of classes)
      expect(answers(context(1, uid, EXPLICIT)), uid).toEqual([[1, 0, EXPLICIT]]);
  });

  it('takes Storage SOP classes that are newer than its table', () => {
    const labelMap = '1.2.840.10008.5.1.4.1.1.66.7';
    for (const uid of [labelMap, '1.2.840.10008.5.1.4.1.1.9999.1'])
      expect(answers(context(1, uid, EXPLICIT))).toEqual([[1, 0, EXPLICIT]]);
  });

  it.each([
    ['the first known one', [JPEG, EXPLICIT], JPEG],
    ['explicit before implicit', [IMPLICIT, EXPLICIT], EXPLICIT],
    ['explicit before big endian', [BIG, EXPLICIT], EXPLICIT],
    ['implicit when nothing else is there', [IMPLICIT], IMPLICIT],
    ['a private one', [PRIVATE], PRIVATE],
    ['a known one before a private one', [PRIVATE, JPEG], JPEG],
  ])('storage: %s', (_, proposed, chosen) => {
    expect(chooseTransferSyntax(context(1, CT, ...proposed), 'store')).toBe(chosen);
  });

  it('says why it does not take a context', () => {
    expect(
      answers(
        context(1, '1.2.840.10008.5.1.4.31', EXPLICIT), // worklist: not offered
        context(3, VERIFICATION, JPEG),
        context(5, CT),
        context(7, CT, 'no uid'),
        context(9, CT, EXPLICIT),
      ).map(([id, result]) => [id, result]),
    ).toEqual([
      [1, 3],
      [3, 4],
      [5, 4],
      [7, 4],
      [9, 0],
    ]);
  });

  it('takes neither of two contexts with one id (attacks C57)', () => {
    const found = negotiate(request([context(1, CT, EXPLICIT), context(1, VERIFICATION, IMPLICIT)]), 65536);
    expect(found.accept.contexts.map(({ result }) => result)).toEqual([2, 2]);
    expect(found.contexts.size).toBe(0);
  });
});

describe('user information (PS3.7 §D.3.3)', () => {
  const userOf = (user: Partial<UserInformation>): UserInformation =>
    negotiate(request([context(1, CT, EXPLICIT)], user), 65536).accept.user;

  it.each([
    [0, 8],
    [1, 1],
    [4, 4],
    [8, 8],
    [9, 8],
    [65535, 8],
  ])('of %i operations asked for %i are agreed, in both directions', (asked, agreed) => {
    const found = negotiate(request([], { window: { invoked: asked, performed: asked } }), 65536);
    expect(found.accept.user.window).toEqual({ invoked: agreed, performed: agreed });
    expect(found).toMatchObject({ window: agreed, performs: agreed });
  });

  it('is synchronous when nobody asked', () => {
    expect(userOf({}).window).toBeUndefined();
    expect(negotiate(request([]), 65536).window).toBe(1);
  });

  it('lets the peer be SCP of Storage, for its C-GETs, and of nothing else', () => {
    expect(
      userOf({
        roles: [
          { sopClassUid: CT, scu: false, scp: true },
          { sopClassUid: MR, scu: true, scp: false },
          { sopClassUid: STUDY_ROOT_FIND, scu: false, scp: true },
          { sopClassUid: '1.2.840.10008.5.1.4.31', scu: true, scp: true },
        ],
      }).roles,
    ).toEqual([
      { sopClassUid: CT, scu: false, scp: true },
      { sopClassUid: MR, scu: true, scp: false },
      { sopClassUid: STUDY_ROOT_FIND, scu: false, scp: false },
    ]);
  });

  it('sends only where the peer said it stores, and decoded where it leaves the choice', () => {
    const roles = [
      { sopClassUid: CT, scu: false, scp: true },
      { sopClassUid: MR, scu: true, scp: true },
    ];
    const proposed = [
      context(1, CT, JPEG, EXPLICIT),
      context(3, CT, JPEG),
      context(5, MR, JPEG, EXPLICIT),
      context(7, STUDY_ROOT_GET, IMPLICIT),
      context(9, US, EXPLICIT),
    ];
    const { contexts } = negotiate(request(proposed, { roles }), 65536);
    expect(
      [...contexts.values()].map((one) => [one.id, one.transferSyntax, one.service, one.peerStores]),
    ).toEqual([
      [1, EXPLICIT, 'store', true],
      [3, JPEG, 'store', true],
      // It also sends: it is never made to decode.
      [5, JPEG, 'store', true],
      [7, IMPLICIT, 'get', false],
      [9, EXPLICIT, 'store', false],
    ]);
  });

  it('agrees to relational retrieval, not to enhanced conversion (PS3.4 §C.5.2.1, §C.5.3.1)', () => {
    const info = Uint8Array.of(1, 1, 1, 1, 1);
    const extended = [STUDY_ROOT_GET, PATIENT_ROOT_MOVE, COMPOSITE_ROOT_GET].map((sopClassUid) => ({
      ...{ sopClassUid, info },
    }));
    const found = negotiate(request([], { extended }), 65536);
    expect(found.accept.user.extended).toEqual([
      { sopClassUid: STUDY_ROOT_GET, info: Uint8Array.of(1, 0, 0, 0, 0) },
      { sopClassUid: PATIENT_ROOT_MOVE, info: Uint8Array.of(1, 0, 0, 0, 0) },
    ]);
    expect([...found.relational]).toEqual([STUDY_ROOT_GET, PATIENT_ROOT_MOVE]);
  });

  it('agrees to relational, combined date-time, fuzzy, empty and multiple value matching, not to more (PS3.4 §C.5.1.1)', () => {
    const found = negotiate(
      request([], {
        extended: [
          { sopClassUid: PATIENT_ROOT_FIND, info: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1) },
          { sopClassUid: STUDY_ROOT_FIND, info: Uint8Array.of(0, 1) },
          { sopClassUid: CT, info: Uint8Array.of(2, 0, 0, 0) },
        ],
      }),
      65536,
    );
    expect(found.accept.user.extended).toEqual([
      { sopClassUid: PATIENT_ROOT_FIND, info: Uint8Array.of(1, 1, 1, 0, 0, 1, 1) },
      { sopClassUid: STUDY_ROOT_FIND, info: Uint8Array.of(0, 1) },
    ]);
    expect([...found.relational]).toEqual([PATIENT_ROOT_FIND]);
    expect([...found.combinedDateTime]).toEqual([PATIENT_ROOT_FIND, STUDY_ROOT_FIND]);
    expect([...found.fuzzy]).toEqual([PATIENT_ROOT_FIND]);
    expect([...found.emptyValues, ...found.multipleValues]).toEqual([PATIENT_ROOT_FIND, PATIENT_ROOT_FIND]);
  });

  it.each([
    [1, true, true, true],
    [2, true, true, true],
    [5, true, true, true],
    [1, false, true, false],
    // A positive answer claims that the user was checked (PS3.7 §D.3.3.7.2).
    [2, true, false, false],
  ])('user of type %i, answer requested %s, accepted %s: answered %s', (type, asked, accepted, answered) => {
    const identity = {
      type,
      responseRequested: asked,
      primary: Uint8Array.of(65),
      secondary: new Uint8Array(0),
    };
    const found = negotiate(request([context(1, CT, EXPLICIT)], { identity }), 65536, accepted);
    expect(found.accept.user.identityResponse).toEqual(answered ? new Uint8Array(0) : undefined);
  });
});
