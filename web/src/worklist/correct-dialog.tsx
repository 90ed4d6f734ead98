/** "Correct patient data…": what a study says, before and after, why, and what was decided earlier. Layer: web/worklist. */
import {
  Alert,
  Button,
  Group,
  Modal,
  Select,
  Stack,
  Table,
  Text,
  Textarea,
  TextInput,
  Title,
} from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { type Correction, correctStudy, readCorrections, undoCorrection } from '../api/overlays.ts';
import type { Detail } from '../api/studies.ts';
import { formatInstant } from '../ui/format.ts';
import { ProblemAlert } from '../ui/page.tsx';

/** Attributes people correct, with their value representation; their names are those of the study list. */
const FIELDS = [
  { tag: '00100010', vr: 'PN', key: 'patientName' },
  { tag: '00100020', vr: 'LO', key: 'patientId' },
  { tag: '00100021', vr: 'LO', key: 'issuer' },
  { tag: '00100030', vr: 'DA', key: 'birthDate' },
  { tag: '00100040', vr: 'CS', key: 'sex' },
  { tag: '00080050', vr: 'SH', key: 'accession' },
  { tag: '00081030', vr: 'LO', key: 'description' },
] as const;
type Key = (typeof FIELDS)[number]['key'];
type Values = Readonly<Record<Key, string>>;

const SHORTEST_REASON = 3;

/** As the study is shown now. A name is written as DICOM does, its groups apart by "=" (PS3.5 §6.2). */
function valuesOf(study: Detail): Values {
  const { alphabetic, ideographic = '', phonetic = '' } = study.patientName;
  return {
    patientName: [alphabetic, ideographic, phonetic].join('=').replace(/=+$/, ''),
    ...{ patientId: study.patientId, issuer: study.issuer ?? '', birthDate: study.birthDate, sex: study.sex },
    ...{ accession: study.accession, description: study.description },
  };
}

function jsonOf(vr: string, value: string): { vr: string; Value?: (string | Record<string, string>)[] } {
  if (value === '') return { vr };
  if (vr !== 'PN') return { vr, Value: [value] };
  const [Alphabetic = '', Ideographic = '', Phonetic = ''] = value.split('=');
  const groups = Object.entries({ Alphabetic, Ideographic, Phonetic }).filter(([, text]) => text !== '');
  return { vr, Value: [Object.fromEntries(groups)] };
}

export function CorrectDialog({ study, onClose }: { study: Detail; onClose: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const before = valuesOf(study);
  const [values, setValues] = useState<Values>(before);
  const [reason, setReason] = useState('');
  const changed = FIELDS.filter(({ key }) => values[key].trim() !== before[key]);
  const refresh = () =>
    Promise.all(
      [['study', study.studyUid], ['corrections', study.studyUid], ['studies']].map((queryKey) =>
        client.invalidateQueries({ queryKey }),
      ),
    );
  const correct = useMutation({
    mutationFn: () =>
      correctStudy(study.studyUid, {
        level: 'patient',
        patient: { patientId: study.patientId, issuer: study.issuer ?? '' },
        edits: Object.fromEntries(changed.map(({ tag, vr, key }) => [tag, jsonOf(vr, values[key].trim())])),
        reason,
      }),
    onSuccess: async () => {
      await refresh();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    correct.mutate();
  };
  const put = (key: Key) => (value: string) => setValues((old) => ({ ...old, [key]: value }));
  return (
    <Modal
      opened
      size="lg"
      onClose={onClose}
      title={
        <Title order={2} fz="h4">
          {t('correct.title')}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <form onSubmit={submit} data-testid="correct-dialog">
        <Stack>
          <Text size="sm">{t('correct.intro')}</Text>
          {FIELDS.map(({ key, vr }) =>
            key === 'sex' ? (
              <Select
                key={key}
                label={t('correct.field.sex')}
                data={['M', 'F', 'O']}
                clearable
                value={values.sex || null}
                onChange={(value) => put('sex')(value ?? '')}
              />
            ) : (
              <TextInput
                key={key}
                label={t(`correct.field.${key}`)}
                description={vr === 'PN' || vr === 'DA' ? t(`correct.hint.${vr}`) : undefined}
                dir="auto"
                value={values[key]}
                onChange={(event) => put(key)(event.currentTarget.value)}
              />
            ),
          )}
          {changed.length ? (
            <Table data-testid="correct-changes">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th />
                  <Table.Th>{t('correct.before')}</Table.Th>
                  <Table.Th>{t('correct.after')}</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {changed.map(({ key }) => (
                  <Table.Tr key={key}>
                    <Table.Th>{t(`correct.field.${key}`)}</Table.Th>
                    <Table.Td dir="auto">{before[key] || '–'}</Table.Td>
                    <Table.Td dir="auto">{values[key].trim() || '–'}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          ) : null}
          <Textarea
            label={t('correct.reason')}
            required
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
          <ProblemAlert error={correct.error} />
          <Button
            type="submit"
            disabled={changed.length === 0 || reason.trim().length < SHORTEST_REASON}
            loading={correct.isPending}
          >
            {t('correct.go')}
          </Button>
        </Stack>
      </form>
      <History studyUid={study.studyUid} refresh={refresh} />
    </Modal>
  );
}

function History({ studyUid, refresh }: { studyUid: string; refresh: () => Promise<unknown> }) {
  const { t, i18n } = useTranslation();
  const history = useQuery({
    queryKey: ['corrections', studyUid],
    queryFn: () => readCorrections(studyUid),
  });
  const undo = useMutation({
    mutationFn: ({ id, reason }: { id: string; reason: string }) => undoCorrection(studyUid, id, reason),
    onSuccess: refresh,
  });
  if (!history.data?.overlays.length && !history.data?.coercions.length)
    return <ProblemAlert error={history.error} />;
  const { overlays, coercions } = history.data;
  return (
    <Stack gap="xs" mt="lg" data-testid="correct-history">
      <Title order={3} fz="h5">
        {t('correct.history')}
      </Title>
      {coercions.map((one) => (
        <Text key={one.rules.join()} size="sm">
          {t('correct.byRules', { rules: one.rules.join(', '), count: one.objects })}
        </Text>
      ))}
      <ProblemAlert error={undo.error} />
      {overlays.map((one) => (
        <Decision
          key={one.id}
          one={one}
          when={formatInstant(one.at, i18n.language)}
          undo={(reason) => undo.mutate({ id: one.id, reason })}
        />
      ))}
    </Stack>
  );
}

const shownValue = (element: { Value?: unknown[] | undefined } | null | undefined): string => {
  const [first] = element?.Value ?? [];
  if (typeof first === 'object' && first !== null)
    return Object.values(first as Record<string, unknown>)
      .map(String)
      .join(' = ');
  return first === undefined ? '–' : String(first as string | number);
};

function Decision({ one, when, undo }: { one: Correction; when: string; undo: (reason: string) => void }) {
  const { t } = useTranslation();
  const [reason, setReason] = useState<string>();
  const nameOf = (tag: string): string => {
    const field = FIELDS.find((each) => each.tag === tag);
    return field ? t(`correct.field.${field.key}`) : tag;
  };
  return (
    <Alert color={one.undoneBy === undefined ? 'blue' : 'gray'} data-testid="correction">
      <Text size="sm" fw={600}>
        {one.author.name} · {when} · {t('study.objects', { count: one.objects })}
      </Text>
      {Object.entries(one.edits ?? {}).map(([tag, element]) => (
        <Text key={tag} size="sm" dir="auto" td={one.undoneBy === undefined ? undefined : 'line-through'}>
          {nameOf(tag)}: {shownValue(one.before?.[tag])} → {shownValue(element)}
        </Text>
      ))}
      {one.undoes === undefined ? null : <Text size="sm">{t('correct.takenBack')}</Text>}
      <Text size="sm" dir="auto">
        {t('correct.because', { reason: one.reason })}
      </Text>
      {one.undoneBy !== undefined ? <Text size="sm">{t('correct.undone')}</Text> : null}
      {one.edits && one.undoneBy === undefined ? (
        <Group mt="xs" align="end">
          {reason === undefined ? (
            <Button size="compact-sm" variant="default" onClick={() => setReason('')}>
              {t('correct.undo')}
            </Button>
          ) : (
            <>
              <TextInput
                label={t('correct.undoReason')}
                value={reason}
                onChange={(event) => setReason(event.currentTarget.value)}
              />
              <Button
                color="orange"
                disabled={reason.trim().length < SHORTEST_REASON}
                onClick={() => undo(reason)}
              >
                {t('correct.undo')}
              </Button>
            </>
          )}
        </Group>
      ) : null}
    </Alert>
  );
}
