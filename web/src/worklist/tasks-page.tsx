/** Tasks: what systems have put on the common worklist, who works on it, and asking to cancel it. Layer: web/worklist. */
import { Badge, Button, Group, Modal, Stack, Table, Text, Textarea, Title } from '@mantine/core';
import { IconChecklist } from '@tabler/icons-react';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import {
  cancelTask,
  codesOf,
  itemsOf,
  listTasks,
  MOST_TASKS,
  nameOf,
  TAG,
  TASK_STATES,
  type Task,
  type TaskState,
  textOf,
} from '../api/tasks.ts';
import { useRereadOn } from '../api/use-news.ts';
import { formatDate, formatInstant, formatTime, personName } from '../ui/format.ts';
import { Empty, Loading, Page, ProblemAlert } from '../ui/page.tsx';

const COLOURS: Readonly<Record<string, string>> = {
  SCHEDULED: 'blue',
  'IN PROGRESS': 'yellow',
  COMPLETED: 'green',
  CANCELED: 'gray',
};

export function TasksPage({ mayChange }: { mayChange: boolean }) {
  const { t } = useTranslation();
  const [state, setState] = useState<TaskState>();
  const [shown, setShown] = useState<string>();
  const tasks = useTasks(state);
  const detail = tasks.data?.find((task) => textOf(task, TAG.uid) === shown);
  return (
    <Page title={t('tasks.title')} intro={t('tasks.intro')}>
      <Button.Group mb="md">
        {[undefined, ...TASK_STATES].map((one) => (
          <Button
            key={one ?? 'all'}
            variant={state === one ? 'filled' : 'default'}
            aria-pressed={state === one}
            data-testid={`tasks-state-${one ?? 'all'}`}
            onClick={() => setState(one)}
          >
            {t(`tasks.states.${one ?? 'all'}`)}
          </Button>
        ))}
      </Button.Group>
      <ProblemAlert error={tasks.error} onRetry={() => void tasks.refetch()} />
      {tasks.isPending ? <Loading /> : null}
      {tasks.data && !tasks.data.length ? (
        <Empty icon={<IconChecklist size={48} />} title={t('tasks.none')} />
      ) : null}
      {tasks.data?.length ? (
        <Table.ScrollContainer minWidth={720}>
          <Table highlightOnHover>
            <Table.Thead>
              <Table.Tr>
                {['start', 'task', 'patient', 'station', 'state'].map((name) => (
                  <Table.Th key={name}>{t(`tasks.${name}`)}</Table.Th>
                ))}
                <Table.Th>
                  <span className="visually-hidden">{t('common.actions')}</span>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {tasks.data.map((task) => (
                <Line key={textOf(task, TAG.uid)} task={task} onShow={setShown} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      ) : null}
      {tasks.data?.length === MOST_TASKS ? (
        <Text c="dimmed">{t('tasks.more', { count: MOST_TASKS })}</Text>
      ) : null}
      {detail ? <Detail task={detail} mayChange={mayChange} onClose={() => setShown(undefined)} /> : null}
    </Page>
  );
}

/** Read again when the server says that one of them changed. */
function useTasks(state: TaskState | undefined) {
  useRereadOn('workitem.changed', 'tasks');
  return useQuery({
    ...{ queryKey: ['tasks', state], queryFn: () => listTasks(state), placeholderData: keepPreviousData },
  });
}

/** DT (PS3.5 §6.2) as date and time; one with a zone in the zone of who looks. */
function useMoment(): (value: string) => string {
  const { i18n } = useTranslation();
  return (value) => {
    const zoned = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)[\d.]*([+-]\d\d)(\d\d)$/.exec(value);
    if (zoned) {
      const [, year, month, day, hour, minute, second, hours, minutes] = zoned;
      return formatInstant(
        `${year}-${month}-${day}T${hour}:${minute}:${second}${hours}:${minutes}`,
        i18n.language,
      );
    }
    return [formatDate(value.slice(0, 8), i18n.language), formatTime(value.slice(8))]
      .filter(Boolean)
      .join(' ');
  };
}

function State({ task }: { task: Task }) {
  const { t } = useTranslation();
  const state = textOf(task, TAG.state);
  return (
    <Badge color={COLOURS[state] ?? 'gray'} variant="light" tt="none">
      {t(`tasks.states.${state}`)}
    </Badge>
  );
}

function Line({ task, onShow }: { task: Task; onShow: (uid: string) => void }) {
  const { t } = useTranslation();
  const moment = useMoment();
  const { main } = personName(nameOf(task));
  return (
    <Table.Tr data-testid="task-row" data-state={textOf(task, TAG.state)}>
      <Table.Td>{moment(textOf(task, TAG.start))}</Table.Td>
      <Table.Td>
        {textOf(task, TAG.label)}
        <Text size="xs" c="dimmed">
          {textOf(task, TAG.list)}
        </Text>
      </Table.Td>
      <Table.Td>
        {main}
        <Text size="xs" c="dimmed">
          {textOf(task, TAG.patientId)}
        </Text>
      </Table.Td>
      <Table.Td>{codesOf(task, TAG.stations)}</Table.Td>
      <Table.Td>
        <State task={task} />
      </Table.Td>
      <Table.Td>
        <Button size="compact-sm" variant="default" onClick={() => onShow(textOf(task, TAG.uid))}>
          {t('tasks.open')}
        </Button>
      </Table.Td>
    </Table.Tr>
  );
}

function Detail({ task, mayChange, onClose }: { task: Task; mayChange: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const moment = useMoment();
  const client = useQueryClient();
  const [reason, setReason] = useState('');
  const uid = textOf(task, TAG.uid);
  const state = textOf(task, TAG.state);
  const cancel = useMutation({
    mutationFn: () => cancelTask(uid, reason),
    onSuccess: () => client.invalidateQueries({ queryKey: ['tasks'] }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    cancel.mutate();
  };
  const [progress = {}] = itemsOf(task, TAG.progressInfo);
  const studyUid = textOf(task, TAG.study);
  const facts: readonly (readonly [name: string, value: string])[] = [
    ['patient', [personName(nameOf(task)).main, textOf(task, TAG.patientId)].filter(Boolean).join(' · ')],
    ['kind', codesOf(task, TAG.kind)],
    ['list', textOf(task, TAG.list)],
    ['station', codesOf(task, TAG.stations)],
    ['start', moment(textOf(task, TAG.start))],
    ['priority', textOf(task, TAG.priority)],
    ['readiness', textOf(task, TAG.readiness)],
    [
      'progress',
      [textOf(progress, TAG.progress), textOf(progress, TAG.description)].filter(Boolean).join(' · '),
    ],
    ['reason', textOf(progress, TAG.reason)],
    ['changed', moment(textOf(task, TAG.modified))],
    ['uid', uid],
  ];
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={
        <Title order={2} fz="h4">
          {textOf(task, TAG.label)}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack data-testid="task-detail" data-state={state}>
        <State task={task} />
        <Table>
          <Table.Tbody>
            {facts
              .filter(([, value]) => value !== '')
              .map(([name, value]) => (
                <Table.Tr key={name}>
                  <Table.Th>{t(`tasks.${name}`)}</Table.Th>
                  <Table.Td style={{ overflowWrap: 'anywhere' }}>{value}</Table.Td>
                </Table.Tr>
              ))}
          </Table.Tbody>
        </Table>
        {studyUid ? (
          <Link to="/studies/$studyUid" params={{ studyUid }}>
            {t('tasks.study')}
          </Link>
        ) : null}
        <ProblemAlert error={cancel.error} />
        {cancel.isSuccess && state === 'IN PROGRESS' ? <Text role="status">{t('tasks.asked')}</Text> : null}
        {mayChange && (state === 'SCHEDULED' || state === 'IN PROGRESS') ? (
          <form onSubmit={submit}>
            <Textarea
              label={t('tasks.why')}
              description={t(state === 'SCHEDULED' ? 'tasks.cancelNow' : 'tasks.cancelAsk')}
              value={reason}
              maxLength={1000}
              onChange={(event) => setReason(event.currentTarget.value)}
            />
            <Group justify="flex-end" mt="sm">
              <Button type="submit" color="red" variant="light" loading={cancel.isPending}>
                {t('tasks.cancel')}
              </Button>
            </Group>
          </form>
        ) : null}
      </Stack>
    </Modal>
  );
}
