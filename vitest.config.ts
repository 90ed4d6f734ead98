import { defineConfig } from 'vitest/config';

/** One run for everything: unit tests beside the code, conformance tests against real peers. */
export default defineConfig({
  test: {
    include: [
      '{core,server,web}/src/**/*.test.{ts,tsx}',
      'conformance/**/*.test.ts',
      'tools/**/*.test.ts',
      'bench/**/*.test.ts',
    ],
    testTimeout: 180_000,
    hookTimeout: 300_000,
    // Machines are shared: a condition that comes late is no failure.
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    // In CI one after the other: tests of memory, time limits and kill -9 do not share the machine with each other.
    maxWorkers: process.env['CI'] === 'true' ? 1 : 2,
  },
});
