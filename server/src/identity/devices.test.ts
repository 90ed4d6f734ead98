import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevices, type OpenDevices } from './devices.ts';
import { openTestIdentity, type TestIdentity } from './testing.ts';
import type { Device, Principal } from './types.ts';

const by: Principal = { kind: 'user', id: 'u', name: 'U', roles: ['administrator'], remoteAddress: '::1' };
const device = (aeTitle: string): Omit<Device, 'id'> => ({
  ...{ aeTitle, description: '', host: undefined, port: undefined, checkAddress: false, verbs: ['echo'] },
});
const call = (callingAe: string) => ({ callingAe, calledAe: 'LIGHTBOX', remoteAddress: '192.0.2.7' });

describe('Devices', () => {
  let box: TestIdentity;
  let devices: OpenDevices;
  beforeAll(async () => {
    box = await openTestIdentity();
    devices = await openDevices({ ...box, aeTitle: 'LIGHTBOX' });
  });
  afterAll(async () => {
    await devices.close();
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
});
