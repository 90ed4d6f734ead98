/**
 * verify and reindex: the archive opened alone, without doors.
 *
 * Layer:  server/cli.
 */
import { archiveMigrations, openArchive } from '../archive/archive.ts';
import type { VerifyProgress } from '../archive/types.ts';
import { openAudit } from '../identity/audit.ts';
import { parseHead } from '../identity/audit-chain.ts';
import { identityMigrations } from '../identity/migrations.ts';
import { loadConfig } from '../platform/config.ts';
import { migrate, openDatabase } from '../platform/database.ts';
import { openEvents } from '../platform/events.ts';
import { lockDataFolder } from '../platform/lock.ts';
import { createLog } from '../platform/log.ts';
import { risMigrations } from '../ris/migrations.ts';
import { MEGABYTES, Progress } from './progress.ts';

/**
 * @param head  A head of the audit trail noted earlier, for verify.
 * @returns     The exit code: 1 when something is damaged, missing or not indexed, or the audit trail does not hold.
 */
export async function maintain(command: 'verify' | 'reindex', head?: string): Promise<number> {
  const noted = head === undefined ? undefined : parseHead(head);
  const config = loadConfig(process.env);
  const log = createLog({ logLevel: 'warn' });
  const lock = lockDataFolder(config.dataDir);
  try {
    const database = await openDatabase(config, log);
    try {
      await migrate(database, [archiveMigrations, identityMigrations, risMigrations]);
      const events = await openEvents(database, log);
      const archive = await openArchive({ config, database, events, log });
      try {
        const bar = new Progress(command === 'verify' ? 'Verifying' : 'Indexing', MEGABYTES);
        const progress = ({ bytes, totalBytes }: VerifyProgress): void => bar.set(bytes, totalBytes);
        if (command === 'reindex') {
          const { objects } = await archive.reindex({ progress }).finally(() => bar.end());
          console.log(`${objects} objects indexed`);
          return 0;
        }
        const report = await archive.verify({ progress }).finally(() => bar.end());
        console.log(
          `${report.objects} objects, ${report.bytes} bytes: ${report.damaged.length} damaged, ` +
            `${report.missing.length} missing, ${report.unindexed} not indexed, ${report.orphaned.length} packs unknown`,
        );
        for (const { blob, offset, what } of [...report.damaged, ...report.missing])
          console.log(`  ${blob} at ${offset}${what === undefined ? '' : `: ${what}`}`);
        for (const blob of report.orphaned) console.log(`  ${blob}: not in the index (reindex takes it up)`);
        const trail = await openAudit(database, log).verify(noted);
        console.log(
          trail.ok
            ? `audit trail: ${trail.rows} rows hold; head ${trail.head}`
            : `audit trail: BROKEN at row ${trail.brokenAt}; holds up to ${trail.head}`,
        );
        const wrong =
          report.damaged.length + report.missing.length + report.unindexed + report.orphaned.length;
        return wrong > 0 || !trail.ok ? 1 : 0;
      } finally {
        await archive.close();
        await events.close();
      }
    } finally {
      await database.close();
    }
  } finally {
    lock.release();
  }
}
