/**
 * Nothing happens without a trace: every route is walked, once by somebody who may and once by somebody who may not, and each
 * leaves its row in the audit trail; so do DICOM associations.
 *
 * Source: 45 CFR 164.312(b), PS3.15 §A.5.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWith } from '../tools/testing.ts';
import { scheduledJson } from '../core/src/workflow/testing.ts';
import { run } from './support/dcmtk.ts';
import { ctImage, element, fileMeta } from './support/images.ts';
import { ADMINISTRATOR, freePort, Lightbox } from './support/lightbox.ts';
import { pathOf, ROUTES, type RouteRow } from './support/routes.ts';
import { totp } from './support/totp.ts';

interface Row {
  readonly seq: number;
  readonly event: string;
  readonly outcome: string;
  readonly principalName: string;
  readonly studyUids: readonly string[];
  readonly detail: Readonly<Record<string, string>>;
}

const PASSWORD = 'another long passphrase 9';
const NEW_PASSWORD = 'and another long passphrase 9';
const PLACE = {
  ...{ study: '1.2.826.0.1.3680043.2.1', studyUid: '1.2.826.0.1.3680043.2.1' },
  ...{ series: '1.2.826.0.1.3680043.2.1.1', instance: '1.2.826.0.1.3680043.2.1.1.1' },
  frames: '1',
  ...{ workitem: '1.2.826.0.1.3680043.2.9', aetitle: 'WATCHER' },
  ...{ seriesUid: '1.2.826.0.1.3680043.2.1.2', sopUid: '1.2.826.0.1.3680043.2.1.2.1' },
};
/** Need two systems that send everything to each other: see rules.test.ts. */
const ELSEWHERE: ReadonlySet<string> = new Set(['POST /api/rules/loops/release']);
const DICOM_JSON = 'application/dicom+json';
const ENCAPSULATED_PDF = '1.2.840.10008.5.1.4.1.1.104.1';
const cookieOf = (answer: Response): string =>
  answer.headers
    .getSetCookie()
    .map((one) => one.split(';')[0])
    .join('; ');
const image = (sop = PLACE.instance): Buffer =>
  Buffer.from(
    ctImage({
      ...{ studyUid: PLACE.study, seriesUid: PLACE.series, sopUid: sop, number: 1, side: 16 },
      ...{ patientId: 'AUDITED', chance: () => 0.5 },
    }),
  );

/** A PDF in the same study (PS3.3 §A.45.1). */
const pdf = (): Buffer =>
  Buffer.concat([
    fileMeta(ENCAPSULATED_PDF, PLACE.sopUid),
    element(0x0008, 0x0016, 'UI', ENCAPSULATED_PDF),
    element(0x0008, 0x0018, 'UI', PLACE.sopUid),
    element(0x0010, 0x0020, 'LO', 'AUDITED'),
    element(0x0020, 0x000d, 'UI', PLACE.study),
    element(0x0020, 0x000e, 'UI', PLACE.seriesUid),
    element(0x0042, 0x0011, 'OB', Buffer.from('%PDF-1.4')),
  ]);

describe('the audit trail', () => {
  let box: Lightbox;
  let admin: string;
  let referrer: string;
  let after = 0;

  const send = async (
    method: string,
    path: string,
    cookie: string,
    body?: unknown,
    type = 'application/json',
  ): Promise<Response> =>
    fetch(box.url + path, {
      method,
      headers: { origin: box.url, cookie, ...(body === undefined ? {} : { 'content-type': type }) },
      ...(body === undefined ? {} : { body: body instanceof Buffer ? body : JSON.stringify(body) }),
    });
  /** Rows since the last look, the reading of the trail itself left out. */
  const trail = async (): Promise<Row[]> => {
    const answer = await box.get('/api/audit?limit=200');
    const { items } = (await answer.json()) as { items: Row[] };
    const rows = items.filter(
      ({ seq, event, detail }) => seq > after && !(event === 'audit.used' && detail['what'] === undefined),
    );
    after = Math.max(after, ...items.map(({ seq }) => seq));
    return rows;
  };
  const newKey = async (): Promise<string> => {
    const made = await send('POST', '/api/keys', admin, { name: 'looker', rights: ['study.view'] });
    return ((await made.json()) as { key: string }).key;
  };
  const invite = async (name: string, role: string): Promise<string> => {
    const email = `${name}@example.org`;
    const invited = await send('POST', '/api/users', admin, { name, email, roles: [role] });
    const token = ((await invited.json()) as { link: string }).link.split('#')[1] ?? '';
    const accepted = await send('POST', '/api/invitations/accept', '', { token, password: PASSWORD });
    expect(accepted.status).toBe(204);
    return box.signIn(email, PASSWORD);
  };

  beforeAll(async () => {
    box = await Lightbox.ready();
    admin = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    referrer = await invite('referrer', 'referrer');
  });
  afterAll(() => box.stop());

  it('begins with the start and the set-up', async () => {
    const events = (await trail()).map(({ event, outcome }) => `${event} ${outcome}`);
    for (const event of ['application.start', 'auth.setup', 'auth.signIn', 'user.changed'])
      expect(events).toContain(`${event} success`);
  });

  it.each(ROUTES.filter(({ who }) => who !== 'anyone'))('has a refusal of $method $url', async (route) => {
    const { method, url, who } = route;
    const body = method === 'POST' || method === 'PUT' ? {} : undefined;
    await (await send(method, pathOf(url, PLACE), '', body)).body?.cancel();
    const pattern = url.replaceAll(/\{(\w+)\}/g, ':$1').replace('{*}', '*');
    expect(await trail()).toMatchObject([
      {
        event: 'access.refused',
        outcome: 'refused',
        detail: { code: 'NOT_SIGNED_IN', route: `${method} ${pattern}` },
      },
    ]);
    if (who === 'anyone signed in' || who === 'study.search' || who === 'study.view') return;
    await (await send(method, pathOf(url, PLACE), referrer, body)).body?.cancel();
    expect(await trail()).toMatchObject([
      {
        ...{ event: 'access.refused', outcome: 'refused', principalName: 'referrer' },
        detail: { code: 'FORBIDDEN', route: `${method} ${pattern}` },
      },
    ]);
  });

  it('has a refusal of another site, of a wrong password and of a wrong key', async () => {
    await fetch(`${box.url}/api/keys`, {
      method: 'POST',
      headers: { cookie: admin, origin: 'https://evil.example', 'content-type': 'application/json' },
      body: '{}',
    });
    expect(await trail()).toMatchObject([{ event: 'access.refused', detail: { code: 'ORIGIN_REFUSED' } }]);
    await send('POST', '/api/auth/sign-in/email', '', {
      email: ADMINISTRATOR.email,
      password: 'x'.repeat(12),
    });
    expect(await trail()).toMatchObject([{ event: 'auth.refused', detail: { code: 'SIGN_IN_REFUSED' } }]);
    await fetch(`${box.url}/api/studies`, { headers: { authorization: 'Bearer lbx_invented' } });
    expect(await trail()).toMatchObject([{ event: 'access.refused', detail: { code: 'NOT_SIGNED_IN' } }]);
    await send('POST', '/api/setup', '', { token: 'x', ...ADMINISTRATOR });
    expect(await trail()).toMatchObject([{ event: 'auth.refused', detail: { code: 'SETUP_DONE' } }]);
    await send('POST', '/api/invitations/accept', '', { token: 'x', password: PASSWORD });
    expect(await trail()).toMatchObject([{ event: 'auth.refused', detail: { code: 'INVITATION_INVALID' } }]);
    await send('POST', '/api/session/unlock', admin, { password: 'x' });
    expect(await trail()).toMatchObject([{ event: 'auth.refused', detail: { code: 'PASSWORD_WRONG' } }]);
  });

  it('has a row for every route that shows something of a patient or changes something', async () => {
    const stow = Buffer.concat([
      Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
      image(),
      Buffer.from('\r\n--b--\r\n'),
    ]);
    const multipart = 'multipart/related; type="application/dicom"; boundary=b';
    // What cannot be read, so that there is something in quarantine.
    await send('POST', '/api/upload', admin, Buffer.from('no DICOM'), 'application/dicom');
    let careful = await invite('careful', 'radiologist');
    const signIn = { email: 'careful@example.org', password: PASSWORD };
    let secret = '';
    let codes: string[] = [];
    let device = '';
    let trusted = '';
    let issued = { certificate: '', privateKey: '' };
    let transfer = '';
    let rules = 0;
    let overlay = '';
    let archive = '';
    let key = '';
    const half = async (): Promise<string> =>
      cookieOf(await send('POST', '/api/auth/sign-in/email', '', signIn));
    const begunImport = async (number: number): Promise<string> => {
      const { id } = (await (await send('POST', '/api/imports', admin, {})).json()) as { id: string };
      const one = image(`${PLACE.instance}.${number}`);
      const sent = await send('POST', `/api/imports/${id}/files?name=a`, admin, one, 'application/dicom');
      expect(await sent.text()).toContain('waiting');
      return id;
    };
    const special: Record<string, () => Promise<Response>> = {
      // Done by the helper of these tests before the first look; the rows were looked at above.
      'POST /api/setup': () => Promise.resolve(new Response()),
      'POST /api/invitations/accept': async () => {
        await invite('another', 'referrer');
        return new Response();
      },
      'POST /api/session/unlock': () =>
        send('POST', '/api/session/unlock', admin, { password: ADMINISTRATOR.password }),
      'POST /api/auth/sign-in/email': () => send('POST', '/api/auth/sign-in/email', '', signIn),
      'POST /api/auth/sign-out': async () =>
        send('POST', '/api/auth/sign-out', await box.signIn(signIn.email, signIn.password), {}),
      'POST /api/auth/two-factor/enable': async () => {
        const answer = await send('POST', '/api/auth/two-factor/enable', careful, { password: PASSWORD });
        const enabled = (await answer.clone().json()) as { totpURI: string; backupCodes: string[] };
        secret = new URL(enabled.totpURI).searchParams.get('secret') ?? '';
        codes = enabled.backupCodes;
        return answer;
      },
      'POST /api/auth/two-factor/verify-totp': async () => {
        const cookie = careful;
        const answer = await send('POST', '/api/auth/two-factor/verify-totp', cookie, { code: totp(secret) });
        careful = cookieOf(answer);
        return answer;
      },
      'POST /api/auth/two-factor/verify-backup-code': async () =>
        send('POST', '/api/auth/two-factor/verify-backup-code', await half(), { code: codes[0] }),
      'POST /api/auth/two-factor/generate-backup-codes': () =>
        send('POST', '/api/auth/two-factor/generate-backup-codes', careful, { password: PASSWORD }),
      'POST /api/auth/two-factor/disable': async () => {
        const answer = await send('POST', '/api/auth/two-factor/disable', careful, { password: PASSWORD });
        careful = cookieOf(answer);
        return answer;
      },
      'POST /api/auth/change-password': () =>
        send('POST', '/api/auth/change-password', careful, {
          ...{ currentPassword: PASSWORD, newPassword: NEW_PASSWORD },
        }),
      'POST /api/auth/revoke-other-sessions': () =>
        send('POST', '/api/auth/revoke-other-sessions', careful, {}),
      'POST /api/upload': () =>
        send('POST', '/api/upload?name=a.dcm', admin, image(`${PLACE.instance}.2`), 'application/dicom'),
      'GET /api/imports/{id}': async () => send('GET', `/api/imports/${await begunImport(3)}`, admin),
      'POST /api/imports/{id}/decisions': async () => {
        const id = await begunImport(4);
        const seen = await (await send('GET', `/api/imports/${id}`, admin)).json();
        const { patients } = seen as { patients: { person: string; choices: string[] }[] };
        const decisions = patients.map(({ person, choices }) => ({ person, choice: choices[0] }));
        const answer = await send('POST', `/api/imports/${id}/decisions`, admin, { decisions });
        await answer.text();
        return new Response(null, { status: answer.status });
      },
      'GET /api/exports/{id}/file': async () => {
        const studies = [{ studyUid: PLACE.study }];
        const chosen = await send('POST', '/api/exports', admin, { studies });
        const { url } = (await chosen.json()) as { url: string };
        const answer = await send('GET', url, admin);
        // To its end: what breaks off is written down as failed.
        await answer.arrayBuffer();
        return new Response(null, { status: answer.status });
      },
      'POST /api/devices': async () => {
        const answer = await send('POST', '/api/devices', admin, { aeTitle: 'CT1' });
        device = ((await answer.clone().json()) as { id: string }).id;
        return answer;
      },
      'POST /api/transfers': async () => {
        const down = { aeTitle: 'DOWN', host: '127.0.0.1', port: await freePort() };
        const made = (await (await send('POST', '/api/devices', admin, down)).json()) as { id: string };
        const body = { deviceId: made.id, scopes: [{ studyUid: PLACE.study }] };
        const answer = await send('POST', '/api/transfers', admin, body);
        transfer = ((await answer.clone().json()) as { id: string }).id;
        return answer;
      },
      'POST /api/studies/{studyUid}/overlays': async () => {
        const answer = await send('POST', `/api/studies/${PLACE.study}/overlays`, admin, {
          ...{ level: 'study', reason: 'for the trail', edits: { '00081030': { vr: 'LO', Value: ['X'] } } },
        });
        overlay = ((await answer.clone().json()) as { id: string }).id;
        return answer;
      },
      'POST /api/studies/{studyUid}/overlays/{id}/undo': () =>
        send('POST', `/api/studies/${PLACE.study}/overlays/${overlay}/undo`, admin, { reason: 'as before' }),
      'PUT /api/rules': async () => {
        const onward = { name: 'on', then: { send: { devices: ['DOWN'] } } };
        const text = JSON.stringify({ version: 1, rules: [onward] });
        const answer = await send('PUT', '/api/rules', admin, { text });
        rules = ((await answer.clone().json()) as { id: number }).id;
        return answer;
      },
      'POST /api/rules/versions/{id}/restore': () =>
        send('POST', `/api/rules/versions/${rules}/restore`, admin),
      'POST /api/rules/try': () => send('POST', '/api/rules/try', admin, { studyUid: PLACE.study }),
      'POST /api/rules/run': () =>
        send('POST', '/api/rules/run', admin, { studyUid: PLACE.study, rule: 'on' }),
      'GET /api/transfers/{id}': () => send('GET', `/api/transfers/${transfer}`, admin),
      'POST /api/transfers/{id}/cancel': () => send('POST', `/api/transfers/${transfer}/cancel`, admin, {}),
      'POST /api/transfers/{id}/retry': () => send('POST', `/api/transfers/${transfer}/retry`, admin, {}),
      'POST /api/remote/studies': async () => {
        const ourselves = {
          ...{ aeTitle: 'LIGHTBOX', host: '127.0.0.1', port: box.dicomPort, offers: ['archive'] },
          verbs: ['find', 'get'],
        };
        const made = (await (await send('POST', '/api/devices', admin, ourselves)).json()) as { id: string };
        archive = made.id;
        const answer = await send('POST', '/api/remote/studies', admin, { deviceIds: [archive] });
        // Written down when the search has ended.
        expect(await answer.clone().text()).toContain('"end"');
        return answer;
      },
      'POST /api/remote/series': () =>
        send('POST', '/api/remote/series', admin, { deviceId: archive, studyUid: PLACE.study }),
      'POST /api/remote/retrieve': () =>
        send('POST', '/api/remote/retrieve', admin, {
          deviceId: archive,
          scopes: [{ studyUid: PLACE.study }],
        }),
      'PUT /api/devices/{id}': () => send('PUT', `/api/devices/${device}`, admin, { aeTitle: 'CT2' }),
      'POST /api/devices/{id}/commitments': () =>
        send('POST', `/api/devices/${device}/commitments`, admin, { studyUid: PLACE.study }),
      'POST /api/commitments/{id}/retry': async () => {
        const [asked] = (await (await send('GET', '/api/commitments', admin)).json()) as { id: string }[];
        return send('POST', `/api/commitments/${asked?.id}/retry`, admin, {});
      },
      'POST /dicom-web/commitment-requests/{transaction}': () =>
        send(
          ...(['POST', '/dicom-web/commitment-requests/1.2.3.4', admin] as const),
          Buffer.from(
            `{"00081199":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2"]},"00081155":{"vr":"UI","Value":["${PLACE.instance}"]}}]}}`,
          ),
          'application/dicom+json',
        ),
      'POST /dicom-web/workitems': () =>
        send(
          ...(['POST', `/dicom-web/workitems?workitem=${PLACE.workitem}`, admin] as const),
          ...([Buffer.from(JSON.stringify(scheduledJson({ PatientID: 'AUDITED' }))), DICOM_JSON] as const),
        ),
      'POST /dicom-web/workitems/{workitem}': () =>
        send(
          ...(['POST', `/dicom-web/workitems/${PLACE.workitem}`, admin] as const),
          ...([Buffer.from('{"00741204":{"vr":"LO","Value":["Other"]}}'), DICOM_JSON] as const),
        ),
      'PUT /dicom-web/workitems/{workitem}/state': () =>
        send(
          ...(['PUT', `/dicom-web/workitems/${PLACE.workitem}/state`, admin] as const),
          Buffer.from(
            '{"00741000":{"vr":"CS","Value":["IN PROGRESS"]},"00081195":{"vr":"UI","Value":["1.2.3"]}}',
          ),
          DICOM_JSON,
        ),
      'POST /dicom-web/workitems/{workitem}/subscribers/{aetitle}': () =>
        send('POST', `/dicom-web/workitems/${PLACE.workitem}/subscribers/WATCHER`, admin),
      'POST /dicom-web/workitems/{workitem}/subscribers/{aetitle}/suspend': () =>
        send('POST', '/dicom-web/workitems/1.2.840.10008.5.1.4.34.5/subscribers/WATCHER/suspend', admin),
      'POST /dicom-web/workitems/{workitem}/cancelrequest': () =>
        send('POST', `/dicom-web/workitems/${PLACE.workitem}/cancelrequest`, admin),
      'DELETE /dicom-web/workitems/{workitem}/subscribers/{aetitle}': () =>
        send('DELETE', `/dicom-web/workitems/${PLACE.workitem}/subscribers/WATCHER`, admin),
      'GET /dicom-web/studies/{study}/series/{series}/instances/{instance}/bulkdata/{token}': async () => {
        const path = `/dicom-web/studies/${PLACE.study}/series/${PLACE.series}/instances/${PLACE.instance}`;
        const [one] = await box.getJson<Record<string, { BulkDataURI?: string }>[]>(`${path}/metadata`);
        const authorization = `Bearer ${await newKey()}`;
        return fetch(one?.['7FE00010']?.BulkDataURI ?? '', { headers: { authorization } });
      },
      'GET /wado': async () => {
        const names = `studyUID=${PLACE.study}&seriesUID=${PLACE.series}&objectUID=${PLACE.instance}`;
        const authorization = `Bearer ${await newKey()}`;
        return fetch(`${box.url}/wado?requestType=WADO&${names}`, { headers: { authorization } });
      },
      'DELETE /api/devices/{id}': () => send('DELETE', `/api/devices/${device}`, admin),
      'POST /api/certificates/authority': () => send('POST', '/api/certificates/authority', admin, {}),
      'POST /api/certificates/own': () => send('POST', '/api/certificates/own', admin, {}),
      'POST /api/certificates/issued': async () => {
        const answer = await send('POST', '/api/certificates/issued', admin, { commonName: 'CT1' });
        issued = (await answer.clone().json()) as typeof issued;
        return answer;
      },
      'PUT /api/certificates/own': () =>
        send('PUT', '/api/certificates/own', admin, { ...issued, aeTitle: 'X' }),
      'POST /api/certificates/trusted': async () => {
        const answer = await send('POST', '/api/certificates/trusted', admin, issued);
        trusted = ((await answer.clone().json()) as { id: string }).id;
        return answer;
      },
      'DELETE /api/certificates/{id}': () => send('DELETE', `/api/certificates/${trusted}`, admin),
      'POST /api/local-aes': () => send('POST', '/api/local-aes', admin, { aeTitle: 'SECOND' }),
      'DELETE /api/local-aes/{aeTitle}': () => send('DELETE', '/api/local-aes/SECOND', admin),
      'POST /api/users': () =>
        send('POST', '/api/users', admin, { name: 'n', email: 'n@example.org', roles: ['referrer'] }),
      'PUT /api/users/{id}': async () => {
        const users = (await (await send('GET', '/api/users', admin)).json()) as {
          id: string;
          name: string;
        }[];
        const { id } = users.find(({ name }) => name === 'n') ?? { id: '' };
        return send('PUT', `/api/users/${id}`, admin, { active: false });
      },
      'POST /api/keys': async () => {
        const answer = await send('POST', '/api/keys', admin, { name: 'k', rights: ['study.search'] });
        key = ((await answer.clone().json()) as { id: string }).id;
        return answer;
      },
      'DELETE /api/keys/{id}': () => send('DELETE', `/api/keys/${key}`, admin),
      'GET /api/audit': () => send('GET', '/api/audit?limit=1', admin),
      'GET /api/quarantine/{id}/file': async () => {
        const [kept] = (await (await send('GET', '/api/quarantine', admin)).json()) as { id: string }[];
        return send('GET', `/api/quarantine/${kept?.id}/file`, admin);
      },
      'POST /dicom-web/studies': () => send('POST', '/dicom-web/studies', admin, stow, multipart),
      'POST /dicom-web/studies/{study}': () =>
        send('POST', `/dicom-web/studies/${PLACE.study}`, admin, stow, multipart),
    };
    await send('POST', '/dicom-web/studies', admin, stow, multipart);
    await send('POST', '/api/upload?name=b.dcm', admin, pdf(), 'application/dicom');
    const [header] = await box.getJson<Record<string, { BulkDataURI?: string }>[]>(
      `/dicom-web/studies/${PLACE.study}/series/${PLACE.series}/instances/${PLACE.instance}/metadata`,
    );
    const place = { ...PLACE, token: header?.['7FE00010']?.BulkDataURI?.split('/').at(-1) ?? '' };
    const order = (route: RouteRow): number =>
      Object.keys(special).indexOf(`${route.method} ${route.url}`) + (route.method === 'GET' ? 1000 : 0);
    for (const route of [...ROUTES].sort((a, b) => order(a) - order(b))) {
      const { method, url, event } = route;
      if (event === undefined || event === 'auth.setup' || ELSEWHERE.has(`${method} ${url}`)) continue;
      // One look at a study is one row in a minute: each of these comes from somebody else.
      const looker = event === 'view' ? await newKey() : '';
      await trail();
      const name = `${method} ${url}`;
      const before = after;
      const answer = await (special[name]?.() ??
        (looker === ''
          ? send(method, pathOf(url, place), admin)
          : fetch(box.url + pathOf(url, place), { headers: { authorization: `Bearer ${looker}` } })));
      expect(answer.status, `${name}: ${answer.ok ? '' : await answer.clone().text()}`).toBeLessThan(300);
      await answer.body?.cancel();
      const rows =
        name === 'GET /api/audit'
          ? ((await (await box.get('/api/audit?limit=5')).json()) as { items: Row[] }).items.filter(
              ({ seq, principalName }) => seq > before && principalName === ADMINISTRATOR.name,
            )
          : await trail();
      expect(rows, name).toContainEqual(expect.objectContaining({ event, outcome: 'success' }));
      if (event === 'view' || event === 'store')
        expect(
          rows.flatMap(({ studyUids }) => studyUids),
          name,
        ).toContain(PLACE.study);
    }
    const verified = (await (await box.get('/api/audit/verify')).json()) as { ok: boolean; head: string };
    expect(verified).toMatchObject({ ok: true, brokenAt: null });
    const again = await box.get(`/api/audit/verify?head=${verified.head}`);
    expect(await again.json()).toMatchObject({ ok: true });
    const other = await box.get(`/api/audit/verify?head=3:${'0'.repeat(64)}`);
    expect(await other.json()).toMatchObject({ ok: false, brokenAt: 3 });
  });

  it('holds no value of a patient but the study', async () => {
    const answer = await box.get('/api/audit?limit=200');
    expect(await answer.text()).not.toContain('AUDITED');
  });

  describeWith(['echoscu', 'findscu'], 'with DCMTK', () => {
    it('has associations refused, and searches refused', async () => {
      await trail();
      await run('findscu', [
        ...['-S', '-aet', 'STRANGER', '-aec', 'LIGHTBOX', '-k', 'QueryRetrieveLevel=STUDY'],
        ...['-k', 'PatientID=*', '127.0.0.1', String(box.dicomPort)],
      ]);
      // Our own searches of ourselves are refused and written down meanwhile.
      const strangers = (await trail()).filter(({ principalName }) => principalName === 'STRANGER');
      expect(strangers).toMatchObject([{ event: 'association.refused', outcome: 'refused' }]);
    });
  });
});
