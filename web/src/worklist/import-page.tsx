/** "Import": files of another institution, whose they are, and what to do with each patient. Layer: web/worklist. */
import {
  Alert,
  Badge,
  Button,
  Group,
  Paper,
  Progress,
  Radio,
  Stack,
  Table,
  Text,
  Title,
} from '@mantine/core';
import { IconAlertTriangle, IconFolder, IconUpload } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useCallback, useEffect, useRef, useState, type ChangeEvent } from 'react';
import { useTranslation } from 'react-i18next';
import {
  beginImport,
  decideImport,
  discardImport,
  readImport,
  sendFiles,
  type Choice,
  type ForeignPatient,
  type Preview,
} from '../api/imports.ts';
import { readDrop } from '../api/dropped.ts';
import type { FileResult, NamedFile } from '../api/uploads.ts';
import { formatDate, personName } from '../ui/format.ts';
import { Page, ProblemAlert } from '../ui/page.tsx';

interface Sent {
  readonly done: number;
  readonly of: number;
  readonly waiting: number;
  readonly refused: readonly FileResult[];
}

export function ImportPage() {
  const { t } = useTranslation();
  const [sent, setSent] = useState<Sent>();
  const [shown, setShown] = useState<{ id: string; preview: Preview }>();
  const [results, setResults] = useState<readonly FileResult[]>();
  const take = useMutation({
    mutationFn: async (files: readonly NamedFile[]) => {
      const id = await beginImport();
      let waiting = 0;
      const refused: FileResult[] = [];
      setSent({ done: 0, of: files.length, waiting, refused });
      await sendFiles(id, files, (done, answers) => {
        waiting += answers.filter((one) => one.status === 'waiting').length;
        refused.push(...answers.filter((one) => one.status === 'refused'));
        setSent({ done, of: files.length, waiting, refused: [...refused] });
      });
      return { id, preview: await readImport(id) };
    },
    onSuccess: setShown,
  });
  const { mutate } = take;
  const choose = useCallback((files: readonly NamedFile[]) => mutate(files), [mutate]);
  const again = () => {
    setSent(undefined);
    setShown(undefined);
    setResults(undefined);
    take.reset();
  };
  return (
    <Page title={t('import.title')} intro={t('import.intro')}>
      <ProblemAlert error={take.error} onRetry={again} />
      {sent || take.error ? null : <Chooser onFiles={choose} />}
      {sent && !results ? <Came sent={sent} busy={take.isPending} /> : null}
      {shown && !results ? (
        <Decide id={shown.id} preview={shown.preview} onDone={setResults} onDiscard={again} />
      ) : null}
      {results ? <Finished results={results} onAgain={again} /> : null}
    </Page>
  );
}

function Chooser({ onFiles }: { onFiles: (files: readonly NamedFile[]) => void }) {
  const { t } = useTranslation();
  const folder = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const hover = (event: DragEvent) => event.preventDefault();
    const drop = (event: DragEvent) => {
      event.preventDefault();
      if (event.dataTransfer)
        void readDrop(event.dataTransfer).then((dropped) => {
          if (dropped.length) onFiles(dropped);
        });
    };
    document.addEventListener('dragover', hover);
    document.addEventListener('drop', drop);
    return () => {
      document.removeEventListener('dragover', hover);
      document.removeEventListener('drop', drop);
    };
  }, [onFiles]);
  const picked = (event: ChangeEvent<HTMLInputElement>) => {
    const chosen = [...(event.currentTarget.files ?? [])].map((file) => ({
      name: file.webkitRelativePath || file.name,
      file,
    }));
    event.currentTarget.value = '';
    if (chosen.length) onFiles(chosen);
  };
  return (
    <Group>
      <Button leftSection={<IconFolder size={18} />} onClick={() => folder.current?.click()}>
        {t('import.folder')}
      </Button>
      <Button variant="default" leftSection={<IconUpload size={18} />} onClick={() => files.current?.click()}>
        {t('import.files')}
      </Button>
      <input
        ref={folder}
        type="file"
        multiple
        hidden
        aria-label={t('import.folder')}
        onChange={picked}
        {...{ webkitdirectory: '' }}
      />
      <input
        ref={files}
        type="file"
        multiple
        hidden
        data-testid="import-files"
        aria-label={t('import.files')}
        onChange={picked}
      />
    </Group>
  );
}

function Came({ sent, busy }: { sent: Sent; busy: boolean }) {
  const { t } = useTranslation();
  return (
    <Stack gap="xs" mb="md">
      <Text role="status">
        {t('import.sent', { done: sent.done, count: sent.of })} {t('import.waiting', { count: sent.waiting })}
      </Text>
      {busy ? (
        <Progress value={(sent.done / Math.max(1, sent.of)) * 100} aria-label={t('import.title')} />
      ) : null}
      {sent.refused.length ? (
        <Text size="sm" c="dimmed">
          {t('import.notObjects', { count: sent.refused.length })}
        </Text>
      ) : null}
    </Stack>
  );
}

function Decide(props: {
  id: string;
  preview: Preview;
  onDone: (results: readonly FileResult[]) => void;
  onDiscard: () => void;
}) {
  const { t } = useTranslation();
  const { id, preview } = props;
  const [choices, setChoices] = useState<ReadonlyMap<string, Choice>>(new Map());
  const decide = useMutation({ mutationFn: () => decideImport(id, choices), onSuccess: props.onDone });
  const discard = useMutation({ mutationFn: () => discardImport(id), onSuccess: props.onDiscard });
  const open = preview.patients.filter(({ person }) => !choices.has(person)).length;
  return (
    <Stack data-testid="import-preview">
      {preview.missing ? (
        <Alert color="orange" role="alert" icon={<IconAlertTriangle aria-hidden />}>
          {t('import.missing', { count: preview.missing })}
        </Alert>
      ) : null}
      {preview.patients.length ? null : <Text>{t('import.nothing')}</Text>}
      {preview.patients.map((patient) => (
        <Patient
          key={patient.person}
          patient={patient}
          choice={choices.get(patient.person)}
          onChoose={(choice) => setChoices(new Map([...choices, [patient.person, choice]]))}
        />
      ))}
      <ProblemAlert error={decide.error ?? discard.error} />
      <Group justify="space-between">
        <Button variant="subtle" color="red" loading={discard.isPending} onClick={() => discard.mutate()}>
          {t('import.discard')}
        </Button>
        <Group>
          {open ? (
            <Text size="sm" c="dimmed">
              {t('import.open', { count: open })}
            </Text>
          ) : null}
          <Button
            disabled={open > 0 || preview.patients.length === 0}
            loading={decide.isPending}
            onClick={() => decide.mutate()}
          >
            {t('import.submit')}
          </Button>
        </Group>
      </Group>
    </Stack>
  );
}

const COLOURS = { same: 'teal', conflict: 'red', similar: 'orange', study: 'red' } as const;

/** Name, number, birth date and sex, each beside the others, so that a difference is seen. */
function PersonCells({ who }: { who: Omit<ForeignPatient['matches'][number], 'kind' | 'studies'> }) {
  const { t, i18n } = useTranslation();
  const name = personName(who.name);
  return (
    <>
      <Table.Td dir="auto">
        {[name.main, name.beside].filter(Boolean).join(' · ') || t('list.noName')}
      </Table.Td>
      <Table.Td>{[who.id || '–', who.issuer].filter(Boolean).join(' / ')}</Table.Td>
      <Table.Td>{formatDate(who.birthDate, i18n.language) || '–'}</Table.Td>
      <Table.Td>{who.sex || '–'}</Table.Td>
    </>
  );
}

function Patient(props: {
  patient: ForeignPatient;
  choice: Choice | undefined;
  onChoose: (choice: Choice) => void;
}) {
  const { t, i18n } = useTranslation();
  const { patient } = props;
  const name = personName(patient.name).main || t('list.noName');
  return (
    <Paper withBorder p="md" data-testid="import-patient">
      <Title order={2} fz="h4" dir="auto">
        {name}
      </Title>
      <Table.ScrollContainer minWidth={520}>
        <Table aria-label={name}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('import.where')}</Table.Th>
              <Table.Th>{t('list.column.patientName')}</Table.Th>
              <Table.Th>{t('list.column.patientId')}</Table.Th>
              <Table.Th>{t('list.column.birthDate')}</Table.Th>
              <Table.Th>{t('list.column.sex')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            <Table.Tr>
              <Table.Th scope="row">{t('import.came')}</Table.Th>
              <PersonCells who={patient} />
            </Table.Tr>
            {patient.matches.map((match, index) => (
              <Table.Tr key={index}>
                <Table.Th scope="row">
                  {match.studies ? t('import.here') : t('import.alsoCame')}{' '}
                  <Badge color={COLOURS[match.kind]} variant="light">
                    {t(`import.match.${match.kind}`)}
                  </Badge>
                </Table.Th>
                <PersonCells who={match} />
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <ul>
        {patient.studies.map((study) => (
          <li key={study.studyUid}>
            <Text size="sm" dir="auto">
              {[
                formatDate(study.date, i18n.language),
                study.modalities.join(' '),
                study.description,
                t('study.objects', { count: study.objects }),
              ]
                .filter(Boolean)
                .join(' · ')}
            </Text>
          </li>
        ))}
      </ul>
      <Radio.Group
        label={t('import.decide', { name })}
        value={props.choice ?? null}
        onChange={(value) => {
          const choice = patient.choices.find((one) => one === value);
          if (choice) props.onChoose(choice);
        }}
      >
        <Stack gap="xs" mt="xs">
          {patient.choices.map((choice) => (
            <Radio key={choice} value={choice} label={t(`import.choice.${choice}`)} />
          ))}
        </Stack>
      </Radio.Group>
    </Paper>
  );
}

function Finished({ results, onAgain }: { results: readonly FileResult[]; onAgain: () => void }) {
  const { t } = useTranslation();
  const counts = new Map<FileResult['status'], number>();
  for (const { status } of results) counts.set(status, (counts.get(status) ?? 0) + 1);
  const studies = [...new Set(results.flatMap((one) => (one.studyUid ? [one.studyUid] : [])))];
  const refused = counts.get('refused') ?? 0;
  return (
    <Stack data-testid="import-finished">
      <Title order={2} fz="h4" role="status">
        {refused ? t('import.notAll', { count: refused }) : t('import.done')}
      </Title>
      <Group>
        {[...counts].map(([status, count]) => (
          <Badge
            key={status}
            color={status === 'stored' || status === 'duplicate' || status === 'skipped' ? 'teal' : 'red'}
            variant="light"
          >
            {count} {t(`upload.status.${status}`)}
          </Badge>
        ))}
      </Group>
      {studies.slice(0, 50).map((studyUid, index) => (
        <Link key={studyUid} to="/studies/$studyUid" params={{ studyUid }}>
          {t('import.study', { number: index + 1 })}
        </Link>
      ))}
      <Group>
        <Button variant="default" onClick={onAgain}>
          {t('import.again')}
        </Button>
      </Group>
    </Stack>
  );
}
