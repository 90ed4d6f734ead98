/** Devices, people, keys, audit trail, quarantine, status. Layer: web/api. */
import {
  ApiKeyCreated,
  ApiKeyRow,
  AuditPage,
  AuditVerification,
  Commitment,
  Device,
  EchoResult,
  Invitation,
  QuarantineItem,
  RefusedDevice,
  Status,
  UserRow,
  type ApiKeyInput,
  type AuditQuery,
  type DeviceInput,
  type UserInput,
  type UserUpdate,
} from '@lightbox/core/contract/api.ts';
import { z } from 'zod';
import { call, send, withQuery } from './client.ts';

export type DeviceRow = z.output<typeof Device>;
export type DeviceDraft = z.output<typeof DeviceInput>;
export type Refused = z.output<typeof RefusedDevice>;
export type Echo = z.output<typeof EchoResult>;
export type Person = z.output<typeof UserRow>;
export type PersonDraft = z.output<typeof UserInput>;
export type Key = z.output<typeof ApiKeyRow>;
export type KeyDraft = z.output<typeof ApiKeyInput>;
export type AuditFilter = Partial<z.output<typeof AuditQuery>>;

const one = (path: string, id: string): string => `${path}/${encodeURIComponent(id)}`;

export const listDevices = () => call(z.array(Device), '/api/devices');
export const listRefused = () => call(z.array(RefusedDevice), '/api/devices/refused');
export const saveDevice = (draft: DeviceDraft, id?: string) =>
  id === undefined
    ? call(Device, '/api/devices', { method: 'POST', body: draft })
    : call(Device, one('/api/devices', id), { method: 'PUT', body: draft });
export const removeDevice = (id: string) => send(one('/api/devices', id), { method: 'DELETE' });
export const echoDevice = (id: string) =>
  call(EchoResult, `${one('/api/devices', id)}/echo`, { method: 'POST', body: {} });

export const listPeople = () => call(z.array(UserRow), '/api/users');
export const invite = (draft: PersonDraft) => call(Invitation, '/api/users', { method: 'POST', body: draft });
export const changePerson = (id: string, change: z.output<typeof UserUpdate>) =>
  send(one('/api/users', id), { method: 'PUT', body: change });

export const listKeys = () => call(z.array(ApiKeyRow), '/api/keys');
export const createKey = (draft: KeyDraft) =>
  call(ApiKeyCreated, '/api/keys', { method: 'POST', body: draft });
export const removeKey = (id: string) => send(one('/api/keys', id), { method: 'DELETE' });

export const listAudit = (filter: AuditFilter) => call(AuditPage, withQuery('/api/audit', filter));
export const verifyAudit = () => call(AuditVerification, '/api/audit/verify');

export type CommitmentRow = z.output<typeof Commitment>;
export const listCommitments = () => call(z.array(Commitment), '/api/commitments');
export const retryCommitment = (id: string) =>
  send(`${one('/api/commitments', id)}/retry`, { method: 'POST', body: {} });

export const listQuarantine = () => call(z.array(QuarantineItem), '/api/quarantine');
export const readStatus = () => call(Status, '/api/status');
