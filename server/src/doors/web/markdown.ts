/**
 * Markdown to HTML, as much of it as our own documents use: headings, paragraphs, lists, tables, code, links, emphasis.
 *
 * Source: CommonMark 0.31 and the tables of GitHub Flavored Markdown, of both only what docs/ has.
 * Layer:  server/doors/web. The text is ours; everything in it is escaped all the same.
 */

/** @param linkOf  Where a link leads to. */
export function markdownToHtml(text: string, linkOf: (target: string) => string): string {
  const inline = (source: string): string => inlineHtml(source, linkOf);
  const lines = text.split('\n');
  const out: string[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? '';
    const heading = /^(#{1,6}) (.*)$/.exec(line);
    if (line.trim() === '') at += 1;
    else if (heading) {
      const [, marks = '', title = ''] = heading;
      out.push(`<h${marks.length} id="${anchorOf(title)}">${inline(title)}</h${marks.length}>`);
      at += 1;
    } else if (line.startsWith('```')) {
      const end = endOf(lines, at + 1, (one) => one.startsWith('```'));
      out.push(`<pre>${escaped(lines.slice(at + 1, end).join('\n'))}</pre>`);
      at = end + 1;
    } else if (line.startsWith('|')) {
      const end = endOf(lines, at, (one) => !one.startsWith('|'));
      out.push(tableHtml(lines.slice(at, end), inline));
      at = end;
    } else if (ITEM.test(line)) {
      const end = endOf(lines, at, (one) => one.trim() === '' || /^#/.test(one));
      out.push(listHtml(lines.slice(at, end), inline));
      at = end;
    } else {
      const end = endOf(
        lines,
        at + 1,
        (one) => one.trim() === '' || /^(#|\||```)/.test(one) || ITEM.test(one),
      );
      out.push(`<p>${inline(lines.slice(at, end).join(' '))}</p>`);
      at = end;
    }
  }
  return out.join('\n');
}

const ITEM = /^( *)(?:[-*]|\d+\.) (.*)$/;

function endOf(lines: readonly string[], from: number, is: (line: string) => boolean): number {
  const found = lines.findIndex((line, at) => at >= from && is(line));
  return found < 0 ? lines.length : found;
}

/** A list; items that are indented belong to the item above. */
function listHtml(lines: readonly string[], inline: (source: string) => string): string {
  const tag = /^ *\d/.test(lines[0] ?? '') ? 'ol' : 'ul';
  const indent = ITEM.exec(lines[0] ?? '')?.[1]?.length ?? 0;
  const items: { text: string; below: string[] }[] = [];
  for (const line of lines) {
    const [, spaces = '', text = ''] = ITEM.exec(line) ?? [];
    const last = items.at(-1);
    if (ITEM.test(line) && spaces.length <= indent) items.push({ text, below: [] });
    else if (last && (ITEM.test(line) || last.below.length > 0)) last.below.push(line);
    else if (last) last.text += ` ${line.trim()}`;
  }
  const html = items.map(
    ({ text, below }) => `<li>${inline(text)}${below.length > 0 ? listHtml(below, inline) : ''}</li>`,
  );
  return `<${tag}>${html.join('')}</${tag}>`;
}

function tableHtml(lines: readonly string[], inline: (source: string) => string): string {
  const cells = (line: string): string[] =>
    line
      .replace(/^\||\|\s*$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) => inline(cell.trim().replaceAll('\\|', '|')));
  const [head = '', , ...rows] = lines;
  const row = (line: string, tag: string): string =>
    `<tr>${cells(line)
      .map((cell) => `<${tag}>${cell}</${tag}>`)
      .join('')}</tr>`;
  return `<table><thead>${row(head, 'th')}</thead><tbody>${rows.map((one) => row(one, 'td')).join('')}</tbody></table>`;
}

function inlineHtml(source: string, linkOf: (target: string) => string): string {
  // Code is taken out first: nothing within it means anything.
  return source
    .split(/(`[^`]+`)/)
    .map((part) => {
      if (part.length > 1 && part.startsWith('`')) return `<code>${escaped(part.slice(1, -1))}</code>`;
      return escaped(part)
        .replaceAll('&lt;br&gt;', '<br>')
        .replaceAll(/!\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replaceAll(/\[([^\]]+)\]\(([^)\s]+)\)/g, (_, text: string, target: string) => {
          return `<a href="${linkOf(target)}">${text}</a>`;
        })
        .replaceAll(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
        .replaceAll(/(?<![\w])_([^_]+)_(?![\w])/g, '<em>$1</em>');
    })
    .join('');
}

/** As GitHub makes it, so that links within a document lead somewhere in both places. */
export const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- ]/gu, '')
    .replaceAll(' ', '-');

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
