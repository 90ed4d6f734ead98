/**
 * User information: what two programs tell each other about themselves when they open an association.
 *
 * Source: PS3.8 §9.3.2.3 and Annex D.1 (maximum length), PS3.7 §D.3.3.2 (implementation), §D.3.3.3 (asynchronous window),
 *         §D.3.3.4 (role selection), §D.3.3.5 and .6 (extended negotiation), §D.3.3.7 (user identity).
 * Layer:  core/dimse.
 */
import { Fault } from '../base/fault.ts';
import type { ByteSink } from './bytes.ts';
import { ByteSource } from './bytes.ts';

export interface RoleSelection {
  readonly sopClassUid: string;
  readonly scu: boolean;
  readonly scp: boolean;
}

export interface ExtendedNegotiation {
  readonly sopClassUid: string;
  /** Application information, meaning by SOP class (for C-FIND PS3.4 §C.5.1.1). */
  readonly info: Uint8Array;
}

/** PS3.7 §D.3.3.7.1: 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT. The fields may be secrets: never logged. */
export interface UserIdentity {
  readonly type: number;
  readonly responseRequested: boolean;
  readonly primary: Uint8Array;
  readonly secondary: Uint8Array;
}

export interface UserInformation {
  /** Longest P-DATA-TF variable field this side takes; 0 is no limit. */
  readonly maxPdu: number;
  readonly implementationClassUid?: string | undefined;
  readonly implementationVersion?: string | undefined;
  readonly window?: { readonly invoked: number; readonly performed: number } | undefined;
  readonly roles?: readonly RoleSelection[] | undefined;
  readonly extended?: readonly ExtendedNegotiation[] | undefined;
  /** Common extended negotiation (PS3.7 §D.3.3.6): service class and related general classes of a SOP class. */
  readonly common?: readonly { sopClassUid: string; serviceClassUid: string; related: readonly string[] }[];
  readonly identity?: UserIdentity | undefined;
  /** Server response to a user identity, in A-ASSOCIATE-AC. */
  readonly identityResponse?: Uint8Array | undefined;
}

/** One per SOP class; far more than there are. */
const MAX_SUB_ITEMS = 1024;

const uid = (source: ByteSource): string => source.text(source.u16()).replace(/[\0 ]+$/, '');

/** Sub-items of a User Information item; those of unknown type are ignored. @throws Fault PDU_ITEM_LENGTH, PDU_VALUE. */
export function readUserInformation(source: ByteSource): UserInformation {
  let info: UserInformation = { maxPdu: 0 };
  const roles: RoleSelection[] = [];
  const extended: ExtendedNegotiation[] = [];
  const common: { sopClassUid: string; serviceClassUid: string; related: readonly string[] }[] = [];
  for (let count = 0; source.left > 0; count++) {
    if (count > MAX_SUB_ITEMS) throw new Fault('PDU_VALUE', { what: 'user information sub-items' });
    const type = source.u8();
    source.u8();
    const item = new ByteSource(source.take(source.u16()));
    switch (type) {
      case 0x51:
        info = { ...info, maxPdu: item.u32() };
        break;
      case 0x52:
        info = { ...info, implementationClassUid: item.text(item.left).replace(/[\0 ]+$/, '') };
        break;
      case 0x53:
        info = { ...info, window: { invoked: item.u16(), performed: item.u16() } };
        break;
      case 0x54:
        roles.push({ sopClassUid: uid(item), scu: item.u8() === 1, scp: item.u8() === 1 });
        break;
      case 0x55:
        info = { ...info, implementationVersion: item.text(item.left).trimEnd() };
        break;
      case 0x56:
        extended.push({ sopClassUid: uid(item), info: item.take(item.left) });
        break;
      case 0x57: {
        const sopClassUid = uid(item);
        const serviceClassUid = uid(item);
        const list = new ByteSource(item.take(item.u16()));
        const related: string[] = [];
        while (list.left > 0) related.push(uid(list));
        common.push({ sopClassUid, serviceClassUid, related });
        break;
      }
      case 0x58: {
        const kind = item.u8();
        const responseRequested = item.u8() === 1;
        const primary = item.take(item.u16());
        info = {
          ...info,
          identity: { type: kind, responseRequested, primary, secondary: item.take(item.u16()) },
        };
        break;
      }
      case 0x59:
        info = { ...info, identityResponse: item.take(item.u16()) };
        break;
      default:
        break;
    }
  }
  return {
    ...info,
    ...(roles.length ? { roles } : {}),
    ...(extended.length ? { extended } : {}),
    ...(common.length ? { common } : {}),
  };
}

/** The same sub-items in ascending type order, maximum length first as PS3.7 §D.3.3.1 shows them. */
export function writeUserInformation(sink: ByteSink, info: UserInformation): void {
  const sub = (type: number, write: () => unknown): void => {
    sink
      .u8(type)
      .u8(0)
      .counted16(() => void write());
  };
  const counted = (value: string): ByteSink => sink.counted16(() => void sink.text(value));
  sub(0x51, () => sink.u32(info.maxPdu));
  const { implementationClassUid, window, implementationVersion, identity, identityResponse } = info;
  if (implementationClassUid !== undefined) sub(0x52, () => sink.text(implementationClassUid));
  if (window) sub(0x53, () => sink.u16(window.invoked).u16(window.performed));
  for (const role of info.roles ?? []) {
    sub(0x54, () =>
      counted(role.sopClassUid)
        .u8(role.scu ? 1 : 0)
        .u8(role.scp ? 1 : 0),
    );
  }
  if (implementationVersion !== undefined) sub(0x55, () => sink.text(implementationVersion));
  for (const one of info.extended ?? []) sub(0x56, () => counted(one.sopClassUid).bytes(one.info));
  for (const one of info.common ?? []) {
    sub(0x57, () => {
      counted(one.sopClassUid);
      counted(one.serviceClassUid);
      sink.counted16(() => one.related.forEach(counted));
    });
  }
  if (identity) {
    sub(0x58, () => {
      sink.u8(identity.type).u8(identity.responseRequested ? 1 : 0);
      sink.counted16(() => void sink.bytes(identity.primary));
      sink.counted16(() => void sink.bytes(identity.secondary));
    });
  }
  if (identityResponse) sub(0x59, () => sink.counted16(() => void sink.bytes(identityResponse)));
}
