import { describe, expect, it } from 'vitest';
import { type Command, readCommand, writeCommand } from './command.ts';
import {
  action,
  create,
  eventReport,
  getAttributes,
  isAnswer,
  namesOfAnswer,
  remove,
  setAttributes,
} from './normalized.ts';
import { statusMeaning, STATUS } from './status.ts';

const sopClassUid = '1.2.840.10008.1.20.1';
const sopInstanceUid = '1.2.840.10008.1.20.1.1';
const named = { sopClassUid, sopInstanceUid, messageId: 7 };
const REQUESTED = { requestedSopClassUid: sopClassUid, requestedSopInstanceUid: sopInstanceUid };
const AFFECTED = { affectedSopClassUid: sopClassUid, affectedSopInstanceUid: sopInstanceUid };

describe('DIMSE-N requests (PS3.7 §10.3)', () => {
  it.each<[string, Command, Partial<Command>]>([
    ['N-EVENT-REPORT', eventReport(named, 2), { commandField: 0x0100, eventTypeId: 2, ...AFFECTED }],
    ['N-GET', getAttributes(named), { commandField: 0x0110, dataSetType: 0x0101, ...REQUESTED }],
    ['N-SET', setAttributes(named), { commandField: 0x0120, dataSetType: 1, ...REQUESTED }],
    ['N-ACTION', action(named, 1), { commandField: 0x0130, actionTypeId: 1, dataSetType: 1, ...REQUESTED }],
    ['N-CREATE', create(named), { commandField: 0x0140, dataSetType: 1, ...AFFECTED }],
    ['N-DELETE', remove(named), { commandField: 0x0150, dataSetType: 0x0101, ...REQUESTED }],
  ])('%s names the object in its own way', (_, command, expected) => {
    const read = readCommand(writeCommand(command));
    expect(read).toMatchObject({ messageId: 7, ...expected });
    const names = Object.keys(read).filter((name) => /Sop(Class|Instance)Uid$/.test(name));
    expect(names.sort()).toEqual(
      Object.keys(expected)
        .filter((name) => /Uid$/.test(name))
        .sort(),
    );
    expect(isAnswer(read)).toBe(false);
  });

  it('N-GET lists the attributes wanted, N-CREATE may leave the name to the other side', () => {
    const wanted = readCommand(writeCommand(getAttributes(named, [0x00400252, 0x00081195])));
    expect(wanted.attributeIdentifiers).toEqual([0x00400252, 0x00081195]);
    expect(readCommand(writeCommand(create({ sopClassUid, messageId: 1 })))).not.toHaveProperty(
      'affectedSopInstanceUid',
    );
  });
});

describe('DIMSE-N answers (PS3.7 §10.3)', () => {
  it('say "affected" whatever the request said, and repeat its type', () => {
    expect(namesOfAnswer(action(named, 1), 'x')).toMatchObject({ ...AFFECTED, actionTypeId: 1 });
    expect(namesOfAnswer(eventReport(named, 2), 'x')).toMatchObject({ ...AFFECTED, eventTypeId: 2 });
    expect(namesOfAnswer({ commandField: 0x0030, dataSetType: 0x0101 }, '1.2').affectedSopClassUid).toBe(
      '1.2',
    );
  });

  it('have a status that a person understands', () => {
    for (const status of Object.values(STATUS)) expect(statusMeaning(status)).not.toBe('unknown status');
  });
});
