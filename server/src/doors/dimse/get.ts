/**
 * C-GET: the objects go to the peer on the association it opened, in the contexts where it said it stores.
 *
 * Source: PS3.4 §C.4.3, §C.5.3, PS3.7 §9.1.3, §D.3.3.4 (role selection).
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { InstanceRef } from '../../archive/types.ts';
import type { SendForm } from '../../identity/types.ts';
import type { Log } from '../../platform/log.ts';
import type { PeerStores } from './peer-stores.ts';
import type { Route } from './retrieve.ts';
import { type Prepared, prepared, syntaxToSend } from './retrieve-syntax.ts';
import type { Peer } from './services.ts';

export interface BackOptions {
  readonly peer: Peer;
  readonly stores: PeerStores;
  readonly withoutBulk: boolean;
  /** What the peer is to get, as far as it accepted that. */
  readonly form: SendForm;
}

export function routeBack(
  parts: { readonly renderer: Renderer; readonly log: Log },
  { peer, stores, withoutBulk, form }: BackOptions,
): Route {
  const { renderer } = parts;
  const contexts = [...peer.negotiated.contexts.values()].filter(({ peerStores }) => peerStores);
  const ready = async (ref: InstanceRef, accepted: readonly string[]): Promise<Prepared | undefined> => {
    if (!withoutBulk) return prepared(parts, ref, accepted, form);
    const transferSyntax = syntaxToSend(renderer, ref, accepted, true);
    if (transferSyntax === undefined) return undefined;
    return { transferSyntax, dataSet: await renderer.dataSetWithoutBulk(ref, transferSyntax) };
  };
  return {
    width: peer.negotiated.performs,
    order: (refs) => refs,
    async send(ref) {
      const fitting = contexts.filter(({ abstractSyntax }) => abstractSyntax === ref.sopClassUid);
      const object = await ready(
        ref,
        fitting.map(({ transferSyntax }) => transferSyntax),
      );
      const context = fitting.find(({ transferSyntax }) => transferSyntax === object?.transferSyntax);
      if (!object || !context) return new Fault('DIMSE_NO_CONTEXT', { sopClass: ref.sopClassUid });
      return stores.store(context, ref, object.dataSet);
    },
    // It is the peer's association: whoever ends it ends what waits on it.
    abort: () => undefined,
    close: () => Promise.resolve(),
  };
}
