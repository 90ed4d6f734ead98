/** Drop files anywhere: the veil while dragging, the hidden input, the panel with progress and results. Layer: web/worklist. */
import { ActionIcon, Anchor, Badge, Button, Group, Paper, Progress, ScrollArea, Text } from '@mantine/core';
import { IconChevronDown, IconChevronUp, IconUpload, IconX } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, useState, useSyncExternalStore, type ChangeEvent, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { readDrop } from '../api/dropped.ts';
import { isGood, totals, uploads, type FileResult, type UploadItem } from '../api/uploads.ts';
import { formatBytes } from '../ui/format.ts';

/** Asks the hidden input to open: buttons anywhere dispatch this on `window`. */
export const CHOOSE_FILES = 'lightbox:choose-files';

/** A panel line per result; beyond this a person looks at the failures only. */
const SHOWN_MAX = 500;

const carriesFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;

export function UploadArea({ enabled, children }: { enabled: boolean; children: ReactNode }) {
  const { t } = useTranslation();
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  useEffect(() => {
    if (!enabled) return undefined;
    let depth = 0;
    const enter = (event: DragEvent) => {
      if (!carriesFiles(event)) return;
      depth += 1;
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (!carriesFiles(event)) return;
      depth = Math.max(0, depth - 1);
      if (depth === 0) setOver(false);
    };
    const hover = (event: DragEvent) => {
      if (carriesFiles(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      if (!carriesFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      depth = 0;
      setOver(false);
      void readDrop(event.dataTransfer).then((files) => uploads.add(files));
    };
    const choose = () => input.current?.click();
    document.addEventListener('dragenter', enter);
    document.addEventListener('dragleave', leave);
    document.addEventListener('dragover', hover);
    document.addEventListener('drop', drop);
    window.addEventListener(CHOOSE_FILES, choose);
    return () => {
      document.removeEventListener('dragenter', enter);
      document.removeEventListener('dragleave', leave);
      document.removeEventListener('dragover', hover);
      document.removeEventListener('drop', drop);
      window.removeEventListener(CHOOSE_FILES, choose);
    };
  }, [enabled]);
  const picked = (event: ChangeEvent<HTMLInputElement>) => {
    uploads.add([...(event.currentTarget.files ?? [])].map((file) => ({ name: file.name, file })));
    event.currentTarget.value = '';
  };
  return (
    <>
      {children}
      {enabled ? (
        <input
          ref={input}
          type="file"
          multiple
          hidden
          data-testid="upload-input"
          aria-label={t('upload.choose')}
          onChange={picked}
        />
      ) : null}
      {over ? (
        <div className="drop-veil" aria-hidden>
          <IconUpload size={64} />
          <Text fz="xl">{t('upload.drop')}</Text>
        </div>
      ) : null}
      <UploadPanel />
    </>
  );
}

function UploadPanel() {
  const { t, i18n } = useTranslation();
  const items = useSyncExternalStore(uploads.subscribe, uploads.snapshot);
  const [open, setOpen] = useState(true);
  if (!items.length) return null;
  const sum = totals(items);
  const busy = sum.finished < sum.files;
  const percent = sum.bytes ? (sum.sentBytes / sum.bytes) * 100 : busy ? 0 : 100;
  return (
    <Paper className="upload-panel" withBorder shadow="lg" component="section" aria-label={t('upload.title')}>
      <Group p="xs" gap="xs" wrap="nowrap">
        <Text fw={600} flex={1} role="status">
          {busy
            ? t('upload.progress', { done: sum.finished, count: sum.files })
            : t('upload.finished', { stored: sum.stored, failed: sum.failed })}
        </Text>
        <Text size="sm" c="dimmed">
          {formatBytes(sum.sentBytes, i18n.language)} / {formatBytes(sum.bytes, i18n.language)}
        </Text>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={open ? t('upload.fold') : t('upload.unfold')}
          aria-expanded={open}
          onClick={() => setOpen(!open)}
        >
          {open ? <IconChevronDown /> : <IconChevronUp />}
        </ActionIcon>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={t('upload.clear')}
          disabled={busy}
          onClick={() => uploads.clearFinished()}
        >
          <IconX />
        </ActionIcon>
      </Group>
      <Progress
        value={percent}
        color={!busy && sum.failed ? 'red' : 'beam'}
        radius={0}
        aria-label={t('upload.title')}
      />
      {open ? (
        <ScrollArea.Autosize mah={280} type="auto">
          <ul className="upload-list">
            {items.slice(-SHOWN_MAX).map((item) => (
              <Lines key={item.id} item={item} />
            ))}
          </ul>
        </ScrollArea.Autosize>
      ) : null}
      {!busy && sum.failed ? (
        <Group p="xs">
          <Button size="compact-sm" variant="default" onClick={() => uploads.retryFailed()}>
            {t('upload.retry')}
          </Button>
        </Group>
      ) : null}
    </Paper>
  );
}

function Lines({ item }: { item: UploadItem }) {
  const { t } = useTranslation();
  if (item.state === 'sending' && !item.results.length)
    return (
      <li>
        <Text size="sm" truncate>
          {item.name}
        </Text>
        <Progress
          size="xs"
          value={item.file.size ? (item.sentBytes / item.file.size) * 100 : 100}
          aria-label={item.name}
        />
      </li>
    );
  if (item.problem !== undefined) {
    const text =
      item.problem === 'NETWORK' || item.problem === 'ANSWER' ? t(`problem.${item.problem}`) : item.problem;
    return (
      <li data-testid="upload-result" data-status="failed">
        <ResultLine name={item.name} status="failed" reason={text} />
      </li>
    );
  }
  if (item.state === 'waiting')
    return (
      <li>
        <ResultLine name={item.name} status="waiting" reason="" />
      </li>
    );
  return item.results.slice(0, SHOWN_MAX).map((result, index) => (
    <li key={index} data-testid="upload-result" data-status={result.status}>
      <ResultLine
        name={result.name || item.name}
        status={result.status}
        reason={result.message ?? result.code ?? ''}
        result={result}
      />
    </li>
  ));
}

function ResultLine(props: { name: string; status: string; reason: string; result?: FileResult }) {
  const { t } = useTranslation();
  const { result } = props;
  const color = result ? (isGood(result) ? 'teal' : 'red') : props.status === 'failed' ? 'red' : 'gray';
  return (
    <>
      <Group gap="xs" wrap="nowrap">
        <Text size="sm" truncate flex={1} title={props.name}>
          {props.name}
        </Text>
        {result?.studyUid && isGood(result) ? (
          <Anchor
            size="sm"
            renderRoot={(rest) => (
              <Link to="/studies/$studyUid" params={{ studyUid: result.studyUid ?? '' }} {...rest} />
            )}
          >
            {t('upload.toStudy')}
          </Anchor>
        ) : null}
        <Badge color={color} variant="light" flex="none">
          {t(`upload.status.${props.status}`)}
        </Badge>
      </Group>
      {props.reason && !(result && isGood(result)) ? (
        <Text size="xs" c="dimmed">
          {props.reason}
        </Text>
      ) : null}
    </>
  );
}
