import { describe, expect, it } from 'vitest';
import { FILES, MEGABYTES, type Output, Progress } from './progress.ts';

function outputOf(isTTY: boolean): Output & { text: string } {
  return {
    ...{ isTTY, columns: 80, text: '' },
    write(text) {
      this.text += text;
    },
  };
}

describe('progress', () => {
  it('is a bar in a terminal, drawn over itself and taken away', () => {
    const out = outputOf(true);
    let now = 0;
    const progress = new Progress('Sending', FILES, out, () => now);
    progress.set(0, 30);
    now = 5000;
    progress.set(15, 30);
    progress.end();
    expect(out.text.split('\r\x1b[K').filter(Boolean)).toEqual([
      'Sending [------------------------------] 0 % (0 of 30 files)',
      'Sending [###############---------------] 50 % (15 of 30 files, 5 s left)',
    ]);
    expect(out.text.endsWith('\r\x1b[K')).toBe(true);
  });

  it('is drawn ten times a second at most, and never wraps', () => {
    const out = outputOf(true);
    let now = 0;
    const progress = new Progress('x'.repeat(200), FILES, out, () => now);
    for (; now < 1000; now += 1) progress.set(now, 1000);
    const drawn = out.text.split('\r\x1b[K').filter(Boolean);
    expect(drawn).toHaveLength(10);
    expect(Math.max(...drawn.map((line) => line.length))).toBeLessThan(80);
  });

  it('is a line every ten seconds in a file, none for short work', () => {
    const out = outputOf(false);
    let now = 0;
    const progress = new Progress('Verifying', MEGABYTES, out, () => now);
    for (; now < 25_000; now += 100) progress.set(now * 1000, 50_000_000);
    progress.end();
    expect(out.text).toBe(
      'Verifying: 20 % (10 of 50 MB, 40 s left)\nVerifying: 40 % (20 of 50 MB, 30 s left)\n',
    );
  });

  it('makes room for what has to be read', () => {
    const out = outputOf(true);
    const progress = new Progress('Sending', FILES, out, () => 0);
    progress.set(1, 2);
    progress.note('a.dcm: refused');
    expect(out.text.endsWith('\r\x1b[Ka.dcm: refused\n')).toBe(true);
  });
});
