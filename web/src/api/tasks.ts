/** Tasks: the worklist of the server over its own UPS-RS. Layer: web/api. */
import { z } from 'zod';
import { send, withQuery } from './client.ts';

/** As much of the DICOM JSON model as a page reads (PS3.18 Annex F). */
const Element = z.object({ Value: z.array(z.unknown()).optional() });
const Workitem = z.record(z.string(), Element);
export type Task = z.output<typeof Workitem>;

export const TASK_STATES = ['SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED'] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const TAG = {
  ...{ uid: '00080018', state: '00741000', label: '00741204', list: '00741202', priority: '00741200' },
  ...{ start: '00404005', patientName: '00100010', patientId: '00100020', study: '0020000D' },
  ...{ stations: '00404025', kind: '00404018', progressInfo: '00741002', progress: '00741004' },
  ...{ description: '00741006', reason: '00741238', modified: '00404010', readiness: '00404041' },
  ...{ codeMeaning: '00080104', codeValue: '00080100' },
} as const;

/** Shown at once; the newest of a longer list are found by other programs. */
export const MOST_TASKS = 200;

export async function listTasks(state: TaskState | undefined): Promise<readonly Task[]> {
  const query = { ProcedureStepState: state, includefield: 'all', limit: MOST_TASKS };
  const response = await send(withQuery('/dicom-web/workitems', query));
  return response.status === 204 ? [] : z.array(Workitem).parse(await response.json());
}

/** Ends a task nobody works on; asks who works on it to end it. */
export const cancelTask = (uid: string, reason: string) =>
  send(`/dicom-web/workitems/${uid}/cancelrequest`, {
    method: 'POST',
    body: reason.trim() === '' ? {} : { [TAG.reason]: { vr: 'LT', Value: [reason.trim()] } },
    type: 'application/dicom+json',
  });

/** The first value as text, '' when there is none. */
export function textOf(task: Task | undefined, tag: string): string {
  const [value] = task?.[tag]?.Value ?? [];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** Items of a sequence. */
export const itemsOf = (task: Task, tag: string): readonly Task[] => (task[tag]?.Value ?? []) as Task[];

/** Meanings of the codes of a sequence, or the codes themselves. */
export const codesOf = (task: Task, tag: string): string =>
  itemsOf(task, tag)
    .map((item) => textOf(item, TAG.codeMeaning) || textOf(item, TAG.codeValue))
    .filter(Boolean)
    .join(', ');

export function nameOf(task: Task): { alphabetic: string; ideographic: string | undefined } {
  const [name] = (task[TAG.patientName]?.Value ?? []) as { Alphabetic?: string; Ideographic?: string }[];
  return { alphabetic: name?.Alphabetic ?? '', ideographic: name?.Ideographic };
}
