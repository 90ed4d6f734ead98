// `npm start`: builds the web application when its sources are newer than the last build, then runs the server
// in this same process so that Ctrl-C and SIGTERM reach it directly.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** True when web/dist is absent or older than what it is built from. */
export function webIsStale() {
  const built = join(root, 'web/dist/index.html');
  if (!existsSync(built)) return true;
  const sources = [
    'web/src',
    'web/index.html',
    'web/vite.config.ts',
    'web/public',
    'web/package.json',
    'core/src/contract',
    'package-lock.json',
  ];
  return sources.some(
    (name) => existsSync(join(root, name)) && newest(join(root, name)) > statSync(built).mtimeMs,
  );
}

export function buildWeb() {
  console.log('Building the web application (once, about half a minute)…');
  const built = spawnSync(
    process.execPath,
    [join(root, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'],
    {
      cwd: join(root, 'web'),
      stdio: 'inherit',
    },
  );
  if (built.status !== 0) {
    console.error('The web application could not be built; see the lines above.');
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (Number(process.versions.node.split('.')[0]) < 24) {
    console.error('Start with `npm start`: it uses the Node 24 that `npm ci` installed.');
    process.exit(1);
  }
  if (webIsStale()) buildWeb();
  const { main } = await import('../server/src/main.ts');
  await main();
}
