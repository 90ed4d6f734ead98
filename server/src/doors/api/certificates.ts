/**
 * Certificates of DICOM connections and the AE titles they belong to, for the administrator.
 *
 * Layer:  server/doors/api.
 */
import { z } from 'zod';
import {
  AeTitle,
  Certificate,
  Certificates,
  GivenCertificateInput,
  IssuedCertificate,
  IssueInput,
  LocalAe,
  LocalAeInput,
  OwnCertificateInput,
  TrustInput,
} from '@lightbox/core/contract/api.ts';
import type { KnownCertificate } from '../../identity/certificates.ts';
import type { LocalAe as KnownAe } from '../../identity/local-aes.ts';
import type { HttpApp } from '../../platform/http.ts';
import { type ApiContext, principalOf } from './context.ts';

const Id = z.object({ id: z.string().min(1).max(100) });
const PATH = '/api/certificates';
/** Certificates open a door of the house: who may change its settings may change them. */
const config = { right: 'settings.manage' } as const;

export function certificateRoutes(app: HttpApp, context: ApiContext): void {
  const { certificates, dicomDoor } = context;
  const { tls } = context.config.dicom;
  app.route({
    ...{ method: 'GET', url: PATH, config },
    schema: { response: { 200: Certificates } },
    handler: () => ({
      certificates: certificates.list().map(certificateOf),
      listener: { port: dicomDoor().tlsPort ?? null, off: tls.port === 0, clients: tls.clients },
    }),
  });
  app.route({
    ...{ method: 'GET', url: `${PATH}/:id/file`, config },
    schema: { params: Id },
    handler: (request, reply) => {
      const { certificate } = certificates.pem(request.params.id);
      return reply
        .type('application/x-pem-file')
        .header('content-disposition', 'attachment; filename="certificate.pem"')
        .send(certificate);
    },
  });
  app.route({
    ...{ method: 'POST', url: `${PATH}/authority`, config },
    schema: { response: { 200: Certificate } },
    handler: async (request) => certificateOf(await certificates.makeAuthority(principalOf(request))),
  });
  app.route({
    ...{ method: 'POST', url: `${PATH}/own`, config },
    schema: { body: OwnCertificateInput, response: { 200: Certificate } },
    handler: async (request) => {
      const { aeTitle, names } = request.body;
      const made = await certificates.makeOwn({ aeTitle: aeTitle?.trim(), names }, principalOf(request));
      return certificateOf(made);
    },
  });
  app.route({
    ...{ method: 'PUT', url: `${PATH}/own`, config },
    schema: { body: GivenCertificateInput, response: { 200: Certificate } },
    handler: async (request) => {
      const { aeTitle, certificate, privateKey } = request.body;
      const given = { aeTitle: aeTitle?.trim(), certificate, privateKey };
      return certificateOf(await certificates.takeOwn(given, principalOf(request)));
    },
  });
  app.route({
    ...{ method: 'POST', url: `${PATH}/trusted`, config },
    schema: { body: TrustInput, response: { 200: Certificate } },
    handler: async (request) => certificateOf(await certificates.trust(request.body, principalOf(request))),
  });
  app.route({
    ...{ method: 'POST', url: `${PATH}/issued`, config },
    schema: { body: IssueInput, response: { 200: IssuedCertificate } },
    handler: async (request, reply) => {
      const { facts, ...files } = await certificates.issueFor(request.body, principalOf(request));
      // There is a private key in it.
      void reply.header('cache-control', 'no-store');
      return { ...files, fingerprint: facts.fingerprint, notAfter: facts.notAfter.toISOString() };
    },
  });
  app.route({
    ...{ method: 'DELETE', url: `${PATH}/:id`, config },
    schema: { params: Id },
    handler: async (request, reply) => {
      await certificates.remove(request.params.id, principalOf(request));
      return reply.status(204).send();
    },
  });
  localAeRoutes(app, context);
}

function localAeRoutes(app: HttpApp, { localAes }: ApiContext): void {
  app.route({
    ...{ method: 'GET', url: '/api/local-aes', config: { right: 'device.read' } },
    schema: { response: { 200: z.array(LocalAe) } },
    handler: () => localAes.list().map(aeOf),
  });
  app.route({
    ...{ method: 'POST', url: '/api/local-aes', config: { right: 'device.manage' } },
    schema: { body: LocalAeInput, response: { 200: LocalAe } },
    handler: async (request) => aeOf(await localAes.add(request.body, principalOf(request))),
  });
  app.route({
    ...{ method: 'DELETE', url: '/api/local-aes/:aeTitle', config: { right: 'device.manage' } },
    schema: { params: z.object({ aeTitle: AeTitle }) },
    handler: async (request, reply) => {
      await localAes.remove(request.params.aeTitle, principalOf(request));
      return reply.status(204).send();
    },
  });
}

const aeOf = (ae: KnownAe): z.output<typeof LocalAe> => ({ ...ae, verbs: [...ae.verbs] });

const certificateOf = (one: KnownCertificate): z.output<typeof Certificate> => ({
  ...{ id: one.id, role: one.role, aeTitle: one.aeTitle ?? null, label: one.label },
  ...{ fingerprint: one.fingerprint, subject: one.subject, issuer: one.issuer, names: one.names },
  ...{
    authority: one.authority,
    notBefore: one.notBefore.toISOString(),
    notAfter: one.notAfter.toISOString(),
  },
});
