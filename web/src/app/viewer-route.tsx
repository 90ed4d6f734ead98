/** Puts the viewer on its address: study and first series from the URL, back to the list. Layer: web/app. */
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { ViewerPage } from '../viewer/viewer-page.tsx';

export function ViewerRoute() {
  const { studyUid = '' } = useParams({ strict: false }) as { studyUid?: string };
  const { series } = useSearch({ strict: false }) as { series?: string };
  const navigate = useNavigate();
  return (
    <ViewerPage
      studyUid={studyUid}
      {...(series ? { seriesUid: series } : {})}
      onBack={() => void navigate({ to: '/' })}
    />
  );
}
