/**
 * Asking the rules about an object that comes in, and putting what they say over it.
 *
 * Source: PS3.4 §B.4.1.3 (coercion), §B.2.3 (B000H), PS3.18 §10.5.3 (Original Attributes in the answer).
 * Layer:  server/archive.
 */
import { correct } from '@lightbox/core/dicom/correct.ts';
import { checkEdits, applyEdits, editsJson } from '@lightbox/core/dicom/edits.ts';
import type { ParsedObject } from '@lightbox/core/dicom/parsed.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import type { Log } from '../../platform/log.ts';
import type { Coercer, Coercion, IngestOutcome, IngestSource } from '../types.ts';
import { correctionsOf, type Step } from './steps.ts';

export interface Coerced {
  /** As everything but the journal sees it. */
  readonly parsed: ParsedObject;
  readonly steps: readonly Step[] | undefined;
  /** What the sender is told. */
  told(receivedAt: Date): IngestOutcome['coerced'];
}

/** A rule that fails, or wants what may not be, changes nothing: the object is kept and served as it came, and the log says so. */
export function coerceObject(
  parts: { readonly coercer?: Coercer | undefined; readonly log: Log },
  parsed: ParsedObject,
  source: IngestSource,
): Coerced {
  const untouched: Coerced = { parsed, steps: undefined, told: () => undefined };
  if (!parts.coercer) return untouched;
  let coercion: Coercion | undefined;
  try {
    coercion = parts.coercer(parsed.dataSet, source);
    if (!coercion?.edits.length) return untouched;
    const { rules } = coercion;
    const edits = checkEdits(coercion.edits);
    const shown = { ...parsed, dataSet: applyEdits(parsed.dataSet, edits) };
    const from = source.kind === 'dimse' ? { source: source.by } : {};
    const steps: Step[] = [{ edits: editsJson(edits), reason: 'COERCE', rules, ...from }];
    const told = (receivedAt: Date): IngestOutcome['coerced'] => {
      const corrected = correct(parsed.dataSet, correctionsOf(steps, receivedAt));
      const original = corrected.elements.get(Tags.OriginalAttributesSequence);
      const before = parsed.dataSet.elements.get(Tags.OriginalAttributesSequence);
      // Rules that set what was there already changed nothing.
      return original && original !== before ? { rules, original } : undefined;
    };
    return { parsed: shown, steps, told };
  } catch (error) {
    parts.log.error(
      { err: error, rules: coercion?.rules },
      'a rule cannot be applied; the object is kept as it came',
    );
    return untouched;
  }
}
