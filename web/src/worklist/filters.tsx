/** Search, date, modality and column filters, and the person's saved ones. Layer: web/worklist. */
import { ActionIcon, Button, Menu, MultiSelect, Popover, Stack, TextInput } from '@mantine/core';
import {
  IconAdjustments,
  IconBookmark,
  IconFilter,
  IconFilterOff,
  IconTrash,
  IconUpload,
} from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState, type RefObject } from 'react';
import { useTranslation } from 'react-i18next';
import { readSavedFilters, writeSavedFilters, type ListQuery, type Saved } from '../api/studies.ts';
import { ProblemAlert } from '../ui/page.tsx';
import { datesOf, fromInput, isFiltered, toInput, withField, type DatePreset } from './list-model.ts';
import { CHOOSE_FILES } from './upload-area.tsx';

const MODALITIES = [
  'CT',
  'MR',
  'CR',
  'DX',
  'MG',
  'US',
  'XA',
  'RF',
  'NM',
  'PT',
  'IO',
  'OP',
  'OPT',
  'ES',
  'XC',
  'SM',
  'ECG',
  'SR',
  'DOC',
  'OT',
];
const PRESETS: readonly DatePreset[] = ['today', 'yesterday', 'week', 'any'];
/** A pause in typing, not every letter, asks the server. */
const TYPING_MS = 250;
const COLUMN_FILTERS = ['patientName', 'patientId', 'accession', 'description'] as const;

interface FiltersProps {
  readonly query: ListQuery;
  readonly onChange: (query: ListQuery) => void;
  readonly searchBox: RefObject<HTMLInputElement | null>;
  /** Whether to offer the upload. */
  readonly mayStore: boolean;
}

export function Filters({ query, onChange, searchBox, mayStore }: FiltersProps) {
  const { t } = useTranslation();
  // On a phone only the search shows until asked for more.
  const [open, setOpen] = useState(false);
  return (
    <search className="filters" data-open={open}>
      <Typed
        className="search"
        inputRef={searchBox}
        label={t('list.search')}
        placeholder={t('list.searchHint')}
        value={query.search ?? ''}
        onChange={(value) => onChange(withField(query, 'search', value))}
      />
      <ActionIcon
        className="narrow-only keep"
        variant="default"
        size={36}
        aria-label={t('list.filters')}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <IconAdjustments size={18} />
      </ActionIcon>
      <MultiSelect
        className="fold"
        label={t('list.modality')}
        placeholder={query.modality ? '' : t('list.all')}
        w={180}
        searchable
        clearable
        data={MODALITIES}
        value={query.modality ? query.modality.split(',') : []}
        onChange={(value) => onChange(withField(query, 'modality', value.join(',')))}
      />
      <TextInput
        className="fold"
        label={t('list.from')}
        type="date"
        value={toInput(query.dateFrom)}
        onChange={(event) => onChange(withField(query, 'dateFrom', fromInput(event.currentTarget.value)))}
      />
      <TextInput
        className="fold"
        label={t('list.to')}
        type="date"
        value={toInput(query.dateTo)}
        onChange={(event) => onChange(withField(query, 'dateTo', fromInput(event.currentTarget.value)))}
      />
      <Button.Group className="fold presets">
        {PRESETS.map((preset) => {
          const dates = datesOf(preset, new Date());
          const chosen = dates.dateFrom === query.dateFrom && dates.dateTo === query.dateTo;
          return (
            <Button
              key={preset}
              px="sm"
              variant={chosen ? 'filled' : 'default'}
              aria-pressed={chosen}
              onClick={() => {
                const { dateFrom: _from, dateTo: _to, ...rest } = query;
                onChange({ ...rest, ...dates });
              }}
            >
              {t(`list.preset.${preset}`)}
            </Button>
          );
        })}
      </Button.Group>
      <Popover position="bottom-start" trapFocus>
        <Popover.Target>
          <ActionIcon
            className="fold keep"
            variant={COLUMN_FILTERS.some((name) => query[name]) ? 'filled' : 'default'}
            size={36}
            title={t('list.moreFilters')}
            aria-label={t('list.moreFilters')}
          >
            <IconFilter size={18} />
          </ActionIcon>
        </Popover.Target>
        <Popover.Dropdown>
          <Stack gap="xs">
            {COLUMN_FILTERS.map((name) => (
              <Typed
                key={name}
                label={t(`list.column.${name}`)}
                value={query[name] ?? ''}
                onChange={(value) => onChange(withField(query, name, value))}
              />
            ))}
          </Stack>
        </Popover.Dropdown>
      </Popover>
      <SavedFilters query={query} onChange={onChange} />
      {isFiltered(query) ? (
        <ActionIcon
          className="keep"
          variant="subtle"
          color="gray"
          size={36}
          title={t('list.clear')}
          aria-label={t('list.clear')}
          onClick={() =>
            onChange({
              ...(query.sort ? { sort: query.sort } : {}),
              ...(query.descending === undefined ? {} : { descending: query.descending }),
            })
          }
        >
          <IconFilterOff size={18} />
        </ActionIcon>
      ) : null}
      <div className="wide-only" style={{ flex: 1 }} />
      {mayStore ? (
        <>
          <Button
            className="wide-only"
            leftSection={<IconUpload size={18} />}
            onClick={() => window.dispatchEvent(new Event(CHOOSE_FILES))}
          >
            {t('upload.button')}
          </Button>
          <ActionIcon
            className="narrow-only keep"
            size={36}
            aria-label={t('upload.button')}
            onClick={() => window.dispatchEvent(new Event(CHOOSE_FILES))}
          >
            <IconUpload size={18} />
          </ActionIcon>
        </>
      ) : null}
    </search>
  );
}

function Typed(props: {
  label: string;
  placeholder?: string;
  value: string;
  onChange: (value: string) => void;
  inputRef?: RefObject<HTMLInputElement | null>;
  className?: string;
}) {
  const { value, onChange } = props;
  const [text, setText] = useState(value);
  const send = useRef(onChange);
  useEffect(() => {
    send.current = onChange;
  });
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return undefined;
    const timer = setTimeout(() => send.current(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, value]);
  return (
    <TextInput
      {...(props.inputRef ? { ref: props.inputRef } : {})}
      className={props.className ?? ''}
      label={props.label}
      placeholder={props.placeholder ?? ''}
      type="search"
      maxLength={64}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
    />
  );
}

function SavedFilters({ query, onChange }: Pick<FiltersProps, 'query' | 'onChange'>) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [name, setName] = useState('');
  const saved = useQuery({ queryKey: ['savedFilters'], queryFn: readSavedFilters, staleTime: Infinity });
  const write = useMutation({
    mutationFn: writeSavedFilters,
    onMutate: (filters: readonly Saved[]) => client.setQueryData(['savedFilters'], filters),
    onError: () => client.invalidateQueries({ queryKey: ['savedFilters'] }),
  });
  const filters = saved.data ?? [];
  return (
    <Menu position="bottom-start" closeOnItemClick={false}>
      <Menu.Target>
        <ActionIcon
          className="keep"
          variant="default"
          size={36}
          title={t('list.saved')}
          aria-label={t('list.saved')}
        >
          <IconBookmark size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t('list.saved')}</Menu.Label>
        <ProblemAlert error={saved.error ?? write.error} />
        {filters.map((filter) => (
          <Menu.Item key={filter.name} onClick={() => onChange(filter.query)}>
            {filter.name}
          </Menu.Item>
        ))}
        {filters.map((filter) => (
          <Menu.Item
            key={`delete ${filter.name}`}
            color="red"
            leftSection={<IconTrash size={14} />}
            onClick={() => write.mutate(filters.filter((other) => other !== filter))}
          >
            {t('list.deleteFilter', { name: filter.name })}
          </Menu.Item>
        ))}
        <form
          style={{ padding: 8, display: 'flex', gap: 8 }}
          onSubmit={(event) => {
            event.preventDefault();
            const others = filters.filter((other) => other.name !== name.trim());
            if (name.trim()) write.mutate([...others, { name: name.trim(), query }]);
            setName('');
          }}
        >
          <TextInput
            aria-label={t('list.filterName')}
            placeholder={t('list.filterName')}
            maxLength={100}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" disabled={!saved.isSuccess}>
            {t('common.save')}
          </Button>
        </form>
      </Menu.Dropdown>
    </Menu>
  );
}
