import { describe, expect, it } from 'vitest';
import { parseResult, takeLines, totals, type UploadItem } from './uploads.ts';
import { isNoise } from './dropped.ts';

describe('upload answers (NDJSON)', () => {
  it('takes whole lines and leaves the torn one', () => {
    const first = takeLines('{"a":1}\n{"b"', 0);
    expect(first).toEqual({ lines: ['{"a":1}'], next: 8 });
    expect(takeLines('{"a":1}\n{"b":2}\n', first.next).lines).toEqual(['{"b":2}']);
  });
  it('gives nothing for a line of another form', () => {
    expect(parseResult('{"name":"x","status":"stored"}')).toEqual({ name: 'x', status: 'stored' });
    expect(parseResult('{"name":"x","status":"odd"}')).toBeUndefined();
    expect(parseResult('<html>')).toBeUndefined();
  });
  it('counts what was stored and what failed', () => {
    const file = { size: 10 } as File;
    const item = { id: 1, name: 'x', file, state: 'done', sentBytes: 0, results: [] } as const;
    const items: UploadItem[] = [
      { ...item, results: [parseResult('{"name":"a","status":"duplicate"}')!] },
      { ...item, results: [parseResult('{"name":"b","status":"quarantined"}')!] },
      { ...item, state: 'sending', sentBytes: 4 },
    ];
    expect(totals(items)).toEqual({ files: 3, finished: 2, bytes: 30, sentBytes: 24, stored: 1, failed: 1 });
  });
  it('knows the litter of operating systems', () => expect(isNoise('.DS_Store')).toBe(true));
});
