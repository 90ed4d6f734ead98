/**
 * transfers: what a running server sends and fetches, seen and changed from a terminal.
 *
 * Layer:  server/cli. Talks to the server's own API with an API key.
 */
import type { z } from 'zod';
import type { TransferDetail, TransferPage, TransferRow } from '@lightbox/core/contract/transfers.ts';
import { TransferState } from '@lightbox/core/contract/transfers.ts';
import { displayName } from '@lightbox/core/dicom/person-name.ts';
import { statusMeaning, statusText } from '@lightbox/core/dimse/status.ts';
import { wholeNumber } from './keys.ts';
import { formatTable, printable } from './table.ts';
import { UsageError } from './usage.ts';

export interface TransfersCommand {
  readonly server?: string | undefined;
  /** Of the environment: an argument would be seen by everybody on the machine. */
  readonly key?: string | undefined;
  readonly state?: string | undefined;
  readonly limit?: string | undefined;
  readonly json?: boolean | undefined;
}

type Row = z.output<typeof TransferRow>;
const VERBS = ['list', 'show', 'retry', 'cancel'] as const;
const DEFAULT_SERVER = 'http://localhost:8080';
const ANSWER_MS = 30_000;

/** @returns the exit code. */
export async function transfers(
  [verb = 'list', ...ids]: readonly string[],
  command: TransfersCommand,
): Promise<number> {
  const known = VERBS.find((one) => one === verb);
  if (!known) throw new UsageError(`There is no "${verb}": ${VERBS.join(', ')}.`);
  const call = caller(command);
  if (known === 'list') {
    if (ids.length > 0) throw new UsageError(`"${ids[0]}" is one argument too many.`);
    return list(call, command);
  }
  if (ids.length === 0 || (known === 'show' && ids.length > 1))
    throw new UsageError(known === 'show' ? 'Say which one: show ID' : `Say which: ${known} ID...`);
  if (known === 'show') return show(call, ids[0] ?? '', command);
  let failed = 0;
  for (const id of ids) {
    const answer = await call<Row>('POST', `/api/transfers/${encodeURIComponent(id)}/${known}`);
    if (typeof answer === 'string') {
      failed += 1;
      console.error(`${printable(id)}: ${answer}`);
    } else console.log(`${answer.id}: ${answer.state}`);
  }
  return failed > 0 ? 1 : 0;
}

async function list(call: Call, { state, limit, json }: TransfersCommand): Promise<number> {
  const wrong = state?.split(',').find((one) => !TransferState.options.some((known) => known === one));
  if (wrong !== undefined)
    throw new UsageError(`There is no state "${wrong}": ${TransferState.options.join(', ')}.`);
  const query = new URLSearchParams({ limit: String(Math.min(wholeNumber('--limit', limit) ?? 50, 200)) });
  if (state !== undefined) query.set('state', state);
  const page = await call<z.output<typeof TransferPage>>('GET', `/api/transfers?${query.toString()}`);
  if (typeof page === 'string') return fail(page);
  if (json === true) console.log(JSON.stringify(page.items, undefined, 2));
  else {
    if (page.items.length > 0) console.log(formatTable(HEADINGS, page.items.map(cellsOf)));
    const counts = Object.entries(page.counts).map(([name, count]) => `${count} ${name}`);
    console.log(counts.length > 0 ? counts.join(', ') : 'no transfers');
  }
  return 0;
}

async function show(call: Call, id: string, { json }: TransfersCommand): Promise<number> {
  const found = await call<z.output<typeof TransferDetail>>(
    'GET',
    `/api/transfers/${encodeURIComponent(id)}`,
  );
  if (typeof found === 'string') return fail(found);
  if (json === true) {
    console.log(JSON.stringify(found, undefined, 2));
    return 0;
  }
  console.log(formatTable(HEADINGS, [cellsOf(found)]));
  const facts = [
    ['asked by', `${found.askedBy}, ${found.createdAt}`],
    ['studies', found.studyUids.join(', ')],
    ['tried', `${found.attempts} times${found.nextAt === null ? '' : `, next ${found.nextAt}`}`],
    ...(found.advice === null ? [] : [['what to do', found.advice]]),
  ];
  console.log(facts.map(([name = '', value = '']) => `${name}: ${printable(value)}`).join('\n'));
  if (found.failures.length > 0) {
    console.log(
      `\n${formatTable(
        ['Object', 'Status', 'Why'],
        found.failures.map(({ sopUid, status, code }) => [
          ...[sopUid, status === null ? '' : statusText(status)],
          status === null ? (code ?? '') : statusMeaning(status),
        ]),
      )}`,
    );
    if (found.failures.length < found.failed) console.log(`and ${found.failed - found.failures.length} more`);
  }
  return 0;
}

const HEADINGS = ['State', 'Kind', 'Device', 'Patient', 'Objects', 'Failed', 'Why', 'ID'];

function cellsOf(row: Row): string[] {
  const { alphabetic, ideographic } = row.patientName ?? { alphabetic: '' };
  const patient = displayName({
    ...(ideographic ? { Ideographic: ideographic } : {}),
    ...(alphabetic && !ideographic ? { Alphabetic: alphabetic } : {}),
  });
  return [
    ...[row.state, row.kind, row.aeTitle, patient, `${row.sent}/${row.total}`, String(row.failed)],
    ...[row.code ?? '', row.id],
  ];
}

function fail(words: string): number {
  console.error(words);
  return 1;
}

/** The answer, or why there is none. */
type Call = <T>(method: 'GET' | 'POST', path: string) => Promise<T | string>;

function caller({ server = DEFAULT_SERVER, key }: TransfersCommand): Call {
  if (key === undefined || key === '')
    throw new UsageError(
      'Set LIGHTBOX_API_KEY to an API key with the right transfer.manage, from the page API keys.',
    );
  if (!/^[\x21-\x7e]+$/.test(key)) throw new UsageError('LIGHTBOX_API_KEY is no API key.');
  const base = URL.canParse(server) ? new URL(server) : undefined;
  if (!base || !/^https?:$/.test(base.protocol))
    throw new UsageError(`"${server}" is no address of a server, e.g. --server ${DEFAULT_SERVER}`);
  return async <T>(method: 'GET' | 'POST', path: string): Promise<T | string> => {
    let answer: Response;
    try {
      answer = await fetch(new URL(path, base), {
        ...{ method, redirect: 'manual', signal: AbortSignal.timeout(ANSWER_MS) },
        headers: { authorization: `Bearer ${key}`, accept: 'application/json' },
      });
    } catch (error) {
      const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
      return `${base.origin} cannot be reached${code === undefined ? '' : ` (${String(code)})`}: is the server running there? --server names another.`;
    }
    const body: unknown = await answer.json().catch(() => undefined);
    if (answer.ok && body !== undefined) return body as T;
    const { message, code } = (body ?? {}) as { message?: string; code?: string };
    if (message === undefined)
      return `${base.origin} answered with HTTP ${answer.status}, and is no Lightbox.`;
    return `${printable(message)} [${code ?? answer.status}]`;
  };
}
