/** The session for the whole page: read once, renewed after sign-in, lost on 401. Layer: web/app. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, useContext, useEffect } from 'react';
import { SESSION_EVENT } from '../api/client.ts';
import { readSession, type SessionState } from '../api/session.ts';

export const SESSION_KEY = ['session'] as const;
const Context = createContext<SessionState | undefined>(undefined);
export const SessionProvider = Context.Provider;

export function useSessionQuery() {
  const client = useQueryClient();
  useEffect(() => {
    const renew = () => void client.invalidateQueries({ queryKey: SESSION_KEY });
    window.addEventListener(SESSION_EVENT, renew);
    return () => window.removeEventListener(SESSION_EVENT, renew);
  }, [client]);
  return useQuery({ queryKey: SESSION_KEY, queryFn: readSession, staleTime: Infinity, retry: 1 });
}

/** @throws outside of the provider: pages are only drawn once the session is known. */
export function useSession(): SessionState {
  const session = useContext(Context);
  if (!session) throw new Error('no session');
  return session;
}
