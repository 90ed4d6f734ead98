/** DICOM values and sizes as people read them, in the language of the page. Layer: web/ui. */

/** DA (PS3.5 §6.2) `YYYYMMDD` in the language's short form; anything else is shown as it came. */
export function formatDate(value: string, language: string): string {
  const match = /^(\d{4})(\d{2})(\d{2})$/.exec(value);
  if (!match) return value;
  const [, year, month, day] = match;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return value;
  return new Intl.DateTimeFormat(dateLocale(language), {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    timeZone: 'UTC',
  }).format(date);
}

/** English without a country would be month first; an archive must not leave 03/04 open, so year first. */
const dateLocale = (language: string): string => (language.startsWith('en') ? 'sv-SE' : language);

/** TM (PS3.5 §6.2) `HHMMSS.ffffff` as `HH:MM`. */
export function formatTime(value: string): string {
  const match = /^(\d{2})(\d{2})/.exec(value);
  return match ? `${match[1]}:${match[2]}` : value;
}

export function formatInstant(value: string, language: string): string {
  const locale = language.startsWith('en') ? 'sv-SE' : language;
  return new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'medium' }).format(new Date(value));
}

export function formatBytes(bytes: number, language: string): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value)} ${units[unit] ?? ''}`;
}

export function formatNumber(value: number, language: string): string {
  return new Intl.NumberFormat(language).format(value);
}

export function formatDuration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return [days ? `${days} d` : '', days || hours ? `${hours} h` : '', `${minutes} min`]
    .filter(Boolean)
    .join(' ');
}

export interface NameGroups {
  readonly alphabetic: string;
  readonly ideographic?: string | undefined;
  readonly phonetic?: string | undefined;
}

/**
 * PN component groups (PS3.5 §6.2.1.1) as read: `Family^Given^Middle^Prefix^Suffix` becomes
 * "Family, Given Middle"; ideographic names keep family first without a comma.
 */
export function personName(name: NameGroups): { main: string; beside: string } {
  const alphabetic = westernName(name.alphabetic);
  const ideographic = (name.ideographic ?? '').split('^').filter(Boolean).join(' ');
  return alphabetic ? { main: alphabetic, beside: ideographic } : { main: ideographic, beside: '' };
}

function westernName(group: string): string {
  const [family = '', given = '', middle = '', prefix = '', suffix = ''] = group
    .split('^')
    .map((part) => part.trim());
  const first = [prefix, given, middle].filter(Boolean).join(' ');
  const last = [family, first].filter(Boolean).join(', ');
  return suffix ? `${last} ${suffix}` : last;
}
