/** Command sets (PS3.7 §6.3.1, §E.1). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Command, COMMANDS, NO_DATA_SET, readCommand, writeCommand } from './command.ts';
import { anyUid, hex, joinBytes, outcomeOf } from './testing.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const ae = fc.stringMatching(/^[A-Z0-9_]{1,16}$/);
const anyCommand: fc.Arbitrary<Command> = fc
  .record(
    {
      ...{ commandField: u16, dataSetType: u16, messageId: u16, messageIdRespondedTo: u16, priority: u16 },
      ...{ affectedSopClassUid: anyUid, requestedSopClassUid: anyUid, affectedSopInstanceUid: anyUid },
      ...{ requestedSopInstanceUid: anyUid, moveDestination: ae, moveOriginatorAe: ae, status: u16 },
      ...{ offendingElements: fc.array(fc.nat(0xffffffff), { minLength: 1, maxLength: 4 }), errorId: u16 },
      ...{ errorComment: fc.stringMatching(/^[A-Za-z][A-Za-z ,.]{0,60}[a-z]$/), eventTypeId: u16 },
      ...{ attributeIdentifiers: fc.array(fc.nat(0xffffffff), { minLength: 1, maxLength: 4 }) },
      ...{ actionTypeId: u16, remaining: u16, completed: u16, failed: u16, warnings: u16 },
      moveOriginatorMessageId: u16,
    },
    { requiredKeys: ['commandField', 'dataSetType'] },
  )
  .map((command) => command as Command);

/*
 * Recorded from DCMTK 3.6.7: the C-ECHO-RQ of echoscu and the C-ECHO-RSP of storescp (group length first, then
 * 0002 class, 0100 field, 0110/0120 message ID, 0800 data set type, 0900 status).
 */
const ECHO_RQ = hex(`00000000 04000000 38000000 00000200 12000000 312e322e3834302e31303030382e312e3100
  00000001 02000000 3000 00001001 02000000 0100 00000008 02000000 0101`);
const ECHO_RSP = hex(`00000000 04000000 42000000 00000200 12000000 312e322e3834302e31303030382e312e3100
  00000001 02000000 3080 00002001 02000000 0100 00000008 02000000 0101 00000009 02000000 0000`);
const FIELD = hex('00000001 02000000 3000');

describe('command sets', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(anyCommand, (command) => {
        expect(readCommand(writeCommand(command))).toEqual(command);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    [
      'C-ECHO-RQ',
      ECHO_RQ,
      {
        ...{ commandField: COMMANDS.echoRequest, affectedSopClassUid: '1.2.840.10008.1.1' },
        ...{ messageId: 1, dataSetType: NO_DATA_SET },
      },
    ],
    [
      'C-ECHO-RSP',
      ECHO_RSP,
      {
        ...{ commandField: COMMANDS.echoResponse, affectedSopClassUid: '1.2.840.10008.1.1' },
        ...{ messageIdRespondedTo: 1, dataSetType: NO_DATA_SET, status: 0 },
      },
    ],
  ] as const)('%s of DCMTK is read, and written the same', (_, bytes, command) => {
    expect(readCommand(bytes)).toEqual(command);
    expect(writeCommand(command)).toEqual(bytes);
  });

  it('has elements in ascending order and an even length each (PS3.5 §7.1)', () => {
    fc.assert(
      fc.property(anyCommand, (command) => {
        const bytes = writeCommand(command);
        const view = new DataView(bytes.buffer);
        expect(view.getUint32(8, true)).toBe(bytes.length - 12);
        let before = -1;
        for (let at = 0; at < bytes.length; at += 8 + view.getUint32(at + 4, true)) {
          expect(view.getUint16(at + 2, true)).toBeGreaterThan(before);
          before = view.getUint16(at + 2, true);
          expect(view.getUint32(at + 4, true) % 2).toBe(0);
        }
      }),
    );
  });

  it('are understood without or with a wrong group length, and with unknown elements (attacks C62)', () => {
    const unknown = hex('00009999 04000000 01020304');
    const wrong = hex('00000000 04000000 ffffffff');
    for (const bytes of [FIELD, joinBytes(wrong, FIELD), joinBytes(FIELD, unknown)])
      expect(readCommand(bytes)).toEqual({ commandField: 0x30, dataSetType: NO_DATA_SET });
  });

  it.each([
    ['nothing', ''],
    ['an element cut off', '00000001 0200'],
    ['a length that runs past the end', '00000001 03000000 3000'],
    ['a length of 4 GB', '00000001 ffffffff 3000'],
    ['another group', '08000500 02000000 3000'],
    ['no command field', '00001001 02000000 0100'],
    ['an empty command field', '00000001 00000000'],
    ['a number of one byte', '00000001 01000000 30'],
    ['a tag of three bytes', '00000109 03000000 010203'],
  ])('%s is a fault', (_, bytes) => {
    expect(outcomeOf(() => readCommand(hex(bytes)))).toBe('DIMSE_COMMAND');
  });

  it('cuts a comment to what LO holds (PS3.5 Table 6.2-1)', () => {
    const bytes = writeCommand({ commandField: 1, dataSetType: 1, errorComment: 'x'.repeat(100) });
    expect(readCommand(bytes).errorComment).toHaveLength(64);
  });
});
