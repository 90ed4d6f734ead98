/** A Lightbox that sends and fetches, as tests of transfers use it. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { contextProfile, storescu } from './dcmtk.ts';
import { EXPLICIT } from './images.ts';
import { ADMINISTRATOR, Lightbox } from './lightbox.ts';
import { CT } from './wire.ts';

export interface Row {
  readonly id: string;
  readonly state: string;
  readonly total: number;
  readonly sent: number;
  readonly failed: number;
  readonly attempts: number;
  readonly code: string | null;
  readonly advice: string | null;
}

const PATIENCE = { timeout: 60_000, interval: 100 };

/** A Lightbox with what these tests ask of it. */
export class Side {
  box!: Lightbox;
  cookie = '';

  async start(env: Record<string, string> = {}): Promise<void> {
    this.box = await Lightbox.ready({ env: { LIGHTBOX_TRANSFER_RETRY_SECONDS: '1', ...env } });
    this.cookie = await this.box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    const answer = await this.box.post(path, body, { cookie: this.cookie });
    expect(answer.ok, await answer.clone().text()).toBe(true);
    return (await answer.json()) as T;
  }

  async device(draft: Record<string, unknown>): Promise<string> {
    return (await this.post<{ id: string }>('/api/devices', { host: '127.0.0.1', ...draft })).id;
  }

  async store(images: readonly { file: string }[], folder: string): Promise<void> {
    const profile = contextProfile(folder, EXPLICIT, [CT]);
    const files = images.map(({ file }) => file);
    const { answers } = await storescu(this.box.dicomPort, files, profile);
    expect([...answers.values()].filter((answer) => answer === 'Success')).toHaveLength(images.length);
  }

  async upload(file: string): Promise<void> {
    const answer = await fetch(`${this.box.url}/api/upload?name=a`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.box.key}`, 'content-type': 'application/dicom' },
      body: readFileSync(file),
    });
    expect(await answer.text()).toContain('"stored"');
  }

  send(deviceId: string, studyUid: string): Promise<Row> {
    return this.post('/api/transfers', { deviceId, scopes: [{ studyUid }] });
  }

  async row(id: string): Promise<Row> {
    const answer = await fetch(`${this.box.url}/api/transfers?limit=200`, {
      headers: { cookie: this.cookie },
    });
    const { items } = (await answer.json()) as { items: Row[] };
    const found = items.find((one) => one.id === id);
    if (!found) throw new Error(`no transfer ${id}`);
    return found;
  }

  async until(id: string, state: string): Promise<Row> {
    await expect.poll(async () => (await this.row(id)).state, PATIENCE).toBe(state);
    return this.row(id);
  }
}
