/**
 * Who may do what: the one table of roles and rights.
 *
 * Layer:  server/identity.
 */
import { RIGHTS, type Allows, type DeviceVerb, type Right, type Role } from './types.ts';

/** Those who work with images all day. */
const STAFF: readonly Right[] = [
  'study.search',
  'study.view',
  'study.store',
  'study.send',
  'remote.search',
  'remote.retrieve',
  'transfer.manage',
  'workitem.view',
  'workitem.manage',
  'device.read',
];

/** A person has the rights of all of their roles together. */
export const ROLE_RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  administrator: RIGHTS,
  radiologist: [...STAFF, 'study.export'],
  technologist: [...STAFF, 'study.correct', 'quarantine.read'],
  referrer: ['study.search', 'study.view'],
};

/** What a DIMSE verb means as a right, so that devices pass the same question as people. */
export const VERB_RIGHTS: Readonly<Record<DeviceVerb, readonly Right[]>> = {
  echo: [],
  store: ['study.store'],
  find: ['study.search'],
  move: ['study.search', 'study.view', 'study.export'],
  get: ['study.search', 'study.view', 'study.export'],
  worklist: [],
  mpps: [],
  // Who may bring objects may ask whether they are kept.
  commit: ['study.store'],
  workitem: ['workitem.view', 'workitem.manage'],
};

export function rightsOf(roles: readonly Role[]): Right[] {
  return RIGHTS.filter((right) => roles.some((role) => ROLE_RIGHTS[role].includes(right)));
}

export const allows: Allows = (principal, right) =>
  principal.rights
    ? principal.rights.includes(right)
    : principal.roles.some((role) => ROLE_RIGHTS[role].includes(right));
