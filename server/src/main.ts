/**
 * The whole house, put together: configuration, lock, database, identity, archive, doors; and taken down in reverse.
 *
 * Layer:  server. The only place that knows every part.
 */
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { archiveMigrations, openArchive } from './archive/archive.ts';
import { announceAvailability } from './archive/availability.ts';
import { askAfterSending } from './archive/commitment/after-sending.ts';
import { openCommitments } from './archive/commitment/commitments.ts';
import { openExports } from './archive/export/exports.ts';
import { openImports } from './archive/import/imports.ts';
import { meterIngest } from './archive/meter.ts';
import { openRuleBook } from './archive/rules/book.ts';
import { readRuleFile } from './archive/rules/file.ts';
import { createRules, Returns, watchReturns } from './archive/rules/rules.ts';
import { createTransfers } from './archive/transfers/transfers.ts';
import { eitherWay } from './archive/transfers/ways.ts';
import { createRenderer } from './archive/render/renderer.ts';
import type { Remote } from './doors/api/context.ts';
import { apiDoor } from './doors/api/door.ts';
import { webCarrier } from './doors/dicomweb/client/carrier.ts';
import { tryService, webAdvice } from './doors/dicomweb/client/reach.ts';
import * as web from './doors/dicomweb/client/search.ts';
import { dicomwebDoor } from './doors/dicomweb/door.ts';
import { availabilityPort } from './doors/dimse/availability-port.ts';
import { commitmentPort } from './doors/dimse/commit-port.ts';
import { dimseCarrier } from './doors/dimse/carrier.ts';
import { startDimseDoor } from './doors/dimse/door.ts';
import { adviceFor, echoDevice } from './doors/dimse/reach.ts';
import * as dimseSearch from './doors/dimse/remote-search.ts';
import { dialOf } from './doors/dimse/tls-client.ts';
import { workitemPort } from './doors/dimse/ups-port.ts';
import { wadoUriDoor } from './doors/dicomweb/wado-uri.ts';
import { webDoor } from './doors/web/door.ts';
import { createApiKeys } from './identity/api-keys.ts';
import { openAudit } from './identity/audit.ts';
import { createAuth } from './identity/auth.ts';
import { openCertificates } from './identity/certificates.ts';
import { openDevices } from './identity/devices.ts';
import { guard, stillAllowed } from './identity/guard.ts';
import { identityMigrations } from './identity/migrations.ts';
import { openLocalAes } from './identity/local-aes.ts';
import { createPeople } from './identity/people.ts';
import { allows } from './identity/rights.ts';
import { secretFor } from './identity/secrets.ts';
import { createSessions } from './identity/sessions.ts';
import { createThrottle } from './identity/throttle.ts';
import { createUserIdentities } from './identity/user-identity.ts';
import type { Principal } from './identity/types.ts';
import { type Config, loadConfig } from './platform/config.ts';
import { migrate, openDatabase } from './platform/database.ts';
import { openEvents } from './platform/events.ts';
import { createHttp } from './platform/http.ts';
import { migrateJobs, openJobs } from './platform/jobs.ts';
import { lockDataFolder } from './platform/lock.ts';
import { createLog, type Log } from './platform/log.ts';
import { createMetrics } from './platform/metrics.ts';
import { risMigrations } from './ris/migrations.ts';
import { openWorkitems } from './ris/workitems/workitems.ts';

/** Earlier studies of one patient in one archive that are looked at. */
const MOST_PRIORS = 1000;
const SYSTEM: Principal = { kind: 'system', id: 'system', name: 'Lightbox', roles: [], remoteAddress: '' };

export interface Running {
  readonly url: string;
  readonly dicomPort: number;
  /** Settles when the disk failed and nothing can be promised any more. */
  readonly failed: Promise<Fault>;
  stop(): Promise<void>;
}

/** Starts everything. What was opened before a failure is closed again. */
export async function start(config: Config, log: Log): Promise<Running> {
  const opened: { readonly name: string; close(): Promise<void> | void }[] = [];
  const keep = <T>(name: string, part: T, close: (part: T) => Promise<void> | void): T => {
    opened.push({ name, close: () => close(part) });
    return part;
  };
  const stop = async (): Promise<void> => {
    for (let part = opened.pop(); part; part = opened.pop()) {
      try {
        await part.close();
      } catch (error) {
        log.error({ err: error, part: part.name }, 'a part did not stop cleanly');
      }
    }
  };
  try {
    keep('lock', lockDataFolder(config.dataDir), (lock) => lock.release());
    const database = keep('database', await openDatabase(config, log), (one) => one.close());
    await migrate(database, [archiveMigrations, identityMigrations, risMigrations]);
    await migrateJobs(database, log);
    const jobs = openJobs(database, log);
    const events = keep('events', await openEvents(database, log), (one) => one.close());
    const audit = keep('audit', openAudit(database, log), (one) => one.close());
    const { aeTitle } = config.dicom;
    const localAes = keep('AE titles', await openLocalAes({ database, events, audit, aeTitle }), (one) =>
      one.close(),
    );
    const devices = keep('devices', await openDevices({ database, events, audit, log, localAes }), (one) =>
      one.close(),
    );
    const certificates = keep('certificates', await openCertificates({ database, events, audit }), (one) =>
      one.close(),
    );
    const keys = createApiKeys({ database, audit });
    const people = createPeople({ database, audit });
    const auth = await createAuth({ database, log, publicUrl: config.publicUrl });
    const { idleLockSeconds, publicUrl } = config;
    const sessions = createSessions({ auth, database, keys, audit, idleLockSeconds });
    const throttle = createThrottle();
    const identities = createUserIdentities({ people, keys, throttle, audit });
    const metrics = createMetrics();
    const countTls = metrics.counter('lightbox_dicom_tls_refused_total', 'TLS handshakes refused', [
      'reason',
    ]);
    const countFull = metrics.counter(
      'lightbox_dicom_refused_total',
      'DICOM associations refused because too many were open, by the limit that was met',
      ['limit'],
    );
    const book = keep('rule book', await openRuleBook({ database, events, log }), (one) => one.close());
    const fromFile = await readRuleFile(config.rulesFile, { book, devices, log });
    const kept = keep(
      'archive',
      await openArchive({ config, database, events, log, coercer: book.coerce, sealing: true }),
      (one) => one.close(),
    );
    const returns = new Returns();
    const archive = { ...kept, ingest: watchReturns(meterIngest(kept.ingest, metrics), returns) };
    const renderer = keep(
      'renderer',
      createRenderer({ retrieve: archive.retrieve, log, dataDir: config.dataDir }),
      (one) => one.close(),
    );
    const commitments = keep(
      'commitments',
      await openCommitments({
        ...{ config, database, retrieve: archive.retrieve, devices, jobs, events, audit, log },
        port: commitmentPort(certificates, config.dicom.tls.profile),
      }),
      (one) => one.close(),
    );

    keep(
      'availability',
      announceAvailability({
        ...{ config, retrieve: archive.retrieve, devices, jobs, events, audit },
        tell: availabilityPort(config.dicom, certificates),
      }),
      (end) => end(),
    );
    const workitems = keep(
      'workitems',
      await openWorkitems({
        ...{ config, database, devices, jobs, events, audit, log },
        port: workitemPort(certificates, config.dicom.tls.profile),
      }),
      (one) => one.close(),
    );
    const { dataDir } = config;
    const imports = await openImports({
      ...{ database, ingest: archive.ingest, overlays: archive.overlays, room: archive.room, dataDir },
    });
    const exports = await openExports({ database, retrieve: archive.retrieve, renderer, dataDir, log });
    const asking = { config: config.dicom, certificates, devices };
    const carrying = { ...asking, archive, renderer, audit, log };
    const carrier = askAfterSending(eitherWay(dimseCarrier(carrying), webCarrier(carrying)), {
      ...{ commitments, log },
    });
    const transfers = createTransfers({
      ...{ config: config.transfers, database, events, jobs, devices, audit, carrier, log },
      retrieve: archive.retrieve,
    });
    const remote: Remote = {
      studies: (device, keys, limit, signal) =>
        (device.dicomweb ? web : dimseSearch).searchStudies(asking, device, keys, limit, signal),
      series: (device, studyUid, signal) =>
        (device.dicomweb ? web : dimseSearch).searchSeries(asking, device, studyUid, signal),
      adviceFor: (fault) => (fault.code.startsWith('DIMSE_') ? adviceFor(fault, aeTitle) : webAdvice(fault)),
    };
    const rules = createRules({
      ...{ database, events, book, devices, transfers, returns, audit, log, aeTitle, fromFile },
      ...{ retrieve: archive.retrieve, presence: archive.presence },
      archives: {
        studies: (device, patientId, signal) => remote.studies(device, { patientId }, MOST_PRIORS, signal),
        async bodyParts(device, studyUid, signal) {
          const series = await remote.series(device, studyUid, signal);
          return series.flatMap(({ bodyPart }) => (bodyPart === '' ? [] : [bodyPart]));
        },
        adviceFor: remote.adviceFor,
      },
    });

    const http = keep('http', await createHttp({ config, log }), (one) => one.close());
    metrics.watchHttp(http);
    guard(http, { sessions, audit, publicUrl });
    const dimse = keep(
      'dimse',
      await startDimseDoor({
        ...{
          config: config.dicom,
          archive,
          commitments,
          renderer,
          devices,
          certificates,
          identities,
          workitems,
        },
        ...{
          audit,
          log,
          tlsRefused: (reason) => countTls({ reason }),
          full: (limit) => countFull({ limit }),
        },
      }),
      (one) => one.close(),
    );
    const secret = await secretFor(database, 'DICOMweb');
    const served = { archive, renderer, audit, secret, log, spoolFolder: join(dataDir, 'incoming') };
    await http.register(dicomwebDoor, {
      ...{ ...served, prefix: '/dicom-web', commitments, allows },
      worklist: { workitems, stillAllowed: stillAllowed(sessions) },
    });
    await http.register(wadoUriDoor, { ...served, url: '/wado' });
    await apiDoor(http, {
      ...{
        config,
        archive,
        audit,
        auth,
        certificates,
        commitments,
        database,
        devices,
        events,
        exports,
        imports,
        keys,
        localAes,
        metrics,
        people,
        renderer,
        rules,
        sessions,
        throttle,
        transfers,
      },
      remote,
      echo: async (device) => {
        const dial = dialOf(device, aeTitle, certificates, config.dicom.tls.profile);
        if (!device.dicomweb) return echoDevice(device, aeTitle, dial);
        const byWeb = await tryService(asking, device);
        if (device.host === undefined || device.port === undefined) return byWeb;
        const byDimse = await echoDevice(device, aeTitle, dial);
        return {
          ok: byWeb.ok && byDimse.ok,
          milliseconds: byWeb.milliseconds + byDimse.milliseconds,
          diagnosis: `DICOMweb: ${byWeb.diagnosis} DIMSE: ${byDimse.diagnosis}`,
        };
      },
      dicomDoor: () => ({
        ...{
          port: dimse.port,
          tlsPort: dimse.tlsPort(),
          associations: dimse.associations(),
          listening: dimse.listening(),
        },
      }),
    });
    await webDoor(http);
    // The last to start, and so the first to stop: jobs work with all that stands above.
    keep('jobs', jobs, (one) => one.close());
    keep('transfers', transfers, (one) => one.close());
    keep('rules', rules, (one) => one.close());
    await jobs.start();
    transfers.start();
    rules.start();
    await listen(http, config);
    audit.record({ event: 'application.start', outcome: 'success', principal: SYSTEM });
    opened.push({
      name: 'trail',
      close: () => audit.record({ event: 'application.stop', outcome: 'success', principal: SYSTEM }),
    });
    const address = http.server.address();
    const port = typeof address === 'object' && address ? address.port : config.http.port;
    const url = publicUrl ?? `http://localhost:${port}`;
    const token = await people.setupToken();
    tellPerson(url, dimse.port, config, token);
    return { url, dicomPort: dimse.port, failed: archive.failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listen(http: Awaited<ReturnType<typeof createHttp>>, config: Config): Promise<void> {
  try {
    await http.listen({ host: config.http.host, port: config.http.port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new Fault('PORT_BUSY', { port: config.http.port, setting: 'LIGHTBOX_HTTP_PORT' }, { cause: error });
  }
}

/** To the terminal, beside the log: what a person needs to go on. */
function tellPerson(url: string, dicomPort: number, config: Config, token: string | undefined): void {
  const lines = [
    '',
    `  Lightbox is running at ${url}`,
    `  DICOM: AE title ${config.dicom.aeTitle}, port ${dicomPort}`,
    `  Data:  ${config.dataDir}`,
    ...(token === undefined ? [] : ['', '  Create the first administrator here:', `  ${url}/setup#${token}`]),
    '',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** A failure to start, in words for who started it. */
function tellFailure(error: unknown): void {
  const fault = asFault(error);
  const facts = Object.entries(fault.facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${String(value)}`);
  const why = fault.code === 'INTERNAL' && error instanceof Error ? `\n${error.stack ?? error.message}` : '';
  process.stderr.write(
    `Lightbox could not start: ${fault.row.meaning}${facts.length ? ` (${facts.join(', ')})` : ''} [${fault.code}]${why}\n`,
  );
}

/** Runs until a signal or a failed disk. The exit code is 0 after a signal, 1 after a failure. */
export async function main(): Promise<void> {
  process.umask(0o027);
  let running: Running;
  let log: Log;
  try {
    const config = loadConfig(process.env);
    log = createLog(config);
    running = await start(config, log);
  } catch (error) {
    tellFailure(error);
    process.exit(1);
  }
  const signal = new Promise<0>((settle) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => settle(0));
  });
  const code = await Promise.race([signal, running.failed.then(() => 1 as const)]);
  if (code === 1) log.fatal('the disk has failed: stopping');
  await running.stop();
  process.exit(code);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  await main();
