/**
 * One request to our own server: same-origin cookie, answer checked against the contract, failure as `ApiProblem`.
 *
 * Layer:  web/api.
 */
import { Problem } from '@lightbox/core/contract/api.ts';
import type { z } from 'zod';

/** A failure a person can act on. `code` is a row of docs/errors.md, `requestId` finds the line in the log. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string;

  constructor(status: number, code: string, message: string, requestId: string) {
    super(message);
    this.name = 'ApiProblem';
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

export interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly body?: unknown;
  /** Of the body; default JSON. */
  readonly type?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Fired on `window` when an answer says that the session is over (401) or locked (423). */
export const SESSION_EVENT = 'lightbox:session';

/** @throws ApiProblem; code `NETWORK` (status 0) when no answer came. An abort is rethrown as it is. */
export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
  const { method = 'GET', body, type = 'application/json', signal } = options;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiProblem(0, 'NETWORK', 'The server does not answer.', '');
  }
  if (response.ok) return response;
  const problem = await readProblem(response);
  if ((problem.status === 401 || problem.status === 423) && !path.startsWith('/api/auth/'))
    window.dispatchEvent(new CustomEvent(SESSION_EVENT, { detail: problem.status }));
  throw problem;
}

/** The answer as the contract describes it. @throws ApiProblem, code `ANSWER` when it is of another form. */
export async function call<T extends z.ZodType>(
  schema: T,
  path: string,
  options: RequestOptions = {},
): Promise<z.output<T>> {
  const response = await send(path, options);
  const parsed = schema.safeParse(await response.json());
  if (parsed.success) return parsed.data;
  throw new ApiProblem(
    response.status,
    'ANSWER',
    `The server answered in an unexpected form (${parsed.error.issues[0]?.path.join('.') ?? ''}).`,
    response.headers.get('x-request-id') ?? '',
  );
}

async function readProblem(response: Response): Promise<ApiProblem> {
  const requestId = response.headers.get('x-request-id') ?? '';
  const body: unknown = await response.json().catch(() => null);
  const parsed = Problem.safeParse(body);
  if (parsed.success)
    return new ApiProblem(response.status, parsed.data.code, parsed.data.message, parsed.data.requestId);
  // better-auth has its own shape: { code, message }.
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  return new ApiProblem(
    response.status,
    typeof code === 'string' ? code : `HTTP_${response.status}`,
    typeof message === 'string' ? message : response.statusText,
    requestId,
  );
}

/** A path with its query; empty values are left out. */
export function withQuery(path: string, query: Readonly<Record<string, unknown>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== '') search.set(key, String(value));
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}
