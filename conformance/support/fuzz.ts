/**
 * Seeded nonsense for the DICOM port: requests for an association and streams of messages that are almost right.
 *
 * Everything a case sends follows from its number alone, so that one that fails can be sent again.
 *
 * Source: PS3.8 §9.3 (PDUs), Annex D; PS3.7 §6.3, §9.3, §10.3, Annex D.3.3; hostile-input catalogue C54 to C63.
 */
import { chance } from '../../bench/support/data.ts';
import { dataSet } from '../../core/src/dicom/element.ts';
import { writeDataSet } from '../../core/src/dicom/write.ts';
import { COMMANDS, NO_DATA_SET, writeCommand } from '../../core/src/dimse/command.ts';
import {
  PATIENT_ROOT_FIND,
  STORAGE_COMMITMENT,
  STORAGE_COMMITMENT_INSTANCE,
  STUDY_ROOT_FIND,
  VERIFICATION,
} from '../../core/src/dimse/negotiate.ts';
import { STUDY_ROOT_GET, STUDY_ROOT_MOVE } from '../../core/src/dimse/retrieve.ts';
import { ctImage } from './images.ts';
import { CT, dataSetOfFile, EXPLICIT } from './wire.ts';

/** One source of chance for one case. */
export class Dice {
  readonly #next: () => number;
  constructor(seed: number) {
    this.#next = chance(seed);
  }
  /** A whole number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }
  one<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new Error('an empty list');
    return found;
  }
  /** True once in `of`. */
  rarely(of: number): boolean {
    return this.below(of) === 0;
  }
  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
  shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((value) => ({ value, at: this.#next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ value }) => value);
  }
}

const u16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value >>> 0);
  return out;
};
/** The length of something, now and then another. */
function length(dice: Dice, real: number, most: number, lies: number): number {
  if (!dice.rarely(lies)) return real;
  return dice.one([0, 1, real - 1, real + 1, real * 2, most, most - 1, dice.below(most)]) & most;
}

/** Overwritten, cut out, repeated: what a broken network or a clumsy attacker would do. */
export function mutated(dice: Dice, bytes: Buffer, times: number): Buffer {
  let out = Buffer.from(bytes);
  for (let left = times; left > 0 && out.length > 0; left -= 1) {
    const at = dice.below(out.length);
    const kind = dice.below(5);
    if (kind === 0) out[at] = dice.below(256);
    else if (kind === 1) out.fill(dice.rarely(2) ? 0xff : 0, at, Math.min(at + 4, out.length));
    else if (kind === 2) out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + dice.below(9))]);
    else if (kind === 3)
      out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + 40), out.subarray(at)]);
    else out = Buffer.concat([out.subarray(0, at), dice.bytes(dice.below(12)), out.subarray(at)]);
  }
  return out;
}

/** A request for an association; `lies` of 1 in so many lengths. */
export function associateNonsense(dice: Dice): Buffer {
  const lies = dice.one([1e9, 1e9, 60, 12]);
  const item = (type: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([type, 0]), u16(length(dice, body.length, 0xffff, lies)), body]);
  const counted = (body: Buffer): Buffer =>
    Buffer.concat([u16(length(dice, body.length, 0xffff, lies)), body]);
  const uid = (): Buffer =>
    dice.rarely(20)
      ? dice.bytes(dice.below(80))
      : Buffer.from(
          dice.one([VERIFICATION, CT, STUDY_ROOT_FIND, EXPLICIT, '1.2.840.10008.1.2', '1.2.3', '9.9', '']),
        );
  const context = (id: number): Buffer =>
    item(
      dice.rarely(30) ? dice.below(256) : 0x20,
      Buffer.concat([
        Buffer.from([id, 0, 0, 0]),
        item(
          0x30,
          Buffer.from(dice.one([VERIFICATION, CT, STUDY_ROOT_FIND, '1.2.840.10008.5.1.4.31', '1.9'])),
        ),
        ...Array.from({ length: dice.rarely(300) ? 300 : dice.one([0, 1, 1, 1, 3, 40]) }, () =>
          item(0x40, uid()),
        ),
      ]),
    );
  const sub = (): Buffer => {
    switch (dice.below(9)) {
      case 0:
        return item(0x51, u32(dice.one([0, 1, 13, 16384, 0xffffffff])));
      case 1:
        return item(0x52, uid());
      case 2:
        return item(0x53, Buffer.concat([u16(dice.below(0x10000)), u16(dice.below(0x10000))]));
      case 3:
        return item(0x54, Buffer.concat([counted(uid()), dice.bytes(2)]));
      case 4:
        return item(0x55, dice.bytes(dice.below(40)));
      case 5:
        return item(0x56, Buffer.concat([counted(uid()), dice.bytes(dice.one([0, 1, 6, 6000]))]));
      case 6:
        return item(0x57, Buffer.concat([counted(uid()), counted(uid()), counted(counted(uid()))]));
      case 7:
        return item(
          0x58,
          Buffer.concat([
            Buffer.from([dice.below(8), dice.below(3)]),
            counted(dice.bytes(dice.one([0, 5, 300, 9000]))),
            counted(dice.bytes(dice.below(30))),
          ]),
        );
      default:
        // Something that belongs elsewhere, or nowhere.
        return dice.rarely(3) ? context(1) : item(dice.below(256), dice.bytes(dice.below(20)));
    }
  };
  const many = dice.one([1, 1, 2, 4, 40, 128, 129]);
  const contexts = Array.from({ length: many }, (_, at) =>
    context(dice.rarely(40) ? dice.below(256) : (at * 2 + 1) & 0xff),
  );
  const subs = Array.from({ length: dice.one([0, 1, 3, 8, 60, 1200]) }, sub);
  const user = Buffer.concat([item(0x51, u32(dice.one([0, 16384, 131072]))), ...subs]);
  let items = [
    item(0x10, dice.rarely(15) ? uid() : Buffer.from('1.2.840.10008.3.1.1.1')),
    ...contexts,
    item(0x50, user.subarray(0, 65_000)),
  ];
  if (dice.rarely(4)) items = dice.shuffled(items);
  if (dice.rarely(10)) items.push(...items.slice(0, 3));
  const title = (name: string): Buffer =>
    dice.rarely(10) ? dice.bytes(16) : Buffer.from(name.padEnd(16).slice(0, 16), 'latin1');
  const body = Buffer.concat([
    u16(dice.rarely(15) ? dice.below(0x10000) : 1),
    u16(0),
    title('LIGHTBOX'),
    title(`FUZZ${dice.below(50)}`),
    Buffer.alloc(32),
    ...items,
  ]);
  const pdu = Buffer.concat([
    Buffer.from([dice.rarely(40) ? dice.below(256) : 0x01, 0]),
    u32(length(dice, body.length, 0xffffffff, dice.one([1e9, 1e9, 4]))),
    body,
  ]);
  return dice.rarely(3) ? mutated(dice, pdu, 1 + dice.below(6)) : pdu;
}

/** The contexts of the association the messages go over. */
export const CONTEXTS = [
  VERIFICATION,
  CT,
  STUDY_ROOT_FIND,
  PATIENT_ROOT_FIND,
  STUDY_ROOT_MOVE,
  STUDY_ROOT_GET,
  STORAGE_COMMITMENT,
].map((abstractSyntax, at) => ({ id: at * 2 + 1, abstractSyntax, transferSyntaxes: [EXPLICIT] }));
const contextOf = (uid: string): number => CONTEXTS.find((one) => one.abstractSyntax === uid)?.id ?? 255;

export const STUDY = '1.2.826.0.1.3680043.10.1234.920';

/** An image of its own, as a data set. */
export function image(sopUid: string, dice: Dice): Buffer {
  const names = { studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid, number: 1, patientId: 'FUZZ' };
  return dataSetOfFile(
    ctImage({ ...names, side: dice.one([4, 16, 64]), chance: () => dice.below(1000) / 1000 }),
  );
}

/** A command set and its data set in fragments, with a lie here and there. */
function message(
  dice: Dice,
  contextId: number,
  command: Buffer,
  data: Buffer | undefined,
  lies: number,
): Buffer {
  const pdvs: Buffer[] = [];
  const cut = (bytes: Buffer, isCommand: boolean): void => {
    const size = dice.one([2, 16, 64, 1024, 16_384, 100_000]);
    // Not millions of the smallest.
    const step = Math.max(size, Math.ceil(bytes.length / 200));
    for (let at = 0; at === 0 || at < bytes.length; at += step) {
      const part = bytes.subarray(at, at + step);
      const last = at + step >= bytes.length;
      const control = (isCommand ? 1 : 0) | (last ? 2 : 0);
      pdvs.push(
        Buffer.concat([
          u32(length(dice, part.length + 2, 0xffffffff, lies)),
          Buffer.from([
            dice.rarely(lies) ? dice.below(256) : contextId,
            dice.rarely(lies) ? dice.below(256) : control,
          ]),
          part,
        ]),
      );
      if (dice.rarely(lies)) pdvs.push(Buffer.concat([u32(2), Buffer.from([contextId, control & 1])]));
    }
  };
  // A data set without its command, or the other way round.
  if (!dice.rarely(lies)) cut(command, true);
  if (data && !dice.rarely(lies)) cut(data, false);
  if (dice.rarely(lies)) pdvs.splice(0, pdvs.length, ...dice.shuffled(pdvs));
  const pdus: Buffer[] = [];
  while (pdvs.length > 0) {
    const body = Buffer.concat(pdvs.splice(0, 1 + dice.below(4)));
    pdus.push(Buffer.from([4, 0]), u32(length(dice, body.length, 0xffffffff, lies * 3)), body);
  }
  return Buffer.concat(pdus);
}

/** A command set element by element: some lost, some twice, some of a strange length. */
function commandNonsense(dice: Dice, command: Buffer, lies: number): Buffer {
  const out: Buffer[] = [];
  for (let at = 0; at + 8 <= command.length;) {
    const size = command.readUInt32LE(at + 4);
    const element = Buffer.from(command.subarray(at, at + 8 + size));
    at += 8 + size;
    if (dice.rarely(lies)) continue;
    if (dice.rarely(lies)) element.writeUInt32LE(length(dice, size, 0xffffffff, 1) >>> 0, 4);
    if (dice.rarely(lies)) element.fill(dice.below(256), 8);
    if (dice.rarely(lies * 4)) element.writeUInt16LE(dice.below(0x10000), 0);
    out.push(element);
    if (dice.rarely(lies)) out.push(element);
  }
  if (dice.rarely(lies)) out.push(Buffer.from('0000FF0F04000000', 'hex'), dice.bytes(4));
  if (dice.rarely(lies * 3)) out.push(Buffer.alloc(70_000, 0x20));
  return Buffer.concat(out);
}

/** What is sent on one association after it was opened, and the name of the object in it, if any. */
export function messagesNonsense(dice: Dice, name: string): { bytes: Buffer; sopUids: string[] } {
  const lies = dice.one([1e9, 200, 30, 8]);
  const sopUids: string[] = [];
  const identifier = (): Buffer => {
    const level = dice.one(['STUDY', 'SERIES', 'IMAGE', 'PATIENT', 'NONSENSE', '']);
    const known = {
      QueryRetrieveLevel: level,
      StudyInstanceUID: dice.one([STUDY, '', '1.2.3', '*', '1\\2\\3']),
    };
    const more = { PatientName: dice.one(['FUZZ*', '', '*?*?*?*', 'x'.repeat(3000)]), PatientID: 'FUZZ' };
    const bytes = Buffer.from(
      writeDataSet(dataSet(dice.rarely(2) ? known : { ...known, ...more }), EXPLICIT),
    );
    return dice.rarely(lies) ? mutated(dice, bytes, 3) : bytes;
  };
  const parts: Buffer[] = [];
  for (let left = 1 + dice.below(5); left > 0; left -= 1) {
    const messageId = dice.one([left, left, 1, 0, 0xffff]);
    const say = (uid: string, fields: Record<string, unknown>, data?: Buffer): Buffer => {
      const dataSetType = data ? 1 : NO_DATA_SET;
      const command = Buffer.from(
        writeCommand({ messageId, dataSetType, priority: 0, affectedSopClassUid: uid, ...fields } as never),
      );
      return message(dice, contextOf(uid), commandNonsense(dice, command, lies), data, lies);
    };
    switch (dice.below(9)) {
      case 0:
        parts.push(say(VERIFICATION, { commandField: COMMANDS.echoRequest }));
        break;
      case 1:
      case 2: {
        const sopUid = `${STUDY}.1.${name}.${left}`;
        sopUids.push(sopUid);
        const bytes = image(sopUid, dice);
        const data = dice.rarely(lies) ? mutated(dice, bytes, 3) : bytes;
        parts.push(say(CT, { commandField: COMMANDS.storeRequest, affectedSopInstanceUid: sopUid }, data));
        break;
      }
      case 3:
        parts.push(
          say(
            dice.one([STUDY_ROOT_FIND, PATIENT_ROOT_FIND]),
            { commandField: COMMANDS.findRequest },
            identifier(),
          ),
        );
        break;
      case 4:
        parts.push(
          say(
            STUDY_ROOT_MOVE,
            {
              commandField: COMMANDS.moveRequest,
              moveDestination: dice.one(['NOWHERE', '', 'X'.repeat(99)]),
            },
            identifier(),
          ),
        );
        break;
      case 5:
        parts.push(say(STUDY_ROOT_GET, { commandField: COMMANDS.getRequest }, identifier()));
        break;
      case 6: {
        const wanted = dataSet({ TransactionUID: `${STUDY}.7.${dice.below(9)}` });
        const requested = { requestedSopClassUid: STORAGE_COMMITMENT, actionTypeId: dice.one([1, 1, 2]) };
        const instance = {
          requestedSopInstanceUid: STORAGE_COMMITMENT_INSTANCE,
          affectedSopClassUid: undefined,
        };
        const data = Buffer.from(writeDataSet(wanted, EXPLICIT));
        parts.push(
          say(STORAGE_COMMITMENT, { commandField: COMMANDS.actionRequest, ...requested, ...instance }, data),
        );
        break;
      }
      case 7:
        // A search, and a storm of cancels for it, for others and for none.
        parts.push(
          say(STUDY_ROOT_FIND, { commandField: COMMANDS.findRequest }, identifier()),
          ...Array.from({ length: dice.one([1, 10, 400]) }, () =>
            say(STUDY_ROOT_FIND, {
              commandField: COMMANDS.cancelRequest,
              messageIdRespondedTo: dice.below(6),
            }),
          ),
        );
        break;
      default:
        // Any command there is, answers too, in any context.
        parts.push(
          say(
            dice.one(CONTEXTS).abstractSyntax,
            {
              commandField: dice.one(Object.values(COMMANDS)),
              messageIdRespondedTo: messageId,
              status: dice.below(0x10000),
            },
            dice.rarely(2) ? identifier() : undefined,
          ),
        );
    }
  }
  const bytes = Buffer.concat(parts);
  return { bytes: dice.rarely(4) ? mutated(dice, bytes, 1 + dice.below(4)) : bytes, sopUids };
}
