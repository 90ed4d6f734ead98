/** The series of the study at the side: to click, or to drag into a cell. Layer: web/viewer. */
import { IconAlertTriangle, IconFileText, IconWaveSine } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { seriesThumbnail, type Detail, type Series } from '../api/studies.ts';

interface StripProps {
  readonly study: Detail;
  /** Of the active cell. */
  readonly current: string | null | undefined;
  /** In any cell of the layout. */
  readonly shown: ReadonlySet<string | null>;
  readonly onPick: (seriesUid: string) => void;
}

export function Strip({ study, current, shown, onPick }: StripProps) {
  const { t } = useTranslation();
  return (
    <nav className="strip" aria-label={t('viewer.series')}>
      {study.series.map((one) => (
        <button
          key={one.seriesUid}
          type="button"
          draggable
          data-testid="strip-series"
          data-series-uid={one.seriesUid}
          data-shown={shown.has(one.seriesUid)}
          aria-current={current === one.seriesUid}
          onDragStart={(event) => event.dataTransfer.setData('text/x-lightbox-series', one.seriesUid)}
          onClick={() => onPick(one.seriesUid)}
        >
          <span className="strip-picture">
            <Picture study={study} series={one} />
            <span className="strip-modality">{one.modality}</span>
            {one.kind === 'image' ? <span className="strip-count">{one.frameCount}</span> : null}
            {one.otherPatient ? (
              <IconAlertTriangle className="strip-warning" size={20} aria-label={t('viewer.mismatch')} />
            ) : null}
          </span>
          <span className="strip-name" dir="auto" title={one.description}>
            {one.number === null ? '' : <b>{one.number} </b>}
            {one.description || t('study.series', { number: '' })}
          </span>
        </button>
      ))}
    </nav>
  );
}

function Picture({ study, series }: { study: Detail; series: Series }) {
  if (series.kind === 'image')
    return (
      <img
        src={seriesThumbnail(study.studyUid, series)}
        onError={(event) => (event.currentTarget.style.visibility = 'hidden')}
        alt=""
        loading="lazy"
        draggable={false}
      />
    );
  return series.kind === 'waveform' ? (
    <IconWaveSine size={40} stroke={1.2} aria-hidden />
  ) : (
    <IconFileText size={40} stroke={1.2} aria-hidden />
  );
}
