/** Puts one study on its address, with what this person may do with it. Layer: web/app. */
import { StudyPage } from '../worklist/study-page.tsx';
import { useSession } from './session.tsx';

export function StudyRoute() {
  const rights = useSession().user?.rights ?? [];
  return (
    <StudyPage
      mayCorrect={rights.includes('study.correct')}
      mayExport={rights.includes('study.export')}
      maySend={rights.includes('study.send')}
    />
  );
}
