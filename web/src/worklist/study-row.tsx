/** One study in the list: a row on a screen, a card on a phone. Layer: web/worklist. */
import { ActionIcon, Text } from '@mantine/core';
import { IconDownload, IconEye, IconSend } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { studyThumbnail, type Study } from '../api/studies.ts';
import { formatDate, formatTime, personName } from '../ui/format.ts';
import { Thumbnail } from './thumbnail.tsx';

export function StudyRow(props: {
  study: Study;
  index: number;
  top: number;
  selected: boolean;
  /** Chosen, to do something with several at once; undefined: there is nothing to do with several. */
  marked: boolean | undefined;
  onSelect: () => void;
  onMark: () => void;
  onOpen: () => void;
  onExport: (() => void) | undefined;
  onSend: (() => void) | undefined;
}) {
  const { t, i18n } = useTranslation();
  const { study } = props;
  const name = personName(study.patientName);
  const date = `${formatDate(study.date, i18n.language)} ${formatTime(study.time)}`;
  const counts = `${study.seriesCount} / ${study.instanceCount}`;
  const arriving = study.arriving ? <span className="arriving">{t('list.arriving')}</span> : null;
  const corrected = study.corrected ? (
    <span className="corrected" title={t('correct.mark')}>
      {t('list.corrected')}
    </span>
  ) : null;
  return (
    <div
      className="list-row"
      role="row"
      id={`study-${study.studyUid}`}
      data-testid="study-row"
      data-study-uid={study.studyUid}
      aria-rowindex={props.index + 2}
      aria-selected={props.selected}
      style={{ transform: `translateY(${props.top}px)` }}
      data-marked={props.marked}
      onClick={(event) => {
        props.onSelect();
        if ((event.ctrlKey || event.metaKey) && props.marked !== undefined) props.onMark();
      }}
      onDoubleClick={props.onOpen}
    >
      <span role="gridcell" className="picture">
        <Thumbnail src={studyThumbnail(study.studyUid)} size={44} />
        {props.marked === undefined ? null : (
          <input
            type="checkbox"
            className="mark"
            aria-label={t('list.mark', { name: name.main || t('list.noName') })}
            checked={props.marked}
            onChange={props.onMark}
            onDoubleClick={(event) => event.stopPropagation()}
          />
        )}
      </span>
      <span role="gridcell">
        <Link className="name" to="/studies/$studyUid" params={{ studyUid: study.studyUid }} dir="auto">
          {name.main || t('list.noName')}
        </Link>
        {name.beside ? <span className="beside">{name.beside}</span> : null}
        {corrected}
        <span className="card-lines">
          <br />
          {study.modalities.join(' ')} · {study.description || '–'} {arriving}
          <br />
          <Text span size="sm" c="dimmed">
            {study.patientId} · {date} · {counts}
          </Text>
        </span>
      </span>
      <span role="gridcell" className="wide" title={study.patientId}>
        {study.patientId}
      </span>
      <span role="gridcell" className="wide">
        {formatDate(study.birthDate, i18n.language)}
      </span>
      <span role="gridcell" className="wide">
        {study.sex}
      </span>
      <span role="gridcell" className="wide">
        {study.modalities.map((modality) => (
          <span key={modality} className="modality">
            {modality}
          </span>
        ))}
      </span>
      <span role="gridcell" className="wide" title={study.description} dir="auto">
        {study.description}
        {arriving}
      </span>
      <span role="gridcell" className="wide">
        {date}
      </span>
      <span role="gridcell" className="wide" title={study.accession}>
        {study.accession}
      </span>
      <span role="gridcell" className="wide" title={t('list.column.counts')}>
        {counts}
      </span>
      <span role="gridcell">
        <RowAction label={t('study.open')} icon={IconEye} onClick={props.onOpen} />
        {props.onExport ? (
          <RowAction wide label={t('export.open')} icon={IconDownload} onClick={props.onExport} />
        ) : null}
        {props.onSend ? (
          <RowAction wide label={t('send.open')} icon={IconSend} onClick={props.onSend} />
        ) : null}
      </span>
    </div>
  );
}

/** @param props.wide  Not on a phone: there is no room. */
function RowAction(props: { wide?: boolean; label: string; icon: typeof IconEye; onClick: () => void }) {
  const { label, icon: Icon } = props;
  return (
    <ActionIcon
      className={props.wide ? 'wide' : undefined}
      variant="subtle"
      color="gray"
      size="lg"
      title={label}
      aria-label={label}
      onClick={props.onClick}
    >
      <Icon size={20} />
    </ActionIcon>
  );
}
