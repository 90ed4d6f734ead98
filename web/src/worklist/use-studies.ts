/** The list's rows: pages on demand, kept fresh by live news without moving what a person points at. Layer: web/worklist. */
import { useInfiniteQuery, useQueryClient, type InfiniteData } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { live } from '../api/live.ts';
import { listStudies, type ListQuery, type Page } from '../api/studies.ts';
import { joinPage, pagesToRefresh, rowsOf } from './list-model.ts';

/** News within this time is one refresh: a study of 2,000 images must not be 2,000 refreshes. */
const BATCH_MS = 800;
/** A hand that rested this long is not about to click. */
const HAND_MS = 2500;

type Pages = InfiniteData<Page, string | undefined>;

export function useStudies(query: ListQuery) {
  const client = useQueryClient();
  const key = useMemo(() => ['studies', query] as const, [query]);
  const result = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) =>
      listStudies({ ...query, ...(pageParam ? { cursor: pageParam } : {}) }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last: Page) => last.next ?? undefined,
    placeholderData: (previous) => previous,
    staleTime: 10_000,
  });
  const changed = useRef(new Set<string>());
  const lastHand = useRef(0);
  const [held, setHeld] = useState(0);

  const refresh = useCallback(async () => {
    const uids = new Set(changed.current);
    changed.current.clear();
    setHeld(0);
    const now = client.getQueryData<Pages>(key);
    if (!now) return;
    const indexes = pagesToRefresh(now.pages, uids);
    const fresh = await Promise.all(
      indexes.map((index) => {
        const cursor = now.pageParams[index];
        return listStudies({ ...query, ...(cursor ? { cursor } : {}) });
      }),
    );
    client.setQueryData<Pages>(key, (data) =>
      data
        ? {
            ...data,
            pages: data.pages.map((page, index) => {
              const at = indexes.indexOf(index);
              const again = at < 0 ? undefined : fresh[at];
              return again ? joinPage(page, again) : page;
            }),
          }
        : data,
    );
  }, [client, key, query]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const due = () => {
      timer = undefined;
      const busy = Date.now() - lastHand.current < HAND_MS;
      if (busy || document.hidden) {
        if (busy) setHeld(changed.current.size);
        timer = setTimeout(due, BATCH_MS);
        return;
      }
      // A failed refresh is made good by the next news; the list itself shows its own errors.
      refresh().catch(() => undefined);
    };
    const stop = live.onNews((news) => {
      if (!('studyUid' in news)) return;
      changed.current.add(news.studyUid);
      timer ??= setTimeout(due, BATCH_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [refresh]);

  const pages = result.data?.pages;
  const rows = useMemo(() => rowsOf(pages ?? []), [pages]);
  const last = pages?.at(-1);
  return {
    ...result,
    rows,
    total: last?.total ?? 0,
    totalIsEstimate: last?.totalIsEstimate ?? false,
    held,
    showHeld: () => void refresh().catch(() => undefined),
    touch: () => {
      lastHand.current = Date.now();
    },
  };
}
