/** Certificates of DICOM connections, and our AE titles. Layer: web/api. */
import {
  Certificate,
  Certificates,
  IssuedCertificate,
  LocalAe,
  type GivenCertificateInput,
  type IssueInput,
  type LocalAeInput,
  type OwnCertificateInput,
  type TrustInput,
} from '@lightbox/core/contract/api.ts';
import { z } from 'zod';
import { call, send } from './client.ts';

export type CertificateRow = z.output<typeof Certificate>;
export type Issued = z.output<typeof IssuedCertificate>;
export type LocalAeRow = z.output<typeof LocalAe>;

const PATH = '/api/certificates';

export const listCertificates = () => call(Certificates, PATH);
export const makeAuthority = () => call(Certificate, `${PATH}/authority`, { method: 'POST', body: {} });
export const makeOwn = (body: z.input<typeof OwnCertificateInput>) =>
  call(Certificate, `${PATH}/own`, { method: 'POST', body });
export const giveOwn = (body: z.input<typeof GivenCertificateInput>) =>
  call(Certificate, `${PATH}/own`, { method: 'PUT', body });
export const trust = (body: z.input<typeof TrustInput>) =>
  call(Certificate, `${PATH}/trusted`, { method: 'POST', body });
export const issue = (body: z.input<typeof IssueInput>) =>
  call(IssuedCertificate, `${PATH}/issued`, { method: 'POST', body });
export const removeCertificate = (id: string) =>
  send(`${PATH}/${encodeURIComponent(id)}`, { method: 'DELETE' });
export const certificateFile = (id: string) => `${PATH}/${encodeURIComponent(id)}/file`;

export const listLocalAes = () => call(z.array(LocalAe), '/api/local-aes');
export const addLocalAe = (body: z.input<typeof LocalAeInput>) =>
  call(LocalAe, '/api/local-aes', { method: 'POST', body });
export const removeLocalAe = (aeTitle: string) =>
  send(`/api/local-aes/${encodeURIComponent(aeTitle)}`, { method: 'DELETE' });
