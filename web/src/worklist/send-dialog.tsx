/** "Send to…": studies to another system, and what became of what was sent there before. Layer: web/worklist. */
import { Alert, Button, Modal, Select, Stack, Text, Title } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { live } from '../api/live.ts';
import { listDestinations, listTransfers, sendTo } from '../api/transfers.ts';
import { formatInstant } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';

export function SendDialog({ studyUids, onClose }: { studyUids: readonly string[]; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const destinations = useQuery({ queryKey: ['destinations'], queryFn: listDestinations });
  const [chosen, setChosen] = useState<string | null>(null);
  const before = useQuery({
    queryKey: ['transfers', 'send', studyUids],
    // What was done with one study before; of several the latest that was done at all, these among them.
    queryFn: () =>
      listTransfers({
        ...(studyUids.length === 1 ? { studyUid: studyUids[0] } : {}),
        ...{ kind: 'send', limit: 5 },
      }),
    retry: false,
  });
  const { refetch } = before;
  useEffect(
    () =>
      live.onNews((news) => {
        if (news.type === 'transfer.changed') void refetch();
      }),
    [refetch],
  );
  const send = useMutation({
    mutationFn: (deviceId: string) =>
      sendTo(
        deviceId,
        studyUids.map((studyUid) => ({ studyUid })),
      ),
    onSuccess: () => refetch(),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (chosen) send.mutate(chosen);
  };
  return (
    <Modal
      opened
      onClose={onClose}
      title={
        <Title order={2} fz="h4">
          {t('send.title')}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <form onSubmit={submit} data-testid="send-dialog">
        <Stack>
          {studyUids.length > 1 ? (
            <Text fw={600}>{t('list.marked', { count: studyUids.length })}</Text>
          ) : null}
          <ProblemAlert error={destinations.error} onRetry={() => void destinations.refetch()} />
          {destinations.isPending ? <Loading /> : null}
          {destinations.data?.length === 0 ? (
            <Alert color="blue">
              <Link to="/devices">{t('send.none')}</Link>
            </Alert>
          ) : null}
          {destinations.data?.length ? (
            <Select
              label={t('send.destination')}
              searchable
              data-autofocus
              data={destinations.data.map((one) => ({
                value: one.id,
                label: one.description ? `${one.aeTitle} (${one.description})` : one.aeTitle,
              }))}
              value={chosen}
              onChange={setChosen}
            />
          ) : null}
          <ProblemAlert error={send.error} />
          <Button type="submit" disabled={!chosen} loading={send.isPending}>
            {t('send.go')}
          </Button>
          {before.data?.items.length ? (
            <Stack gap={4} role="status" data-testid="send-states">
              {before.data.items.map((row) => (
                <Text key={row.id} size="sm" data-state={row.state}>
                  <Text span ff="monospace" fw={600}>
                    {row.aeTitle}
                  </Text>{' '}
                  {t(`transfers.state.${row.state}`)} ·{' '}
                  {t('transfers.counts', { sent: row.sent, total: row.total })} ·{' '}
                  {formatInstant(row.createdAt, i18n.language)}
                </Text>
              ))}
              <Link to="/transfers">{t('send.all')}</Link>
            </Stack>
          ) : null}
        </Stack>
      </form>
    </Modal>
  );
}
