/** The viewer's keys: one table for the help and for the hands. Layer: web/viewer. */
import type { ToolName } from '../engine/tools.ts';
import type { GreyChoice } from '../engine/voi.ts';

/** Keys and the text that says what they do. */
export const KEYS: readonly (readonly [string, string])[] = [
  ['↑ ↓', 'scroll'],
  ['PageUp PageDown', 'scrollTen'],
  ['Home End', 'ends'],
  ['W', 'tool.window'],
  ['S', 'tool.scroll'],
  ['P', 'tool.pan'],
  ['Z', 'tool.zoom'],
  ['L', 'tool.length'],
  ['A', 'tool.angle'],
  ['E', 'tool.ellipse'],
  ['Delete', 'erase'],
  ['1 – 9', 'windowKeys'],
  ['I', 'invert'],
  ['R', 'rotate'],
  ['H', 'flip'],
  ['F', 'fit'],
  ['+ −', 'zoomKeys'],
  ['0', 'reset'],
  ['C', 'cine'],
  ['[ ]', 'rateKeys'],
  ['O', 'overlays'],
  ['Tab', 'nextCell'],
  ['Esc', 'close'],
  ['?', 'help'],
];

export const TOOL_KEYS: Readonly<Record<string, ToolName>> = {
  w: 'window',
  s: 'scroll',
  p: 'pan',
  z: 'zoom',
  l: 'length',
  a: 'angle',
  e: 'ellipse',
};

/**
 * The digit of a choice. Usual windows have theirs always, whatever windows a file brings: a hand that learned "2 is lung"
 * must not get another one. Without usual windows the digits count through all choices.
 */
export function greyKey(choices: readonly GreyChoice[], choice: GreyChoice): string {
  const usual = choices.filter(({ kind }) => kind === 'window');
  const at = (usual.length ? usual : choices).indexOf(choice);
  return at >= 0 && at < 9 ? String(at + 1) : '';
}

export const greyOfKey = (choices: readonly GreyChoice[], key: string): GreyChoice | undefined =>
  /^[1-9]$/.test(key) ? choices.find((choice) => greyKey(choices, choice) === key) : undefined;
