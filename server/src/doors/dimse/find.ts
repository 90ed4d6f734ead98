/**
 * C-FIND: one search of a peer, answered match by match until the end or until it is cancelled.
 *
 * Source: PS3.4 §C.4.1 (C-FIND), §C.2.2.2 (matching), Tables C.6-1 to C.6-5 (keys by level), PS3.7 §9.1.2.
 * Layer:  server/doors/dimse.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { dataSetOf, makeElement } from '@lightbox/core/dicom/element.ts';
import type { DataSet, Element } from '@lightbox/core/dicom/data-set.ts';
import { type DicomJson, fromJson } from '@lightbox/core/dicom/json.ts';
import { combineMoments, matchKeysOf } from '@lightbox/core/dicom/matching.ts';
import { readDataSet } from '@lightbox/core/dicom/read.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { text, texts } from '@lightbox/core/dicom/values.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { PATIENT_ROOT_FIND } from '@lightbox/core/dimse/negotiate.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import type { ArchiveQuery, Level } from '../../archive/types.ts';
import type { DoorParts } from './door.ts';
import { type Found, SearchTask } from './search-task.ts';
import type { Request } from './services.ts';

const LEVELS: Readonly<Partial<Record<string, Level>>> = {
  ...{ PATIENT: 'patient', STUDY: 'study', SERIES: 'series', IMAGE: 'instance' },
};
/** Unique keys of the levels (PS3.4 §C.6.1.1, §C.6.2.1), highest first. */
const UNIQUE: Readonly<Record<Level, number>> = {
  patient: Tags.PatientID,
  study: Tags.StudyInstanceUID,
  series: Tags.SeriesInstanceUID,
  instance: Tags.SOPInstanceUID,
};
const UTF_8 = 'ISO_IR 192';

export class FindTask extends SearchTask {
  readonly #identifier: Uint8Array;

  constructor(parts: DoorParts, request: Request, identifier: Uint8Array) {
    super(parts, request);
    this.#identifier = identifier;
  }

  protected async search(found: Found): Promise<void> {
    const { archive } = this.parts;
    const { context, answer, peer } = this.request;
    const identifier = this.#read();
    const query = this.#query(identifier);
    found.keys = query.keys
      .filter(({ kind }) => kind !== 'universal')
      .map(({ tag }) => tag.toString(16).padStart(8, '0'))
      .join(' ');
    const wanted = wantedOf(identifier);
    const supported = archive.query.unsupported(query.level, query.keys).every((tag) => ANSWERED.has(tag));
    const status = supported ? STATUS.pending : STATUS.pendingWarning;
    for await (const match of archive.query.stream(query)) {
      if (this.signal.aborted) return;
      found.matches += 1;
      const dataSet = answerOf(match.attributes, identifier, wanted, peer.localAe);
      await answer(status, { dataSet: writeDataSet(dataSet, context.transferSyntax) });
    }
  }

  #read(): DataSet {
    return readDataSet(this.#identifier, this.request.context.transferSyntax, {
      limits: { depth: 8, elements: 2000, items: 200, headerBytes: this.#identifier.length * 2 },
      keepBytes: this.#identifier.length,
    }).dataSet;
  }

  #query(identifier: DataSet): ArchiveQuery {
    const { negotiated } = this.request.peer;
    const sopClass = this.request.context.abstractSyntax;
    const level = LEVELS[text(identifier, Tags.QueryRetrieveLevel) ?? ''];
    const patientRoot = sopClass === PATIENT_ROOT_FIND;
    if (!level || (level === 'patient' && !patientRoot)) throw new Fault('QUERY_KEY', { what: 'level' });
    const levels = (['patient', 'study', 'series', 'instance'] as const).slice(patientRoot ? 0 : 1);
    if (!negotiated.relational.has(sopClass)) {
      // Baseline: the unique keys of every level above are there, with one value each (PS3.4 §C.4.1.2.1).
      for (const above of levels.slice(0, levels.indexOf(level))) {
        const values = texts(identifier, UNIQUE[above]).filter((value) => value !== '');
        if (values.length !== 1) throw new Fault('QUERY_KEY', { what: `unique key of the ${above} level` });
      }
    }
    const keys = matchKeysOf(identifier, {
      emptyValues: negotiated.emptyValues.has(sopClass),
      multipleValues: negotiated.multipleValues.has(sopClass),
    });
    return {
      level,
      keys: negotiated.combinedDateTime.has(sopClass) ? combineMoments(keys) : keys,
      include: [...identifier.elements.keys()],
      fuzzy: negotiated.fuzzy.has(sopClass),
      signal: this.signal,
    };
  }
}

/** Answered by the door itself. */
const ANSWERED: ReadonlySet<number> = new Set([Tags.RetrieveAETitle]);

/** Tags that were asked for; Specific Character Set and the level are answered anyway. */
const wantedOf = (identifier: DataSet): ReadonlySet<number> =>
  new Set([...identifier.elements.keys()].filter((tag) => (tag & 0xffff) !== 0));

/** The match as an identifier: what was asked for, empty where nothing is known (PS3.4 §C.4.1.1.3.2). */
function answerOf(
  attributes: DicomJson,
  identifier: DataSet,
  wanted: ReadonlySet<number>,
  aeTitle: string,
): DataSet {
  const json: DicomJson = {};
  for (const [tag, element] of Object.entries(attributes)) {
    if (wanted.has(Number.parseInt(tag, 16))) json[tag] = element;
  }
  const found = fromJson(json);
  const elements = new Map<number, Element>(found.elements);
  for (const tag of wanted) {
    const asked = identifier.elements.get(tag);
    if (elements.has(tag) || !asked) continue;
    elements.set(tag, asked.items || asked.vr === 'SQ' ? { tag, vr: 'SQ', items: [] } : emptyOf(asked));
  }
  const level = identifier.elements.get(Tags.QueryRetrieveLevel);
  if (level) elements.set(Tags.QueryRetrieveLevel, level);
  elements.set(Tags.RetrieveAETitle, makeElement(Tags.RetrieveAETitle, aeTitle));
  if ([...elements.values()].some(hasOther)) {
    elements.set(Tags.SpecificCharacterSet, makeElement(Tags.SpecificCharacterSet, UTF_8));
  } else elements.delete(Tags.SpecificCharacterSet);
  return dataSetOf(elements.values(), [UTF_8]);
}

const emptyOf = ({ tag, vr }: Element): Element => ({ tag, vr, bytes: new Uint8Array(0) });

/** Text beyond ASCII somewhere. */
const hasOther = (element: Element): boolean =>
  element.items?.some((item) => [...item.elements.values()].some(hasOther)) ??
  element.bytes?.some((byte) => byte > 0x7f) ??
  false;
