/**
 * C-GET: the objects go to the peer on the association it opened, in the contexts where it said it stores.
 *
 * Source: PS3.4 §C.4.3, §C.5.3, PS3.7 §9.1.3, §D.3.3.4 (role selection).
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Context } from '@lightbox/core/dimse/negotiate.ts';
import type { Renderer } from '../../archive/render/types.ts';
import type { InstanceRef } from '../../archive/types.ts';
import type { PeerStores } from './peer-stores.ts';
import type { Route } from './retrieve.ts';
import { syntaxToSend } from './retrieve-syntax.ts';
import type { Peer } from './services.ts';

export function routeBack(renderer: Renderer, peer: Peer, stores: PeerStores, withoutBulk: boolean): Route {
  const contexts = [...peer.negotiated.contexts.values()].filter(({ peerStores }) => peerStores);
  const contextFor = (ref: InstanceRef): Context | undefined => {
    const fitting = contexts.filter(({ abstractSyntax }) => abstractSyntax === ref.sopClassUid);
    const accepted = fitting.map(({ transferSyntax }) => transferSyntax);
    const chosen = syntaxToSend(renderer, ref, accepted, withoutBulk);
    return fitting.find(({ transferSyntax }) => transferSyntax === chosen);
  };
  return {
    width: peer.negotiated.performs,
    order: (refs) => refs,
    async send(ref) {
      const context = contextFor(ref);
      if (!context) return new Fault('DIMSE_NO_CONTEXT', { sopClass: ref.sopClassUid });
      const syntax = context.transferSyntax;
      const dataSet = withoutBulk
        ? await renderer.dataSetWithoutBulk(ref, syntax)
        : await renderer.dataSet(ref, syntax);
      return stores.store(context, ref, dataSet);
    },
    // It is the peer's association: whoever ends it ends what waits on it.
    abort: () => undefined,
    close: () => Promise.resolve(),
  };
}
