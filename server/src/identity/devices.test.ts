import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevices, type OpenDevices } from './devices.ts';
import { type LocalAes, openLocalAes } from './local-aes.ts';
import { openTestIdentity, type TestIdentity } from './testing.ts';
import type { Channel, Device, Principal } from './types.ts';

const by: Principal = { kind: 'user', id: 'u', name: 'U', roles: ['administrator'], remoteAddress: '::1' };
const device = (aeTitle: string): Omit<Device, 'id'> => ({
  ...{ aeTitle, description: '', host: undefined, port: undefined, checkAddress: false, verbs: ['echo'] },
  ...{
    tls: false,
    tlsOnly: false,
    certificate: undefined,
    identity: 'optional',
    calledAes: [],
    offers: [],
    dicomweb: undefined,
    sendAs: 'stored',
  },
});
const call = (callingAe: string) => ({
  callingAe,
  calledAe: 'LIGHTBOX',
  remoteAddress: '192.0.2.7',
  channel: { tls: false },
});

describe('Devices', () => {
  let box: TestIdentity;
  let devices: OpenDevices;
  let localAes: LocalAes;
  beforeAll(async () => {
    box = await openTestIdentity();
    localAes = await openLocalAes({ ...box, aeTitle: 'LIGHTBOX' });
    devices = await openDevices({ ...box, localAes });
  });
  afterAll(async () => {
    await devices.close();
    localAes.close();
    await box.close();
  });

  it('allowing one device keeps what was just noted about others, and forgets its own refusals', async () => {
    await devices.admit(call('KEPT'));
    await devices.admit(call('ALLOWED'));
    await devices.save(device('ALLOWED'), by);
    expect((await devices.refused()).map((one) => one.callingAe)).toEqual(['KEPT']);
    expect(await devices.admit(call('ALLOWED'))).toMatchObject({ admitted: true, verbs: ['echo'] });
  });

  it('counts refusals of one name from one place together', async () => {
    for (let times = 0; times < 3; times += 1) await devices.admit(call('AGAIN'));
    await devices.refused();
    await devices.admit(call('AGAIN'));
    const again = (await devices.refused()).find((one) => one.callingAe === 'AGAIN');
    expect(again?.count).toBe(4);
  });

  const from = (callingAe: string, channel: Channel, more: Partial<ReturnType<typeof call>> = {}) =>
    devices.admit({ ...call(callingAe), ...more, channel });
  const shown = { fingerprint: 'aa', subject: 'CN=CT1', authorities: ['c0', 'c1'] };

  it.each<[string, Partial<Device>, Channel, boolean]>([
    ['TLS only, over TLS', { tlsOnly: true }, { tls: true }, true],
    ['TLS only, without', { tlsOnly: true }, { tls: false }, false],
    [
      'bound, its certificate',
      { certificate: { by: 'fingerprint', fingerprint: 'aa' } },
      { tls: true, certificate: shown },
      true,
    ],
    [
      'bound, another one',
      { certificate: { by: 'fingerprint', fingerprint: 'ab' } },
      { tls: true, certificate: shown },
      false,
    ],
    ['bound, none shown', { certificate: { by: 'fingerprint', fingerprint: 'aa' } }, { tls: true }, false],
    ['bound, without TLS', { certificate: { by: 'fingerprint', fingerprint: 'aa' } }, { tls: false }, false],
    [
      'by name and authority',
      { certificate: { by: 'subject', subject: 'CN=CT1', authority: 'c1' } },
      { tls: true, certificate: shown },
      true,
    ],
    [
      'the name from another authority',
      { certificate: { by: 'subject', subject: 'CN=CT1', authority: 'c2' } },
      { tls: true, certificate: shown },
      false,
    ],
    [
      'another name of the authority',
      { certificate: { by: 'subject', subject: 'CN=CT2', authority: 'c1' } },
      { tls: true, certificate: shown },
      false,
    ],
  ])('the AE title alone does not do: %s (attacks C60)', async (what, more, channel, admitted) => {
    const aeTitle = `T${what.length}`.slice(0, 16);
    const saved = await devices.save({ ...device(aeTitle), ...more }, by);
    expect(await from(aeTitle, channel)).toMatchObject(admitted ? { admitted } : { admitted, reason: 3 });
    await devices.remove(saved.id, by);
  });

  it('answers under several AE titles, each with its own services, and keeps a device to some of them', async () => {
    await localAes.add({ aeTitle: 'RESEARCH', description: '', verbs: ['echo', 'find'] }, by);
    await devices.save({ ...device('BOTH'), verbs: ['echo', 'store', 'find'] }, by);
    await devices.save({ ...device('ONE'), calledAes: ['RESEARCH'] }, by);
    const plain = { tls: false };
    const research = { calledAe: 'RESEARCH' };
    expect(await from('BOTH', plain, research)).toMatchObject({
      verbs: ['echo', 'find'],
      localAe: 'RESEARCH',
    });
    expect(await from('BOTH', plain)).toMatchObject({
      verbs: ['echo', 'store', 'find'],
      localAe: 'LIGHTBOX',
    });
    expect(await from('ONE', plain, research)).toMatchObject({ admitted: true });
    expect(await from('ONE', plain)).toEqual({ admitted: false, reason: 7 });
    // Not even from this machine.
    expect(await from('ONE', plain, { remoteAddress: '127.0.0.1' })).toEqual({ admitted: false, reason: 7 });
    await localAes.remove('RESEARCH', by);
    expect(await from('BOTH', plain, research)).toEqual({ admitted: false, reason: 7 });
  });

  it('remembers the certificate of who was refused, so that it can be allowed with it', async () => {
    await from('STRANGER', { tls: true, certificate: shown });
    expect((await devices.refused()).find((one) => one.callingAe === 'STRANGER')?.fingerprint).toBe('aa');
  });
});
