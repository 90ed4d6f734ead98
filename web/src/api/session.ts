/** Who is signed in, and the ways in and out. Sign-in itself is better-auth's, under /api/auth. Layer: web/api. */
import { Session, type AcceptInvitation, type SetupRequest } from '@lightbox/core/contract/api.ts';
import type { z } from 'zod';
import { call, send } from './client.ts';

export type SessionState = z.output<typeof Session>;

export const readSession = (): Promise<SessionState> => call(Session, '/api/session');

export async function setUp(request: z.input<typeof SetupRequest>): Promise<void> {
  await send('/api/setup', { method: 'POST', body: request });
}

/** True when a one-time code is needed as well. */
export async function signIn(email: string, password: string): Promise<{ codeNeeded: boolean }> {
  const response = await send('/api/auth/sign-in/email', { method: 'POST', body: { email, password } });
  const answer = (await response.json()) as { twoFactorRedirect?: boolean } | null;
  return { codeNeeded: answer?.twoFactorRedirect === true };
}

export async function verifyCode(code: string): Promise<void> {
  await send('/api/auth/two-factor/verify-totp', { method: 'POST', body: { code } });
}

export async function signOut(): Promise<void> {
  await send('/api/auth/sign-out', { method: 'POST', body: {} });
}

export async function unlock(password: string): Promise<void> {
  await send('/api/session/unlock', { method: 'POST', body: { password } });
}

export async function acceptInvitation(request: z.input<typeof AcceptInvitation>): Promise<void> {
  await send('/api/invitations/accept', { method: 'POST', body: request });
}

export async function changePassword(currentPassword: string, newPassword: string): Promise<void> {
  await send('/api/auth/change-password', {
    method: 'POST',
    body: { currentPassword, newPassword, revokeOtherSessions: true },
  });
}

export interface Enrolment {
  readonly totpURI: string;
  readonly backupCodes: readonly string[];
}

/** Starts enrolment; it is complete after `verifyCode` with a code from the app. */
export async function enableTwoFactor(password: string): Promise<Enrolment> {
  const response = await send('/api/auth/two-factor/enable', { method: 'POST', body: { password } });
  return (await response.json()) as Enrolment;
}

export async function disableTwoFactor(password: string): Promise<void> {
  await send('/api/auth/two-factor/disable', { method: 'POST', body: { password } });
}
