/**
 * `npm run bench -- ingest|query|retrieve|viewer [--quick] [--repetitions N] [--studies N] [--only REGEX] [--ohif FOLDER]
 * [--patience SECONDS]`:
 * Lightbox beside Debian's Orthanc in one run; results go to bench/results, those of quick or partial runs to artefacts.
 */
import { parseArgs } from 'node:util';
import { ingest } from './ingest.ts';
import { query } from './query.ts';
import { retrieve } from './retrieve.ts';
import { type Peers, withPeers } from './support/peers.ts';
import { origin, report } from './support/report.ts';
import type { BenchOptions, Measurements } from './support/run.ts';
import { viewer } from './viewer.ts';

const BENCHES: Readonly<Record<string, (peers: Peers, options: BenchOptions) => Promise<Measurements>>> = {
  ingest,
  query,
  retrieve,
  viewer,
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    repetitions: { type: 'string' },
    studies: { type: 'string' },
    only: { type: 'string' },
    ohif: { type: 'string' },
    patience: { type: 'string' },
  },
});

const names = positionals.length > 0 ? positionals : Object.keys(BENCHES);
const unknown = names.find((name) => BENCHES[name] === undefined);
if (unknown !== undefined) {
  console.error(`no bench is called ${unknown}; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}

const options: BenchOptions = {
  size: values.quick ? 'quick' : 'full',
  repetitions: Number(values.repetitions ?? (values.quick ? 1 : 5)),
  studies: Number(values.studies ?? (values.quick ? 2000 : 26_000)),
  only: new RegExp(values.only ?? '', 'i'),
  ohif: values.ohif,
  patience: Number(values.patience ?? (values.quick ? 0 : 8)),
};

const keep = options.size === 'full' && values.only === undefined;
for (const name of names) {
  const from = origin();
  console.log(`${name}: Orthanc and Lightbox take turns, ${options.repetitions} each and one to warm up`);
  report(name, await withPeers((peers) => BENCHES[name]!(peers, options)), { origin: from, keep });
}
