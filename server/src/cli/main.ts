/**
 * `npm run lightbox -- COMMAND`: the things one does from a terminal.
 *
 * Layer:  server/cli.
 */
import { parseArgs } from 'node:util';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import { main as serve } from '../main.ts';
import { writeDemo } from './demo.ts';
import { maintain } from './maintain.ts';
import { send } from './send.ts';

const USAGE = `Usage: npm run lightbox -- COMMAND

  serve                              run the server (the same as npm start)
  send PATH... --to AE@host:port     send DICOM files and folders [--from AE]
  demo FOLDER [--to AE@host:port]    write synthetic studies as files, and send them
  verify [--head HEAD]               hash every kept object and the audit trail again (server stopped);
                                     HEAD: what an earlier verify, or the log, said
  reindex                            make the index again from what is kept (server stopped)
`;

async function run(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      to: { type: 'string' },
      head: { type: 'string' },
      from: { type: 'string', default: 'LIGHTBOX' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [command, ...rest] = positionals;
  if (values.help || command === undefined) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  switch (command) {
    case 'serve':
      await serve();
      return 0;
    case 'send':
      return send(rest, values.to, values.from);
    case 'demo': {
      const [folder] = rest;
      if (folder === undefined) throw new Fault('BAD_REQUEST', { what: 'name a folder' });
      console.log(`${await writeDemo(folder)} files written to ${folder}`);
      return values.to === undefined ? 0 : send([folder], values.to, values.from);
    }
    case 'verify':
    case 'reindex':
      return maintain(command, values.head);
    default:
      console.error(`There is no command "${command}".\n\n${USAGE}`);
      return 2;
  }
}

try {
  process.exitCode = await run();
} catch (error) {
  const fault = asFault(error);
  const why = fault.code === 'INTERNAL' && error instanceof Error ? `: ${error.message}` : '';
  console.error(`${fault.row.meaning} [${fault.code}]${why}`);
  process.exitCode = 1;
}
