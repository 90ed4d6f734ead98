/**
 * What each entry of the audit trail is in the standard's words: the table of the conformance statement (PS3.2 N.11.2.2).
 *
 * Source: PS3.15 §A.5.3 (messages), PS3.16 CID 400 (event IDs), CID 401 (event types).
 * Layer:  server/identity.
 */
import type { AuditEvent } from './types.ts';

export interface AuditMessage {
  /** Event ID, and event type where the message has one; undefined: the standard has no such message. */
  readonly id: readonly [code: string, meaning: string] | undefined;
  readonly type?: readonly [code: string, meaning: string];
  /** When it is written. */
  readonly when: string;
}

const ACTIVITY = ['110100', 'Application Activity'] as const;
const TRANSFERRED = ['110104', 'DICOM Instances Transferred'] as const;
const ALERT = ['110113', 'Security Alert'] as const;
const AUTHENTICATION = ['110114', 'User Authentication'] as const;
const LOGIN = ['110122', 'Login'] as const;
const LOGOUT = ['110123', 'Logout'] as const;
const NETWORK = ['110128', 'Network Configuration'] as const;
const SECURITY = ['110129', 'Security Configuration'] as const;
const USER_SECURITY = ['110137', 'User Security Attributes Changed'] as const;

export const AUDIT_MESSAGES: Readonly<Record<AuditEvent, AuditMessage>> = {
  'application.start': {
    ...{ id: ACTIVITY, type: ['110120', 'Application Start'], when: 'Lightbox has started' },
  },
  'application.stop': {
    ...{ id: ACTIVITY, type: ['110121', 'Application Stop'], when: 'Lightbox stops in order' },
  },
  'auth.setup': { id: ALERT, type: USER_SECURITY, when: 'the first administrator is created' },
  'auth.signIn': { id: AUTHENTICATION, type: LOGIN, when: 'a person signs in, or unlocks a session' },
  'auth.signOut': { id: AUTHENTICATION, type: LOGOUT, when: 'a person signs out' },
  'auth.locked': { id: AUTHENTICATION, type: LOGOUT, when: 'a session locks after idle time' },
  'auth.refused': { id: AUTHENTICATION, type: LOGIN, when: 'signing in, or a user of an association, fails' },
  'user.changed': {
    id: ALERT,
    type: USER_SECURITY,
    when: 'an account, its roles or its second factor change',
  },
  'apikey.changed': { id: ALERT, type: USER_SECURITY, when: 'an API key is made or revoked' },
  'device.changed': { id: ALERT, type: NETWORK, when: 'a device or an AE title of ours changes' },
  'certificate.changed': { id: ALERT, type: SECURITY, when: 'a certificate or an authority changes' },
  'association.refused': {
    ...{ id: ALERT, type: ['110126', 'Node Authentication'], when: 'a peer is not let in' },
  },
  query: { id: ['110112', 'Query'], when: 'a search by C-FIND, QIDO-RS or on the pages ends' },
  view: {
    id: ['110103', 'DICOM Instances Accessed'],
    when: 'objects, frames, pictures or documents are read',
  },
  store: { id: TRANSFERRED, when: 'an object or a file comes in; also set aside or refused' },
  correct: {
    ...{ id: undefined, when: 'what a study says is corrected, or a correction is taken back' },
  },
  export: { id: ['110106', 'Export'], when: 'a ZIP or disc image is fetched' },
  'transfer.begin': {
    ...{ id: ['110102', 'Begin Transferring DICOM Instances'], when: 'sending or retrieving begins' },
  },
  transfer: { id: TRANSFERRED, when: 'sending, retrieving or being retrieved from ends' },
  commitment: { id: undefined, when: 'a storage commitment is asked, answered or given up' },
  'transfer.asked': { id: undefined, when: 'a person or a rule asks for a transfer' },
  'transfer.changed': { id: undefined, when: 'a transfer is stopped or tried again by a person' },
  workitem: { id: undefined, when: 'a workitem is made, read, searched, changed or subscribed to' },
  'access.refused': {
    ...{ id: ALERT, type: ['110132', 'Use of Restricted Function'], when: 'a right is missing' },
  },
  'settings.changed': { id: ALERT, type: SECURITY, when: 'a setting changes' },
  'audit.used': { id: ['110101', 'Audit Log Used'], when: 'the audit trail is read or exported' },
};
