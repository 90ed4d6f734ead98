/** A video as the browser plays it, or why it cannot. Layer: web/viewer. */
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { DocumentContent } from '../../api/viewer.ts';

type Video = Extract<DocumentContent, { kind: 'video' }>;

export function VideoDocument({ document }: { document: Video }) {
  const { t } = useTranslation();
  const [failed, setFailed] = useState(false);
  if (failed)
    return (
      <p role="alert" data-testid="video-problem">
        {t('viewer.document.reason.video-codec', { coding: document.coding })}
      </p>
    );
  return (
    <video
      src={document.url}
      controls
      playsInline
      preload="metadata"
      aria-label={document.title}
      data-testid="video"
      onError={() => setFailed(true)}
    />
  );
}
