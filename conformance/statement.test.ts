/**
 * The conformance statement held against a running server: it is served, every SOP class and transfer syntax it claims is
 * agreed to, with the extended negotiation it names, and what it does not claim is refused.
 *
 * Source: PS3.2 Annex N, PS3.8 Table 9-18 (results), PS3.4 §C.5 (extended negotiation).
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProposedContext } from '../core/src/dimse/pdu.ts';
import type { UserInformation } from '../core/src/dimse/user-information.ts';
import { ADMINISTRATOR, Lightbox } from './support/lightbox.ts';
import { associateRequest, Wire } from './support/wire.ts';

const FILE = resolve(import.meta.dirname, '../docs/conformance-statement.md');
const TEXT = readFileSync(FILE, 'utf8');
const NO_SUCH = { abstractSyntax: 3, transferSyntaxes: 4 };

/** Rows of the table under a heading of its columns, as the document prints them. */
function rowsOf(...head: string[]): string[][] {
  const lines = TEXT.split('\n');
  const at = lines.findIndex((line) => line.startsWith(`| ${head.join(' | ')}`));
  if (at < 0) throw new Error(`no table ${head.join(', ')}`);
  const end = lines.findIndex((line, index) => index > at && !line.startsWith('|'));
  return lines.slice(at + 2, end).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

const SERVICES = rowsOf('SOP class', 'UID', 'SCP', 'SCU').map(
  ([name = '', uid = '', scp, , extended = '']) => ({
    ...{ name, uid, scp: scp === 'yes' },
    bytes: [...extended.matchAll(/byte (\d)/g)].map(([, byte]) => Number(byte) - 1),
  }),
);
const STORAGE = rowsOf('SOP class', 'UID', 'Retired').map(([, uid = '']) => uid);
const PLAIN = rowsOf('Transfer syntax', 'UID |').map(([, uid = '']) => uid);
const ANY = rowsOf('Transfer syntax', 'UID', 'Taken')
  .filter(([, , taken]) => taken === 'yes')
  .map(([, uid = '']) => uid);

/** SOP classes of the standard beyond Storage (PS3.6 Table A-1); those the document claims are left out below. */
const OTHERS = [
  ...[
    '1.2.840.10008.5.1.4.31',
    '1.2.840.10008.3.1.2.3.3',
    '1.2.840.10008.3.1.2.3.4',
    '1.2.840.10008.3.1.2.3.5',
  ],
  ...['1.2.840.10008.5.1.1.9', '1.2.840.10008.5.1.1.18', '1.2.840.10008.5.1.1.1', '1.2.840.10008.5.1.1.2'],
  ...['1.2.840.10008.5.1.4.34.6.1', '1.2.840.10008.5.1.4.34.6.2', '1.2.840.10008.5.1.4.34.6.3'],
  ...['1.2.840.10008.5.1.4.34.6.4', '1.2.840.10008.5.1.4.34.6.5', '1.2.840.10008.5.1.4.33'],
  ...['1.2.840.10008.5.1.4.1.2.3.1', '1.2.840.10008.5.1.4.1.2.3.2', '1.2.840.10008.5.1.4.1.2.3.3'],
  ...[
    '1.2.840.10008.1.20.2',
    '1.2.840.10008.1.3.10',
    '1.2.840.10008.1.9',
    '1.2.840.10008.1.40',
    '1.2.840.10008.1.42',
  ],
  ...['1.2.840.10008.5.1.4.37.1', '1.2.840.10008.5.1.4.37.2', '1.2.840.10008.5.1.4.37.3'],
  ...['1.2.840.10008.5.1.4.38.2', '1.2.840.10008.5.1.4.38.3', '1.2.840.10008.5.1.4.38.4'],
  ...[
    '1.2.840.10008.5.1.4.39.2',
    '1.2.840.10008.5.1.4.41',
    '1.2.840.10008.5.1.4.42',
    '1.2.840.10008.5.1.4.43.2',
  ],
  ...[
    '1.2.840.10008.5.1.4.44.2',
    '1.2.840.10008.5.1.4.45.2',
    '1.2.840.10008.5.1.4.32.1',
    '1.2.840.10008.5.1.4.32.2',
  ],
];

describe('The conformance statement', () => {
  let box: Lightbox;

  beforeAll(async () => {
    box = await Lightbox.ready();
    const cookie = await box.signIn(ADMINISTRATOR.email, ADMINISTRATOR.password);
    const verbs = ['echo', 'store', 'find', 'move', 'get', 'commit'];
    expect((await box.post('/api/devices', { aeTitle: 'READER', verbs }, { cookie })).ok).toBe(true);
  });
  afterAll(() => box.stop());

  /** The result of each context, over as many associations as they need. */
  async function ask(
    contexts: readonly Omit<ProposedContext, 'id'>[],
    user: Partial<UserInformation> = {},
  ): Promise<{ results: { result: number; transferSyntax: string }[]; user: UserInformation | undefined }> {
    const results: { result: number; transferSyntax: string }[] = [];
    let answered: UserInformation | undefined;
    for (let at = 0; at < contexts.length; at += 128) {
      const part = contexts.slice(at, at + 128).map((one, index) => ({ ...one, id: index * 2 + 1 }));
      const wire = await Wire.open(box.dicomPort);
      wire.send({ ...associateRequest({ callingAe: 'READER', user }), contexts: part });
      const answer = await wire.next();
      if (answer === 'closed' || answer.type !== 'associate-ac') throw new Error(JSON.stringify(answer));
      expect(answer.contexts.map(({ id }) => id)).toEqual(part.map(({ id }) => id));
      results.push(...answer.contexts);
      answered = answer.user;
      await wire.release();
      wire.destroy();
    }
    return { results, user: answered };
  }

  it('is served to anybody, as a page and as text, with links that lead somewhere', async () => {
    const text = await fetch(`${box.url}/docs/conformance-statement.md`);
    expect(text.headers.get('content-type')).toContain('text/markdown');
    expect(await text.text()).toBe(TEXT);
    const page = await fetch(`${box.url}/docs/conformance-statement`);
    expect(page.headers.get('content-type')).toContain('text/html');
    const html = await page.text();
    expect(html.match(/<table>/g)?.length).toBeGreaterThan(20);
    expect(html).toContain('<td>1.2.840.10008.5.1.4.1.1.2</td>');
    const links = [...html.matchAll(/href="([^"]*)"/g)].map(([, link = '']) => link);
    expect(links).toContain('/docs/configuration');
    for (const link of new Set(links)) {
      if (link.startsWith('#')) expect(html, link).toContain(`id="${link.slice(1)}"`);
      else expect((await fetch(box.url + link.split('#')[0])).status, link).toBe(200);
    }
  });

  it('claims what is agreed to: every Storage class in every transfer syntax', async () => {
    expect(STORAGE.length).toBeGreaterThan(150);
    expect(ANY.length).toBeGreaterThan(40);
    const asked = STORAGE.flatMap((abstractSyntax) =>
      ANY.map((transferSyntax) => ({ abstractSyntax, transferSyntaxes: [transferSyntax] })),
    );
    const { results } = await ask(asked);
    const wrong = asked.filter(
      ({ transferSyntaxes }, at) =>
        results[at]?.result !== 0 || results[at]?.transferSyntax !== transferSyntaxes[0],
    );
    expect(results).toHaveLength(asked.length);
    expect(wrong).toEqual([]);
    process.stderr.write(
      `${STORAGE.length} Storage classes in ${ANY.length} transfer syntaxes: ${asked.length} agreed to\n`,
    );
  });

  it.each(SERVICES.filter(({ scp }) => scp))('claims what is agreed to: $name', async ({ uid, bytes }) => {
    const one = (transferSyntaxes: string[]): Omit<ProposedContext, 'id'> => ({
      abstractSyntax: uid,
      transferSyntaxes,
    });
    const all = new Uint8Array(8).fill(1);
    const { results, user } = await ask(
      [...PLAIN.map((syntax) => one([syntax])), one(PLAIN.toReversed()), one(['1.2.840.10008.1.2.4.50'])],
      { extended: [{ sopClassUid: uid, info: all }] },
    );
    const chosen = results.map(({ result, transferSyntax }) => (result === 0 ? transferSyntax : result));
    expect(chosen).toEqual([...PLAIN, PLAIN[0], NO_SUCH.transferSyntaxes]);
    const agreed = [...(user?.extended?.find(({ sopClassUid }) => sopClassUid === uid)?.info ?? [])];
    expect(agreed.flatMap((value, at) => (value === 1 ? at : []))).toEqual(bytes);
  });

  it('claims nothing of what is refused', async () => {
    const claimed = new Set([...SERVICES.filter(({ scp }) => scp).map(({ uid }) => uid), ...STORAGE]);
    const others = OTHERS.filter((uid) => !claimed.has(uid));
    expect(others.length).toBeGreaterThan(20);
    const { results } = await ask(
      others.map((abstractSyntax) => ({ abstractSyntax, transferSyntaxes: PLAIN })),
    );
    expect(results.map(({ result }, at) => `${others[at]}: ${result}`)).toEqual(
      others.map((uid) => `${uid}: ${NO_SUCH.abstractSyntax}`),
    );
  });
});
