/**
 * Command sets: the small data set before every DICOM message that says what is asked or answered.
 *
 * Source: PS3.7 §6.3.1 (always Implicit VR Little Endian), §9.3 and §10.3 (fields), Annex E.1 (registry).
 * Layer:  core/dimse.
 */
import { Fault } from '../base/fault.ts';
import { latin1 } from './bytes.ts';

/** PS3.7 Table E.1-1, Command Field. */
export const COMMANDS = {
  storeRequest: 0x0001,
  storeResponse: 0x8001,
  getRequest: 0x0010,
  getResponse: 0x8010,
  findRequest: 0x0020,
  findResponse: 0x8020,
  moveRequest: 0x0021,
  moveResponse: 0x8021,
  echoRequest: 0x0030,
  echoResponse: 0x8030,
  eventReportRequest: 0x0100,
  eventReportResponse: 0x8100,
  getAttributesRequest: 0x0110,
  getAttributesResponse: 0x8110,
  setRequest: 0x0120,
  setResponse: 0x8120,
  actionRequest: 0x0130,
  actionResponse: 0x8130,
  createRequest: 0x0140,
  createResponse: 0x8140,
  deleteRequest: 0x0150,
  deleteResponse: 0x8150,
  cancelRequest: 0x0fff,
} as const;

/** (0000,0800): this value says that no data set follows (PS3.7 §E.1). */
export const NO_DATA_SET = 0x0101;

export interface Command {
  readonly commandField: number;
  readonly affectedSopClassUid?: string | undefined;
  readonly requestedSopClassUid?: string | undefined;
  readonly messageId?: number | undefined;
  readonly messageIdRespondedTo?: number | undefined;
  readonly moveDestination?: string | undefined;
  readonly priority?: number | undefined;
  /** NO_DATA_SET or anything else. */
  readonly dataSetType: number;
  readonly status?: number | undefined;
  readonly offendingElements?: readonly number[] | undefined;
  readonly errorComment?: string | undefined;
  readonly errorId?: number | undefined;
  readonly affectedSopInstanceUid?: string | undefined;
  readonly requestedSopInstanceUid?: string | undefined;
  readonly eventTypeId?: number | undefined;
  readonly attributeIdentifiers?: readonly number[] | undefined;
  readonly actionTypeId?: number | undefined;
  readonly remaining?: number | undefined;
  readonly completed?: number | undefined;
  readonly failed?: number | undefined;
  readonly warnings?: number | undefined;
  readonly moveOriginatorAe?: string | undefined;
  readonly moveOriginatorMessageId?: number | undefined;
}

type Form = 'UI' | 'US' | 'AE' | 'AT' | 'LO';

/** PS3.7 Table E.1-1 in tag order; all of group 0000. */
const FIELDS: readonly (readonly [element: number, form: Form, name: keyof Command])[] = [
  [0x0002, 'UI', 'affectedSopClassUid'],
  [0x0003, 'UI', 'requestedSopClassUid'],
  [0x0100, 'US', 'commandField'],
  [0x0110, 'US', 'messageId'],
  [0x0120, 'US', 'messageIdRespondedTo'],
  [0x0600, 'AE', 'moveDestination'],
  [0x0700, 'US', 'priority'],
  [0x0800, 'US', 'dataSetType'],
  [0x0900, 'US', 'status'],
  [0x0901, 'AT', 'offendingElements'],
  [0x0902, 'LO', 'errorComment'],
  [0x0903, 'US', 'errorId'],
  [0x1000, 'UI', 'affectedSopInstanceUid'],
  [0x1001, 'UI', 'requestedSopInstanceUid'],
  [0x1002, 'US', 'eventTypeId'],
  [0x1005, 'AT', 'attributeIdentifiers'],
  [0x1008, 'US', 'actionTypeId'],
  [0x1020, 'US', 'remaining'],
  [0x1021, 'US', 'completed'],
  [0x1022, 'US', 'failed'],
  [0x1023, 'US', 'warnings'],
  [0x1030, 'AE', 'moveOriginatorAe'],
  [0x1031, 'US', 'moveOriginatorMessageId'],
];
const BY_ELEMENT = new Map(FIELDS.map((field) => [field[0], field]));

/** A command is a few hundred bytes; a C-GET failure list is in the data set. */
export const MAX_COMMAND_BYTES = 64 * 1024;

/**
 * A command from its bytes. Unknown elements of group 0000 are ignored; Command Group Length is not believed (attacks C62).
 *
 * @throws Fault DIMSE_COMMAND when it is not a command set or has no Command Field.
 */
export function readCommand(bytes: Uint8Array): Command {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Record<string, unknown> = { dataSetType: NO_DATA_SET };
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < 8) throw new Fault('DIMSE_COMMAND', { at, what: 'truncated element' });
    const group = view.getUint16(at, true);
    const element = view.getUint16(at + 2, true);
    const length = view.getUint32(at + 4, true);
    at += 8;
    if (group !== 0) throw new Fault('DIMSE_COMMAND', { at, what: 'group' });
    if (length > bytes.length - at) throw new Fault('DIMSE_COMMAND', { at, length, what: 'length' });
    const field = BY_ELEMENT.get(element);
    if (field && length > 0) {
      const [, form, name] = field;
      if ((form === 'US' && length < 2) || (form === 'AT' && length % 4 !== 0))
        throw new Fault('DIMSE_COMMAND', { at, length, what: 'length' });
      found[name] =
        form === 'US'
          ? view.getUint16(at, true)
          : form === 'AT'
            ? tagsAt(view, at, length)
            : latin1(bytes.subarray(at, at + length)).replace(/[\0 ]+$/, '');
    }
    at += length;
  }
  if (found['commandField'] === undefined) throw new Fault('DIMSE_COMMAND', { what: 'no command field' });
  return found as unknown as Command;
}

function tagsAt(view: DataView, at: number, length: number): number[] {
  const tags: number[] = [];
  for (let end = at + length; at < end; at += 4)
    tags.push(view.getUint16(at, true) * 0x10000 + view.getUint16(at + 2, true));
  return tags;
}

/** The bytes of a command with its group length (PS3.7 §6.3.1). LO is cut at 64 characters. */
export function writeCommand(command: Command): Uint8Array {
  const parts: { element: number; bytes: Uint8Array }[] = [];
  let size = 12;
  for (const [element, form, name] of FIELDS) {
    const value = command[name];
    if (value === undefined) continue;
    const bytes = fieldBytes(form, value);
    parts.push({ element, bytes });
    size += 8 + bytes.length;
  }
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  view.setUint32(4, 4, true);
  view.setUint32(8, size - 12, true);
  let at = 12;
  for (const { element, bytes } of parts) {
    view.setUint16(at + 2, element, true);
    view.setUint32(at + 4, bytes.length, true);
    out.set(bytes, at + 8);
    at += 8 + bytes.length;
  }
  return out;
}

function fieldBytes(form: Form, value: string | number | readonly number[]): Uint8Array {
  if (typeof value === 'number') return Uint8Array.of(value & 0xff, (value >>> 8) & 0xff);
  if (typeof value !== 'string') {
    const bytes = new Uint8Array(value.length * 4);
    const view = new DataView(bytes.buffer);
    value.forEach((tag, index) => {
      view.setUint16(index * 4, tag >>> 16, true);
      view.setUint16(index * 4 + 2, tag & 0xffff, true);
    });
    return bytes;
  }
  const text = form === 'LO' ? value.slice(0, 64) : form === 'AE' ? value.slice(0, 16) : value;
  const bytes = new Uint8Array(text.length + (text.length % 2));
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at) & 0xff;
  if (text.length % 2) bytes[text.length] = form === 'UI' ? 0 : 0x20;
  return bytes;
}
