/**
 * STOW bodies and QIDO queries as nobody should send them, made by chance from a seed, against a running server: it lives, says what
 * is wrong, is quick about it and forgets it.
 *
 * Source: RFC 2046 §5.1.1, PS3.18 §8.3.4, §8.6.1, §10.5, §10.6; attacks D77, D78, D81, D82.
 */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dice } from './support/fuzz.ts';
import { fuzz, FUZZ_SECONDS, type Outcome } from './support/fuzz-run.ts';
import { ctImage } from './support/images.ts';
import { Lightbox } from './support/lightbox.ts';
import { stowFile } from './support/stow.ts';

const STUDY = '1.2.826.0.1.3680043.7.3';
/** Set-up, measuring, and an input under way when the time is over. */
const PATIENCE_MS = FUZZ_SECONDS * 1000 + 120_000;

const image = (number: number): Buffer =>
  Buffer.from(
    ctImage({
      ...{ studyUid: STUDY, seriesUid: `${STUDY}.1`, sopUid: `${STUDY}.1.${number}`, number, side: 32 },
      ...{ patientId: 'FUZZ', patientName: 'Fuzz^Felix', chance: () => 0.5 },
    }),
  );

/** True in so many cases of a hundred. */
const often = (dice: Dice, percent: number): boolean => dice.below(100) < percent;

interface Post {
  readonly headers: Readonly<Record<string, string>>;
  /** Sent in these pieces, one after the other. */
  readonly pieces: readonly Buffer[];
  /** The connection is cut instead of the body ended. */
  readonly cut: boolean;
}

/** One body: a right one with something wrong, or with nothing wrong. */
function multipartBy(dice: Dice): Post {
  if (often(dice, 10)) return rightBy(dice);
  const boundary = dice.one([
    ...['b', 'b', 'b', '----=_Part_1', 'x'.repeat(70), 'x'.repeat(71), "'()+_,-./:=?", 'a b', ''],
    dice
      .bytes(8)
      .toString('latin1')
      .replaceAll(/[^ -~]/g, '~'),
  ]);
  const inside = often(dice, 80) ? boundary : dice.one(['c', `${boundary}x`, boundary.slice(1)]);
  const parts: Buffer[] = [];
  for (let count = dice.one([0, 1, 1, 1, 2, 3, 40]); count > 0; count -= 1) parts.push(partBy(dice, inside));
  const end = dice.one([`--${inside}--\r\n`, `--${inside}--`, `--${inside}`, `--${inside}-`, '', '\r\n']);
  const preamble = often(dice, 20) ? dice.bytes(dice.below(200)) : Buffer.alloc(0);
  let body = Buffer.concat([preamble, ...parts, Buffer.from(end)]);
  if (often(dice, 15)) body = body.subarray(0, dice.below(body.length + 1));
  if (often(dice, 15)) {
    body = Buffer.from(body);
    for (let flips = dice.below(20); flips > 0 && body.length > 0; flips -= 1)
      body[dice.below(body.length)] = dice.below(256);
  }
  const type = dice.one([
    ...['multipart/related; type="application/dicom"', 'multipart/related; type=application/dicom'],
    ...['multipart/related', 'Multipart/Related; Type="application/dicom"', 'multipart/mixed'],
    ...['multipart/related; type="application/dicom+json"', 'multipart/related; ;;type=', 'x'],
  ]);
  const quoted = often(dice, 50) ? `"${boundary}"` : boundary;
  const length = dice.one([body.length, body.length, body.length, body.length + 1, 1e12]);
  const cut = length !== body.length || often(dice, 10);
  const chunked = often(dice, 30);
  return {
    headers: {
      'content-type': often(dice, 95) ? `${type}; boundary=${quoted}` : type,
      ...(chunked ? {} : { 'content-length': String(length) }),
      ...(often(dice, 3) ? { 'content-encoding': dice.one(['gzip', 'br', 'identity']) } : {}),
    },
    pieces: cutBy(dice, body),
    cut: chunked ? often(dice, 10) : cut,
  };
}

/** Nothing wrong: what was stored before the nonsense is stored in between. */
function rightBy(dice: Dice): Post {
  const one = Buffer.concat([
    Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
    image(1 + dice.below(5)),
    Buffer.from('\r\n'),
  ]);
  const pieces = cutBy(dice, Buffer.concat([one, Buffer.from('--b--\r\n')]));
  return {
    ...{ headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=b' } },
    ...{ pieces, cut: false },
  };
}

function partBy(dice: Dice, boundary: string): Buffer {
  const newline = often(dice, 90) ? '\r\n' : dice.one(['\n', '\r', '\r\r\n', '']);
  const headers: string[] = [];
  for (let count = dice.one([0, 1, 1, 1, 2, 5]); count > 0; count -= 1)
    headers.push(
      dice.one([
        ...['Content-Type: application/dicom', 'Content-Type: application/dicom', 'content-type:x'],
        ...['Content-Type', ': :', 'Content-Location: file:///etc/passwd', 'Content-Length: -1'],
        ...['Content-Length: 99999999999999999999', 'Content-Transfer-Encoding: base64'],
        `X-Long: ${'y'.repeat(dice.one([10, 1000, 16_000, 20_000]))}`,
        `Content-Type: multipart/related; boundary=${boundary}`,
      ]),
    );
  const nested = (): Buffer => Buffer.concat([partBy(dice, `${boundary}n`), Buffer.from(`--${boundary}n--`)]);
  const content = dice.one([
    ...[() => image(1 + dice.below(5)), () => image(1), () => Buffer.alloc(0)],
    () => dice.bytes(dice.below(500)),
    () => image(1).subarray(0, dice.below(2000)),
    () => Buffer.concat([image(2).subarray(0, 132 + dice.below(300)), dice.bytes(200)]),
    () => Buffer.from(`\r\n--${boundary}`),
    ...(often(dice, 30) ? [nested] : []),
  ]);
  const head = `--${boundary}${newline}${headers.map((header) => header + newline).join('')}${newline}`;
  return Buffer.concat([Buffer.from(head, 'latin1'), content(), Buffer.from('\r\n')]);
}

/** In up to four pieces, so that borders fall anywhere. */
function cutBy(dice: Dice, body: Buffer): Buffer[] {
  const cuts = Array.from({ length: dice.below(4) }, () => dice.below(body.length + 1)).sort((a, b) => a - b);
  return [...cuts, body.length].map((end, at) => body.subarray(cuts[at - 1] ?? 0, end));
}

const KEYS = [
  ...[
    'PatientName',
    'PatientID',
    '00100010',
    'StudyDate',
    'StudyTime',
    'ModalitiesInStudy',
    'StudyInstanceUID',
  ],
  ...[
    'SOPInstanceUID',
    'InstanceNumber',
    'Rows',
    'AccessionNumber',
    'NumberOfFrames',
    'SeriesDate',
    'NoSuchKey',
  ],
  ...[
    'RequestAttributesSequence.ScheduledProcedureStepID',
    '00400275.00400009',
    '0040A730.0040A043.00080100',
  ],
  ...['includefield', 'limit', 'offset', 'fuzzymatching', 'emptyvaluematching', 'multiplevaluematching'],
  ...['accept', 'charset', '__proto__', 'constructor', 'toString', '00080005', '7FE00010', 'FFFFFFFF', ''],
] as const;
const VALUES = [
  ...[
    '',
    '*',
    '?',
    '**',
    'FUZZ',
    'F*',
    '*Z',
    'Fuzz^Felix',
    'fuzz*',
    'Fuzz^Felix=x=y',
    '""',
    '"',
    "'",
    '\\',
    '%',
  ],
  ...['20260102', '20260101-', '-20260102', '20260102-20260101', '-', '99999999', '101112', '10-11', '2500'],
  ...[
    '1',
    '0',
    '-1',
    '1e9',
    '999999999',
    '9999999999',
    'NaN',
    'true',
    'false',
    'all',
    'CT',
    'CT,MR',
    'CT\\MR',
  ],
  ...[
    STUDY,
    `${STUDY},1.2.3`,
    '1.2.*',
    '..',
    'PatientName,00280010',
    'application/dicom+json',
    'utf-8',
    '\0',
  ],
  ...['; DROP TABLE study', '$1', '%_', '{"a":1}', '山田', '\ud800', '\u202e', 'application/dicom+xml;q=0.5'],
] as const;

/** One search: any resource, with keys and values that mean something, or not. */
function searchBy(dice: Dice): string {
  const path = dice.one([
    ...['/studies', '/studies', '/series', '/instances'],
    ...[`/studies/${STUDY}/series`, `/studies/${STUDY}/instances`],
    ...[`/studies/${STUDY}/series/${STUDY}.1/instances`, '/studies/x/series', '/studies/%00/series'],
  ]);
  const parts: string[] = [];
  for (let count = dice.one([0, 1, 1, 2, 3, 6, 250]); count > 0; count -= 1) {
    const key = often(dice, 90)
      ? dice.one(KEYS)
      : Array.from({ length: 1 + dice.below(12) }, () => dice.one(KEYS)).join('.');
    parts.push(`${encoded(dice, key)}${often(dice, 95) ? '=' : ''}${encoded(dice, valueBy(dice))}`);
  }
  return `/dicom-web${path}?${parts.join(often(dice, 95) ? '&' : '&&=')}`;
}

function valueBy(dice: Dice): string {
  if (often(dice, 80)) return dice.one(VALUES);
  if (often(dice, 20)) return dice.one(['*?', 'a*', '1.', ',', '\\']).repeat(dice.below(700));
  return dice.bytes(dice.below(30)).toString(dice.one(['latin1', 'utf8', 'utf16le']));
}

/** As URLs have to be written; sometimes not, or with escapes that mean nothing. */
function encoded(dice: Dice, text: string): string {
  if (often(dice, 5)) return dice.one(['%', '%zz', '%ff%fe', '%00', '%E0%A4%A']);
  return encodeURIComponent(text.replaceAll(/\p{Surrogate}/gu, '')).slice(0, 4000);
}

describe(`nonsense over HTTP for ${FUZZ_SECONDS} s each`, () => {
  let box: Lightbox;
  beforeAll(async () => {
    box = await Lightbox.ready();
    for (const number of [1, 2, 3]) expect((await stowFile(box, image(number))).status).toBe(200);
  });
  afterAll(async () => {
    await box.stop();
  });

  function post({ headers, pieces, cut }: Post): Promise<Outcome> {
    return new Promise((settle) => {
      const sending = request(`${box.url}/dicom-web/studies`, {
        method: 'POST',
        headers: { ...headers, authorization: `Bearer ${box.key}`, accept: 'application/dicom+json' },
        agent: false,
      });
      sending.on('error', () => settle('closed'));
      sending.on('response', (answer) => {
        answer.on('error', () => settle('closed'));
        answer.on('end', () => settle(answer.statusCode ?? 0));
        answer.resume();
      });
      for (const piece of pieces) sending.write(piece);
      if (!cut) sending.end();
      else setTimeout(() => sending.destroy(), 20);
    });
  }

  it(
    'multipart bodies',
    async () => {
      const tell = (dice: Dice): string => {
        const { headers, pieces, cut } = multipartBy(dice);
        const body = Buffer.concat(pieces).toString('base64');
        return JSON.stringify({ headers, pieces: pieces.map(({ length }) => length), cut, body });
      };
      const send = (dice: Dice): Promise<Outcome> => post(multipartBy(dice));
      const { outcomes } = await fuzz('multipart fuzz', box, send, tell, []);
      // It got to every stage: stored, stored in part, not stored, not understood, of another type.
      for (const status of [200, 202, 409, 400, 415])
        expect(outcomes.get(status), String(status)).toBeGreaterThan(0);
      const found = await box.get(`/dicom-web/studies/${STUDY}/instances`);
      expect(((await found.json()) as unknown[]).length).toBeLessThanOrEqual(5);
    },
    PATIENCE_MS,
  );

  it(
    'searches',
    async () => {
      const send = async (dice: Dice): Promise<Outcome> => {
        const answer = await box.get(searchBy(dice), {
          accept: dice.one(['application/dicom+json', 'multipart/related; type="application/dicom+xml"']),
        });
        const body = await answer.text();
        if (answer.status === 400 && !body.includes('"facts"'))
          throw new Error(`400 without a reason: ${body}`);
        return answer.status;
      };
      const { outcomes } = await fuzz('QIDO fuzz', box, send, searchBy, []);
      for (const status of [200, 204, 400]) expect(outcomes.get(status), String(status)).toBeGreaterThan(0);
    },
    PATIENCE_MS,
  );
});
