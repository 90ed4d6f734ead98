/** Transfers, read again when the server says that one of them changed. Layer: web/share. */
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { live } from '../api/live.ts';
import { listTransfers, type TransferFilter } from '../api/transfers.ts';

/** News within this time is one reading. */
const BATCH_MS = 400;

export function useTransfers(filter: TransferFilter, enabled = true) {
  const client = useQueryClient();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = live.onNews((news) => {
      if (news.type !== 'transfer.changed') return;
      timer ??= setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ queryKey: ['transfers'] });
      }, BATCH_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [client]);
  return useQuery({
    queryKey: ['transfers', filter],
    queryFn: () => listTransfers(filter),
    placeholderData: keepPreviousData,
    enabled,
  });
}
