/** Tasks, with what this person may do there. Layer: web/app. */
import { TasksPage } from '../worklist/tasks-page.tsx';
import { useSession } from './session.tsx';

export function TasksRoute() {
  const rights = useSession().user?.rights ?? [];
  return <TasksPage mayChange={rights.includes('workitem.manage')} />;
}
