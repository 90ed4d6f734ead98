/** What is wrong with a rule: where, and what to write instead. Layer: web/admin. */
import { Alert, List } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { Problem } from '../api/rules.ts';

export function ProblemList({ problems }: { problems: readonly Problem[] }) {
  const { t, i18n } = useTranslation();
  if (problems.length === 0) return null;
  const words = ({ path, code, facts, message }: Problem): string => {
    const key = `rules.problems.${code}`;
    if (!i18n.exists(key)) return message;
    return `${path || 'JSON'}: ${t(key, { ...facts, interpolation: { prefix: '{', suffix: '}', escapeValue: false } })}`;
  };
  return (
    <Alert
      color="red"
      icon={<IconAlertTriangle aria-hidden />}
      mt="xs"
      role="alert"
      data-testid="rules-problems"
    >
      <List size="sm">
        {problems.map((one) => (
          <List.Item key={`${one.path} ${one.code}`}>{words(one)}</List.Item>
        ))}
      </List>
    </Alert>
  );
}
