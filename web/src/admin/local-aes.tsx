/** Under which AE titles Lightbox is called, each with the services it has there. Layer: web/admin. */
import { Badge, Button, Checkbox, Group, Stack, Text, TextInput, Title } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { AeTitle, DeviceVerb } from '@lightbox/core/contract/api.ts';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { addLocalAe, listLocalAes, removeLocalAe } from '../api/certificates.ts';
import { ProblemAlert } from '../ui/page.tsx';

const KEY = ['local-aes'] as const;

export function LocalAes() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const aes = useQuery({ queryKey: KEY, queryFn: listLocalAes });
  const renew = () => client.invalidateQueries({ queryKey: KEY });
  const remove = useMutation({ mutationFn: removeLocalAe, onSuccess: renew });
  return (
    <Stack component="section" mt="xl" gap="sm">
      <Title order={2} fz="h3">
        {t('localAes.title')}
      </Title>
      <Text c="dimmed">{t('localAes.intro')}</Text>
      <ProblemAlert error={aes.error ?? remove.error} />
      {aes.data?.map((ae) => (
        <Group key={ae.aeTitle} data-testid="local-ae-row">
          <Text ff="monospace" fw={700}>
            {ae.aeTitle}
          </Text>
          <Text>{ae.description}</Text>
          {ae.main ? (
            <Badge tt="none">{t('localAes.main')}</Badge>
          ) : (
            <>
              <Text size="sm" c="dimmed">
                {ae.verbs.map((verb) => t(`devices.verb.${verb}`)).join(', ')}
              </Text>
              <Button
                size="compact-sm"
                variant="subtle"
                color="red"
                aria-label={`${t('common.remove')}: ${ae.aeTitle}`}
                onClick={() => remove.mutate(ae.aeTitle)}
              >
                {t('common.remove')}
              </Button>
            </>
          )}
        </Group>
      ))}
      <LocalAeForm onDone={renew} />
    </Stack>
  );
}

function LocalAeForm({ onDone }: { onDone: () => Promise<void> }) {
  const { t } = useTranslation();
  const [aeTitle, setAeTitle] = useState('');
  const [description, setDescription] = useState('');
  const [verbs, setVerbs] = useState<DeviceVerbs>([...DeviceVerb.options]);
  const add = useMutation({
    mutationFn: () => addLocalAe({ aeTitle: aeTitle.trim(), description, verbs }),
    onSuccess: async () => {
      setAeTitle('');
      setDescription('');
      await onDone();
    },
  });
  const wrong = aeTitle !== '' && !AeTitle.safeParse(aeTitle).success;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  return (
    <details>
      <summary style={{ cursor: 'pointer' }}>{t('localAes.add')}</summary>
      <form onSubmit={submit}>
        <Stack gap="sm" mt="sm" maw={760}>
          <TextInput
            label={t('devices.aeTitle')}
            required
            maxLength={16}
            error={wrong ? t('devices.aeWrong') : undefined}
            value={aeTitle}
            onChange={(event) => setAeTitle(event.currentTarget.value)}
          />
          <TextInput
            label={t('devices.description')}
            maxLength={200}
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
          <Checkbox.Group
            label={t('localAes.verbs')}
            value={verbs}
            onChange={(value) => setVerbs(DeviceVerb.options.filter((verb) => value.includes(verb)))}
          >
            <Group mt="xs">
              {DeviceVerb.options.map((verb) => (
                <Checkbox key={verb} value={verb} label={t(`devices.verb.${verb}`)} />
              ))}
            </Group>
          </Checkbox.Group>
          <ProblemAlert error={add.error} />
          <Group>
            <Button type="submit" loading={add.isPending} disabled={wrong}>
              {t('localAes.add')}
            </Button>
          </Group>
        </Stack>
      </form>
    </details>
  );
}

type DeviceVerbs = (typeof DeviceVerb.options)[number][];
