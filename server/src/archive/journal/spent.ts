/**
 * Which records of the journal are not needed any more, because their object is kept elsewhere: in a pack, or as another record.
 *
 * A segment is deleted only when every record of it is written down here: the proof does not rest on what the index lacks.
 * Layer:  server/archive.
 */
import type pg from 'pg';

const AT_ONCE = 10_000;

/** Durable when it resolves, and with it every commit before. */
export async function noteSpent(
  client: Pick<pg.Pool | pg.ClientBase, 'query'>,
  segment: string,
  starts: readonly number[],
): Promise<void> {
  for (let at = 0; at < starts.length; at += AT_ONCE)
    await client.query(
      `WITH durable AS (SELECT set_config('synchronous_commit', 'on', true))
       INSERT INTO journal_spent (segment, record_start)
       SELECT $1, t.start FROM durable, unnest($2::bigint[]) AS t (start) ON CONFLICT DO NOTHING`,
      [segment, starts.slice(at, at + AT_ONCE)],
    );
}

export async function spentOf(client: Pick<pg.Pool, 'query'>, segment: string): Promise<Set<number>> {
  const { rows } = await client.query<{ record_start: string }>(
    'SELECT record_start FROM journal_spent WHERE segment = $1',
    [segment],
  );
  return new Set(rows.map((row) => Number(row.record_start)));
}
