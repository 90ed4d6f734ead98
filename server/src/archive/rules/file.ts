/**
 * Rules in a file of the disk, as houses keep them that review changes before they are made: read at each start, taken over when the
 * file is another one than the last time.
 *
 * A change made in the page stays in force until the file changes. A file with mistakes changes nothing: the archive starts with the
 * rules it had.
 * Layer:  server/archive.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { LIMITS } from '@lightbox/core/translate/rules/types.ts';
import type { Devices } from '../../identity/types.ts';
import type { Log } from '../../platform/log.ts';
import type { RuleBook } from './book.ts';

/** @returns whether there is a file. */
export async function readRuleFile(
  path: string,
  parts: { readonly book: RuleBook; readonly devices: Pick<Devices, 'list'>; readonly log: Log },
): Promise<boolean> {
  const { book, devices, log } = parts;
  try {
    const { size } = await stat(path);
    if (size > LIMITS.bytes) {
      log.error({ file: path, bytes: size }, 'the file of rules is too large; the rules stay as they were');
      return true;
    }
    const text = await readFile(path, 'utf8');
    const sourceHash = createHash('sha256').update(text).digest('hex');
    if ((await book.lastRead()) === sourceHash) return true;
    const by = { kind: 'system', id: 'rules.json', name: 'rules.json' } as const;
    const saved = await book.save({ text, comment: 'read at start', by, sourceHash }, await devices.list());
    if (saved.saved)
      log.info({ version: saved.version.id, rules: saved.version.rules }, 'rules read from their file');
    else
      for (const { message } of saved.problems)
        log.error({ problem: message }, 'the file of rules has a mistake; the rules stay as they were');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    log.error({ err: error }, 'the file of rules cannot be read; the rules stay as they were');
    return true;
  }
}
