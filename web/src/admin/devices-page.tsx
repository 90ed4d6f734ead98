/** Devices: who may send and ask, who was turned away, and whether they answer. Layer: web/admin. */
import {
  Alert,
  Badge,
  Button,
  Checkbox,
  Group,
  Modal,
  NumberInput,
  Select,
  Stack,
  Table,
  Text,
  TextInput,
  Title,
} from '@mantine/core';
import { IconPlugConnected, IconPlus } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { AeTitle, DeviceOffer, DeviceVerb, SendForm } from '@lightbox/core/contract/api.ts';
import { useEffect, useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import {
  echoDevice,
  listDevices,
  listRefused,
  removeDevice,
  saveDevice,
  type DeviceDraft,
  type DeviceRow,
  type Refused,
} from '../api/admin.ts';
import { live } from '../api/live.ts';
import { formatInstant } from '../ui/format.ts';
import { Loading, Page, ProblemAlert } from '../ui/page.tsx';
import { DeviceSecurity } from './device-security.tsx';
import { DeviceWeb } from './device-web.tsx';
import { LocalAes } from './local-aes.tsx';

const NEW: DeviceDraft = {
  aeTitle: '',
  description: '',
  host: null,
  port: null,
  checkAddress: false,
  verbs: ['echo', 'store'],
  tls: false,
  tlsOnly: false,
  certificate: null,
  identity: 'optional',
  calledAes: [],
  offers: ['store'],
  dicomweb: null,
  sendAs: 'stored',
};

interface Edited {
  draft: DeviceDraft;
  id?: string;
  hasSecret?: boolean;
}

const edit = (device: DeviceRow): Edited => ({
  ...{ draft: device, id: device.id, hasSecret: device.dicomweb?.hasSecret === true },
});

export function DevicesPage() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [edited, setEdited] = useState<Edited>();
  const devices = useQuery({ queryKey: ['devices'], queryFn: listDevices });
  const refused = useQuery({ queryKey: ['refused'], queryFn: listRefused });
  const renew = async () => {
    await Promise.all([
      client.invalidateQueries({ queryKey: ['devices'] }),
      client.invalidateQueries({ queryKey: ['refused'] }),
    ]);
  };
  useEffect(
    () =>
      live.onNews((news) => {
        if (news.type === 'device.refused') void client.invalidateQueries({ queryKey: ['refused'] });
      }),
    [client],
  );
  return (
    <Page
      title={t('devices.title')}
      intro={t('devices.intro')}
      actions={
        <Button leftSection={<IconPlus size={18} />} onClick={() => setEdited({ draft: NEW })}>
          {t('devices.add')}
        </Button>
      }
    >
      <ProblemAlert error={devices.error ?? refused.error} onRetry={() => void renew()} />
      <RefusedList
        rows={refused.data ?? []}
        onEdit={(row) => {
          const device = devices.data?.find(({ aeTitle }) => aeTitle === row.callingAe);
          return device && (() => setEdited(edit(device)));
        }}
        onDone={renew}
      />
      {devices.isPending ? <Loading /> : null}
      {devices.data && !devices.data.length ? <Text c="dimmed">{t('devices.none')}</Text> : null}
      {devices.data?.length ? (
        <Table.ScrollContainer minWidth={640}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t('devices.aeTitle')}</Table.Th>
                <Table.Th>{t('devices.description')}</Table.Th>
                <Table.Th>{t('devices.address')}</Table.Th>
                <Table.Th>{t('devices.verbs')}</Table.Th>
                <Table.Th>
                  <span className="visually-hidden">{t('common.actions')}</span>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {devices.data.map((device) => (
                <DeviceLine key={device.id} device={device} onEdit={() => setEdited(edit(device))} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
      <LocalAes />
      {edited ? <DeviceForm {...edited} onClose={() => setEdited(undefined)} onDone={renew} /> : null}
    </Page>
  );
}

function RefusedList(props: {
  rows: readonly Refused[];
  /** Opens the form, where the device is known already and was refused for what is entered there. */
  onEdit: (row: Refused) => (() => void) | undefined;
  onDone: () => Promise<void>;
}) {
  const { rows, onDone } = props;
  const { t, i18n } = useTranslation();
  const why = t('devices.why', { returnObjects: true }) as Readonly<Record<string, string | undefined>>;
  const allow = useMutation({
    mutationFn: (row: Refused) =>
      saveDevice({
        ...NEW,
        ...{ aeTitle: row.callingAe, host: row.remoteAddress.slice(0, 253) || null },
        // It showed a trusted certificate: from now on its name is worth nothing without it.
        certificate: row.fingerprint ? { by: 'fingerprint', fingerprint: row.fingerprint } : null,
      }),
    onSuccess: onDone,
  });
  if (!rows.length) return null;
  return (
    <Alert color="yellow" title={t('devices.refused')} mb="md">
      <ProblemAlert error={allow.error} />
      <Stack gap="xs">
        {rows.map((row) => (
          <Group
            key={`${row.callingAe} ${row.remoteAddress}`}
            data-testid="device-refused-row"
            data-ae={row.callingAe}
          >
            <Text fw={700} ff="monospace">
              {row.callingAe}
            </Text>
            <Text flex={1} size="sm">
              {row.remoteAddress} → {row.calledAe} · {why[row.reason] ?? row.reason} · {row.count}× ·{' '}
              {formatInstant(row.lastAt, i18n.language)}
            </Text>
            <RefusedAction
              edit={props.onEdit(row)}
              pending={allow.isPending && allow.variables === row}
              onAllow={() => allow.mutate(row)}
            />
          </Group>
        ))}
      </Stack>
    </Alert>
  );
}

function RefusedAction(props: { edit: (() => void) | undefined; pending: boolean; onAllow: () => void }) {
  const { t } = useTranslation();
  if (props.edit)
    return (
      <Button size="compact-sm" variant="default" onClick={props.edit}>
        {t('common.edit')}
      </Button>
    );
  return (
    <Button size="compact-sm" data-testid="device-allow" loading={props.pending} onClick={props.onAllow}>
      {t('devices.allow')}
    </Button>
  );
}

function DeviceLine({ device, onEdit }: { device: DeviceRow; onEdit: () => void }) {
  const { t } = useTranslation();
  const echo = useMutation({ mutationFn: () => echoDevice(device.id) });
  const callable = Boolean((device.host && device.port) || device.dicomweb);
  return (
    <Table.Tr data-testid="device-row">
      <Table.Td ff="monospace">{device.aeTitle}</Table.Td>
      <Table.Td>{device.description}</Table.Td>
      <Table.Td>
        {device.host || !device.dicomweb
          ? device.host
            ? `${device.host}:${device.port ?? '?'}`
            : t('devices.anyAddress')
          : null}{' '}
        {device.dicomweb ? <span style={{ overflowWrap: 'anywhere' }}>{device.dicomweb.url}</span> : null}{' '}
        {device.tls || device.tlsOnly || device.certificate ? <Badge color="teal">TLS</Badge> : null}
      </Table.Td>
      <Table.Td>
        <Group gap={4}>
          {device.verbs.map((verb) => (
            <Badge key={verb} variant="light" tt="none">
              {t(`devices.verb.${verb}`)}
            </Badge>
          ))}
        </Group>
      </Table.Td>
      <Table.Td>
        <Group gap="xs" justify="flex-end">
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconPlugConnected size={14} />}
            data-testid="device-echo"
            loading={echo.isPending}
            disabled={!callable}
            title={callable ? undefined : t('devices.echoNeeds')}
            onClick={() => echo.mutate()}
          >
            {t('devices.echo')}
          </Button>
          <Button size="compact-sm" variant="default" onClick={onEdit}>
            {t('common.edit')}
          </Button>
        </Group>
        <ProblemAlert error={echo.error} />
        {echo.data ? (
          <Text size="sm" role="status" ta="right" data-testid="device-echo-result" data-ok={echo.data.ok}>
            {echo.data.ok ? '✓' : '✗'} {echo.data.diagnosis} ({Math.round(echo.data.milliseconds)} ms)
          </Text>
        ) : null}
      </Table.Td>
    </Table.Tr>
  );
}

function DeviceForm(props: {
  draft: DeviceDraft;
  id?: string;
  hasSecret?: boolean;
  onClose: () => void;
  onDone: () => Promise<void>;
}) {
  const { t } = useTranslation();
  const [draft, setDraft] = useState<DeviceDraft>(props.draft);
  const set = (patch: Partial<DeviceDraft>) => setDraft({ ...draft, ...patch });
  const done = async () => {
    await props.onDone();
    props.onClose();
  };
  const save = useMutation({
    mutationFn: () => {
      // Without its id, which is no part of what may be changed.
      const { id: _, ...fields }: DeviceDraft & { id?: string } = draft;
      return saveDevice({ ...fields, aeTitle: fields.aeTitle.trim() }, props.id);
    },
    onSuccess: done,
  });
  const remove = useMutation({ mutationFn: () => removeDevice(props.id ?? ''), onSuccess: done });
  const wrong = draft.aeTitle !== '' && !AeTitle.safeParse(draft.aeTitle).success;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <Modal
      opened
      onClose={props.onClose}
      title={
        <Title order={2} fz="h4">
          {props.id ? t('devices.edit') : t('devices.add')}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <form onSubmit={submit} data-testid="device-form">
        <Stack>
          <TextInput
            label={t('devices.aeTitle')}
            required
            maxLength={16}
            error={wrong ? t('devices.aeWrong') : undefined}
            value={draft.aeTitle}
            onChange={(event) => set({ aeTitle: event.currentTarget.value })}
          />
          <TextInput
            label={t('devices.description')}
            maxLength={200}
            value={draft.description}
            onChange={(event) => set({ description: event.currentTarget.value })}
          />
          <TextInput
            label={t('devices.host')}
            maxLength={253}
            value={draft.host ?? ''}
            onChange={(event) => set({ host: event.currentTarget.value || null })}
          />
          <NumberInput
            label={t('devices.port')}
            min={1}
            max={65535}
            allowDecimal={false}
            value={draft.port ?? ''}
            onChange={(value) => set({ port: typeof value === 'number' ? value : null })}
          />
          <Checkbox
            label={t('devices.checkAddress')}
            checked={draft.checkAddress}
            onChange={(event) => set({ checkAddress: event.currentTarget.checked })}
          />
          <Checkbox.Group
            label={t('devices.verbs')}
            value={draft.verbs}
            onChange={(value) => set({ verbs: DeviceVerb.options.filter((verb) => value.includes(verb)) })}
          >
            <Group mt="xs">
              {DeviceVerb.options.map((verb) => (
                <Checkbox key={verb} value={verb} label={t(`devices.verb.${verb}`)} />
              ))}
            </Group>
          </Checkbox.Group>
          <Checkbox.Group
            label={t('devices.offers')}
            description={t('devices.offersHint')}
            value={draft.offers}
            onChange={(value) =>
              set({ offers: DeviceOffer.options.filter((offer) => value.includes(offer)) })
            }
          >
            <Stack mt="xs" gap="xs">
              {DeviceOffer.options.map((offer) => (
                <Checkbox key={offer} value={offer} label={t(`devices.offer.${offer}`)} />
              ))}
            </Stack>
          </Checkbox.Group>
          <Select
            label={t('devices.sendAs')}
            description={t('devices.sendAsHint')}
            data={SendForm.options.map((value) => ({ value, label: t(`devices.form.${value}`) }))}
            allowDeselect={false}
            value={draft.sendAs}
            onChange={(value) => set({ sendAs: SendForm.options.find((one) => one === value) ?? 'stored' })}
          />
          <DeviceWeb draft={draft} hasSecret={props.hasSecret === true} onChange={set} />
          <DeviceSecurity draft={draft} onChange={set} />
          <ProblemAlert error={save.error ?? remove.error} />
          <Group justify="space-between">
            {props.id ? (
              <Button variant="subtle" color="red" loading={remove.isPending} onClick={() => remove.mutate()}>
                {t('common.remove')}
              </Button>
            ) : (
              <span />
            )}
            <Button type="submit" loading={save.isPending} disabled={wrong}>
              {t('common.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
