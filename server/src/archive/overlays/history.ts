/**
 * What was decided about a study, from its table.
 *
 * Layer:  server/archive.
 */
import type pg from 'pg';
import { type EditsJson, readEdits } from '@lightbox/core/dicom/edits.ts';
import type { Level } from '../types.ts';
import type { Overlay, Step } from './steps.ts';

/** Who decided: a person, or a person taking in a disc. */
export interface Author {
  readonly kind: 'person' | 'import' | 'rule';
  /** Of the person; as the audit trail names them. */
  readonly id: string;
  readonly name: string;
}

export interface OverlayRow {
  readonly id: string;
  readonly study_uid: string;
  readonly level: Level;
  readonly patient_keys: readonly string[];
  readonly series_uid: string | null;
  readonly sop_uid: string | null;
  /** null: it takes back `undoes`. */
  readonly edits: EditsJson | null;
  readonly before: EditsJson | null;
  readonly objects: number;
  readonly reason: string;
  readonly author: Author;
  readonly made_at: Date;
  readonly undoes: string | null;
}

export async function readHistory(
  client: pg.ClientBase | pg.Pool,
  studyUids: readonly string[],
): Promise<OverlayRow[]> {
  const { rows } = await client.query<OverlayRow>({
    name: 'overlay-history',
    text: `SELECT id, study_uid, level, patient_keys, series_uid, sop_uid, edits, before, objects, reason, author, made_at, undoes
           FROM overlay WHERE study_uid = ANY($1) ORDER BY id`,
    values: [studyUids],
  });
  return rows;
}

/** What of a history is in force, in its order. */
export function inForce(history: readonly OverlayRow[]): Overlay[] {
  const undone = new Set(history.map((row) => row.undoes));
  return history.flatMap((row) => (row.edits && !undone.has(row.id) ? [overlayOf(row, row.edits)] : []));
}

const overlayOf = (row: OverlayRow, edits: EditsJson): Overlay => ({
  id: row.id,
  studyUid: row.study_uid,
  level: row.level,
  patientKeys: row.patient_keys,
  seriesUid: row.series_uid ?? undefined,
  sopUid: row.sop_uid ?? undefined,
  edits: readEdits(edits),
  at: row.made_at,
});

export async function readOverlays(
  client: pg.ClientBase,
  studyUids: readonly string[],
): Promise<Map<string, Overlay[]>> {
  const found = new Map<string, Overlay[]>();
  for (const overlay of inForce(await readHistory(client, studyUids))) {
    const known = found.get(overlay.studyUid);
    if (known) known.push(overlay);
    else found.set(overlay.studyUid, [overlay]);
  }
  return found;
}

/** Steps by their hash: rows never change, so what was read once stays true. */
export class StepSets {
  readonly #known = new Map<string, readonly Step[]>();

  async read(
    client: pg.ClientBase | pg.Pool,
    hashes: Iterable<string>,
  ): Promise<ReadonlyMap<string, readonly Step[]>> {
    const wanted = new Set(hashes);
    const found = new Map<string, readonly Step[]>();
    const unknown: string[] = [];
    for (const hash of wanted) {
      const known = this.#known.get(hash);
      if (known) found.set(hash, known);
      else unknown.push(hash);
    }
    if (unknown.length === 0) return found;
    const { rows } = await client.query<{ hash: string; steps: string }>({
      name: 'overlay-steps',
      text: 'SELECT hash, steps FROM overlay_steps WHERE hash = ANY($1)',
      values: [unknown],
    });
    if (this.#known.size > REMEMBERED) this.#known.clear();
    for (const { hash, steps: text } of rows) {
      const steps = JSON.parse(text) as Step[];
      found.set(hash, steps);
      this.#known.set(hash, steps);
    }
    return found;
  }
}

/** What rules did to objects when they came in, while the index is made again. Answers in the order of the questions. */
export class CoercionLookup {
  readonly #pool: pg.Pool;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** undefined when rules never did anything: most archives need not be asked for each object. */
  static async open(pool: pg.Pool): Promise<CoercionLookup | undefined> {
    const { rowCount } = await pool.query('SELECT 1 FROM coercion LIMIT 1');
    return rowCount === 0 ? undefined : new CoercionLookup(pool);
  }

  find(sopUid: string, sha256: Buffer): Promise<readonly Step[] | undefined> {
    const answer = this.#turn.then(() => this.#read(sopUid, sha256));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async #read(sopUid: string, sha256: Buffer): Promise<readonly Step[] | undefined> {
    const { rows } = await this.#pool.query<{ steps: string }>({
      name: 'kept-coercion',
      text: `SELECT s.steps FROM coercion c JOIN overlay_steps s ON s.hash = c.steps WHERE c.sop_uid = $1 AND c.sha256 = $2`,
      values: [sopUid, sha256],
    });
    return rows[0] && (JSON.parse(rows[0].steps) as Step[]);
  }
}

/** Some hundred bytes each. */
const REMEMBERED = 5000;
