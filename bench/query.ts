/**
 * How fast an archive is searched: QIDO-RS and C-FIND over thousands of studies that came in by C-STORE, on connections that
 * stay open. Both archives have to find the same studies.
 */
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { ArchiveReader, DICOM_JSON } from './support/archive.ts';
import { BenchAssociation } from './support/association.ts';
import { accessionOf, patientIdOf, TODAY, WEEK } from './support/data.ts';
import type { Job } from './support/jobs.ts';
import { inLoadProcess } from './support/load.ts';
import { type Peer, type Peers } from './support/peers.ts';
import {
  alternate,
  type BenchOptions,
  check,
  Figures,
  measure,
  type Measurements,
  quantile,
  versionsOf,
} from './support/run.ts';

interface Search {
  readonly name: string;
  /** Keys of one search; `pick` gives a number below the number of studies. */
  keys(pick: number): Readonly<Record<string, string>>;
  /** QIDO-RS only; C-FIND has no limit. */
  readonly limit?: number;
}

const SEARCHES: readonly Search[] = [
  { name: 'exact patient ID', keys: (pick) => ({ PatientID: patientIdOf(pick) }) },
  { name: 'name SMI*', keys: () => ({ PatientName: 'SMI*' }) },
  { name: 'name *MIT*', keys: () => ({ PatientName: '*MIT*' }) },
  { name: 'one week, CT', keys: () => ({ StudyDate: WEEK, ModalitiesInStudy: 'CT' }) },
  { name: "today's list", keys: () => ({ StudyDate: TODAY }), limit: 50 },
];
/** Asked for in every search, as a study list would. */
const RETURNED = [
  ...['StudyInstanceUID', 'StudyDate', 'StudyTime', 'AccessionNumber', 'PatientName', 'PatientID'],
  ...['PatientBirthDate', 'StudyDescription', 'ModalitiesInStudy'],
  ...['NumberOfStudyRelatedSeries', 'NumberOfStudyRelatedInstances'],
];
const PICKS = 64;
/** Of these searches the answers are compared. */
const CHECKED = 3;
/** Apart from the tags of the other benches: an archive may hold the objects of several. */
const TAG = 1001;
const SECONDS = { full: 3, quick: 0.5, smoke: 0.05 } as const;
const LIMIT = 2000;

const qidoOf = (search: Search, pick: number): string =>
  [
    ...Object.entries(search.keys(pick)).map(([key, value]) => `${key}=${encodeURIComponent(value)}`),
    ...['StudyDescription', 'ModalitiesInStudy', 'NumberOfStudyRelatedInstances'].map(
      (name) => `includefield=${name}`,
    ),
    ...(search.limit === undefined ? [] : [`limit=${search.limit}`]),
  ].join('&');

const findOf = (search: Search, pick: number): Record<string, string> => ({
  ...Object.fromEntries(RETURNED.map((keyword) => [keyword, ''])),
  QueryRetrieveLevel: 'STUDY',
  ...search.keys(pick),
});

export async function query({ orthanc, lightbox }: Peers, options: BenchOptions): Promise<Measurements> {
  const { studies } = options;
  const peers = [orthanc, lightbox];
  for (const peer of peers) await fill(peer, studies);
  const picks = Array.from({ length: PICKS }, (_, at) => Math.floor(((at + 0.5) / PICKS) * studies));
  const figures = new Figures();
  const seconds = SECONDS[options.size];
  for (const search of SEARCHES) {
    const matches = await agreed(peers, search, picks);
    const jobs: readonly { readonly name: string; job(peer: Peer): Job }[] = [
      {
        name: `QIDO-RS ${search.name}, ${matches} found`,
        job: ({ httpPort, headers, dicomweb }) => ({
          kind: 'get',
          target: { port: httpPort, headers },
          connections: 1,
          paths: picks.map((pick) => `${dicomweb}/studies?${qidoOf(search, pick)}`),
          headers: { accept: DICOM_JSON },
          ...{ seconds, limit: LIMIT },
        }),
      },
      {
        name: `C-FIND ${search.name}`,
        job: ({ dicomPort, aeTitle }) => ({
          kind: 'find',
          target: { port: dicomPort, aeTitle },
          identifiers: picks.map((pick) => findOf(search, pick)),
          ...{ seconds, limit: LIMIT },
        }),
      },
    ];
    for (const { name, job } of jobs.filter((one) => options.only.test(one.name))) {
      await alternate(peers, options, async ({ repetition, peer }) => {
        const { result, otherCores } = await measure(peer.pid, job(peer), options);
        if (repetition === 0) return;
        const row = { work: name, peer: peer.name, more: false };
        figures.add({ ...row, unit: 'p50 ms' }, quantile(result.latencies, 0.5), otherCores);
        figures.add({ ...row, unit: 'p99 ms' }, quantile(result.latencies, 0.99), otherCores);
      });
    }
  }
  return {
    figures: figures.list(),
    setup: { ...versionsOf(...peers), studies: String(studies) },
  };
}

/** Stores the studies by C-STORE. @throws unless all of them are found afterwards. */
async function fill(peer: Peer, studies: number): Promise<void> {
  const load = await inLoadProcess({
    kind: 'store',
    target: { port: peer.dicomPort, aeTitle: peer.aeTitle },
    associations: 4,
    objects: { kind: 'tiny', tag: TAG, count: studies },
  });
  try {
    const { seconds } = await load.run();
    console.log(`${peer.name}: ${studies} studies stored in ${seconds.toFixed(1)} s`);
  } finally {
    await load.close();
  }
  const reader = new ArchiveReader(peer);
  const found = new Set(await reader.studies(`AccessionNumber=${accessionOf(TAG, '*')}`));
  reader.close();
  check(found.size === studies, `${peer.name} has ${found.size} of ${studies} studies`);
}

/** Both archives give the same studies, by QIDO-RS and by C-FIND. @returns how many the first search finds. */
async function agreed(peers: readonly Peer[], search: Search, picks: readonly number[]): Promise<number> {
  const answers = await Promise.all(
    peers.map(async (peer) => {
      const reader = new ArchiveReader(peer);
      const association = await BenchAssociation.openFind({ port: peer.dicomPort, aeTitle: peer.aeTitle });
      const found: { qido: string[]; find: number }[] = [];
      for (const pick of picks.slice(0, CHECKED)) {
        const page = await reader.json(`/studies?${qidoOf(search, pick)}`);
        const qido = page.map((one) => String(one['0020000D']?.Value?.[0])).sort();
        const find = await association.request(association.encodeFind(dataSet(findOf(search, pick))));
        found.push({ qido, find });
      }
      reader.close();
      await association.close();
      return found;
    }),
  );
  // Cut off at a limit, each may have chosen others; the count has to be the same.
  const comparable = answers.map((found) =>
    JSON.stringify(
      found.map(({ qido, find }) => ({ qido: search.limit === undefined ? qido : qido.length, find })),
    ),
  );
  check(new Set(comparable).size === 1, `${search.name}: the archives do not find the same studies`);
  const [first] = answers[0] ?? [];
  const complete = Math.min(first?.find ?? 0, search.limit ?? Infinity);
  check(first !== undefined && first.qido.length > 0, `${search.name}: nothing is found`);
  check(first?.qido.length === complete, `${search.name}: QIDO-RS and C-FIND do not find as many`);
  return complete;
}
