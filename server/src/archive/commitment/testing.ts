/**
 * Storage commitments for a test, with jobs that run, on a test's archive.
 *
 * Layer:  server/archive. For tests only.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import type { Device } from '../../identity/types.ts';
import { migrateJobs, openJobs } from '../../platform/jobs.ts';
import { createLog } from '../../platform/log.ts';
import type { TestArchive } from '../testing.ts';
import { type CommitmentParts, openCommitments } from './commitments.ts';
import type { CommitmentPort, Commitments } from './types.ts';

export type TestCommitments = Commitments;

/** Nobody can be reached. */
const NOBODY: CommitmentPort = {
  report: () => Promise.reject(new Fault('DIMSE_UNREACHABLE')),
  request: () => Promise.reject(new Fault('DIMSE_UNREACHABLE')),
};

export const device = (aeTitle: string): Device => ({
  ...{ id: aeTitle, aeTitle, description: '', host: '192.0.2.1', port: 104, checkAddress: false },
  ...{ verbs: ['commit'], tls: false, tlsOnly: false, certificate: undefined, identity: 'optional' },
  ...{ calledAes: [], offers: [], dicomweb: undefined, sendAs: 'stored' },
  offers: [],
});

/** `close` ends the jobs too. */
export async function openTestCommitments(
  box: TestArchive,
  options: Partial<Pick<CommitmentParts, 'port' | 'audit' | 'log'>> & {
    readonly commitment?: Partial<CommitmentParts['config']['commitment']>;
    /** AE titles that are known. */
    readonly known?: readonly string[];
  } = {},
): Promise<TestCommitments> {
  const { archive, database, events, dataDir } = box;
  const log = options.log ?? createLog({ logLevel: 'silent' });
  const known = new Set(options.known ?? []);
  await migrateJobs(database, log);
  const jobs = openJobs(database, log);
  const commitments = await openCommitments({
    config: {
      ...{ dataDir, dicom: { aeTitle: 'LIGHTBOX' } },
      commitment: { days: 7, retrySeconds: 1, keepDays: 30, ...options.commitment },
    },
    ...{ database, events, jobs, log, retrieve: archive.retrieve },
    devices: { byAeTitle: (title) => Promise.resolve(known.has(title) ? device(title) : undefined) },
    audit: options.audit ?? { record: () => undefined, flush: () => Promise.resolve() },
    port: options.port ?? NOBODY,
  });
  await jobs.start();
  return {
    ...commitments,
    async close() {
      await jobs.close();
      await commitments.close();
    },
  };
}
