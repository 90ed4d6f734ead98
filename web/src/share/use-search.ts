/** One search in other archives: matches as they come, how each archive ended, and stopping. Layer: web/share. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { searchArchives, type FoundStudy, type Line, type RemoteSearch } from '../api/transfers.ts';

export interface Match {
  readonly deviceId: string;
  readonly study: FoundStudy;
}
export type End = Extract<Line, { type: 'end' }>;

interface Search {
  readonly matches: readonly Match[];
  readonly ends: readonly End[];
  readonly running: boolean;
  readonly asked: boolean;
  readonly error: unknown;
}
const NOTHING: Search = { matches: [], ends: [], running: false, asked: false, error: undefined };

export const keyOf = ({ deviceId, study }: Match): string => `${deviceId} ${study.studyUid}`;

export function useSearch() {
  const [search, setSearch] = useState(NOTHING);
  const stop = useRef<AbortController>(undefined);
  useEffect(() => () => stop.current?.abort(), []);

  const begin = useCallback((query: RemoteSearch) => {
    stop.current?.abort();
    const own = new AbortController();
    stop.current = own;
    setSearch({ ...NOTHING, running: true, asked: true });
    // What belongs to an older search is dropped: results of two questions must never stand in one list.
    const change = (next: (now: Search) => Search) => {
      if (stop.current === own) setSearch(next);
    };
    const run = async () => {
      for await (const line of searchArchives(query, own.signal)) {
        if (line.type === 'match') change((now) => ({ ...now, matches: [...now.matches, line] }));
        else change((now) => ({ ...now, ends: [...now.ends, line] }));
      }
    };
    run()
      .catch((error: unknown) => {
        if (!own.signal.aborted) change((now) => ({ ...now, error }));
      })
      .finally(() => change((now) => ({ ...now, running: false })));
  }, []);

  const end = useCallback(() => stop.current?.abort(), []);

  /** Asks for one study again: what is here has changed. */
  const renew = useCallback(async (deviceId: string, studyUid: string) => {
    const own = stop.current;
    for await (const line of searchArchives(
      { deviceIds: [deviceId], studyUid },
      new AbortController().signal,
    )) {
      if (line.type !== 'match' || stop.current !== own) continue;
      setSearch((now) => ({
        ...now,
        matches: now.matches.map((one) => (keyOf(one) === keyOf(line) ? line : one)),
      }));
    }
  }, []);

  return { ...search, begin, end, renew };
}
