/**
 * C-MOVE: the objects go to another device, on associations of our own.
 *
 * Source: PS3.4 §C.4.2, PS3.7 §9.1.4, §9.1.1.1.6 and .7 (Move Originator), PS3.8 §9.3.2.2 (128 contexts).
 * Layer:  server/doors/dimse.
 */
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { EXPLICIT_LE, IMPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { isImage, syntaxOfForm } from '../../archive/render/lossless.ts';
import type { InstanceRef } from '../../archive/types.ts';
import type { Device, SendForm } from '../../identity/types.ts';
import { DimseClient } from './client.ts';
import type { DoorParts } from './door.ts';
import type { Route } from './retrieve.ts';
import { prepared } from './retrieve-syntax.ts';
import { dialOf } from './tls-client.ts';

const MAX_CONTEXTS = 128;
/** So many associations broken in a row without an object taken: the destination is not asked again. */
const MAX_BROKEN = 3;

/** What one association proposes. */
interface Group {
  readonly classes: Set<string>;
  readonly contexts: { readonly sopClassUid: string; readonly transferSyntaxUids: readonly string[] }[];
}

/**
 * Contexts for exactly the objects there are: for each SOP class every transfer syntax they have, each in a context of its own so
 * that the destination cannot choose another one, and what they can be decoded to. More than one association can propose become
 * several groups.
 */
export function contextGroups(
  refs: readonly Pick<InstanceRef, 'sopClassUid' | 'transferSyntaxUid' | 'rows' | 'frameCount'>[],
  form: SendForm = 'stored',
): Group[] {
  const syntaxes = new Map<string, Set<string>>();
  const compressed = syntaxOfForm(form);
  for (const ref of refs) {
    const found = syntaxes.get(ref.sopClassUid) ?? new Set<string>();
    if (compressed !== undefined && isImage(ref)) found.add(compressed);
    syntaxes.set(ref.sopClassUid, found.add(ref.transferSyntaxUid));
  }
  const groups: Group[] = [];
  for (const [sopClassUid, kept] of syntaxes) {
    // Of more than fit into one association the rest goes decoded.
    const proposed = [...new Set([EXPLICIT_LE, IMPLICIT_LE, ...kept])].slice(0, MAX_CONTEXTS);
    let group = groups.at(-1);
    if (!group || group.contexts.length + proposed.length > MAX_CONTEXTS) {
      group = { classes: new Set(), contexts: [] };
      groups.push(group);
    }
    group.classes.add(sopClassUid);
    for (const uid of proposed) group.contexts.push({ sopClassUid, transferSyntaxUids: [uid] });
  }
  return groups;
}

export interface MoveOptions {
  readonly device: Device & { readonly host: string; readonly port: number };
  /** Which of our AE titles was asked, and calls now. */
  readonly callingAe: string;
  /** Whose C-MOVE it is, and the number of the request: the destination may tell what it waits for. */
  readonly originator?: { readonly ae: string; readonly messageId: number } | undefined;
}

export interface RouteTo extends Route {
  /** Why nothing more is tried, if so. */
  dead(): Fault | undefined;
}

export function routeTo(
  parts: Pick<DoorParts, 'config' | 'renderer' | 'certificates' | 'log'>,
  { device, callingAe, originator }: MoveOptions,
): RouteTo {
  const { config, log } = parts;
  let groups: Group[] = [];
  let client: DimseClient | undefined;
  let open: Group | undefined;
  let broken = 0;
  let dead: Fault | undefined;
  let aborted = false;

  async function associate(group: Group): Promise<DimseClient> {
    if (client?.usable === true && open === group) return client;
    await leave();
    client = await DimseClient.open({
      ...{ host: device.host, port: device.port, calledAe: device.aeTitle, callingAe },
      ...{ contexts: group.contexts, timeoutMs: config.idleSeconds * 1000 },
      tls: dialOf(device, callingAe, parts.certificates, config.tls.profile),
    });
    open = group;
    if (aborted) client.abort();
    return client;
  }

  async function leave(): Promise<void> {
    const before = client;
    client = undefined;
    if (before?.usable === true) await before.close();
  }

  async function send(ref: InstanceRef): Promise<number | Fault> {
    const first = await trySend(ref);
    // It may have been the association and not the object: storing twice is the same as once (PS3.4 §B.2.2).
    const again =
      first instanceof Fault && first.code === 'DIMSE_ABORTED' && !dead && client?.usable !== true;
    return again ? trySend(ref) : first;
  }

  async function trySend(ref: InstanceRef): Promise<number | Fault> {
    if (dead) return dead;
    const group = groups.find(({ classes }) => classes.has(ref.sopClassUid));
    if (!group) return new Fault('INTERNAL', { what: 'an object without a group' });
    let to: DimseClient;
    try {
      to = await associate(group);
    } catch (error) {
      // Nobody there, or nobody who wants us: asking again for every object would only take time.
      dead = asFault(error);
      log.warn(
        { code: dead.code, facts: dead.facts, destination: device.aeTitle },
        'no way to a destination',
      );
      return dead;
    }
    try {
      const ready = await prepared(parts, ref, to.transferSyntaxesOf(ref.sopClassUid), device.sendAs);
      if (!ready) return new Fault('DIMSE_NO_CONTEXT', { sopClass: ref.sopClassUid });
      const { transferSyntax, dataSet } = ready;
      const object = { sopClassUid: ref.sopClassUid, sopInstanceUid: ref.sopUid };
      const { status } = await to.store(object, dataSet, { transferSyntax, originator });
      broken = 0;
      return status;
    } catch (error) {
      const fault = asFault(error);
      if (to.usable) return fault;
      broken += 1;
      if (broken >= MAX_BROKEN) dead = fault;
      log.warn(
        { code: fault.code, destination: device.aeTitle, err: fault.cause },
        'association to a destination broken',
      );
      return fault;
    }
  }

  return {
    width: 1,
    order(refs) {
      groups = contextGroups(refs, device.sendAs);
      return groups.length <= 1
        ? refs
        : groups.flatMap(({ classes }) => refs.filter(({ sopClassUid }) => classes.has(sopClassUid)));
    },
    send,
    dead: () => dead,
    abort() {
      aborted = true;
      dead ??= new Fault('DIMSE_ABORTED');
      client?.abort();
    },
    close: leave,
  };
}
