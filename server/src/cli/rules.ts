/**
 * rules: the file of rules looked at, compared, taken out and put in from a terminal.
 *
 * `check` and `diff` of two files need nothing but the files. The others open the database: the built-in one while the server is
 * stopped, the one of DATABASE_URL at any time; running servers hear of a new version.
 * Layer:  server/cli.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { readRules } from '@lightbox/core/translate/rules/check.ts';
import { diffRules } from '@lightbox/core/translate/rules/diff.ts';
import { LIMITS, type RuleFile } from '@lightbox/core/translate/rules/types.ts';
import { archiveMigrations } from '../archive/archive.ts';
import { openRuleBook, type RuleBook } from '../archive/rules/book.ts';
import { openAudit } from '../identity/audit.ts';
import { openDevices } from '../identity/devices.ts';
import { openLocalAes } from '../identity/local-aes.ts';
import { identityMigrations } from '../identity/migrations.ts';
import type { Device, Principal } from '../identity/types.ts';
import { loadConfig } from '../platform/config.ts';
import { migrate, openDatabase } from '../platform/database.ts';
import { openEvents } from '../platform/events.ts';
import { lockDataFolder } from '../platform/lock.ts';
import { createLog } from '../platform/log.ts';
import { risMigrations } from '../ris/migrations.ts';
import { UsageError } from './usage.ts';

const TERMINAL: Principal = {
  kind: 'system',
  id: 'terminal',
  name: 'terminal',
  roles: [],
  remoteAddress: '',
};

/** @returns the exit code: 1 when a file has mistakes, or two differ. */
export async function rulesCommand(positionals: readonly string[], comment = ''): Promise<number> {
  const [what, path, other, ...more] = positionals;
  const most = { check: 2, import: 2, export: 2, diff: 3 }[what ?? ''];
  if (most === undefined) throw new UsageError('Say what to do: check, export, import or diff.');
  if (more.length > 0 || positionals.length > most) throw new UsageError('That is one argument too many.');
  if (what === 'export') return withBook(({ book }) => exportTo(book.active.file, path));
  if (path === undefined) throw new UsageError('Name the file of rules.');
  const text = await readText(path);
  if (what === 'diff' && other !== undefined)
    return compare(read(path, text), read(other, await readText(other)));
  const file = read(path, text);
  if (!file) return 1;
  if (what === 'check') {
    console.log(
      `${path}: ${file.rules.length} rules, no mistakes. Whether its devices exist is seen at import.`,
    );
    return 0;
  }
  return withBook(async ({ book, devices, record }) => {
    if (what === 'diff') return compare(book.active.file, file);
    const saved = await book.save({ text, comment, by: TERMINAL }, devices);
    if (!saved.saved) return tell(path, saved.problems);
    record(saved.version.id);
    console.log(`version ${saved.version.id} with ${saved.version.rules} rules is in force`);
    return 0;
  });
}

async function readText(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > LIMITS.bytes) throw new UsageError(`${path} is larger than 1 MiB.`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? ''}`);
  }
}

function read(path: string, text: string): RuleFile | undefined {
  const { file, problems } = readRules(text);
  if (!file) tell(path, problems);
  return file;
}

function tell(path: string, problems: readonly { readonly message: string }[]): number {
  for (const { message } of problems) console.error(`${path}: ${message}`);
  return 1;
}

async function exportTo(file: RuleFile, path: string | undefined): Promise<number> {
  const text = `${JSON.stringify(file, undefined, 2)}\n`;
  if (path === undefined) process.stdout.write(text);
  else await writeFile(path, text);
  return 0;
}

function compare(before: RuleFile | undefined, after: RuleFile | undefined): number {
  if (!before || !after) return 1;
  const changes = diffRules(before, after);
  for (const { rule, change, fields } of changes) {
    console.log(`${change}: ${rule}`);
    for (const field of fields)
      console.log(`  ${field.path}: ${field.before ?? '-'} -> ${field.after ?? '-'}`);
  }
  if (changes.length === 0) console.log('no difference');
  return changes.length > 0 ? 1 : 0;
}

interface Opened {
  readonly book: RuleBook;
  readonly devices: readonly Device[];
  readonly record: (version: number) => void;
}

async function withBook(work: (opened: Opened) => Promise<number>): Promise<number> {
  const config = loadConfig(process.env);
  const log = createLog({ logLevel: 'warn' });
  // A database of its own has one server; one that is shared may be asked beside it.
  const lock = config.databaseUrl === undefined ? lockDataFolder(config.dataDir) : undefined;
  const closers: (() => Promise<void> | void)[] = [() => lock?.release()];
  try {
    const database = await openDatabase(config, log);
    closers.push(() => database.close());
    await migrate(database, [archiveMigrations, identityMigrations, risMigrations]);
    const events = await openEvents(database, log);
    closers.push(() => events.close());
    const audit = openAudit(database, log);
    closers.push(() => audit.close());
    const localAes = await openLocalAes({ database, events, audit, aeTitle: config.dicom.aeTitle });
    closers.push(() => localAes.close());
    const devices = await openDevices({ database, events, audit, log, localAes });
    closers.push(() => devices.close());
    const book = await openRuleBook({ database, events, log });
    closers.push(() => book.close());
    const record = (version: number): void =>
      audit.record({
        ...{ event: 'settings.changed', outcome: 'success', principal: TERMINAL },
        detail: { part: 'rules', version },
      });
    return await work({ book, devices: await devices.list(), record });
  } finally {
    for (const close of closers.reverse()) await close();
  }
}
