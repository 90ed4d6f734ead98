/** The frame of a page: title in the tab and as heading, actions beside it; failures and empty states. Layer: web/ui. */
import { Alert, Box, Center, Code, Group, Loader, Stack, Text, Title, Button } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useEffect, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Lightbox` : 'Lightbox';
  }, [title]);
}

export function Page(props: { title: string; intro?: string; actions?: ReactNode; children: ReactNode }) {
  usePageTitle(props.title);
  return (
    <Box component="main" id="main" p="md" maw={1400} mx="auto" w="100%">
      <Group justify="space-between" mb="md" gap="sm">
        <Box>
          <Title order={1} fz="h2">
            {props.title}
          </Title>
          {props.intro ? (
            <Text c="dimmed" maw={760}>
              {props.intro}
            </Text>
          ) : null}
        </Box>
        {props.actions ? <Group gap="xs">{props.actions}</Group> : null}
      </Group>
      {props.children}
    </Box>
  );
}

/** What `ApiProblem` and other errors look like to a person. */
export function ProblemAlert({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t, i18n } = useTranslation();
  if (!error) return null;
  const { code, requestId } = error as { code?: string; requestId?: string };
  const own = code && i18n.exists(`problem.${code}`) ? t(`problem.${code}`) : undefined;
  const message = own ?? (error instanceof Error ? error.message : t('problem.unknown'));
  return (
    <Alert color="red" icon={<IconAlertTriangle aria-hidden />} role="alert" title={message} my="sm">
      <Group gap="md">
        {requestId ? (
          <Text size="sm">
            {t('problem.requestId')} <Code>{requestId}</Code>
          </Text>
        ) : null}
        {onRetry ? (
          <Button size="compact-sm" variant="default" onClick={onRetry}>
            {t('common.retry')}
          </Button>
        ) : null}
      </Group>
    </Alert>
  );
}

export function Empty({ icon, title, children }: { icon: ReactNode; title: string; children?: ReactNode }) {
  return (
    <Center py={48} px="md">
      <Stack align="center" gap="sm" maw={640} ta="center">
        <Box c="dimmed" aria-hidden>
          {icon}
        </Box>
        <Title order={2} fz="h3">
          {title}
        </Title>
        {children}
      </Stack>
    </Center>
  );
}

export function Loading() {
  const { t } = useTranslation();
  return (
    <Center py={64} role="status" aria-label={t('common.loading')}>
      <Loader />
    </Center>
  );
}
