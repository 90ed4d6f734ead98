/** Puts the other archives on their address, with what this person may do there. Layer: web/app. */
import { OtherArchivesPage } from '../share/other-archives-page.tsx';
import { useSession } from './session.tsx';

export function ArchivesRoute() {
  const rights = useSession().user?.rights ?? [];
  return (
    <OtherArchivesPage
      mayFetch={rights.includes('remote.retrieve')}
      mayManage={rights.includes('transfer.manage')}
    />
  );
}
