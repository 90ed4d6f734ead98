// Imports go down only (law 4). Reads layers.json, walks every TypeScript file of the three packages and
// reports each import that goes up, goes sideways in a row, or crosses packages in a way the house forbids.
// Usage: node tools/layers.mjs [root]
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

const root = resolve(process.argv[2] ?? '.');
const layers = JSON.parse(readFileSync(join(root, 'layers.json'), 'utf8'));
const mayUse = { core: [], server: ['core'], web: ['core'] };

function* sources(dir) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (name === 'node_modules' || name === 'dist') continue;
    if (statSync(path).isDirectory()) yield* sources(path);
    else if (/\.tsx?$/.test(name) && !/\.test\.tsx?$/.test(name) && !name.endsWith('.d.ts')) yield path;
  }
}

/** The row of a file below a package's src folder, or undefined when the file is in no declared layer. */
function place(pkg, inside) {
  const rows = layers[pkg];
  const parts = inside.replace(/\.tsx?$/, '').split(sep);
  for (const [row, names] of rows.entries()) {
    for (const name of names) {
      if (name === parts[0] || name === parts.slice(0, 2).join('/')) return { row, name };
    }
  }
  return undefined;
}

const specifiers =
  /(?:^|[^.\w])(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|import\s*\(\s*['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|import\.meta\.resolve\(\s*['"]([^'"]+)['"]|new URL\(\s*['"](\.[^'"]+\.tsx?)['"]/gm;
const faults = [];
let files = 0;

for (const pkg of Object.keys(layers)) {
  const src = join(root, pkg, 'src');
  try {
    statSync(src);
  } catch {
    continue;
  }
  for (const file of sources(src)) {
    files += 1;
    const here = place(pkg, relative(src, file));
    const shown = relative(root, file);
    if (!here) {
      faults.push(`${shown}: is in no layer of layers.json`);
      continue;
    }
    for (const match of readFileSync(file, 'utf8').matchAll(specifiers)) {
      const target = match[1] ?? match[2] ?? match[3] ?? match[4] ?? match[5];
      const other = /^@lightbox\/(\w+)\//.exec(target)?.[1];
      if (other && other !== pkg) {
        if (!mayUse[pkg].includes(other))
          faults.push(`${shown}: ${pkg} must not import ${other} ('${target}')`);
        continue;
      }
      if (pkg === 'core' && target.startsWith('node:')) faults.push(`${shown}: core is pure, no '${target}'`);
      if (!target.startsWith('.')) continue;
      const path = resolve(dirname(file), target);
      if (relative(src, path).startsWith('..')) {
        faults.push(`${shown}: leaves its package ('${target}')`);
        continue;
      }
      const there = place(pkg, relative(src, path));
      if (!there || there.name === here.name) continue;
      if (there.row > here.row) faults.push(`${shown}: ${here.name} imports up into ${there.name}`);
      else if (there.row === here.row)
        faults.push(`${shown}: ${here.name} imports its sibling ${there.name}`);
    }
  }
}

for (const fault of faults) console.error(fault);
console.log(`layers: ${files} files, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
