/** "Export…": what, in which form, of whom; then the download and how far it is. Layer: web/worklist. */
import {
  Alert,
  Button,
  Checkbox,
  Group,
  Modal,
  PasswordInput,
  Progress,
  Radio,
  Stack,
  Text,
  Textarea,
  Title,
} from '@mantine/core';
import { IconAlertTriangle, IconDownload } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { DeidentifyOptionName } from '@lightbox/core/contract/api.ts';
import { useState, type FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import {
  chooseExport,
  download,
  exportProgress,
  parseRectangles,
  type ExportChoice,
  type OptionName,
  type Ticket,
} from '../api/exports.ts';
import { readStudy } from '../api/studies.ts';
import { formatBytes, personName } from '../ui/format.ts';
import { Loading, ProblemAlert } from '../ui/page.tsx';

/** As the server asks for it: shorter ones can be guessed. */
const KEY_LENGTH = 16;
const LOOK_MS = 1000;

interface Draft {
  readonly format: 'zip' | 'iso';
  readonly uncompressed: boolean;
  readonly viewer: boolean;
  readonly deidentified: boolean;
  readonly options: readonly OptionName[];
  readonly rectangles: string;
  readonly reviewed: boolean;
  readonly key: string;
}

const NEW: Draft = {
  format: 'zip',
  uncompressed: false,
  viewer: true,
  deidentified: false,
  // What may hold a name in its pixels stays here unless somebody says otherwise.
  options: ['cleanPixelData', 'cleanDescriptors'],
  rectangles: '',
  reviewed: false,
  key: '',
};

function choiceOf(
  draft: Draft,
  studyUids: readonly string[],
  seriesUids: string[] | undefined,
): ExportChoice {
  const { format, viewer, uncompressed } = draft;
  return {
    studies: studyUids.map((studyUid) => ({ studyUid, ...(seriesUids ? { seriesUids } : {}) })),
    ...{ format, viewer, pixels: uncompressed ? 'uncompressed' : 'kept' },
    ...(draft.deidentified
      ? {
          deidentify: {
            options: [...draft.options],
            rectangles: parseRectangles(draft.rectangles) ?? [],
            pixelsReviewed: draft.reviewed,
            ...(draft.key ? { key: draft.key } : {}),
          },
        }
      : {}),
  };
}

/** One study, of which series may be left out, or several as they are. */
export function ExportDialog({ studyUids, onClose }: { studyUids: readonly string[]; onClose: () => void }) {
  const { t } = useTranslation();
  const several = studyUids.length > 1;
  const [studyUid = ''] = studyUids;
  const study = useQuery({
    queryKey: ['study', studyUid],
    queryFn: ({ signal }) => readStudy(studyUid, signal),
    enabled: !several,
  });
  const [draft, setDraft] = useState(NEW);
  const set = (patch: Partial<Draft>) => setDraft({ ...draft, ...patch });
  /** Series that are left out; none at first. */
  const [without, setWithout] = useState<readonly string[]>([]);
  const [ticket, setTicket] = useState<Ticket>();
  const choose = useMutation({
    mutationFn: chooseExport,
    onSuccess: (made) => {
      setTicket(made);
      // What is left out is a matter for a person first.
      if (!made.notes.length) download(made.url);
    },
  });
  const name = study.data ? personName(study.data.patientName) : undefined;
  const series = study.data?.series ?? [];
  const chosen = series.map((one) => one.seriesUid).filter((uid) => !without.includes(uid));
  const wrongRectangles = draft.deidentified && parseRectangles(draft.rectangles) === undefined;
  const wrongKey = draft.deidentified && draft.key !== '' && draft.key.length < KEY_LENGTH;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    choose.mutate(choiceOf(draft, studyUids, without.length ? chosen : undefined));
  };
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={
        <Title order={2} fz="h4">
          {t('export.title')}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <ProblemAlert error={study.error} onRetry={() => void study.refetch()} />
      {study.isPending && !several ? <Loading /> : null}
      {several ? (
        <Text fw={600} mb="sm">
          {t('list.marked', { count: studyUids.length })}
        </Text>
      ) : null}
      {study.data ? (
        <Text fw={600} mb="sm" dir="auto">
          {[name?.main || t('list.noName'), study.data.patientId, study.data.description]
            .filter(Boolean)
            .join(' · ')}
        </Text>
      ) : null}
      {ticket ? (
        <Sending ticket={ticket} onAgain={() => setTicket(undefined)} />
      ) : several || study.data ? (
        <form onSubmit={submit} data-testid="export-form">
          <Stack>
            {series.length > 1 ? (
              <Checkbox.Group
                label={t('export.series')}
                value={chosen}
                onChange={(kept) =>
                  setWithout(series.map((one) => one.seriesUid).filter((uid) => !kept.includes(uid)))
                }
              >
                <Stack gap="xs" mt="xs" mah={180} style={{ overflow: 'auto' }} tabIndex={0}>
                  {series.map((one) => (
                    <Checkbox
                      key={one.seriesUid}
                      value={one.seriesUid}
                      label={`${one.modality} · ${one.description || t('study.series', { number: one.number ?? '' })} · ${t('study.objects', { count: one.instanceCount })}`}
                    />
                  ))}
                </Stack>
              </Checkbox.Group>
            ) : null}
            <Radio.Group
              label={t('export.format')}
              value={draft.format}
              onChange={(format) => set({ format: format === 'iso' ? 'iso' : 'zip' })}
            >
              <Group mt="xs">
                <Radio value="zip" label={t('export.zip')} />
                <Radio value="iso" label={t('export.iso')} />
              </Group>
            </Radio.Group>
            <Checkbox
              label={t('export.viewer')}
              description={t('export.viewerHint')}
              checked={draft.viewer}
              onChange={(event) => set({ viewer: event.currentTarget.checked })}
            />
            <Checkbox
              label={t('export.uncompressed')}
              description={t('export.uncompressedHint')}
              checked={draft.uncompressed}
              onChange={(event) => set({ uncompressed: event.currentTarget.checked })}
            />
            <Checkbox
              label={t('export.deidentify')}
              description={t('export.deidentifyHint')}
              checked={draft.deidentified}
              onChange={(event) => set({ deidentified: event.currentTarget.checked })}
            />
            {draft.deidentified ? (
              <Stack pl="lg">
                <Checkbox.Group
                  label={t('export.options')}
                  value={[...draft.options]}
                  onChange={(value) =>
                    set({ options: DeidentifyOptionName.options.filter((one) => value.includes(one)) })
                  }
                >
                  <Stack gap="xs" mt="xs">
                    {DeidentifyOptionName.options.map((one) => (
                      <Checkbox key={one} value={one} label={t(`export.option.${one}`)} />
                    ))}
                  </Stack>
                </Checkbox.Group>
                <Textarea
                  label={t('export.rectangles')}
                  description={t('export.rectanglesHint')}
                  autosize
                  minRows={2}
                  error={wrongRectangles ? t('export.rectanglesWrong') : undefined}
                  value={draft.rectangles}
                  onChange={(event) => set({ rectangles: event.currentTarget.value })}
                />
                <Checkbox
                  label={t('export.reviewed')}
                  checked={draft.reviewed}
                  onChange={(event) => set({ reviewed: event.currentTarget.checked })}
                />
                <PasswordInput
                  label={t('export.key')}
                  description={t('export.keyHint')}
                  autoComplete="off"
                  maxLength={200}
                  error={wrongKey ? t('field.passwordHint', { count: KEY_LENGTH }) : undefined}
                  visibilityToggleButtonProps={{ 'aria-label': t('field.showPassword') }}
                  value={draft.key}
                  onChange={(event) => set({ key: event.currentTarget.value })}
                />
              </Stack>
            ) : null}
            <ProblemAlert error={choose.error} />
            <Group justify="flex-end">
              <Button
                type="submit"
                leftSection={<IconDownload size={18} />}
                loading={choose.isPending}
                disabled={(!several && chosen.length === 0) || wrongRectangles || wrongKey}
              >
                {t('export.submit')}
              </Button>
            </Group>
          </Stack>
        </form>
      ) : null}
    </Modal>
  );
}

function Sending({ ticket, onAgain }: { ticket: Ticket; onAgain: () => void }) {
  const { t, i18n } = useTranslation();
  const [started, setStarted] = useState(ticket.notes.length === 0);
  const progress = useQuery({
    queryKey: ['export', ticket.id],
    queryFn: ({ signal }) => exportProgress(ticket.id, signal),
    enabled: started,
    refetchInterval: ({ state }) =>
      state.data?.state === 'done' || state.data?.state === 'failed' ? false : LOOK_MS,
  });
  const { state = 'ready', sentBytes = 0, totalBytes = null } = progress.data ?? {};
  const expected = totalBytes ?? ticket.bytes;
  const percent = state === 'done' ? 100 : expected > 0 ? Math.min(99, (sentBytes / expected) * 100) : 0;
  const begin = () => {
    setStarted(true);
    download(ticket.url);
  };
  return (
    <Stack data-testid="export-sending" data-state={started ? state : 'asking'}>
      <Text>
        {t('export.summary', { count: ticket.objects, bytes: formatBytes(ticket.bytes, i18n.language) })}
      </Text>
      {ticket.notes.map((note) => (
        <Alert key={note.code} color="orange" role="alert" icon={<IconAlertTriangle aria-hidden />}>
          {t(note.code === 'PIXELS_UNSUPPORTED' ? 'export.notAsAsked' : 'export.leftOut', {
            count: note.objects,
          })}{' '}
          {i18n.exists(`problem.${note.code}`) ? t(`problem.${note.code}`) : note.message}
        </Alert>
      ))}
      {started ? (
        <>
          <Progress
            value={percent}
            aria-label={t('export.title')}
            color={state === 'failed' ? 'red' : 'beam'}
          />
          <Text size="sm" role="status">
            {t(`export.state.${state}`)} {sentBytes > 0 ? formatBytes(sentBytes, i18n.language) : ''}
          </Text>
        </>
      ) : null}
      <ProblemAlert error={progress.error} />
      <Group justify="flex-end">
        <Button variant="default" onClick={onAgain}>
          {t('export.change')}
        </Button>
        {!started || state === 'failed' ? (
          <Button leftSection={<IconDownload size={18} />} onClick={begin}>
            {t(state === 'failed' ? 'common.retry' : 'export.anyway')}
          </Button>
        ) : null}
      </Group>
    </Stack>
  );
}
