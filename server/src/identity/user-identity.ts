/**
 * The user a program names when it opens an association: looked up, proven where it can be, and never more than the device may.
 *
 * Source: PS3.7 §D.3.3.7 (types 1 to 5), PS3.15 §B.4 (identity without TLS is no protection).
 * Layer:  server/identity.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { UserIdentity } from '@lightbox/core/dimse/user-information.ts';
import type { ApiKeys } from './api-keys.ts';
import { hashPassword, LONGEST_PASSWORD, verifyPassword } from './auth.ts';
import { isLoopback } from './devices.ts';
import type { People } from './people.ts';
import { rightsOf, VERB_RIGHTS } from './rights.ts';
import type { Throttle } from './throttle.ts';
import type { Audit, DeviceVerb, IdentityWanted, Principal, Right } from './types.ts';

export type IdentityAnswer =
  | {
      readonly ok: true;
      readonly principal: Principal;
      readonly verbs: readonly DeviceVerb[];
      /** The proof was checked, or a mere name was asked about: a positive answer may be given (§D.3.3.7.2). */
      readonly accepted: boolean;
    }
  /** `why` holds nothing that was sent. `later`: it may be tried again. */
  | { readonly ok: false; readonly why: string; readonly later: boolean };

export interface UserIdentities {
  check(
    identity: UserIdentity | undefined,
    device: {
      readonly principal: Principal;
      readonly verbs: readonly DeviceVerb[];
      readonly identity: IdentityWanted;
      readonly tls: boolean;
    },
  ): Promise<IdentityAnswer>;
}

/** RFC 5321 §4.5.3.1. */
const LONGEST_NAME = 320;

export function createUserIdentities(options: {
  readonly people: Pick<People, 'byEmail' | 'passwordIsRight'>;
  readonly keys: Pick<ApiKeys, 'principal'>;
  readonly throttle: Throttle;
  readonly audit: Audit;
}): UserIdentities {
  const { people, keys, throttle, audit } = options;
  let nobody: Promise<string> | undefined;

  return {
    async check(identity, device) {
      if (!identity)
        return device.identity === 'optional'
          ? { ok: true, principal: device.principal, verbs: device.verbs, accepted: false }
          : no('names no user');
      const { type } = identity;
      // Nothing here could check a ticket or an assertion, and to let it pass would look as if it had been.
      if (type === 3) return no('Kerberos is not configured');
      if (type === 4) return no('SAML is not configured');
      if (type !== 1 && type !== 2 && type !== 5) return no('user identity of unknown type');
      if (type === 1) return claimed(identity, device);
      // Whoever listens to the network would have the passcode (PS3.7 §D.3.3.7); within one machine nobody does.
      if (!device.tls && !isLoopback(device.principal.remoteAddress))
        return no('sends a passcode without TLS');
      return proven(identity, device);
    },
  };

  /** A name without proof: it can take rights away, and is written down beside the device that said it. */
  async function claimed(
    identity: UserIdentity,
    device: Parameters<UserIdentities['check']>[1],
  ): Promise<IdentityAnswer> {
    if (device.identity === 'verified') return no('proves no user');
    const person = await people.byEmail(textOf(identity.primary, LONGEST_NAME));
    if (!person) return no('names a user who is not known');
    const { principal } = device;
    const limited = within(device.verbs, rightsOf(person.roles));
    return {
      ...{ ok: true, verbs: limited.verbs, accepted: true },
      principal: { ...principal, name: `${principal.name} (${person.name})`, rights: limited.rights },
    };
  }

  async function proven(
    identity: UserIdentity,
    device: Parameters<UserIdentities['check']>[1],
  ): Promise<IdentityAnswer> {
    const { remoteAddress, id: callingAe } = device.principal;
    const name = identity.type === 2 ? textOf(identity.primary, LONGEST_NAME).toLowerCase() : '';
    const names = [`address:${remoteAddress}`, ...(name === '' ? [] : [`person:${name}`])];
    try {
      for (const one of names) throttle.check(one);
    } catch (error) {
      if (error instanceof Fault) return { ok: false, why: 'too many wrong passcodes', later: true };
      throw error;
    }
    const secret = textOf(identity.type === 2 ? identity.secondary : identity.primary, 2 * LONGEST_PASSWORD);
    const found = (await keyHolder(secret, remoteAddress)) ?? (await personOf(name, secret, remoteAddress));
    const detail = { door: 'dicom', callingAe, type: identity.type };
    if (typeof found === 'string') {
      for (const one of names) throttle.failed(one);
      const principal: Principal = { kind: 'user', id: '', name: '', roles: [], rights: [], remoteAddress };
      audit.record({ event: 'auth.refused', outcome: 'refused', principal, detail });
      return no(found);
    }
    for (const one of names) throttle.succeeded(one);
    audit.record({ event: 'auth.signIn', outcome: 'success', principal: found, detail });
    const rights = found.rights ?? rightsOf(found.roles);
    const limited = within(device.verbs, rights);
    return {
      ok: true,
      accepted: true,
      verbs: limited.verbs,
      principal: { ...found, rights: limited.rights },
    };
  }

  /** An API key, as the token of type 5 or as the passcode of type 2: for programs, and for people with a second factor. */
  function keyHolder(secret: string, remoteAddress: string): Promise<Principal | undefined> {
    return keys.principal(secret, remoteAddress);
  }

  /** @returns the person, or why not. Takes as long for a name nobody has. */
  async function personOf(
    name: string,
    passcode: string,
    remoteAddress: string,
  ): Promise<Principal | string> {
    if (name === '') return 'token is no valid API key';
    const person = await people.byEmail(name);
    const right = person
      ? await people.passwordIsRight(person.id, passcode)
      : await verifyPassword(await (nobody ??= hashPassword('nobody has this')), passcode).then(() => false);
    if (!person || !right) return 'user or passcode is not right';
    // A passcode alone would be half of their sign-in.
    if (person.twoFactor) return 'the user has a second factor: an API key is needed';
    return { kind: 'user', id: person.id, name: person.name, roles: person.roles, remoteAddress };
  }
}

const no = (why: string): IdentityAnswer => ({ ok: false, why, later: false });

/** Only what both the device and the user may. */
function within(
  verbs: readonly DeviceVerb[],
  rights: readonly Right[],
): { verbs: DeviceVerb[]; rights: Right[] } {
  const kept = verbs.filter((verb) => VERB_RIGHTS[verb].every((right) => rights.includes(right)));
  return { verbs: kept, rights: [...new Set(kept.flatMap((verb) => VERB_RIGHTS[verb]))] };
}

/** UTF-8 (§D.3.3.7.1); '' when longer than anything that could be right. */
const textOf = (bytes: Uint8Array, longest: number): string =>
  bytes.length > longest * 4 ? '' : Buffer.from(bytes).toString('utf8').trim();
