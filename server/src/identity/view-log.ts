/**
 * Who looked at which study, written once per minute and study: a viewer asks for a thousand frames in one look.
 *
 * Source: PS3.15 §A.5.3.3 (DICOM Instances Accessed), 45 CFR 164.312(b).
 * Layer:  server/identity.
 */
import type { Audit, Principal } from './types.ts';

const AGAIN_MS = 60_000;
/** Beyond this many looks within a minute the oldest are forgotten, which only writes some of them twice. */
const MAX_REMEMBERED = 10_000;

export class ViewLog {
  readonly #audit: Audit;
  readonly #now: () => number;
  readonly #seen = new Map<string, number>();

  constructor(audit: Audit, now: () => number = Date.now) {
    this.#audit = audit;
    this.#now = now;
  }

  /** `what`: metadata, frames, rendered, objects ... */
  viewed(principal: Principal, studyUid: string, what: string): void {
    const key = `${principal.kind}|${principal.id}|${principal.remoteAddress}|${studyUid}|${what}`;
    const now = this.#now();
    const before = this.#seen.get(key);
    if (before !== undefined && now - before < AGAIN_MS) return;
    this.#seen.delete(key);
    this.#seen.set(key, now);
    if (this.#seen.size > MAX_REMEMBERED) this.#seen.delete(this.#seen.keys().next().value ?? '');
    this.#audit.record({
      event: 'view',
      outcome: 'success',
      principal,
      studyUids: [studyUid],
      detail: { what },
    });
  }

  /** A look that failed: nothing there, or nothing that can be shown. */
  missed(principal: Principal, studyUid: string, what: string, code: string): void {
    this.#audit.record({
      event: 'view',
      outcome: 'failed',
      principal,
      studyUids: [studyUid],
      detail: { what, code },
    });
  }
}
