/**
 * Which earlier studies of a patient are worth having here before somebody reads the new one.
 *
 * Layer:  core/translate. Who is asked and what is here already is told; nothing is looked up.
 */
import { dayOf } from './ranges.ts';
import { DEFAULTS, type PrefetchAction } from './types.ts';

/** The study that came. */
export interface PriorSubject {
  readonly studyUid: string;
  readonly patientId: string;
  readonly issuer: string;
  readonly birthDate: string;
  /** DA; empty: today's is taken. */
  readonly date: string;
  readonly modalities: readonly string[];
  readonly bodyParts: readonly string[];
}

/** A study that an archive has. */
export interface PriorStudy {
  readonly studyUid: string;
  readonly patientId: string;
  readonly issuer: string;
  readonly birthDate: string;
  readonly date: string;
  readonly description: string;
  readonly modalities: readonly string[];
  /** It is here as a whole. */
  readonly here: boolean;
  /** undefined: not asked for. */
  readonly bodyParts?: readonly string[] | undefined;
}

/** Why one is not fetched. */
export type Passed = 'same' | 'patient' | 'later' | 'older' | 'modality' | 'bodyPart' | 'here' | 'enough';

export interface ChosenPrior<P extends PriorStudy = PriorStudy> {
  readonly study: P;
  /** null: it is fetched. */
  readonly why: Passed | null;
}

const differ = (one: string, other: string): boolean => one !== '' && other !== '' && one !== other;

/** Whether it may be of the same patient: the same ID, and no issuer and no birth date that differ. */
export const isSamePatient = (
  one: Pick<PriorSubject, 'patientId' | 'issuer' | 'birthDate'>,
  other: Pick<PriorSubject, 'patientId' | 'issuer' | 'birthDate'>,
): boolean =>
  one.patientId !== '' &&
  one.patientId === other.patientId &&
  !differ(one.issuer, other.issuer) &&
  !differ(one.birthDate, other.birthDate);

/** Reasons that can be told without asking for series, in the order in which they are told. */
export function passedOver(
  { sameModality, modalities, newerThanMonths }: PrefetchAction,
  subject: PriorSubject,
  prior: PriorStudy,
  today: number,
): Passed | null {
  if (prior.studyUid === subject.studyUid) return 'same';
  if (!isSamePatient(subject, prior)) return 'patient';
  const of = dayOf(subject.date) ?? today;
  const day = dayOf(prior.date);
  if (day !== undefined && day > of) return 'later';
  if (newerThanMonths !== undefined && (day === undefined || day < monthsBefore(of, newerThanMonths)))
    return 'older';
  const wanted = modalities ?? ((sameModality ?? true) ? subject.modalities : undefined);
  // An archive that does not tell the modalities of a study leaves it open.
  if (wanted && prior.modalities.length > 0 && !prior.modalities.some((one) => wanted.includes(one)))
    return 'modality';
  return null;
}

/** All that were found, the newest first, each with why it is not fetched. One that is here already counts as one of `atMost`. */
export function choosePriors<P extends PriorStudy>(
  action: PrefetchAction,
  subject: PriorSubject,
  found: readonly P[],
  today: number,
): ChosenPrior<P>[] {
  const { atMost = DEFAULTS.atMost, sameBodyPart = false } = action;
  const newest = [...found].sort((a, b) => compare(b.date, a.date) || compare(a.studyUid, b.studyUid));
  let wanted = 0;
  return newest.map((study): ChosenPrior<P> => {
    const passed = passedOver(action, subject, study, today);
    if (passed) return { study, why: passed };
    const parts = study.bodyParts ?? [];
    // Nobody says what it shows: it may be the one that is looked for.
    if (
      sameBodyPart &&
      parts.length > 0 &&
      subject.bodyParts.length > 0 &&
      !parts.some((one) => subject.bodyParts.includes(one))
    )
      return { study, why: 'bodyPart' };
    if (wanted >= atMost) return { study, why: 'enough' };
    wanted += 1;
    return { study, why: study.here ? 'here' : null };
  });
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function monthsBefore(day: number, months: number): number {
  const date = new Date(day * 86_400_000);
  const wanted = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - months, 1);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - months + 1, 0)).getUTCDate();
  return wanted / 86_400_000 + Math.min(date.getUTCDate(), last) - 1;
}
