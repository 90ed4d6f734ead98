/**
 * A command that was not given as it has to be. The text says what to do; exit code 2.
 *
 * Layer:  server/cli.
 */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
