/** Media of other institutions: sent to wait, looked at, decided. Layer: web/api. */
import {
  ImportBegun,
  ImportPreview,
  type ImportChoice,
  type ImportPatient,
} from '@lightbox/core/contract/api.ts';
import type { z } from 'zod';
import { ApiProblem, call, send } from './client.ts';
import { parseResult, type FileResult, type NamedFile } from './uploads.ts';

export type Preview = z.output<typeof ImportPreview>;
export type ForeignPatient = z.output<typeof ImportPatient>;
export type Choice = z.output<typeof ImportChoice>;

const at = (id: string): string => `/api/imports/${encodeURIComponent(id)}`;

export const beginImport = async (): Promise<string> =>
  (await call(ImportBegun, '/api/imports', { method: 'POST', body: {} })).id;

export const readImport = (id: string): Promise<Preview> => call(ImportPreview, at(id));

export async function discardImport(id: string): Promise<void> {
  await send(at(id), { method: 'DELETE' });
}

/** One file or ZIP after the other; `told` after each with how many are done. */
export async function sendFiles(
  id: string,
  files: readonly NamedFile[],
  told: (done: number, results: readonly FileResult[]) => void,
): Promise<void> {
  for (const [index, { name, file }] of files.entries()) {
    const type = /\.zip$/i.test(name) ? 'application/zip' : 'application/dicom';
    let answer: Response;
    try {
      answer = await fetch(`${at(id)}/files?name=${encodeURIComponent(name.slice(-500))}`, {
        ...{ method: 'POST', credentials: 'same-origin', body: file },
        headers: { 'content-type': type },
      });
    } catch {
      throw new ApiProblem(0, 'NETWORK', 'The server does not answer.', '');
    }
    if (!answer.ok) {
      const problem = (await answer.json().catch(() => ({}))) as { code?: string; message?: string };
      throw new ApiProblem(answer.status, problem.code ?? 'ANSWER', problem.message ?? '', '');
    }
    told(index + 1, resultsOf(await answer.text()));
  }
}

export async function decideImport(
  id: string,
  decisions: ReadonlyMap<string, Choice>,
): Promise<readonly FileResult[]> {
  const body = { decisions: [...decisions].map(([person, choice]) => ({ person, choice })) };
  const answer = await send(`${at(id)}/decisions`, { method: 'POST', body });
  return resultsOf(await answer.text());
}

const resultsOf = (text: string): FileResult[] =>
  text.split('\n').flatMap((line) => {
    const result = line.trim() === '' ? undefined : parseResult(line);
    return result ? [result] : [];
  });
