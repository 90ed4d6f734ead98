/** Transfers, read again when the server says that one of them changed. Layer: web/share. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { listTransfers, type TransferFilter } from '../api/transfers.ts';
import { useRereadOn } from '../api/use-news.ts';

export function useTransfers(filter: TransferFilter, enabled = true) {
  useRereadOn('transfer.changed', 'transfers');
  return useQuery({
    queryKey: ['transfers', filter],
    queryFn: () => listTransfers(filter),
    placeholderData: keepPreviousData,
    enabled,
  });
}
