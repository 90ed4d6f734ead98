import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pages, ROOT } from './docs.ts';

it.each(Object.entries(await pages()))('%s says what the code says', (name, text) => {
  expect(readFileSync(join(ROOT, name), 'utf8')).toBe(text);
});
