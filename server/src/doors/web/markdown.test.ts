import { describe, expect, it } from 'vitest';
import { markdownToHtml } from './markdown.ts';

const html = (text: string): string => markdownToHtml(text, (target) => `to:${target}`);

describe('Markdown of our documents', () => {
  it.each([
    ['a heading with an anchor', '## 4. Network: *x*', '<h2 id="4-network-x">4. Network: *x*</h2>'],
    ['a paragraph over lines', 'one\ntwo\n\nthree', '<p>one two</p>\n<p>three</p>'],
    [
      'emphasis, code and links',
      '**a** _b_ `**c** <d>` [e](f.md)',
      '<p><strong>a</strong> <em>b</em> <code>**c** &lt;d&gt;</code> <a href="to:f.md">e</a></p>',
    ],
    ['names with underscores', 'LIGHTBOX_AE_TITLE', '<p>LIGHTBOX_AE_TITLE</p>'],
    [
      'a list with lines that go on and items below',
      '- one\n  more\n  - below\n- two',
      '<ul><li>one more<ul><li>below</li></ul></li><li>two</li></ul>',
    ],
    [
      'a table, with a bar in a cell',
      '| a | b |\n| --- | --- |\n| 1 | 2 \\| 3 |',
      '<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2 | 3</td></tr></tbody></table>',
    ],
    ['code', '```\n<x> **y**\n```', '<pre>&lt;x&gt; **y**</pre>'],
  ])('%s', (_, text, expected) => expect(html(text)).toBe(expected));

  it('lets nothing through that is a tag', () => {
    expect(html('<script>alert(1)</script> [x]("onclick="y)')).not.toMatch(/<script|"onclick/);
  });
});
