/** What was read is read again when the server says that something of it changed. Layer: web/api. */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { live } from './live.ts';

/** News within this time is one reading. */
const BATCH_MS = 400;

/** @param key  First part of the query keys that are out of date then. */
export function useRereadOn(
  type: Parameters<Parameters<typeof live.onNews>[0]>[0]['type'],
  key: string,
): void {
  const client = useQueryClient();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = live.onNews((news) => {
      if (news.type !== type) return;
      timer ??= setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ queryKey: [key] });
      }, BATCH_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [client, type, key]);
}
