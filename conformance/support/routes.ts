/**
 * Every route of the server with who may call it and what it leaves in the audit trail: written by hand, so that a route added
 * to the code without a row here fails the tests that compare the two.
 */
import type { AuditEvent, Right } from '../../server/src/identity/types.ts';

export interface RouteRow {
  readonly method: string;
  /** As the OpenAPI document writes it. */
  readonly url: string;
  readonly who: Right | 'anyone' | 'anyone signed in';
  /** undefined: shows nothing of a patient and changes nothing. */
  readonly event: AuditEvent | undefined;
}

const row = (method: string, url: string, who: RouteRow['who'], event?: AuditEvent): RouteRow => ({
  ...{ method, url, who, event },
});

const STUDY = '/dicom-web/studies/{study}';
const SERIES = `${STUDY}/series/{series}`;
const INSTANCE = `${SERIES}/instances/{instance}`;
const WORKITEM = '/dicom-web/workitems/{workitem}';
const DOCUMENT = '/api/studies/{studyUid}/series/{seriesUid}/instances/{sopUid}/document';

export const ROUTES: readonly RouteRow[] = [
  row('GET', '/healthz', 'anyone'),
  row('GET', '/readyz', 'anyone'),
  row('GET', '/metrics', 'metrics.read'),
  row('GET', '/api/openapi.json', 'anyone signed in'),
  row('GET', '/api/session', 'anyone'),
  row('POST', '/api/setup', 'anyone', 'auth.setup'),
  row('POST', '/api/invitations/accept', 'anyone', 'user.changed'),
  row('POST', '/api/session/unlock', 'anyone', 'auth.signIn'),
  row('POST', '/api/auth/sign-in/email', 'anyone', 'auth.signIn'),
  row('POST', '/api/auth/sign-out', 'anyone', 'auth.signOut'),
  row('POST', '/api/auth/two-factor/verify-totp', 'anyone', 'auth.signIn'),
  row('POST', '/api/auth/two-factor/verify-backup-code', 'anyone', 'auth.signIn'),
  row('POST', '/api/auth/change-password', 'anyone signed in', 'user.changed'),
  row('POST', '/api/auth/revoke-other-sessions', 'anyone signed in', 'user.changed'),
  row('POST', '/api/auth/two-factor/enable', 'anyone signed in', 'user.changed'),
  row('POST', '/api/auth/two-factor/disable', 'anyone signed in', 'user.changed'),
  row('POST', '/api/auth/two-factor/generate-backup-codes', 'anyone signed in', 'user.changed'),
  row('GET', '/api/preferences/{key}', 'anyone signed in'),
  row('PUT', '/api/preferences/{key}', 'anyone signed in'),
  row('GET', '/api/studies', 'study.search', 'query'),
  row('GET', '/api/studies/{studyUid}', 'study.view', 'view'),
  row('GET', '/api/studies/{studyUid}/overlays', 'study.view', 'view'),
  row('POST', '/api/studies/{studyUid}/overlays', 'study.correct', 'correct'),
  row('POST', '/api/studies/{studyUid}/overlays/{id}/undo', 'study.correct', 'correct'),
  row('GET', DOCUMENT, 'study.view', 'view'),
  row('GET', `${DOCUMENT}/file`, 'study.view', 'view'),
  row('GET', '/api/events', 'study.search'),
  row('POST', '/api/upload', 'study.store', 'store'),
  // What waits is not in the archive: the decision is written down, and who looked whose it is.
  row('POST', '/api/imports', 'study.store'),
  row('GET', '/api/imports/{id}', 'study.store', 'view'),
  row('DELETE', '/api/imports/{id}', 'study.store'),
  row('POST', '/api/imports/{id}/files', 'study.store'),
  row('POST', '/api/imports/{id}/decisions', 'study.store', 'store'),
  // A choice only: what leaves is written down with the file.
  row('POST', '/api/exports', 'study.export'),
  row('GET', '/api/exports/{id}', 'study.export'),
  row('GET', '/api/exports/{id}/file', 'study.export', 'export'),
  row('GET', '/api/devices', 'device.read'),
  row('GET', '/api/devices/refused', 'device.read'),
  row('POST', '/api/devices', 'device.manage', 'device.changed'),
  row('PUT', '/api/devices/{id}', 'device.manage', 'device.changed'),
  row('DELETE', '/api/devices/{id}', 'device.manage', 'device.changed'),
  row('POST', '/api/devices/{id}/echo', 'device.read'),
  row('GET', '/api/certificates', 'settings.manage'),
  row('GET', '/api/certificates/{id}/file', 'settings.manage'),
  row('POST', '/api/certificates/authority', 'settings.manage', 'certificate.changed'),
  row('POST', '/api/certificates/own', 'settings.manage', 'certificate.changed'),
  row('PUT', '/api/certificates/own', 'settings.manage', 'certificate.changed'),
  row('POST', '/api/certificates/trusted', 'settings.manage', 'certificate.changed'),
  row('POST', '/api/certificates/issued', 'settings.manage', 'certificate.changed'),
  row('DELETE', '/api/certificates/{id}', 'settings.manage', 'certificate.changed'),
  row('GET', '/api/local-aes', 'device.read'),
  row('POST', '/api/local-aes', 'device.manage', 'settings.changed'),
  row('DELETE', '/api/local-aes/{aeTitle}', 'device.manage', 'settings.changed'),
  row('POST', '/api/devices/{id}/commitments', 'study.export', 'commitment'),
  row('GET', '/api/rules', 'settings.manage'),
  row('GET', '/api/rules/file', 'settings.manage'),
  row('POST', '/api/rules/check', 'settings.manage'),
  row('PUT', '/api/rules', 'settings.manage', 'settings.changed'),
  row('GET', '/api/rules/versions', 'settings.manage'),
  row('GET', '/api/rules/versions/{id}', 'settings.manage'),
  row('POST', '/api/rules/versions/{id}/restore', 'settings.manage', 'settings.changed'),
  row('POST', '/api/rules/try', 'settings.manage', 'view'),
  row('POST', '/api/rules/run', 'settings.manage', 'transfer.asked'),
  row('POST', '/api/rules/loops/release', 'settings.manage', 'settings.changed'),
  row('GET', '/api/rules/log', 'settings.manage', 'query'),
  row('GET', '/api/commitments', 'device.read'),
  row('POST', '/api/commitments/{id}/retry', 'device.manage', 'commitment'),
  row('GET', '/api/destinations', 'study.send'),
  row('GET', '/api/archives', 'remote.search'),
  row('POST', '/api/transfers', 'study.send', 'transfer.asked'),
  row('GET', '/api/transfers', 'transfer.manage', 'query'),
  row('GET', '/api/transfers/{id}', 'transfer.manage', 'query'),
  row('POST', '/api/transfers/{id}/retry', 'transfer.manage', 'transfer.changed'),
  row('POST', '/api/transfers/{id}/cancel', 'transfer.manage', 'transfer.changed'),
  row('POST', '/api/remote/studies', 'remote.search', 'query'),
  row('POST', '/api/remote/series', 'remote.search', 'query'),
  row('POST', '/api/remote/retrieve', 'remote.retrieve', 'transfer.asked'),
  row('GET', '/api/users', 'user.manage'),
  row('POST', '/api/users', 'user.manage', 'user.changed'),
  row('PUT', '/api/users/{id}', 'user.manage', 'user.changed'),
  row('GET', '/api/keys', 'apikey.manage'),
  row('POST', '/api/keys', 'apikey.manage', 'apikey.changed'),
  row('DELETE', '/api/keys/{id}', 'apikey.manage', 'apikey.changed'),
  row('GET', '/api/audit', 'audit.read', 'audit.used'),
  row('GET', '/api/audit/verify', 'audit.read', 'audit.used'),
  row('GET', '/api/quarantine', 'quarantine.read'),
  row('GET', '/api/quarantine/{id}/file', 'quarantine.read', 'export'),
  row('GET', '/api/status', 'anyone signed in'),
  row('POST', '/dicom-web/studies', 'study.store', 'store'),
  row('POST', STUDY, 'study.store', 'store'),
  ...['/dicom-web/studies', '/dicom-web/series', '/dicom-web/instances'].map((url) =>
    row('GET', url, 'study.search', 'query'),
  ),
  ...[`${STUDY}/series`, `${STUDY}/instances`, `${SERIES}/instances`].map((url) =>
    row('GET', url, 'study.search', 'query'),
  ),
  ...[STUDY, SERIES, INSTANCE].flatMap((url) => [
    ...['', '/metadata', '/rendered', '/thumbnail', '/bulkdata', '/pixeldata'].map((what) =>
      row('GET', url + what, 'study.view', 'view'),
    ),
  ]),
  ...['', '/rendered', '/thumbnail'].map((what) =>
    row('GET', `${INSTANCE}/frames/{frames}${what}`, 'study.view', 'view'),
  ),
  row('POST', '/dicom-web/commitment-requests/{transaction}', 'study.store', 'commitment'),
  // The result alone: what was asked is written down, and what was found.
  row('GET', '/dicom-web/commitment-requests/{transaction}', 'study.store'),
  row('POST', '/dicom-web/workitems', 'workitem.manage', 'workitem'),
  row('GET', '/dicom-web/workitems', 'workitem.view', 'query'),
  row('GET', WORKITEM, 'workitem.view', 'workitem'),
  row('POST', WORKITEM, 'workitem.manage', 'workitem'),
  row('PUT', `${WORKITEM}/state`, 'workitem.manage', 'workitem'),
  row('POST', `${WORKITEM}/cancelrequest`, 'workitem.manage', 'workitem'),
  row('POST', `${WORKITEM}/subscribers/{aetitle}`, 'workitem.view', 'workitem'),
  row('DELETE', `${WORKITEM}/subscribers/{aetitle}`, 'workitem.view', 'workitem'),
  row('POST', `${WORKITEM}/subscribers/{aetitle}/suspend`, 'workitem.view', 'workitem'),
  // As a WebSocket it is written down: see workitems-web.test.ts.
  row('GET', '/dicom-web/ws/subscribers/{aetitle}', 'workitem.view'),
  row('GET', `${INSTANCE}/bulkdata/{token}`, 'study.view', 'view'),
  row('GET', '/wado', 'study.view', 'view'),
];

/** OPTIONS exists beside every route of DICOMweb, for anyone signed in. */
export const OPTIONS_OF = '/dicom-web';

/** A path with something in the place of its parameters. */
export const pathOf = (url: string, values: Readonly<Record<string, string>> = {}): string =>
  url.replaceAll(/\{(\w+|\*)\}/g, (_, name: string) => values[name] ?? '1');
