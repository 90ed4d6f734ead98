/**
 * The audit trail against somebody who owns the database: what the chain finds, and what only a head noted elsewhere does.
 */
import { afterAll, beforeEach, beforeAll, describe, expect, it } from 'vitest';
import { COLUMNS, headText, parseHead, seal } from './audit-chain.ts';
import { openTestIdentity, type TestIdentity } from './testing.ts';
import type { Principal } from './types.ts';

const by: Principal = { kind: 'user', id: 'u', name: 'Müller', roles: [], remoteAddress: '192.0.2.1' };
const ROWS = 8;

describe('The audit trail (45 CFR 164.312(b), (c))', () => {
  let box: TestIdentity;
  const sql = (text: string): Promise<unknown> => box.database.pool.query(text);
  beforeAll(async () => {
    box = await openTestIdentity();
  });
  afterAll(() => box.close());
  beforeEach(async () => {
    // As the owner of the tables can: what follows is what such a person does next.
    await sql('ALTER TABLE audit_trail DISABLE TRIGGER ALL; ALTER TABLE audit_head DISABLE TRIGGER ALL');
    await sql(`TRUNCATE audit_trail; UPDATE audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex')`);
    for (let number = 1; number <= ROWS; number += 1) {
      box.audit.record({
        ...{ event: 'view', outcome: 'success', principal: by, studyUids: [`1.2.${number}`, '1.2'] },
        detail: { what: 'frames', number, ratio: 0.1 * number, zwei: true },
      });
      await box.audit.flush();
    }
    expect(await box.audit.verify()).toMatchObject({ ok: true, rows: ROWS, brokenAt: null });
  });

  const move = (from: string, by: number): string =>
    `UPDATE audit_trail SET seq = -seq WHERE ${from}; UPDATE audit_trail SET seq = ${by} - seq WHERE seq < 0`;
  const copy = (seq: number, to: number): string =>
    `INSERT INTO audit_trail (${COLUMNS})
     SELECT ${COLUMNS.replace('seq', String(to))} FROM audit_trail WHERE seq = ${seq}`;

  it.each([
    ['a changed time', `UPDATE audit_trail SET at = at + interval '1 ms' WHERE seq = 4`, 4],
    ['a changed event', `UPDATE audit_trail SET event = 'query' WHERE seq = 4`, 4],
    ['a changed outcome', `UPDATE audit_trail SET outcome = 'refused' WHERE seq = 4`, 4],
    ['another kind', `UPDATE audit_trail SET principal_kind = 'apiKey' WHERE seq = 4`, 4],
    ['another person', `UPDATE audit_trail SET principal_id = 'v' WHERE seq = 4`, 4],
    ['another name', `UPDATE audit_trail SET principal_name = 'V' WHERE seq = 4`, 4],
    ['another place', `UPDATE audit_trail SET remote_address = '192.0.2.2' WHERE seq = 4`, 4],
    ['another study', `UPDATE audit_trail SET study_uids = '{1.2.9}' WHERE seq = 4`, 4],
    ['a changed detail', `UPDATE audit_trail SET detail = detail || '{"number":5}' WHERE seq = 4`, 4],
    ['a changed hash', `UPDATE audit_trail SET hash = decode('00', 'hex') WHERE seq = 4`, 4],
    ['the first row changed', `UPDATE audit_trail SET event = 'query' WHERE seq = 1`, 1],
    ['the last row changed', `UPDATE audit_trail SET event = 'query' WHERE seq = ${ROWS}`, ROWS],
    ['a deleted row', 'DELETE FROM audit_trail WHERE seq = 4', 4],
    ['the first row deleted', 'DELETE FROM audit_trail WHERE seq = 1', 1],
    ['a deleted row, the rest moved up', `DELETE FROM audit_trail WHERE seq = 4; ${move('seq > 4', -1)}`, 4],
    [
      'two rows in the other order',
      `UPDATE audit_trail SET seq = -1 WHERE seq = 4; UPDATE audit_trail SET seq = 4 WHERE seq = 5;
       UPDATE audit_trail SET seq = 5 WHERE seq = -1`,
      4,
    ],
    ['an inserted row', `${move('seq >= 4', 1)}; ${copy(3, 4)}`, 4],
    ['a row before the first', copy(1, 0), 0],
    ['a row far before the first', copy(1, -7), -7],
    ['a row after the last', copy(ROWS, ROWS + 1), ROWS + 1],
    ['a row after a gap', copy(ROWS, ROWS + 5), ROWS + 1],
    ['the end cut off', 'DELETE FROM audit_trail WHERE seq > 6', 7],
    ['everything cut off', 'DELETE FROM audit_trail', 1],
    ['the head set back', 'UPDATE audit_head SET seq = 6', 7],
    ['another hash in the head', `UPDATE audit_head SET hash = decode('00', 'hex')`, ROWS],
    ['no head', 'DELETE FROM audit_head', 1],
  ])('names the row of %s', async (_name, tampering, row) => {
    await sql(tampering);
    expect(await box.audit.verify()).toMatchObject({ ok: false, brokenAt: row });
    await sql(`INSERT INTO audit_head (seq, hash) VALUES (0, '') ON CONFLICT DO NOTHING`);
  });

  it('a row added in the right form beyond the head is named', async () => {
    const [last] = await box.audit.search({ limit: 1 });
    const { head } = await box.audit.verify();
    const next = { ...last!, seq: ROWS + 1 };
    await sql(copy(ROWS, ROWS + 1));
    const hash = seal(parseHead(head).hash, next).toString('hex');
    await sql(`UPDATE audit_trail SET hash = decode('${hash}', 'hex') WHERE seq = ${ROWS + 1}`);
    expect(await box.audit.verify()).toMatchObject({ ok: false, brokenAt: ROWS + 1 });
  });

  it('the end cut off with the head set back is found only against a head noted elsewhere', async () => {
    const noted = parseHead((await box.audit.verify()).head);
    await sql(`DELETE FROM audit_trail WHERE seq > 6;
      UPDATE audit_head SET seq = 6, hash = (SELECT hash FROM audit_trail WHERE seq = 6)`);
    expect(await box.audit.verify()).toMatchObject({ ok: true, rows: 6 });
    expect(await box.audit.verify(noted)).toMatchObject({ ok: false, brokenAt: 7 });
  });

  it('a chain made anew is found only against a head noted elsewhere', async () => {
    const noted = parseHead((await box.audit.verify()).head);
    await sql(`TRUNCATE audit_trail; UPDATE audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex')`);
    for (let number = 1; number <= ROWS + 2; number += 1)
      box.audit.record({ event: 'query', outcome: 'success', principal: by });
    await box.audit.flush();
    expect(await box.audit.verify()).toMatchObject({ ok: true, rows: ROWS + 2 });
    expect(await box.audit.verify(noted)).toMatchObject({ ok: false, brokenAt: ROWS });
  });

  it('a head noted earlier holds while the trail grows', async () => {
    const { head } = await box.audit.verify();
    box.audit.record({ event: 'query', outcome: 'success', principal: by });
    await box.audit.flush();
    expect(headText(parseHead(head))).toBe(head);
    expect(await box.audit.verify(parseHead(head))).toMatchObject({ ok: true, rows: ROWS + 1 });
    expect(() => parseHead('8:zz')).toThrow('BAD_REQUEST');
  });

  it.each([
    `UPDATE audit_trail SET event = 'query'`,
    'DELETE FROM audit_trail WHERE seq = 1',
    'TRUNCATE audit_trail',
    'DELETE FROM audit_head',
    'TRUNCATE audit_head',
  ])('the database refuses %s', async (change) => {
    await sql('ALTER TABLE audit_trail ENABLE TRIGGER ALL; ALTER TABLE audit_head ENABLE TRIGGER ALL');
    await expect(sql(change)).rejects.toMatchObject({ code: '42501' });
    expect(await box.audit.verify()).toMatchObject({ ok: true, rows: ROWS });
  });

  it('keeps what waits when a write fails, in order, and goes on', async () => {
    await sql('ALTER TABLE audit_head RENAME TO elsewhere');
    box.audit.record({ event: 'query', outcome: 'success', principal: by, detail: { n: 1 } });
    const flushed = box.audit.flush();
    box.audit.record({ event: 'query', outcome: 'success', principal: by, detail: { n: 2 } });
    await new Promise((settle) => setTimeout(settle, 100));
    await sql('ALTER TABLE elsewhere RENAME TO audit_head');
    await flushed;
    const rows = await box.audit.search({ event: 'query', limit: 10 });
    expect(rows.map((row) => row.detail['n'])).toEqual([2, 1]);
    expect(await box.audit.verify()).toMatchObject({ ok: true, rows: ROWS + 2 });
  });
});
