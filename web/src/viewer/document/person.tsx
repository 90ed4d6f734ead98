/** A PN value, all its scripts, each in its own direction. Layer: web/viewer. */
import { personName } from '../../ui/format.ts';

export function Person({ value }: { value: string }) {
  const [alphabetic = '', ideographic] = value.split('=');
  const { main, beside } = personName({ alphabetic, ideographic });
  return (
    <>
      <bdi>{main || value || '–'}</bdi>
      {beside ? (
        <>
          {' · '}
          <bdi>{beside}</bdi>
        </>
      ) : null}
    </>
  );
}
