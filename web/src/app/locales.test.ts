/** What is wrong with rules is said in every language of the pages. */
import { PROBLEMS } from '@lightbox/core/translate/rules/types.ts';
import { expect, it } from 'vitest';
import de from './locales/de.json';
import en from './locales/en.json';

const places = (text: string): string[] =>
  [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '').sort();

it('in English in the same words as in the terminal', () => expect(en.rules.problems).toEqual(PROBLEMS));

it('in German for every problem, without facts that are not there', () => {
  expect(Object.keys(de.rules.problems).sort()).toEqual(Object.keys(PROBLEMS).sort());
  for (const [code, text] of Object.entries(de.rules.problems))
    for (const place of places(text))
      expect(places(PROBLEMS[code as keyof typeof PROBLEMS]), code).toContain(place);
});
