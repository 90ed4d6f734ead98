/**
 * Person names: up to three groups (alphabetic, ideographic, phonetic) of up to five components each.
 *
 * Source: PS3.5 §6.2.1 (PN), PS3.18 §F.2.2 (JSON form).
 * Layer:  core/dicom.
 */

/** The three component groups as DICOM JSON names them; absent when empty. */
export interface PersonNameGroups {
  Alphabetic?: string;
  Ideographic?: string;
  Phonetic?: string;
}

/** The five components of one group, in wire order; empty when absent. */
export interface NameComponents {
  readonly family: string;
  readonly given: string;
  readonly middle: string;
  readonly prefix: string;
  readonly suffix: string;
}

/** One PN value as its groups, trailing empty components and padding removed. Undefined when nothing is in it. */
export function parsePersonName(value: string): PersonNameGroups | undefined {
  const groups: PersonNameGroups = {};
  const [alphabetic, ideographic, phonetic] = value.split('=');
  if (alphabetic) {
    const text = trimGroup(alphabetic);
    if (text) groups.Alphabetic = text;
  }
  if (ideographic) {
    const text = trimGroup(ideographic);
    if (text) groups.Ideographic = text;
  }
  if (phonetic) {
    const text = trimGroup(phonetic);
    if (text) groups.Phonetic = text;
  }
  return (groups.Alphabetic ?? groups.Ideographic ?? groups.Phonetic) ? groups : undefined;
}

/** The PN value of the groups: `Alphabetic=Ideographic=Phonetic` without trailing delimiters. */
export function formatPersonName(groups: Readonly<PersonNameGroups>): string {
  const parts = [groups.Alphabetic ?? '', groups.Ideographic ?? '', groups.Phonetic ?? ''];
  while (parts.length && parts[parts.length - 1] === '') parts.pop();
  return parts.join('=');
}

/** One group split into its components, each without surrounding spaces. */
export function nameComponents(group: string): NameComponents {
  const [family = '', given = '', middle = '', prefix = '', suffix = ''] = group
    .split('^')
    .map((part) => part.trim());
  return { family, given, middle, prefix, suffix };
}

/** "Prefix Given Middle Family, Suffix" for people to read; ideographic and phonetic groups keep family name first. */
export function displayName(groups: Readonly<PersonNameGroups>): string {
  if (groups.Alphabetic) {
    const name = nameComponents(groups.Alphabetic);
    const text = [name.prefix, name.given, name.middle, name.family].filter(Boolean).join(' ');
    return name.suffix ? `${text}, ${name.suffix}` : text;
  }
  const name = nameComponents(groups.Ideographic ?? groups.Phonetic ?? '');
  return [name.family, name.middle, name.given].filter(Boolean).join(' ');
}

/** Spaces and empty components at the end carry no meaning (§6.2.1.1). */
function trimGroup(group: string): string {
  let end = group.length;
  while (end > 0 && (group[end - 1] === '^' || group[end - 1] === ' ')) end--;
  let start = 0;
  while (start < end && group[start] === ' ') start++;
  return group.slice(start, end);
}
