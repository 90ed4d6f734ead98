/** Puts one study on its address, with what this person may do with it. Layer: web/app. */
import { StudyPage } from '../worklist/study-page.tsx';
import { useSession } from './session.tsx';

export function StudyRoute() {
  return <StudyPage mayExport={useSession().user?.rights.includes('study.export') ?? false} />;
}
