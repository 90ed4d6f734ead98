/**
 * `npm run lightbox -- COMMAND`: the things one does from a terminal.
 *
 * Layer:  server/cli.
 */
import { parseArgs, type ParseArgsOptionDescriptor } from 'node:util';
import { asFault } from '@lightbox/core/base/fault.ts';
import { main as serve } from '../main.ts';
import { deidentifyFiles } from './deidentify.ts';
import { writeDemo } from './demo/demo.ts';
import { find } from './find.ts';
import { maintain } from './maintain.ts';
import { parsePeer } from './peer.ts';
import { FILES, Progress } from './progress.ts';
import { get, move, type RetrieveCommand } from './retrieve.ts';
import { rulesCommand } from './rules.ts';
import { send } from './send.ts';
import { type TlsArguments, TLS_HELP, tlsDialOf } from './tls.ts';
import { transfers } from './transfers.ts';
import { UsageError } from './usage.ts';

type Values = Readonly<Partial<Record<string, string | boolean>>>;

interface CliCommand {
  /** What follows the name of the command. */
  readonly usage: string;
  readonly meaning: string;
  /** More for `COMMAND --help`. */
  readonly help: string;
  readonly options: Readonly<Record<string, ParseArgsOptionDescriptor>>;
  /** @returns the exit code. */
  readonly run: (positionals: readonly string[], values: Values) => Promise<number>;
}

const string = { type: 'string' } as const;
const textOf = (value: string | boolean | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;
const DEFAULT_AE = 'LIGHTBOX';

function nothingMore(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError(`"${positionals[0]}" is one argument too many.`);
}

const TLS_OPTIONS = {
  tls: { type: 'boolean' },
  ...{ 'tls-ca': string, 'tls-cert': string, 'tls-key': string, 'tls-profile': string },
} as const;
const tlsOf = (values: Values): ReturnType<typeof tlsDialOf> =>
  tlsDialOf({
    ...{ tls: values['tls'] === true, ca: textOf(values['tls-ca']), key: textOf(values['tls-key']) },
    ...{ certificate: textOf(values['tls-cert']), profile: textOf(values['tls-profile']) },
  } satisfies TlsArguments);

const RETRIEVE_HELP = `  --level LEVEL       patient, study (default), series or image
  --root ROOT         patient or study (default: patient for the patient level, else study)
  --calling AE        our AE title, which the other side has to know (default ${DEFAULT_AE})
  --timeout SECONDS   for connecting and for each message (default 30)
${TLS_HELP}

Ends with 0 when everything that matched was retrieved, 1 when not.`;

const RETRIEVE_OPTIONS = {
  at: string,
  level: string,
  root: string,
  calling: string,
  timeout: string,
  ...TLS_OPTIONS,
};
const retrieveOptions = (values: Values): RetrieveCommand => {
  const { at, level, root, calling, timeout, syntax } = values;
  return {
    ...{ at: textOf(at), level: textOf(level), root: textOf(root), timeout: textOf(timeout) },
    ...{ calling: textOf(calling) ?? DEFAULT_AE, syntax: textOf(syntax), tls: tlsOf(values) },
  };
};

const COMMANDS: Readonly<Partial<Record<string, CliCommand>>> = {
  serve: {
    usage: '',
    meaning: 'run the server (the same as npm start)',
    help: 'Settings come from the environment: see docs/configuration.md.',
    options: {},
    async run(positionals) {
      nothingMore(positionals);
      await serve();
      return 0;
    },
  },
  send: {
    usage: 'PATH... --to AE@host:port [--from AE]',
    meaning: 'send DICOM files and folders by C-STORE',
    help: `PATH may be a file or a folder, read with all folders in it. Each object goes in the transfer syntax it has.

  --to AE@host:port   whom to send to
  --from AE           our AE title, which the other side has to know (default ${DEFAULT_AE})
${TLS_HELP}

Ends with 0 when every object was taken, 1 when not.`,
    options: { to: string, from: string, ...TLS_OPTIONS },
    run: (positionals, { to, from, ...values }) =>
      send(positionals, textOf(to), textOf(from) ?? DEFAULT_AE, tlsOf(values)),
  },
  find: {
    usage: '--at AE@host:port [--level LEVEL] KEY=VALUE...',
    meaning: 'search another program by C-FIND',
    help: `KEY is a keyword or a tag: PatientName=Smith*, StudyDate=20260101-20260131, 0010,0020=4711.
A KEY without a value is shown as one more column.

  --at AE@host:port   whom to ask
  --level LEVEL       patient, study (default), series or image
  --root ROOT         patient or study (default: patient for the patient level, else study)
  --calling AE        our AE title, which the other side has to know (default ${DEFAULT_AE})
  --limit N           stop after N matches (C-CANCEL)
  --timeout SECONDS   for connecting and for each answer (default 30)
  --json              DICOM JSON (PS3.18 Annex F) instead of a table
${TLS_HELP}

Ends with 0 when the search was answered, also without a match; 1 when not.`,
    options: {
      ...{ at: string, level: string, root: string, calling: string, limit: string, timeout: string },
      ...{ json: { type: 'boolean' }, ...TLS_OPTIONS },
    },
    run: (positionals, { at, level, root, calling, limit, timeout, json, ...values }) =>
      find(positionals, {
        ...{
          tls: tlsOf(values),
          at: textOf(at),
          level: textOf(level),
          root: textOf(root),
          limit: textOf(limit),
        },
        ...{ timeout: textOf(timeout), calling: textOf(calling) ?? DEFAULT_AE, json: json === true },
      }),
  },
  get: {
    usage: '--at AE@host:port --into FOLDER [--level LEVEL] KEY=VALUE...',
    meaning: 'get objects of another program by C-GET as files',
    help: `KEY is the unique key of the level, and those above it that the other side may want: PatientID, StudyInstanceUID,
SeriesInstanceUID, SOPInstanceUID. Several UIDs: StudyInstanceUID='1.2\\1.3'. Ctrl-C cancels.

  --at AE@host:port   whom to ask
  --into FOLDER       where to write them, each as SOPInstanceUID.dcm
  --syntax UID,UID    transfer syntaxes to take (default: uncompressed, which not every archive can make of what it keeps)
${RETRIEVE_HELP}`,
    options: { ...RETRIEVE_OPTIONS, into: string, syntax: string },
    run: (positionals, { into, ...values }) => get(positionals, textOf(into), retrieveOptions(values)),
  },
  move: {
    usage: '--at AE@host:port --to AE [--level LEVEL] KEY=VALUE...',
    meaning: 'have another program send objects to a third by C-MOVE',
    help: `KEY as for get. Ctrl-C cancels.

  --at AE@host:port   whom to ask
  --to AE             where to send them: an AE title that program knows, ours for example
${RETRIEVE_HELP}`,
    options: { ...RETRIEVE_OPTIONS, to: string },
    run: (positionals, { to, ...values }) => move(positionals, textOf(to), retrieveOptions(values)),
  },
  transfers: {
    usage: '[list | show ID | retry ID... | cancel ID...]',
    meaning: 'see and change what a running server sends and fetches',
    help: `LIGHTBOX_API_KEY has to be an API key with the right transfer.manage, from the page API keys.

  list                the newest first (the default)
  show ID             one, with the objects that were refused
  retry ID            once more and at once, with what was refused
  cancel ID           not any more; a failed one is put away by it

  --server URL        where the server is (default http://localhost:8080)
  --state STATE,STATE queued, running, waiting, done, failed, cancelled
  --limit N           so many at most (default 50, at most 200)
  --json              JSON instead of a table

Ends with 0 when the server did it, 1 when not.`,
    options: { server: string, state: string, limit: string, json: { type: 'boolean' } },
    run: (positionals, { server, state, limit, json }) =>
      transfers(positionals, {
        ...{ server: textOf(server), state: textOf(state), limit: textOf(limit), json: json === true },
        key: process.env['LIGHTBOX_API_KEY'],
      }),
  },
  demo: {
    usage: 'FOLDER [--to AE@host:port] [--from AE]',
    meaning: 'write synthetic studies as files, and send them',
    help: `The studies are made by a computer and show nobody.

  --to AE@host:port   also send them there
  --from AE           our AE title (default ${DEFAULT_AE})`,
    options: { to: string, from: string },
    async run([folder, ...more], { to, from }) {
      if (folder === undefined) throw new UsageError('Name a folder for the files.');
      nothingMore(more);
      if (to !== undefined) parsePeer('--to', textOf(to));
      const progress = new Progress('Writing', FILES);
      const count = await writeDemo(folder, (done, total) => progress.set(done, total));
      progress.end();
      console.log(`${count} files written to ${folder}`);
      return to === undefined ? 0 : send([folder], textOf(to), textOf(from) ?? DEFAULT_AE);
    },
  },
  deidentify: {
    usage: 'IN... OUT [--options NAME,NAME] [--rectangles L,T,W,H;L,T,W,H] [--pixels-reviewed]',
    meaning: 'write files anew without who they show (PS3.15 Annex E)',
    help: `IN are files and folders, OUT the folder for the new files. LIGHTBOX_DEIDENTIFY_KEY has to be a secret text: with the same
one the same patient always becomes the same other. docs/de-identification.md says what each option does.

  --options NAMES        options beside the Basic Profile, with commas between them
  --rectangles LIST      left,top,width,height in pixels to blacken, with semicolons between them
  --pixels-reviewed      somebody has looked at the pixels of all these files and found no names

Ends with 0 when every file was written, 1 when not.`,
    options: { options: string, rectangles: string, 'pixels-reviewed': { type: 'boolean' } },
    run: (paths, { options, rectangles, 'pixels-reviewed': reviewed }) =>
      deidentifyFiles({
        ...{ paths, pixelsReviewed: reviewed === true, key: process.env['LIGHTBOX_DEIDENTIFY_KEY'] },
        options: textOf(options)?.split(',') ?? [],
        rectangles: textOf(rectangles)?.split(';') ?? [],
      }),
  },
  rules: {
    usage: 'check FILE | export [FILE] | import FILE [--comment TEXT] | diff FILE [FILE]',
    meaning: 'look at, compare, take out and put in the file of rules',
    help: `docs/rules.md says what may be in it.

  check FILE          what is wrong with it, and what to write instead
  export [FILE]       the rules in force, to FILE or to the terminal
  import FILE         a new version, in force at once, when nothing is wrong with it
  diff FILE [FILE]    what FILE would change in the rules in force; or what the second one changes in the first

export, import and diff with one file need the server stopped, unless DATABASE_URL names the database.

  --comment TEXT      what is changed, and why

Ends with 1 when a file has mistakes, or the two of diff differ.`,
    options: { comment: string },
    run: (positionals, { comment }) => rulesCommand(positionals, textOf(comment)),
  },
  verify: {
    usage: '[--head HEAD]',
    meaning: 'hash every kept object and the audit trail again (server stopped)',
    help: `  --head HEAD   what an earlier verify, or the log, said of the audit trail

Ends with 1 when something is damaged, missing or not indexed, or the audit trail does not hold.`,
    options: { head: string },
    run(positionals, { head }) {
      nothingMore(positionals);
      return maintain('verify', textOf(head));
    },
  },
  reindex: {
    usage: '',
    meaning: 'make the index again from what is kept (server stopped)',
    help: 'Nothing that was kept is changed. Searches find nothing until it is done.',
    options: {},
    run(positionals) {
      nothingMore(positionals);
      return maintain('reindex');
    },
  },
};

const RUN = 'npm run lightbox --';

function overview(): string {
  const lines = Object.entries(COMMANDS).map(
    ([name, command]) => `  ${name} ${command?.usage ?? ''}\n      ${command?.meaning ?? ''}`,
  );
  return `Usage: ${RUN} COMMAND\n\n${lines.join('\n')}\n\n${RUN} COMMAND --help says more.`;
}

const usageOf = (name: string, { usage }: CliCommand): string => `Usage: ${RUN} ${name} ${usage}`.trimEnd();

async function run(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(overview());
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    console.error(`There is no command "${name}".\n\n${overview()}`);
    return 2;
  }
  try {
    const { positionals, values } = parse(rest, command);
    if (values['help'] === true) {
      console.log(`${usageOf(name, command)}\n\n${command.meaning}\n\n${command.help}`);
      return 0;
    }
    return await command.run(positionals, values);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${usageOf(name, command)}\n${RUN} ${name} --help says more.`);
    return 2;
  }
}

/** @throws UsageError in the words of Node, which name the option. */
function parse(args: string[], command: CliCommand): { positionals: string[]; values: Values } {
  try {
    const help = { type: 'boolean', short: 'h' } as const;
    const { positionals, values } = parseArgs({
      ...{ args, allowPositionals: true, options: { ...command.options, help } },
    });
    return { positionals, values: values as Values };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const fault = asFault(error);
  const why = fault.code === 'INTERNAL' && error instanceof Error ? `: ${error.message}` : '';
  console.error(`${fault.row.meaning} [${fault.code}]${why}`);
  process.exitCode = 1;
}
