/**
 * The worklist over the web (UPS-RS), as a scheduler, a performer and watchers use it: statuses, headers and events word for word.
 *
 * Source: PS3.18 §11, §8.10.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSet } from '../core/src/dicom/element.ts';
import { type DicomJson, toJson } from '../core/src/dicom/json.ts';
import { fromXml, toXml } from '../core/src/dicom/xml.ts';
import { discontinued, performed, scheduledJson } from '../core/src/workflow/testing.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';

const JSON_TYPE = 'application/dicom+json';
const ALL = '1.2.840.10008.5.1.4.34.5';
const FILTERED = '1.2.840.10008.5.1.4.34.5.1';
let box: Lightbox;
let counter = 0;
const newUid = (): string => `1.2.826.0.1.3680043.9.${(counter += 1)}`;

interface Options {
  readonly body?: DicomJson | string;
  readonly headers?: Record<string, string>;
}
const ask = (method: string, path: string, { body, headers = {} }: Options = {}): Promise<Response> =>
  fetch(`${box.url}/dicom-web${path}`, {
    method,
    headers: {
      authorization: `Bearer ${box.key}`,
      ...(body === undefined ? {} : { 'content-type': JSON_TYPE }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify([body]) }),
  });
const service = (): string => `127.0.0.1:${box.httpPort}/dicom-web`;
/** Status, and the text of the Warning header behind its code and service. */
const said = async (answer: Response | Promise<Response>): Promise<string> => {
  const { status, headers } = await answer;
  const warning = headers.get('warning');
  if (warning !== null) expect(warning.startsWith(`299 ${service()}: `), warning).toBe(true);
  return `${status}${warning === null ? '' : ` ${warning.slice(`299 ${service()}: `.length)}`}`;
};
const make = async (more: Parameters<typeof scheduledJson>[0] = {}): Promise<string> => {
  const uid = newUid();
  expect((await ask('POST', `/workitems?workitem=${uid}`, { body: scheduledJson(more) })).status).toBe(201);
  return uid;
};
const state = (uid: string, to: string, transaction?: string): Promise<Response> =>
  ask('PUT', `/workitems/${uid}/state`, {
    body: toJson(
      dataSet({
        ProcedureStepState: to,
        ...(transaction === undefined ? {} : { TransactionUID: transaction }),
      }),
    ),
  });
const update = (uid: string, changes: ReturnType<typeof dataSet>, transaction?: string): Promise<Response> =>
  ask('POST', `/workitems/${uid}${transaction === undefined ? '' : `?transaction-uid=${transaction}`}`, {
    body: toJson(changes),
  });
const read = async (uid: string): Promise<DicomJson> => {
  const answer = await ask('GET', `/workitems/${uid}`, { headers: { accept: JSON_TYPE } });
  expect(answer.status).toBe(200);
  const [workitem, ...more] = (await answer.json()) as DicomJson[];
  expect(more).toEqual([]);
  return workitem!;
};
const valueOf = (json: DicomJson | undefined, tag: string): unknown => json?.[tag]?.Value?.[0];

/** A watcher on a WebSocket. */
class Watcher {
  readonly events: DicomJson[] = [];
  readonly #socket: WebSocket;
  closed: number | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      this.events.push(JSON.parse(String(data)) as DicomJson);
    });
    socket.addEventListener('close', ({ code }) => (this.closed = code));
  }

  static open(ae: string, headers: Record<string, string> = { authorization: `Bearer ${box.key}` }) {
    // Node's own WebSocket takes headers, which browsers' do not.
    const socket = new WebSocket(`ws://${service()}/ws/subscribers/${ae}`, { headers } as never);
    const watcher = new Watcher(socket);
    return new Promise<Watcher>((settle, fail) => {
      socket.addEventListener('open', () => settle(watcher));
      socket.addEventListener('error', () => fail(new Error('not opened')));
    });
  }

  /** Type and state of each, as many as are expected. */
  async heard(count: number): Promise<string[]> {
    for (let tries = 0; tries < 200 && this.events.length < count; tries += 1) await sleep(25);
    return this.events.map((event) =>
      [valueOf(event, '00001002'), valueOf(event, '00741000')].filter((one) => one !== undefined).join(' '),
    );
  }

  close(): void {
    this.#socket.close();
  }
}

describe('UPS-RS', () => {
  beforeAll(async () => {
    box = await Lightbox.ready();
  });
  afterAll(() => box.stop());

  describe('Create (§11.4)', () => {
    it('answers 201 with the address of the workitem', async () => {
      const uid = newUid();
      const answer = await ask('POST', `/workitems?workitem=${uid}`, { body: scheduledJson() });
      expect(answer.status).toBe(201);
      expect(answer.headers.get('location')).toBe(`http://${service()}/workitems/${uid}`);
      expect(answer.headers.get('warning')).toBeNull();
      expect(await answer.text()).toBe('');
    });

    it('takes the UID where clients put it, and makes one where they do not', async () => {
      for (const query of ['?AffectedSOPInstanceUID=', '?']) {
        const uid = newUid();
        const answer = await ask('POST', `/workitems${query}${uid}`, { body: scheduledJson() });
        expect(answer.headers.get('location')).toContain(`/workitems/${uid}`);
      }
      const uid = newUid();
      const inside = await ask('POST', '/workitems', { body: scheduledJson({ SOPInstanceUID: uid }) });
      expect(inside.headers.get('location')).toContain(`/workitems/${uid}`);
      const made = await ask('POST', '/workitems', { body: scheduledJson() });
      expect(made.headers.get('location')).toMatch(/\/workitems\/2\.25\.\d+$/);
      const two = await ask('POST', `/workitems?workitem=${uid}`, {
        body: scheduledJson({ SOPInstanceUID: '1.2' }),
      });
      expect(two.status).toBe(400);
    });

    it('says what it filled in, refuses what is missing or there already', async () => {
      const given = scheduledJson();
      delete given['00741202'];
      expect(await said(ask('POST', `/workitems?workitem=${newUid()}`, { body: given }))).toBe(
        '201 The Workitem was created with modifications.',
      );
      delete given['00741200'];
      expect(await said(ask('POST', `/workitems?workitem=${newUid()}`, { body: given }))).toBe('400');
      const uid = await make();
      expect(await said(ask('POST', `/workitems?workitem=${uid}`, { body: scheduledJson() }))).toBe('409');
      const done = scheduledJson({ ProcedureStepState: 'COMPLETED' });
      expect(await said(ask('POST', `/workitems?workitem=${newUid()}`, { body: done }))).toBe('400');
    });

    it('takes XML, and nothing it does not know', async () => {
      const uid = newUid();
      const headers = { 'content-type': 'application/dicom+xml' };
      const xml = await ask('POST', `/workitems?workitem=${uid}`, { body: toXml(scheduledJson()), headers });
      expect(xml.status).toBe(201);
      expect(valueOf(await read(uid), '00100020')).toBe('P-1');
      const bad = (body: string, type: string): Promise<string> =>
        said(ask('POST', '/workitems', { body, headers: { 'content-type': type } }));
      expect(await bad('{}', 'application/json')).toBe('415');
      expect(await bad('no json', JSON_TYPE)).toBe('400');
      expect(await bad('[{},{}]', JSON_TYPE)).toBe('400');
      expect(await bad(`["${'x'.repeat(1024 * 1024)}"]`, JSON_TYPE)).toBe('413');
    });
  });

  describe('Retrieve (§11.5)', () => {
    it('gives all of it but the transaction UID', async () => {
      const uid = await make({ PatientName: 'Müller^Anna' });
      await state(uid, 'IN PROGRESS', '1.2.3.4.5');
      const workitem = await read(uid);
      expect(workitem['00081195']).toBeUndefined();
      expect(JSON.stringify(workitem)).not.toContain('1.2.3.4.5');
      expect(workitem['00100010']?.Value).toEqual([{ Alphabetic: 'Müller^Anna' }]);
      expect(valueOf(workitem, '00080016')).toBe('1.2.840.10008.5.1.4.34.6.1');
      expect(valueOf(workitem, '00080018')).toBe(uid);
    });

    it('as XML too, and nothing else; what is unknown is not found', async () => {
      const uid = await make();
      const xml = await ask('GET', `/workitems/${uid}`, { headers: { accept: 'application/dicom+xml' } });
      expect(xml.headers.get('content-type')).toContain('application/dicom+xml');
      expect(valueOf(fromXml(await xml.text()), '00080018')).toBe(uid);
      expect((await ask('GET', `/workitems/${uid}`, { headers: { accept: 'text/html' } })).status).toBe(406);
      expect(await said(ask('GET', `/workitems/${newUid()}`))).toBe('404');
      expect(await said(ask('GET', '/workitems/hello'))).toBe('400');
    });
  });

  describe('Update (§11.6)', () => {
    const label = (text: string) => dataSet({ ProcedureStepLabel: text });
    const INCONSISTENT = 'The submitted request is inconsistent with the current state of the Workitem.';
    const UNCLAIMED = 'The target URI did not reference a claimed Workitem.';

    it('by anybody while it is SCHEDULED, by its performer alone while it is IN PROGRESS', async () => {
      const uid = await make();
      expect(await said(update(uid, label('Two')))).toBe('200');
      expect(await said(update(uid, label('No'), '1.2.3'))).toBe(`409 ${UNCLAIMED}`);
      await state(uid, 'IN PROGRESS', '1.2.3');
      expect(await said(update(uid, label('No')))).toBe(`400 ${UNCLAIMED}`);
      expect(await said(update(uid, label('No'), '1.2.4'))).toBe(`400 ${UNCLAIMED}`);
      expect(await said(update(uid, label('Three'), '1.2.3'))).toBe('200');
      const bare = ask('POST', `/workitems/${uid}?1.2.3`, { body: toJson(label('Four')) });
      expect(await said(bare)).toBe('200');
      expect(valueOf(await read(uid), '00741204')).toBe('Four');
      expect(await said(update(newUid(), label('No')))).toBe('404');
    });

    it('never the patient, never what is finished', async () => {
      const uid = await make();
      expect(await said(update(uid, dataSet({ PatientID: 'P-2' })))).toBe(`400 ${INCONSISTENT}`);
      expect(await said(update(uid, dataSet({ ProcedureStepState: 'COMPLETED' })))).toBe(
        `400 ${INCONSISTENT}`,
      );
      expect(valueOf(await read(uid), '00100020')).toBe('P-1');
      await ask('POST', `/workitems/${uid}/cancelrequest`);
      expect(await said(update(uid, label('No')))).toBe(`400 ${INCONSISTENT}`);
    });
  });

  describe('Change State (§11.7)', () => {
    const STATE = 'The submitted request is inconsistent with the state of the UPS Instance.';

    it('each legal move and each illegal one', async () => {
      const uid = await make();
      expect(await said(state(uid, 'IN PROGRESS'))).toBe('400 The Transaction UID is missing.');
      expect(await said(state(uid, 'COMPLETED', '1.2.3'))).toBe(`409 ${STATE}`);
      expect(await said(state(uid, 'CANCELED', '1.2.3'))).toBe(`409 ${STATE}`);
      expect(await said(state(uid, 'SCHEDULED', '1.2.3'))).toBe(`400 ${STATE}`);
      expect(await said(state(uid, 'DONE', '1.2.3'))).toBe(`400 ${STATE}`);
      expect(await said(state(uid, 'IN PROGRESS', '1.2.3'))).toBe('200');
      expect(await said(state(uid, 'IN PROGRESS', '1.2.3'))).toBe(`409 ${STATE}`);
      expect(await said(state(uid, 'IN PROGRESS', '1.2.4'))).toBe('400 The Transaction UID is incorrect.');
      expect(await said(state(uid, 'COMPLETED', '1.2.4'))).toBe('400 The Transaction UID is incorrect.');
      expect(await said(state(uid, 'COMPLETED', '1.2.3'))).toBe(`409 ${STATE}`);
      await update(uid, performed(), '1.2.3');
      expect(await said(state(uid, 'COMPLETED', '1.2.3'))).toBe('200');
      expect(await said(state(uid, 'COMPLETED', '1.2.3'))).toBe(
        '200 The UPS is already in the requested state of COMPLETED.',
      );
      expect(await said(state(uid, 'CANCELED', '1.2.3'))).toBe(`409 ${STATE}`);
      expect(await said(state(newUid(), 'IN PROGRESS', '1.2.3'))).toBe('404');
    });

    it('to CANCELED with a reason', async () => {
      const uid = await make();
      await state(uid, 'IN PROGRESS', '1.2.3');
      expect(await said(state(uid, 'CANCELED', '1.2.3'))).toBe(`409 ${STATE}`);
      await update(uid, discontinued(), '1.2.3');
      expect(await said(state(uid, 'CANCELED', '1.2.3'))).toBe('200');
      expect(await said(state(uid, 'CANCELED', '1.2.3'))).toBe(
        '200 The UPS is already in the requested state of CANCELED.',
      );
    });

    it('of two performers who claim at once exactly one wins', async () => {
      const uid = await make();
      const statuses = await Promise.all(
        Array.from({ length: 12 }, (_, at) => said(state(uid, 'IN PROGRESS', `1.2.${at}`))),
      );
      expect(statuses.filter((one) => one === '200')).toHaveLength(1);
      expect(statuses.filter((one) => one === '400 The Transaction UID is incorrect.')).toHaveLength(11);
    });
  });

  describe('Request Cancellation (§11.8)', () => {
    it('ends what nobody works on, tells who does, refuses what is over', async () => {
      const uid = await make();
      const reasons = toJson(dataSet({ ReasonForCancellation: 'Wrong patient' }));
      const cancel = (target: string): Promise<string> =>
        said(ask('POST', `/workitems/${target}/cancelrequest`, { body: reasons }));
      expect(await cancel(uid)).toBe('202');
      expect(JSON.stringify(await read(uid))).toContain('Wrong patient');
      expect(await cancel(uid)).toBe('202 The UPS is already in the requested state of CANCELED.');
      const busy = await make();
      await state(busy, 'IN PROGRESS', '1.2.3');
      expect(await cancel(busy)).toBe('409 The performer cannot be contacted.');
      await ask('POST', `/workitems/${busy}/subscribers/PERFORMER`);
      expect(await cancel(busy)).toBe('202');
      expect(valueOf(await read(busy), '00741000')).toBe('IN PROGRESS');
      await update(busy, performed(), '1.2.3');
      await state(busy, 'COMPLETED', '1.2.3');
      expect(await cancel(busy)).toBe('409 The UPS is already COMPLETED.');
      expect(await cancel(newUid())).toBe('404');
    });
  });

  describe('Search (§11.9)', () => {
    const search = async (query: string): Promise<DicomJson[]> => {
      const answer = await ask('GET', `/workitems?${query}`);
      if (answer.status === 204) return [];
      expect(answer.status, await answer.clone().text()).toBe(200);
      return (await answer.json()) as DicomJson[];
    };
    const uidsOf = (found: DicomJson[]): unknown[] => found.map((one) => valueOf(one, '00080018'));

    it('by state, patient, date, codes in sequences, names', async () => {
      const worklist = `List ${counter}`;
      const more = { WorklistLabel: worklist };
      const a = await make({ ...more, PatientID: 'S-1', PatientName: 'Müller^Anna' });
      const b = await make({ ...more, ScheduledProcedureStepStartDateTime: '20260401' });
      await state(b, 'IN PROGRESS', '1.2.3');
      const within = (query: string): Promise<unknown[]> =>
        search(`WorklistLabel=${encodeURIComponent(worklist)}&${query}`).then(uidsOf);
      expect(await within('')).toEqual([a, b]);
      expect(await within('ProcedureStepState=SCHEDULED')).toEqual([a]);
      expect(await within('00741000=IN%20PROGRESS')).toEqual([b]);
      expect(await within('PatientID=S-1')).toEqual([a]);
      expect(await within('PatientName=m%C3%BCller*')).toEqual([a]);
      expect(await within('PatientName=anna&fuzzymatching=true')).toEqual([a]);
      expect(await within('ScheduledProcedureStepStartDateTime=20260401-')).toEqual([b]);
      expect(await within('ScheduledWorkitemCodeSequence.CodeValue=IMG')).toEqual([a, b]);
      expect(await within('ScheduledStationNameCodeSequence.00080100=WS1')).toEqual([a, b]);
      expect(await within('ScheduledStationNameCodeSequence.00080100=WS2')).toEqual([]);
      expect(await within('limit=1')).toEqual([a]);
      expect(await within('offset=1')).toEqual([b]);
      const one = await ask('GET', `/workitems?WorklistLabel=${encodeURIComponent(worklist)}&limit=1`);
      expect(one.headers.get('warning')).toContain('There are additional results that can be requested');
      expect(await said(ask('GET', '/workitems?PatientID=nobody'))).toBe('204');
      expect((await ask('GET', '/workitems?limit=x')).status).toBe(400);
    });

    it('returns what it has to, and what is asked for', async () => {
      const uid = await make();
      const [found] = await search(`SOPInstanceUID=${uid}`);
      for (const tag of ['00741000', '00741200', '00741204', '00404005', '00404041', '00100010', '00404018'])
        expect(found?.[tag], tag).toBeDefined();
      expect(found?.['00380010']).toEqual({ vr: 'LO' });
      expect(found?.['00404010']).toBeUndefined();
      const [more] = await search(`SOPInstanceUID=${uid}&includefield=00404010`);
      expect(more?.['00404010']).toBeDefined();
      const [all] = await search(`SOPInstanceUID=${uid}&includefield=all`);
      expect(all?.['00741216']).toBeDefined();
      expect(all?.['00081195']).toBeUndefined();
    });
  });

  describe('Subscribe, Unsubscribe, Suspend (§11.10 to §11.12) and notifications (§8.10)', () => {
    it('several watchers hear of one workitem, in order, in the documented form', async () => {
      const uid = await make();
      const [one, two] = await Promise.all([Watcher.open('ONE'), Watcher.open('TWO')]);
      const made = await ask('POST', `/workitems/${uid}/subscribers/ONE?deletionlock=false`);
      expect(made.status).toBe(201);
      expect(made.headers.get('content-location')).toBe(`ws://${service()}/ws/subscribers/ONE`);
      expect((await ask('POST', `/workitems/${uid}/subscribers/TWO?deletionlock=true`)).status).toBe(201);
      await state(uid, 'IN PROGRESS', '1.2.3');
      await update(
        uid,
        dataSet({ ProcedureStepProgressInformationSequence: [dataSet({ ProcedureStepProgress: '30' })] }),
        '1.2.3',
      );
      await ask('POST', `/workitems/${uid}/cancelrequest?requester=RIS`);
      await update(uid, performed(), '1.2.3');
      await state(uid, 'COMPLETED', '1.2.3');
      const expected = ['1 SCHEDULED', '1 IN PROGRESS', '3', '2', '1 COMPLETED'];
      expect(await one.heard(5)).toEqual(expected);
      expect(await two.heard(5)).toEqual(expected);
      expect(one.events[0]).toEqual({
        '00000002': { vr: 'UI', Value: ['1.2.840.10008.5.1.4.34.6.4'] },
        '00000100': { vr: 'US', Value: [256] },
        '00000110': { vr: 'US', Value: [1] },
        '00000800': { vr: 'US', Value: [1] },
        '00001000': { vr: 'UI', Value: [uid] },
        '00001002': { vr: 'US', Value: [1] },
        '00404041': { vr: 'CS', Value: ['READY'] },
        '00741000': { vr: 'CS', Value: ['SCHEDULED'] },
      });
      expect(valueOf(one.events[3], '00741236')).toBe('RIS');
      expect(one.events.map((event) => valueOf(event, '00000110'))).toEqual([1, 2, 3, 4, 5]);
      one.close();
      two.close();
    });

    it('all, then suspended, then no more; what is missed while away is not told later', async () => {
      const watcher = await Watcher.open('ALL');
      expect((await ask('POST', `/workitems/${ALL}/subscribers/ALL`)).status).toBe(201);
      const first = await make();
      expect(await watcher.heard(2)).toEqual(['1 SCHEDULED', '5']);
      watcher.close();
      await sleep(200);
      await make();
      const again = await Watcher.open('ALL');
      await state(first, 'IN PROGRESS', '1.2.3');
      expect(await again.heard(1)).toEqual(['1 IN PROGRESS']);
      expect((await ask('POST', `/workitems/${ALL}/subscribers/ALL/suspend`)).status).toBe(200);
      await make();
      await update(first, performed(), '1.2.3');
      await state(first, 'COMPLETED', '1.2.3');
      expect(await again.heard(2)).toEqual(['1 IN PROGRESS', '1 COMPLETED']);
      expect((await ask('DELETE', `/workitems/${ALL}/subscribers/ALL`)).status).toBe(200);
      again.close();
      expect(await said(ask('POST', `/workitems/${first}/subscribers/ALL/suspend`))).toBe('400');
    });

    it('those of a filter only', async () => {
      const watcher = await Watcher.open('FILTER');
      const filter = encodeURIComponent('WorklistLabel=Reading,ScheduledProcedureStepPriority=HIGH');
      const path = `/workitems/${FILTERED}/subscribers/FILTER`;
      expect((await ask('POST', `${path}?filter=${filter}`)).status).toBe(201);
      await make({ WorklistLabel: 'Reading' });
      await make({ WorklistLabel: 'Reading', ScheduledProcedureStepPriority: 'HIGH' });
      expect(await watcher.heard(2)).toEqual(['1 SCHEDULED', '5']);
      expect((await ask('POST', path)).status).toBe(400);
      expect((await ask('POST', `${path}?filter=Nonsense=1`)).status).toBe(400);
      // The older form, each key a parameter of its own.
      expect((await ask('POST', `${path}?WorklistLabel=Reading`)).status).toBe(201);
      watcher.close();
    });

    it('refuses names that are none, and workitems that are not there', async () => {
      const uid = await make();
      expect(await said(ask('POST', `/workitems/${newUid()}/subscribers/ONE`))).toBe('404');
      expect(await said(ask('POST', `/workitems/${uid}/subscribers/A_NAME_THAT_IS_TOO_LONG`))).toBe('400');
      expect(await said(ask('POST', `/workitems/${uid}/subscribers/ONE?deletionlock=perhaps`))).toBe('400');
    });

    it('lets nobody listen who may not', async () => {
      await expect(Watcher.open('X', {})).rejects.toThrow();
      await expect(Watcher.open('X', { authorization: 'Bearer lbx_invented' })).rejects.toThrow();
      const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
      // A page of another site that has the browser open a WebSocket with our cookie.
      await expect(Watcher.open('X', { cookie, origin: 'https://evil.example' })).rejects.toThrow();
      await expect(Watcher.open('X', { cookie })).rejects.toThrow();
      const watcher = await Watcher.open('X', { cookie, origin: box.url });
      watcher.close();
      expect((await ask('GET', '/ws/subscribers/X')).status).toBe(426);
      const { items } = await box.getJson<{ items: { detail: Record<string, string> }[] }>(
        '/api/audit?event=workitem&limit=50',
      );
      expect(items.map(({ detail }) => detail['what'])).toContain('listening');
    });

    it('ends the listening of a key that was revoked', async () => {
      const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
      const made = await box.post('/api/keys', { name: 'watch', rights: ['workitem.view'] }, { cookie });
      const { id, key } = (await made.json()) as { id: string; key: string };
      const watcher = await Watcher.open('REVOKED', { authorization: `Bearer ${key}` });
      await fetch(`${box.url}/api/keys/${id}`, { method: 'DELETE', headers: { cookie, origin: box.url } });
      for (let tries = 0; tries < 200 && watcher.closed === undefined; tries += 1) await sleep(100);
      expect(watcher.closed).toBe(1008);
    });
  });

  it('keeps all of it over a restart', async () => {
    const uid = await make();
    await ask('POST', `/workitems/${uid}/subscribers/LATER`);
    await state(uid, 'IN PROGRESS', '1.2.3');
    await box.kill();
    await box.run();
    const watcher = await Watcher.open('LATER');
    await update(uid, performed(), '1.2.3');
    expect(await said(state(uid, 'COMPLETED', '1.2.3'))).toBe('200');
    expect(await watcher.heard(1)).toEqual(['1 COMPLETED']);
    watcher.close();
  });
});
