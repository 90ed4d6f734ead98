/**
 * Sending to other systems, searching and fetching from other archives, and what became of it.
 *
 * Layer:  server/doors/api.
 */
import { PassThrough } from 'node:stream';
import { z } from 'zod';
import { asFault, Fault, FAULTS, type FaultCode } from '@lightbox/core/base/fault.ts';
import type { RemoteLine } from '@lightbox/core/contract/transfers.ts';
import {
  Peer,
  RemoteQuery,
  RemoteSeries,
  RemoteSeriesQuery,
  RetrieveRequest,
  SendRequest,
  TransferDetail,
  TransferPage,
  TransferQuery,
  TransferRow,
  TransferState,
} from '@lightbox/core/contract/transfers.ts';
import { statusMeaning, statusText } from '@lightbox/core/dimse/status.ts';
import { isReachable, type Transfer } from '../../archive/transfers/types.ts';
import type { Device, DeviceOffer } from '../../identity/types.ts';
import type { HttpApp } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';

type Row = z.output<typeof TransferRow>;
const Id = z.object({ id: z.string().min(1).max(100) });
/** Of refused objects; the reason is nearly always the same for all. */
const SHOWN_FAILURES = 500;

export function transferRoutes(app: HttpApp, context: ApiContext): void {
  const { archive, audit, devices, remote, transfers } = context;

  const offering = async (offer: DeviceOffer): Promise<Device[]> =>
    (await devices.list()).filter((one) => one.offers.includes(offer) && isReachable(one));
  const deviceFor = async (id: string, offer: DeviceOffer): Promise<Device> => {
    const device = (await offering(offer)).find((one) => one.id === id);
    if (!device) throw new Fault('TRANSFER_DEVICE');
    return device;
  };

  /** With the names of what is here. */
  async function rowsOf(found: readonly Transfer[]): Promise<Row[]> {
    const names = await archive.studies.names(found.flatMap((one) => one.scopes[0]?.studyUid ?? []));
    return found.map((one) => ({
      ...rowOf(one, remote.adviceFor),
      ...names.get(one.scopes[0]?.studyUid ?? ''),
    }));
  }
  const rowFor = async (transfer: Transfer): Promise<Row> => {
    const [row] = await rowsOf([transfer]);
    if (!row) throw new Fault('NOT_FOUND');
    return row;
  };

  app.route({
    ...{ method: 'GET', url: '/api/destinations', config: { right: 'study.send' } },
    schema: { response: { 200: z.array(Peer) } },
    handler: async () => (await offering('store')).map(peerOf),
  });
  app.route({
    ...{ method: 'GET', url: '/api/archives', config: { right: 'remote.search' } },
    schema: { response: { 200: z.array(Peer) } },
    handler: async () => (await offering('archive')).map(peerOf),
  });

  app.route({
    ...{ method: 'POST', url: '/api/transfers', config: { right: 'study.send' } },
    schema: { body: SendRequest, response: { 200: TransferRow } },
    handler: async (request) => {
      const { deviceId, scopes } = request.body;
      return rowFor(await ask(request, 'send', await deviceFor(deviceId, 'store'), scopes));
    },
  });
  app.route({
    ...{ method: 'POST', url: '/api/remote/retrieve', config: { right: 'remote.retrieve' } },
    schema: { body: RetrieveRequest, response: { 200: TransferRow } },
    handler: async (request) => {
      const { deviceId, scopes, method } = request.body;
      return rowFor(await ask(request, 'fetch', await deviceFor(deviceId, 'archive'), scopes, method));
    },
  });

  async function ask(
    request: Parameters<typeof principalOf>[0],
    kind: 'send' | 'fetch',
    device: Device,
    scopes: z.output<typeof SendRequest>['scopes'],
    method?: 'auto' | 'get' | 'move',
  ): Promise<Transfer> {
    const principal = principalOf(request);
    const transfer = await transfers.ask({ kind, device, scopes, by: principal, method });
    audit.record({
      ...{ event: 'transfer.asked', outcome: 'success', principal },
      studyUids: [...new Set(scopes.map(({ studyUid }) => studyUid))],
      detail: { kind, transfer: transfer.id, aeTitle: device.aeTitle, objects: transfer.total },
    });
    return transfer;
  }

  app.route({
    ...{ method: 'GET', url: '/api/transfers', config: { right: 'transfer.manage' } },
    schema: { querystring: TransferQuery, response: { 200: TransferPage } },
    handler: async (request) => {
      const { state, ...query } = request.query;
      const states = state
        ?.split(',')
        .flatMap((one) => TransferState.options.filter((known) => known === one.trim()));
      const found = await transfers.list({ ...query, states });
      const next = found.length < query.limit ? null : (found.at(-1)?.id ?? null);
      audit.record({
        ...{ event: 'query', outcome: 'success', principal: principalOf(request) },
        detail: { door: 'transfers', matches: found.length },
      });
      return { items: await rowsOf(found), next, counts: await transfers.counts() };
    },
  });
  app.route({
    ...{ method: 'GET', url: '/api/transfers/:id', config: { right: 'transfer.manage' } },
    schema: { params: Id, response: { 200: TransferDetail } },
    handler: async (request) => {
      const transfer = await transfers.get(request.params.id);
      const failures = await transfers.failures(transfer.id, SHOWN_FAILURES);
      audit.record({
        ...{ event: 'query', outcome: 'success', principal: principalOf(request) },
        studyUids: [...new Set(transfer.scopes.map(({ studyUid }) => studyUid))],
        detail: { door: 'transfers', transfer: transfer.id },
      });
      return {
        ...(await rowFor(transfer)),
        failures: failures.map(({ status = null, fault = null, ...object }) => ({
          ...object,
          ...{ status, code: fault },
        })),
      };
    },
  });
  for (const what of ['retry', 'cancel'] as const) {
    app.route({
      ...{ method: 'POST', url: `/api/transfers/:id/${what}`, config: { right: 'transfer.manage' } },
      schema: { params: Id, response: { 200: TransferRow } },
      handler: async (request) => {
        const transfer = await transfers[what](request.params.id);
        audit.record({
          ...{ event: 'transfer.changed', outcome: 'success', principal: principalOf(request) },
          studyUids: [...new Set(transfer.scopes.map(({ studyUid }) => studyUid))],
          detail: { what, transfer: transfer.id, aeTitle: transfer.aeTitle },
        });
        return rowFor(transfer);
      },
    });
  }

  app.route({
    ...{ method: 'POST', url: '/api/remote/studies', config: { right: 'remote.search' } },
    schema: {
      summary:
        'Searches other archives; one RemoteLine a line, as they come. Closing the connection ends the search.',
      body: RemoteQuery,
    },
    handler: async (request, reply) => {
      const { deviceIds, limit, ...keys } = request.body;
      const asked = await Promise.all([...new Set(deviceIds)].map((id) => deviceFor(id, 'archive')));
      const out = new PassThrough();
      const stop = new AbortController();
      reply.raw.on('close', () => stop.abort());
      const principal = principalOf(request);
      const tell = (line: z.input<typeof RemoteLine>): void =>
        void (stop.signal.aborted || out.write(`${JSON.stringify(line)}\n`));

      const search = async (device: Device): Promise<void> => {
        const began = performance.now();
        const deviceId = device.id;
        let matches = 0;
        let fault: Fault | undefined;
        try {
          for await (const study of remote.studies(device, keys, limit + 1, stop.signal)) {
            matches += 1;
            if (matches > limit) break;
            tell({ type: 'match', deviceId, study: { ...study, here: await archive.presence.study(study) } });
          }
        } catch (error) {
          fault = asFault(error);
          if (fault.code === 'INTERNAL') request.log.error({ err: error }, 'a search elsewhere failed');
        }
        audit.record({
          ...{ event: 'query', outcome: fault ? 'failed' : 'success', principal },
          detail: {
            ...{ door: 'remote', aeTitle: device.aeTitle, keys: Object.keys(keys).join(' ') },
            ...{ matches: Math.min(matches, limit), ...(fault ? { code: fault.code } : {}) },
          },
        });
        tell({
          ...{ type: 'end', deviceId, matches: Math.min(matches, limit), more: matches > limit },
          milliseconds: Math.round(performance.now() - began),
          ...(fault ? { code: fault.code, advice: remote.adviceFor(fault) } : {}),
        });
      };
      void Promise.all(asked.map(search)).finally(() => out.end());
      return reply.type('application/x-ndjson').header('cache-control', 'no-store').send(out);
    },
  });

  app.route({
    ...{ method: 'POST', url: '/api/remote/series', config: { right: 'remote.search' } },
    schema: { body: RemoteSeriesQuery, response: { 200: z.array(RemoteSeries) } },
    handler: async (request, reply) => {
      const { deviceId, studyUid } = request.body;
      const device = await deviceFor(deviceId, 'archive');
      const stop = new AbortController();
      reply.raw.on('close', () => stop.abort());
      const [found, here] = await Promise.all([
        remote.series(device, studyUid, stop.signal),
        archive.presence.series(studyUid),
      ]);
      audit.record({
        ...{ event: 'query', outcome: 'success', principal: principalOf(request), studyUids: [studyUid] },
        detail: { door: 'remote', aeTitle: device.aeTitle, keys: 'series', matches: found.length },
      });
      return found.map((one) => ({ ...one, here: here.get(one.seriesUid) ?? 0 }));
    },
  });
}

const peerOf = ({ id, aeTitle, description }: Device): z.output<typeof Peer> => ({
  id,
  aeTitle,
  description,
});

function rowOf(transfer: Transfer, adviceFor: ApiContext['remote']['adviceFor']): Row {
  const { id, kind, deviceId, aeTitle, state, total, sent, warning, failed, attempts } = transfer;
  const waits = state === 'waiting' || state === 'queued';
  return {
    ...{ id, kind, deviceId, aeTitle, state, total, sent, warning, failed, attempts },
    askedBy: transfer.askedBy.name,
    studyUids: [...new Set(transfer.scopes.map(({ studyUid }) => studyUid))],
    createdAt: transfer.createdAt.toISOString(),
    nextAt: waits ? transfer.nextAt.toISOString() : null,
    finishedAt: transfer.finishedAt?.toISOString() ?? null,
    code: transfer.fault ?? null,
    advice: adviceOn(transfer, adviceFor),
  };
}

/** In plain language: what happened, and what the other side said. */
function adviceOn(
  { fault, faultFacts, dimseStatus }: Transfer,
  adviceFor: ApiContext['remote']['adviceFor'],
): string | null {
  if (fault === undefined || !(fault in FAULTS)) return null;
  const code = fault as FaultCode;
  const why = faultFacts['why'];
  if (code === 'TRANSFER_REFUSED' && why === 'DIMSE_NO_CONTEXT') return FAULTS.DIMSE_NO_CONTEXT.meaning;
  const said = dimseStatus === undefined ? '' : ` ${aeSaid(dimseStatus)}`;
  if (code.startsWith('WEB_') || code === 'TLS_FAILED') return adviceFor(new Fault(code, faultFacts));
  if (code.startsWith('DIMSE_') && !(code === 'DIMSE_STATUS' && faultFacts['status'] === undefined))
    return adviceFor(new Fault(code, faultFacts));
  if (code === 'DIMSE_STATUS') return `The device refused for now.${said}`;
  return FAULTS[code].meaning + said;
}

const aeSaid = (status: number): string => `It answered ${statusText(status)}: ${statusMeaning(status)}.`;
