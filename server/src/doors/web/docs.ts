/**
 * Our documents as pages: the conformance statement, the configuration and the rest of docs/, readable by anybody who can reach
 * the server, as they are by everybody who has the source.
 *
 * Layer:  server/doors/web.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import type { HttpApp } from '../../platform/http.ts';
import { markdownToHtml } from './markdown.ts';

const DOCS = resolve(import.meta.dirname, '../../../../docs');
/** Within reach of a screen, in the colours the system asks for. */
const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}' +
  'table{border-collapse:collapse;display:block;overflow-x:auto;margin:1rem 0}' +
  'th,td{border:1px solid #8888;padding:.25rem .6rem;text-align:left;vertical-align:top}code{font-size:.9em}';

export function docsPages(app: HttpApp): void {
  if (!existsSync(DOCS)) return;
  const open = { config: { public: true as const }, schema: { hide: true } };
  const names = (readdirSync(DOCS, { recursive: true }) as string[])
    .filter((name) => name.endsWith('.md'))
    .map((name) => name.replaceAll('\\', '/'));
  for (const file of names) {
    const name = file.slice(0, -'.md'.length);
    const text = (): string => readFileSync(join(DOCS, file), 'utf8');
    app.get(`/docs/${name}.md`, open, (_request, reply) =>
      reply.header('cache-control', 'no-cache').type('text/markdown; charset=utf-8').send(text()),
    );
    let html: string | undefined;
    app.get(`/docs/${name}`, open, (_request, reply) => {
      html ??= pageOf(name, text(), new Set(names));
      return reply.header('cache-control', 'no-cache').type('text/html; charset=utf-8').send(html);
    });
  }
}

function pageOf(name: string, text: string, known: ReadonlySet<string>): string {
  const linkOf = (target: string): string => {
    if (/^(https?:|#)/.test(target)) return target;
    const [path = '', anchor] = target.split('#');
    const file = posix.normalize(posix.join(posix.dirname(name), path));
    // What is no document of ours (a file of the source) leads nowhere here.
    if (!known.has(file)) return '#';
    return `/docs/${file.slice(0, -'.md'.length)}${anchor === undefined ? '' : `#${anchor}`}`;
  };
  const title = (/^# (.*)$/m.exec(text)?.[1] ?? name).replaceAll(/[<>&]/g, '');
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
    '<meta name="viewport" content="width=device-width,initial-scale=1">' +
    `<style>${STYLE}</style></head><body>${markdownToHtml(text, linkOf)}</body></html>`
  );
}
