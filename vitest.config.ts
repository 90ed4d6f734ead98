import { defineConfig } from 'vitest/config';

/** These measure memory, wait for limits of time or kill the server: nothing else runs beside them in CI. */
const alone = [
  'conformance/{kill,seal-kill,large,database,full,hostile,dimse,upper-layer,operations}.test.ts',
  'conformance/*fuzz*.test.ts',
  'conformance/attacks-*.test.ts',
  'bench/**/*.test.ts',
];

const ci = process.env['CI'] === 'true';

/** One run for everything: unit tests beside the code, conformance tests against real peers. */
export default defineConfig({
  test: {
    testTimeout: 180_000,
    hookTimeout: 300_000,
    // Machines are shared: a condition that comes late is no failure.
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: [
            '{core,server,web}/src/**/*.test.{ts,tsx}',
            'conformance/**/*.test.ts',
            'tools/**/*.test.ts',
          ],
          exclude: alone,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          maxWorkers: ci ? 1 : 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
