/** PDUs: round trips, bytes of a stranger's program, and hostile ones (PS3.8 §9.3). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { abortReason, checkPduLength, type Pdu, readPdu, splitPData, writePdu } from './pdu.ts';
import { anyPdu, anyUserInformation, hex, joinBytes, outcomeOf } from './testing.ts';

const reread = (bytes: Uint8Array): Pdu => readPdu(bytes[0]!, bytes.subarray(6));

describe('round trips (PS3.8 §9.3)', () => {
  it('every PDU comes back as it was', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => {
        expect(reread(writePdu(pdu))).toEqual(pdu);
      }),
      { numRuns: 400 },
    );
  });

  it('every user information sub-item comes back as it was (PS3.7 §D.3.3)', () => {
    fc.assert(
      fc.property(anyUserInformation, (user) => {
        const read = reread(writePdu({ ...REQUEST, user }));
        expect(read.type === 'associate-rq' && read.user).toEqual(user);
      }),
      { numRuns: 400 },
    );
  });

  it('the length in the header is that of what follows', () => {
    fc.assert(
      fc.property(anyPdu, (pdu) => {
        const bytes = writePdu(pdu);
        expect(new DataView(bytes.buffer).getUint32(2)).toBe(bytes.length - 6);
      }),
    );
  });

  it('pixel data is not copied', () => {
    const body = writePdu({
      type: 'p-data',
      pdvs: [{ contextId: 1, command: false, last: true, bytes: new Uint8Array(100) }],
    }).subarray(6);
    expect(splitPData(body)[0]?.bytes.buffer).toBe(body.buffer);
  });
});

const REQUEST = {
  ...{ type: 'associate-rq', protocolVersion: 1, calledAe: 'A', callingAe: 'B' },
  ...{ applicationContext: '1.2.840.10008.3.1.1.1', contexts: [], user: { maxPdu: 0 } },
} as const satisfies Pdu;

/*
 * Recorded between DCMTK 3.6.7 programs by a relay on loopback:
 *   echoscu -aet GOLDEN -aec TAPPED          to storescp             REQUEST_ECHO, ACCEPT_ECHO
 *   storescu -usr somebody -pwd pass -rsp    to storescp             REQUEST_IDENTITY
 *   echoscu                                  to storescp --refuse    REJECT
 *   echoscu --abort                          to storescp             ABORT
 *   (the end of the first)                                           RELEASE_RQ, RELEASE_RP
 * Items of an A-ASSOCIATE: 10 application context, 20/21 presentation context, 30 abstract and 40 transfer syntax,
 * 50 user information with 51 maximum length, 52 and 55 implementation, 58 user identity.
 */
const HEAD_TAPPED = `0001 0000 54415050454420202020202020202020 474f4c44454e20202020202020202020
  ${'00'.repeat(32)} 10000015 312e322e3834302e31303030382e332e312e312e31`;
const IMPLEMENTATION = `52 00 001b 312e322e3237362e302e373233303031302e332e302e332e362e37
  55 00 000f 4f464649535f44434d544b5f333637`;
const REQUEST_ECHO = hex(`01 00 000000cd ${HEAD_TAPPED}
  20 00 002e 01 00 ff 00 30 00 0011 312e322e3834302e31303030382e312e31 40 00 0011 312e322e3834302e31303030382e312e32
  50 00 003a 51 00 0004 00004000 ${IMPLEMENTATION}`);
const ACCEPT_ECHO = hex(`02 00 000000b8 ${HEAD_TAPPED}
  21 00 0019 01 00 00 00 40 00 0011 312e322e3834302e31303030382e312e32
  50 00 003a 51 00 0004 00004000 ${IMPLEMENTATION}`);
const REQUEST_IDENTITY =
  hex(`01 00 000000ed 0001 0000 414e592d534350202020202020202020 53544f52455343552020202020202020
  ${'00'.repeat(32)} 10000015 312e322e3834302e31303030382e332e312e312e31
  20 00 0038 01 00 ff 00 30 00 0019 312e322e3834302e31303030382e352e312e342e312e312e37
    40 00 0013 312e322e3834302e31303030382e312e322e31
  50 00 0050 51 00 0004 00004000 ${IMPLEMENTATION}
    58 00 0012 02 01 0008 736f6d65626f6479 0004 70617373`);
const REJECT = hex('03 00 00000004 00 01 01 01');
const ABORT = hex('07 00 00000004 00 00 00 00');
const RELEASE_RQ = hex('05 00 00000004 00000000');
const RELEASE_RP = hex('06 00 00000004 00000000');

const DCMTK = {
  maxPdu: 16384,
  implementationClassUid: '1.2.276.0.7230010.3.0.3.6.7',
  implementationVersion: 'OFFIS_DCMTK_367',
};
const TAPPED = {
  ...{ protocolVersion: 1, calledAe: 'TAPPED', callingAe: 'GOLDEN', user: DCMTK },
  applicationContext: '1.2.840.10008.3.1.1.1',
};

describe('bytes of DCMTK', () => {
  it.each([
    [
      'A-ASSOCIATE-RQ',
      REQUEST_ECHO,
      {
        ...{ type: 'associate-rq', ...TAPPED },
        contexts: [{ id: 1, abstractSyntax: '1.2.840.10008.1.1', transferSyntaxes: ['1.2.840.10008.1.2'] }],
      },
    ],
    [
      'A-ASSOCIATE-AC',
      ACCEPT_ECHO,
      {
        ...{ type: 'associate-ac', ...TAPPED },
        contexts: [{ id: 1, result: 0, transferSyntax: '1.2.840.10008.1.2' }],
      },
    ],
    ['A-ASSOCIATE-RJ', REJECT, { type: 'associate-rj', result: 1, source: 1, reason: 1 }],
    ['A-ABORT', ABORT, { type: 'abort', source: 0, reason: 0 }],
    ['A-RELEASE-RQ', RELEASE_RQ, { type: 'release-rq' }],
    ['A-RELEASE-RP', RELEASE_RP, { type: 'release-rp' }],
  ] as const)('%s is read, and written the same', (_, bytes, pdu) => {
    expect(reread(bytes)).toEqual(pdu);
    const same = bytes.slice();
    // DCMTK fills a reserved byte of a proposed context with FF; PS3.8 §9.3.2.2 sends 00 and never tests it.
    if (pdu.type === 'associate-rq') same[same.indexOf(0xff)] = 0;
    expect(writePdu(pdu as unknown as Pdu)).toEqual(same);
  });

  it('a user identity with passcode', () => {
    const read = reread(REQUEST_IDENTITY);
    const identity = read.type === 'associate-rq' ? read.user.identity : undefined;
    expect(identity).toEqual({
      ...{ type: 2, responseRequested: true },
      ...{ primary: hex('736f6d65626f6479'), secondary: hex('70617373') },
    });
  });
});

/** An A-ASSOCIATE-RQ body of these items behind the fixed fields. */
const withItems = (...items: readonly string[]): Uint8Array =>
  joinBytes(hex(`0001 0000 ${'41'.repeat(16)} ${'42'.repeat(16)} ${'00'.repeat(32)}`), ...items.map(hex));
const context = (id: string, syntaxes = ''): string => {
  const length = (4 + syntaxes.length / 2).toString(16).padStart(4, '0');
  return `2000${length}${id}000000${syntaxes}`;
};
const user = (subItem: string): string =>
  `5000${(subItem.replace(/\s/g, '').length / 2).toString(16).padStart(4, '0')}${subItem}`;

describe('hostile PDUs', () => {
  it.each([
    ['unknown type 00', 0x00, 4, 'PDU_TYPE'],
    ['unknown type 08', 0x08, 4, 'PDU_TYPE'],
    ['unknown type FF', 0xff, 4, 'PDU_TYPE'],
    ['P-DATA of 4 GB', 0x04, 0xffffffff, 'PDU_LENGTH'],
    ['P-DATA longer than agreed by one', 0x04, 16385, 'PDU_LENGTH'],
    ['empty P-DATA', 0x04, 0, 'PDU_LENGTH'],
    ['A-ASSOCIATE-RQ of 4 GB', 0x01, 0xffffffff, 'PDU_LENGTH'],
    ['A-ASSOCIATE-RQ of 0', 0x01, 0, 'PDU_LENGTH'],
    ['A-ASSOCIATE-RQ shorter than its fixed fields', 0x01, 67, 'PDU_LENGTH'],
    ['A-RELEASE-RQ of 0', 0x05, 0, 'PDU_LENGTH'],
    ['A-RELEASE-RQ of 5', 0x05, 5, 'PDU_LENGTH'],
    ['A-ABORT of 4 GB', 0x07, 0xffffffff, 'PDU_LENGTH'],
  ] as const)('%s is refused by its header alone', (_, type, length, code) => {
    expect(outcomeOf(() => checkPduLength(type, length, 16384))).toBe(code);
  });

  it.each([
    ['PDV of length 0', '00000000', 'PDU_ITEM_LENGTH'],
    ['PDV of length 1', '00000001 01', 'PDU_ITEM_LENGTH'],
    ['PDV longer than the PDU', '00000005 01 02 aa', 'PDU_ITEM_LENGTH'],
    ['PDV of 4 GB', 'ffffffff 01 02 aa', 'PDU_ITEM_LENGTH'],
    ['PDV header cut off', '000000', 'PDU_ITEM_LENGTH'],
    ['even context id', '00000003 02 02 aa', 'PDU_VALUE'],
    ['context id 0', '00000003 00 02 aa', 'PDU_VALUE'],
  ])('P-DATA: %s', (_, body, code) => {
    expect(outcomeOf(() => readPdu(0x04, hex(body)))).toBe(code);
  });

  it.each([
    ['an item longer than the PDU', withItems('1000ffff31'), 'PDU_ITEM_LENGTH'],
    ['an item header cut off', withItems('1000'), 'PDU_ITEM_LENGTH'],
    ['an even context id', withItems(context('02')), 'PDU_VALUE'],
    ['a context without its fixed fields', withItems('2000000101'), 'PDU_ITEM_LENGTH'],
    ['a transfer syntax longer than its context', withItems(context('01', '4000ffff31')), 'PDU_ITEM_LENGTH'],
    ['129 contexts', withItems(...Array.from({ length: 129 }, () => context('01'))), 'PDU_VALUE'],
    ['1,000 transfer syntaxes', withItems(context('01', '4000000131'.repeat(1000))), 'PDU_VALUE'],
    ['a maximum length of 3 bytes', withItems(user('51000003000040')), 'PDU_ITEM_LENGTH'],
    ['a role whose UID runs out', withItems(user('54000006 0040 3100 0101')), 'PDU_ITEM_LENGTH'],
    ['a role without its flags', withItems(user('54000003 0001 31')), 'PDU_ITEM_LENGTH'],
    ['an extended negotiation whose UID runs out', withItems(user('56000003 ffff 31')), 'PDU_ITEM_LENGTH'],
    ['related classes that run out', withItems(user('57000008 0001 31 0001 31 00ff')), 'PDU_ITEM_LENGTH'],
    ['an identity whose name runs out', withItems(user('58000006 01 00 00ff 4142')), 'PDU_ITEM_LENGTH'],
    ['an identity without its passcode', withItems(user('58000005 02 00 0001 41')), 'PDU_ITEM_LENGTH'],
    ['a sub-item longer than the item', withItems(user('5100ffff00004000')), 'PDU_ITEM_LENGTH'],
    ['1,100 sub-items', withItems(user('99000000'.repeat(1100))), 'PDU_VALUE'],
  ])('A-ASSOCIATE-RQ: %s', (_, body, code) => {
    expect(outcomeOf(() => readPdu(0x01, body))).toBe(code);
  });

  it('ignores items and sub-items it does not know (PS3.8 §9.3.1)', () => {
    const read = readPdu(0x01, withItems('99000002abcd', user('5100000400004000 77000003010203')));
    expect(read).toMatchObject({ type: 'associate-rq', user: { maxPdu: 0x4000 } });
  });

  it('reads an identity as long as its length field allows', () => {
    const identity = {
      ...{ type: 5, responseRequested: false, primary: new Uint8Array(60_000).fill(65) },
      secondary: new Uint8Array(0),
    };
    const read = reread(writePdu({ ...REQUEST, user: { maxPdu: 0, identity } }));
    expect(read.type === 'associate-rq' && read.user.identity).toEqual(identity);
  });

  it('names the reason of the abort as Table 9-26 does', () => {
    expect(
      (['PDU_TYPE', 'PDU_UNEXPECTED', 'PDU_LENGTH', 'PDU_VALUE', 'DIMSE_COMMAND', 'INTERNAL'] as const).map(
        abortReason,
      ),
    ).toEqual([1, 2, 6, 6, 6, 0]);
  });
});
