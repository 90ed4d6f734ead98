/**
 * Devices, people, keys, audit trail, quarantine and status.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import { FAULTS, Fault } from '@lightbox/core/base/fault.ts';
import {
  ApiKeyCreated,
  ApiKeyInput,
  ApiKeyRow,
  AuditPage,
  AuditQuery,
  AuditVerification,
  AuditVerificationQuery,
  type BoundCertificate,
  Device,
  DeviceInput,
  EchoResult,
  Invitation,
  QuarantineItem,
  RefusedDevice,
  Status,
  UserInput,
  UserRow,
  UserUpdate,
} from '@lightbox/core/contract/api.ts';
import { parseHead } from '../../identity/audit-chain.ts';
import type { ApiKey } from '../../identity/api-keys.ts';
import type { Person } from '../../identity/people.ts';
import type {
  BoundCertificate as BoundTo,
  Device as KnownDevice,
  DeviceDraft,
} from '../../identity/types.ts';
import type { HttpApp } from '../../platform/http.ts';
import { type ApiContext, principalOf, VERSION } from './context.ts';

const Id = z.object({ id: z.string().min(1).max(100) });
const QUARANTINE_ROWS = 500;

export function adminRoutes(app: HttpApp, context: ApiContext): void {
  deviceRoutes(app, context);
  peopleRoutes(app, context);
  trailRoutes(app, context);
  statusRoutes(app, context);
}

function deviceRoutes(app: HttpApp, { devices, echo }: ApiContext): void {
  app.route({
    ...{ method: 'GET', url: '/api/devices', config: { right: 'device.read' } },
    schema: { response: { 200: z.array(Device) } },
    handler: async () => (await devices.list()).map(deviceOf),
  });
  app.route({
    ...{ method: 'GET', url: '/api/devices/refused', config: { right: 'device.read' } },
    schema: { response: { 200: z.array(RefusedDevice) } },
    handler: async () =>
      (await devices.refused()).map((one) => ({ ...one, lastAt: one.lastAt.toISOString() })),
  });
  app.route({
    ...{ method: 'POST', url: '/api/devices', config: { right: 'device.manage' } },
    schema: { body: DeviceInput, response: { 200: Device } },
    handler: async (request) => deviceOf(await devices.save(draftOf(request.body), principalOf(request))),
  });
  app.route({
    ...{ method: 'PUT', url: '/api/devices/:id', config: { right: 'device.manage' } },
    schema: { params: Id, body: DeviceInput, response: { 200: Device } },
    handler: async (request) =>
      deviceOf(await devices.save({ ...draftOf(request.body), id: request.params.id }, principalOf(request))),
  });
  app.route({
    ...{ method: 'DELETE', url: '/api/devices/:id', config: { right: 'device.manage' } },
    schema: { params: Id },
    handler: async (request, reply) => {
      await devices.remove(request.params.id, principalOf(request));
      return reply.status(204).send();
    },
  });
  app.route({
    ...{ method: 'POST', url: '/api/devices/:id/echo', config: { right: 'device.read' } },
    schema: { params: Id, response: { 200: EchoResult } },
    handler: async (request) => {
      const device = (await devices.list()).find(({ id }) => id === request.params.id);
      if (!device) throw new Fault('NOT_FOUND');
      return echo(device);
    },
  });
}

function peopleRoutes(app: HttpApp, { people, keys, config }: ApiContext): void {
  app.route({
    ...{ method: 'GET', url: '/api/users', config: { right: 'user.manage' } },
    schema: { response: { 200: z.array(UserRow) } },
    handler: async () => (await people.list()).map(personOf),
  });
  app.route({
    ...{ method: 'POST', url: '/api/users', config: { right: 'user.manage' } },
    schema: { body: UserInput, response: { 200: Invitation } },
    handler: async (request) => {
      const { person, token } = await people.invite(request.body, principalOf(request));
      const base = config.publicUrl ?? `${request.protocol}://${request.host}`;
      return { user: personOf(person), link: `${base}/invite#${token}` };
    },
  });
  app.route({
    ...{ method: 'PUT', url: '/api/users/:id', config: { right: 'user.manage' } },
    schema: { params: Id, body: UserUpdate, response: { 200: UserRow } },
    handler: async (request) =>
      personOf(await people.change(request.params.id, request.body, principalOf(request))),
  });
  app.route({
    ...{ method: 'GET', url: '/api/keys', config: { right: 'apikey.manage' } },
    schema: { response: { 200: z.array(ApiKeyRow) } },
    handler: async () => (await keys.list()).map(keyOf),
  });
  app.route({
    ...{ method: 'POST', url: '/api/keys', config: { right: 'apikey.manage' } },
    schema: { body: ApiKeyInput, response: { 200: ApiKeyCreated } },
    handler: async (request) => {
      const made = await keys.create(request.body, principalOf(request));
      return { ...keyOf(made), key: made.key };
    },
  });
  app.route({
    ...{ method: 'DELETE', url: '/api/keys/:id', config: { right: 'apikey.manage' } },
    schema: { params: Id },
    handler: async (request, reply) => {
      await keys.revoke(request.params.id, principalOf(request));
      return reply.status(204).send();
    },
  });
}

function trailRoutes(app: HttpApp, { audit }: ApiContext): void {
  app.route({
    ...{ method: 'GET', url: '/api/audit', config: { right: 'audit.read' } },
    schema: { querystring: AuditQuery, response: { 200: AuditPage } },
    handler: async (request) => {
      await audit.flush();
      const rows = await audit.search(request.query);
      // Looking at the trail is itself written down (PS3.15 §A.5.3.2).
      audit.record({ event: 'audit.used', outcome: 'success', principal: principalOf(request) });
      const items = rows.map((row) => ({
        ...row,
        at: row.at.toISOString(),
        studyUids: [...row.studyUids],
        detail: { ...row.detail },
      }));
      return { items, next: items.length < request.query.limit ? null : (items.at(-1)?.seq ?? null) };
    },
  });
  app.route({
    ...{ method: 'GET', url: '/api/audit/verify', config: { right: 'audit.read' } },
    schema: { querystring: AuditVerificationQuery, response: { 200: AuditVerification } },
    handler: async (request) => {
      const { head } = request.query;
      const noted = head === undefined ? undefined : parseHead(head);
      audit.record({
        ...{ event: 'audit.used', outcome: 'success', principal: principalOf(request) },
        detail: { what: 'verify' },
      });
      await audit.flush();
      return audit.verify(noted);
    },
  });
}

function statusRoutes(app: HttpApp, { archive, audit, config, dicomDoor }: ApiContext): void {
  app.route({
    ...{ method: 'GET', url: '/api/quarantine', config: { right: 'quarantine.read' } },
    schema: { response: { 200: z.array(QuarantineItem) } },
    handler: async () =>
      (await archive.quarantine.list(QUARANTINE_ROWS)).map((row) => ({
        ...{
          id: row.id,
          receivedAt: row.receivedAt.toISOString(),
          source: row.source.kind,
          by: row.source.by,
        },
        ...{ bytes: row.bytes, code: row.faultCode, message: meaningOf(row.faultCode) },
      })),
  });
  app.route({
    ...{ method: 'GET', url: '/api/quarantine/:id/file', config: { right: 'quarantine.read' } },
    schema: { params: Id },
    handler: async (request, reply) => {
      const { id } = request.params;
      const bytes = await archive.quarantine.open(id);
      audit.record({
        ...{ event: 'export', outcome: 'success', principal: principalOf(request) },
        detail: { what: 'quarantine', id },
      });
      return reply
        .type('application/octet-stream')
        .header('content-disposition', 'attachment; filename="quarantined.bin"')
        .send(bytes);
    },
  });
  app.route({
    ...{ method: 'GET', url: '/api/status', config: { signedIn: true, background: true } },
    schema: { response: { 200: Status } },
    handler: async () => {
      const { port, tlsPort = null, associations } = dicomDoor();
      return {
        ...(await archive.stats()),
        version: VERSION,
        uptimeSeconds: Math.round(process.uptime()),
        dicom: { aeTitle: config.dicom.aeTitle, port, tlsPort, associations },
      };
    },
  });
}

const meaningOf = (code: string): string =>
  code in FAULTS ? FAULTS[code as keyof typeof FAULTS].meaning : FAULTS.DICOM_STRUCTURE.meaning;

const deviceOf = (device: KnownDevice): z.output<typeof Device> => ({
  ...{ tls: device.tls, tlsOnly: device.tlsOnly, certificate: device.certificate ?? null },
  ...{ identity: device.identity, calledAes: [...device.calledAes] },
  ...{ id: device.id, aeTitle: device.aeTitle, description: device.description },
  ...{ host: device.host ?? null, port: device.port ?? null },
  ...{ checkAddress: device.checkAddress, verbs: [...device.verbs] },
  offers: [...device.offers],
  dicomweb: device.dicomweb ?? null,
  sendAs: device.sendAs,
});

const draftOf = (input: z.output<typeof DeviceInput>): DeviceDraft => ({
  ...input,
  dicomweb: input.dicomweb ? { ...input.dicomweb, url: input.dicomweb.url.replace(/\/+$/, '') } : undefined,
  ...{ host: input.host ?? undefined, port: input.port ?? undefined },
  certificate: input.certificate ? boundOf(input.certificate) : undefined,
});

function boundOf(given: z.output<typeof BoundCertificate>): BoundTo {
  const plain = (fingerprint: string): string => fingerprint.replaceAll(/[: ]/g, '').toLowerCase();
  return given.by === 'fingerprint'
    ? { ...given, fingerprint: plain(given.fingerprint) }
    : { ...given, authority: plain(given.authority) };
}

const personOf = (person: Person): z.output<typeof UserRow> => ({
  ...person,
  ...{ roles: [...person.roles], lastSeenAt: person.lastSeenAt?.toISOString() ?? null },
});

const keyOf = (key: ApiKey): z.output<typeof ApiKeyRow> => ({
  ...{ id: key.id, name: key.name, rights: [...key.rights], start: key.start },
  ...{ createdAt: key.createdAt.toISOString(), expiresAt: key.expiresAt?.toISOString() ?? null },
  ...{ lastUsedAt: key.lastUsedAt?.toISOString() ?? null },
});
