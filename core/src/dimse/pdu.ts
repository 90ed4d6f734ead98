/**
 * PDUs: the seven kinds of message two DICOM programs exchange over TCP.
 *
 * Source: PS3.8 §9.3 (structure), Annex D and PS3.7 Annex D.3.3 (user information, see user-information.ts).
 * Layer:  core/dimse. Bytes in, values out; sockets and timers live in server/doors/dimse.
 */
import { Fault, type FaultCode } from '../base/fault.ts';
import { ByteSink, ByteSource } from './bytes.ts';
import { readUserInformation, type UserInformation, writeUserInformation } from './user-information.ts';

/** PS3.7 §A.2.1: the one application context of DICOM. */
export const APPLICATION_CONTEXT = '1.2.840.10008.3.1.1.1';

export const PDU_TYPES = {
  associateRequest: 0x01,
  associateAccept: 0x02,
  associateReject: 0x03,
  pData: 0x04,
  releaseRequest: 0x05,
  releaseReply: 0x06,
  abort: 0x07,
} as const;

export interface ProposedContext {
  /** Odd, 1 to 255. */
  readonly id: number;
  readonly abstractSyntax: string;
  readonly transferSyntaxes: readonly string[];
}

/** PS3.8 Table 9-18: 0 acceptance, 1 user rejection, 2 no reason, 3 abstract syntax, 4 transfer syntaxes not supported. */
export type ContextResult = 0 | 1 | 2 | 3 | 4;

export interface AnsweredContext {
  readonly id: number;
  readonly result: number;
  /** Meaningful when result is 0. */
  readonly transferSyntax: string;
}

interface Associate {
  readonly protocolVersion: number;
  readonly calledAe: string;
  readonly callingAe: string;
  readonly applicationContext: string;
  readonly user: UserInformation;
}

export interface AssociateRequest extends Associate {
  readonly type: 'associate-rq';
  readonly contexts: readonly ProposedContext[];
}

export interface AssociateAccept extends Associate {
  readonly type: 'associate-ac';
  readonly contexts: readonly AnsweredContext[];
}

/** PS3.8 Table 9-21: why an association is not opened. */
export interface AssociateReject {
  readonly type: 'associate-rj';
  /** 1 permanent, 2 transient. */
  readonly result: number;
  /** 1 service user, 2 ACSE provider, 3 presentation provider. */
  readonly source: number;
  readonly reason: number;
}

/** PS3.8 §9.3.5.1. */
export interface Pdv {
  readonly contextId: number;
  /** True: part of a command; false: of a data set (Annex E.2 bit 0). */
  readonly command: boolean;
  /** The last fragment of its command or data set (Annex E.2 bit 1). */
  readonly last: boolean;
  readonly bytes: Uint8Array;
}

export interface PData {
  readonly type: 'p-data';
  readonly pdvs: readonly Pdv[];
}

export interface ReleaseRequest {
  readonly type: 'release-rq';
}
export interface ReleaseReply {
  readonly type: 'release-rp';
}

/** PS3.8 Table 9-26. */
export interface Abort {
  readonly type: 'abort';
  /** 0 service user, 2 service provider. */
  readonly source: number;
  readonly reason: number;
}

export type Pdu =
  AssociateRequest | AssociateAccept | AssociateReject | PData | ReleaseRequest | ReleaseReply | Abort;

/** 128 contexts (PS3.8 §9.3.2.2: odd ids) with dozens of transfer syntaxes and a SAML assertion fit many times (attacks C54, C59). */
export const MAX_ASSOCIATE_BYTES = 1024 * 1024;
/** A peer lists some 40; more is an attack (C57). */
export const MAX_TRANSFER_SYNTAXES = 256;

/** The variable field may be this long; anything else is refused before memory is taken. @throws Fault PDU_TYPE, PDU_LENGTH. */
export function checkPduLength(type: number, length: number, maxPData: number): void {
  const [min, max] =
    type === PDU_TYPES.associateRequest || type === PDU_TYPES.associateAccept
      ? [68, MAX_ASSOCIATE_BYTES]
      : type === PDU_TYPES.pData
        ? [6, maxPData]
        : type >= 3 && type <= 7
          ? [4, 4]
          : [-1, -1];
  if (max < 0) throw new Fault('PDU_TYPE', { type });
  if (length < min || length > max) throw new Fault('PDU_LENGTH', { type, length, max });
}

/**
 * One PDU from its type and the bytes after its 6-byte header, exactly PDU-length long.
 *
 * @returns  PDVs are views on `body`, not copies.
 * @throws   Fault PDU_TYPE, PDU_ITEM_LENGTH, PDU_VALUE. The caller answers with A-ABORT (see `abortReason`).
 */
export function readPdu(type: number, body: Uint8Array): Pdu {
  switch (type) {
    case PDU_TYPES.associateRequest: {
      const { head, contexts } = readAssociate(body, 0x20, readProposed);
      return { type: 'associate-rq', ...head, contexts };
    }
    case PDU_TYPES.associateAccept: {
      const { head, contexts } = readAssociate(body, 0x21, readAnswered);
      return { type: 'associate-ac', ...head, contexts };
    }
    case PDU_TYPES.associateReject: {
      const source = new ByteSource(body);
      source.u8();
      return { type: 'associate-rj', result: source.u8(), source: source.u8(), reason: source.u8() };
    }
    case PDU_TYPES.pData:
      return { type: 'p-data', pdvs: splitPData(body) };
    case PDU_TYPES.releaseRequest:
      return { type: 'release-rq' };
    case PDU_TYPES.releaseReply:
      return { type: 'release-rp' };
    case PDU_TYPES.abort: {
      const source = new ByteSource(body);
      source.take(2);
      return { type: 'abort', source: source.u8(), reason: source.u8() };
    }
    default:
      throw new Fault('PDU_TYPE', { type });
  }
}

/** The PDVs of one P-DATA-TF in wire order, as views on `body` (PS3.8 §9.3.5.1). @throws Fault PDU_ITEM_LENGTH, PDU_VALUE. */
export function splitPData(body: Uint8Array): Pdv[] {
  const source = new ByteSource(body);
  const pdvs: Pdv[] = [];
  while (source.left > 0) {
    const length = source.u32();
    if (length < 2) throw new Fault('PDU_ITEM_LENGTH', { at: source.at, length });
    const item = source.take(length);
    pdvs.push({ ...pdvHeader(item[0]!, item[1]!), bytes: item.subarray(2) });
  }
  return pdvs;
}

/** Context id and message control header (PS3.8 Annex E.2; the upper bits are reserved and not tested). */
export function pdvHeader(
  contextId: number,
  control: number,
): { contextId: number; command: boolean; last: boolean } {
  if (contextId % 2 === 0) throw new Fault('PDU_VALUE', { what: 'presentation context id', contextId });
  return { contextId, command: (control & 1) !== 0, last: (control & 2) !== 0 };
}

const AE_BYTES = 16;

/** The head that A-ASSOCIATE-RQ and -AC share, then their items (PS3.8 §9.3.2, §9.3.3). */
function readAssociate<C>(
  body: Uint8Array,
  contextType: number,
  readContext: (source: ByteSource) => C,
): { head: Associate; contexts: C[] } {
  const source = new ByteSource(body);
  const protocolVersion = source.u16();
  source.take(2);
  const calledAe = source
    .text(AE_BYTES)
    .replace(/[\0 ]+$/, '')
    .trimStart();
  const callingAe = source
    .text(AE_BYTES)
    .replace(/[\0 ]+$/, '')
    .trimStart();
  source.take(32);
  const contexts: C[] = [];
  let applicationContext = '';
  let user: UserInformation = { maxPdu: 0 };
  while (source.left > 0) {
    const type = source.u8();
    source.u8();
    const item = new ByteSource(source.take(source.u16()));
    if (type === 0x10) applicationContext = uidText(item, item.left);
    else if (type === contextType) contexts.push(readContext(item));
    else if (type === 0x50) user = readUserInformation(item);
    // Items of other types are ignored (PS3.8 §9.3.1).
    if (contexts.length > 128) throw new Fault('PDU_VALUE', { what: 'presentation contexts' });
  }
  return { head: { protocolVersion, calledAe, callingAe, applicationContext, user }, contexts };
}

function uidText(source: ByteSource, length: number): string {
  return source.text(length).replace(/[\0 ]+$/, '');
}

function readProposed(source: ByteSource): ProposedContext {
  const id = source.u8();
  if (id % 2 === 0) throw new Fault('PDU_VALUE', { what: 'presentation context id', id });
  source.take(3);
  let abstractSyntax = '';
  const transferSyntaxes: string[] = [];
  while (source.left > 0) {
    const type = source.u8();
    source.u8();
    const value = uidText(source, source.u16());
    if (type === 0x30) abstractSyntax = value;
    else if (type === 0x40) transferSyntaxes.push(value);
    if (transferSyntaxes.length > MAX_TRANSFER_SYNTAXES)
      throw new Fault('PDU_VALUE', { what: 'transfer syntaxes', id });
  }
  return { id, abstractSyntax, transferSyntaxes };
}

function readAnswered(source: ByteSource): AnsweredContext {
  const id = source.u8();
  source.u8();
  const result = source.u8();
  source.u8();
  let transferSyntax = '';
  while (source.left > 0) {
    const type = source.u8();
    source.u8();
    const value = uidText(source, source.u16());
    if (type === 0x40) transferSyntax = value;
  }
  return { id, result, transferSyntax };
}

/** The bytes of a PDU, header included. */
export function writePdu(pdu: Pdu): Uint8Array {
  switch (pdu.type) {
    case 'associate-rq':
      return framed(PDU_TYPES.associateRequest, (sink) =>
        writeAssociate(sink, pdu, () => {
          for (const context of pdu.contexts) {
            item(sink, 0x20, () => {
              sink.u8(context.id).u8(0).u8(0).u8(0);
              item(sink, 0x30, () => sink.text(context.abstractSyntax));
              for (const uid of context.transferSyntaxes) item(sink, 0x40, () => sink.text(uid));
            });
          }
        }),
      );
    case 'associate-ac':
      return framed(PDU_TYPES.associateAccept, (sink) =>
        writeAssociate(sink, pdu, () => {
          for (const context of pdu.contexts) {
            item(sink, 0x21, () => {
              sink.u8(context.id).u8(0).u8(context.result).u8(0);
              item(sink, 0x40, () => sink.text(context.transferSyntax));
            });
          }
        }),
      );
    case 'associate-rj':
      return framed(PDU_TYPES.associateReject, (sink) =>
        sink.u8(0).u8(pdu.result).u8(pdu.source).u8(pdu.reason),
      );
    case 'p-data':
      return framed(PDU_TYPES.pData, (sink) => {
        for (const pdv of pdu.pdvs) {
          sink.u32(pdv.bytes.length + 2).u8(pdv.contextId);
          sink.u8((pdv.command ? 1 : 0) | (pdv.last ? 2 : 0)).bytes(pdv.bytes);
        }
      });
    case 'release-rq':
      return framed(PDU_TYPES.releaseRequest, (sink) => sink.u32(0));
    case 'release-rp':
      return framed(PDU_TYPES.releaseReply, (sink) => sink.u32(0));
    case 'abort':
      return framed(PDU_TYPES.abort, (sink) => sink.u16(0).u8(pdu.source).u8(pdu.reason));
    default:
      return pdu satisfies never;
  }
}

function framed(type: number, write: (sink: ByteSink) => unknown): Uint8Array {
  const sink = new ByteSink().u8(type).u8(0).u32(0);
  write(sink);
  const bytes = sink.done();
  new DataView(bytes.buffer).setUint32(2, bytes.length - 6);
  return bytes;
}

function item(sink: ByteSink, type: number, write: () => unknown): void {
  sink
    .u8(type)
    .u8(0)
    .counted16(() => void write());
}

function writeAssociate(sink: ByteSink, head: Associate, contexts: () => void): void {
  sink.u16(head.protocolVersion).u16(0);
  sink.text(head.calledAe.slice(0, AE_BYTES).padEnd(AE_BYTES));
  sink.text(head.callingAe.slice(0, AE_BYTES).padEnd(AE_BYTES)).bytes(new Uint8Array(32));
  item(sink, 0x10, () => sink.text(head.applicationContext));
  contexts();
  item(sink, 0x50, () => writeUserInformation(sink, head.user));
}

/** Reason of the A-ABORT (source 2, service provider) that a fault of the Upper Layer asks for (PS3.8 Table 9-26). */
export function abortReason(code: FaultCode): number {
  switch (code) {
    case 'PDU_TYPE':
      return 1;
    case 'PDU_UNEXPECTED':
      return 2;
    case 'PDU_LENGTH':
    case 'PDU_ITEM_LENGTH':
    case 'PDU_VALUE':
    case 'DIMSE_COMMAND':
      return 6;
    default:
      return 0;
  }
}
