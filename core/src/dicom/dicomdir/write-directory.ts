/**
 * The directory of a medium: the file DICOMDIR, which says what is on it without opening every file.
 *
 * Source: PS3.3 Annex F (Basic Directory), PS3.10 §8 (File-sets, File IDs, the DICOMDIR in Explicit VR Little Endian).
 * Layer:  core/dicom. Objects are given one after the other; only their records stay in memory, about 1 KB each.
 */
import { Fault } from '../../base/fault.ts';
import type { DataSet, Element } from '../data-set.ts';
import { dataSetOf, makeElement } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { EXPLICIT_LE } from '../transfer-syntax.ts';
import { text, uidValue } from '../values.ts';
import { elementHeader, writeDataSet, writeFileMeta } from '../write.ts';
import { objectKeys, PATIENT_KEYS, recordElements, recordType, SERIES_KEYS, STUDY_KEYS } from './records.ts';

/** Media Storage Directory Storage (PS3.4 Annex I). */
export const DIRECTORY_SOP_CLASS = '1.2.840.10008.1.3.10';

/** PS3.10 §8.2: at most 8 components of at most 8 characters out of A-Z, 0-9 and _. */
const COMPONENT = /^[A-Z0-9_]{1,8}$/;
const MAX_COMPONENTS = 8;
/** (0004,1410): the record is in use (§F.3.2.2). */
const IN_USE = 0xffff;
const ITEM_HEADER = 8;

export interface DirectoryFile {
  readonly fileId: readonly string[];
  readonly transferSyntaxUid: string;
}

interface Node {
  readonly elements: readonly Element[];
  readonly charsets: readonly string[];
  readonly next: Element;
  readonly lower: Element;
  readonly children: Map<string, Node>;
}

export class DirectoryWriter {
  readonly #root = new Map<string, Node>();
  #records = 0;

  /** Records so far, of all levels. */
  get records(): number {
    return this.#records;
  }

  /**
   * Enters one object.
   *
   * @param ds    Its header; pixel data is not looked at.
   * @throws Fault DICOM_UID without SOP class, instance, study or series; MEDIA_FILE_ID for a name that is not allowed.
   */
  add(ds: DataSet, { fileId, transferSyntaxUid }: DirectoryFile): void {
    checkFileId(fileId);
    const sopClassUid = uidValue(ds, Tags.SOPClassUID);
    const sopUid = uidValue(ds, Tags.SOPInstanceUID);
    const studyUid = uidValue(ds, Tags.StudyInstanceUID);
    const seriesUid = uidValue(ds, Tags.SeriesInstanceUID);
    if (!sopClassUid || !sopUid || !studyUid || !seriesUid) throw new Fault('DICOM_UID');
    const patient = this.#child(this.#root, patientKey(ds, studyUid), (ordinal) =>
      node('PATIENT', ds, recordElements(ds, PATIENT_KEYS, { ordinal })),
    );
    const study = this.#child(patient.children, studyUid, (ordinal) =>
      node('STUDY', ds, recordElements(ds, STUDY_KEYS, { ordinal })),
    );
    const series = this.#child(study.children, seriesUid, (ordinal) =>
      node('SERIES', ds, recordElements(ds, SERIES_KEYS, { ordinal })),
    );
    const type = recordType(sopClassUid);
    this.#child(series.children, fileId.join('/'), (ordinal) =>
      node(type, ds, [
        ...(type === 'PRIVATE' ? [makeElement(Tags.PrivateRecordUID, sopClassUid)] : []),
        makeElement(Tags.ReferencedFileID, [...fileId]),
        makeElement(Tags.ReferencedSOPClassUIDInFile, sopClassUid),
        makeElement(Tags.ReferencedSOPInstanceUIDInFile, sopUid),
        makeElement(Tags.ReferencedTransferSyntaxUIDInFile, transferSyntaxUid),
        ...recordElements(ds, objectKeys(type), { ordinal }),
      ]),
    );
  }

  #child(siblings: Map<string, Node>, key: string, make: (ordinal: number) => Node): Node {
    const known = siblings.get(key);
    if (known) return known;
    const made = make(siblings.size + 1);
    siblings.set(key, made);
    this.#records += 1;
    return made;
  }

  /**
   * The whole file. Records stand in the order of reading: each patient, its studies, their series, their objects.
   *
   * @throws Fault DICOM_LENGTH beyond 4 GiB, which offsets cannot reach.
   */
  write(options: { readonly fileSetId: string; readonly sopInstanceUid: string }): Uint8Array {
    const { fileSetId, sopInstanceUid } = options;
    const meta = writeFileMeta({
      ...{ sopClassUid: DIRECTORY_SOP_CLASS, sopInstanceUid, transferSyntaxUid: EXPLICIT_LE },
    });
    const first = offsetElement(Tags.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity);
    const last = offsetElement(Tags.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity);
    const head = (): Uint8Array =>
      writeDataSet(
        dataSetOf([
          makeElement(Tags.FileSetID, fileSetId),
          first,
          last,
          makeElement(Tags.FileSetConsistencyFlag, 0),
        ]),
        EXPLICIT_LE,
      );
    // The tag and length of the sequence itself, whose items are in `records`.
    const start =
      meta.length + head().length + elementHeader(Tags.DirectoryRecordSequence, 'SQ', 0, EXPLICIT_LE).length;
    const order: Node[] = [];
    const at = new Map<Node, number>();
    let end = start;
    const place = (siblings: ReadonlyMap<string, Node>): void => {
      for (const one of siblings.values()) {
        at.set(one, end);
        order.push(one);
        end += ITEM_HEADER + bytesOf(one).length;
        place(one.children);
      }
    };
    place(this.#root);
    if (end > 0xffffffff) throw new Fault('DICOM_LENGTH');
    const link = (siblings: ReadonlyMap<string, Node>): void => {
      const all = [...siblings.values()];
      all.forEach((one, index) => {
        const next = all[index + 1];
        const [lower] = one.children.values();
        setOffset(one.next, next ? at.get(next) : 0);
        setOffset(one.lower, lower ? at.get(lower) : 0);
        link(one.children);
      });
    };
    link(this.#root);
    const roots = [...this.#root.values()];
    setOffset(first, roots[0] ? at.get(roots[0]) : 0);
    setOffset(last, roots.length ? at.get(roots.at(-1)!) : 0);

    const out = new Uint8Array(end);
    let filled = 0;
    const put = (bytes: Uint8Array): void => {
      out.set(bytes, filled);
      filled += bytes.length;
    };
    put(meta);
    put(head());
    put(elementHeader(Tags.DirectoryRecordSequence, 'SQ', end - start, EXPLICIT_LE));
    for (const one of order) {
      const bytes = bytesOf(one);
      put(itemHeader(bytes.length));
      put(bytes);
    }
    return out;
  }
}

/** Two issuers may use one ID for two people, and without an ID only the study holds objects together. */
function patientKey(ds: DataSet, studyUid: string): string {
  const id = text(ds, Tags.PatientID) ?? '';
  return id === '' ? `study\\${studyUid}` : `id\\${id}\\${text(ds, Tags.IssuerOfPatientID) ?? ''}`;
}

function node(type: string, ds: DataSet, elements: readonly Element[]): Node {
  const next = offsetElement(Tags.OffsetOfTheNextDirectoryRecord);
  const lower = offsetElement(Tags.OffsetOfReferencedLowerLevelDirectoryEntity);
  return {
    elements: [
      next,
      makeElement(Tags.RecordInUseFlag, IN_USE),
      lower,
      makeElement(Tags.DirectoryRecordType, type),
      ...elements,
    ],
    charsets: ds.charsets,
    ...{ next, lower, children: new Map<string, Node>() },
  };
}

const bytesOf = ({ elements, charsets }: Node): Uint8Array =>
  writeDataSet(dataSetOf(elements, charsets), EXPLICIT_LE);

/** Offsets have four bytes whatever they are, so that places are known before they are filled in. */
const offsetElement = (tag: number): Element => ({ tag, vr: 'UL', bytes: new Uint8Array(4) });

function setOffset({ bytes }: Element, offset: number | undefined): void {
  if (bytes) new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, offset ?? 0, true);
}

function itemHeader(length: number): Uint8Array {
  const out = new Uint8Array(ITEM_HEADER);
  const view = new DataView(out.buffer);
  view.setUint16(0, 0xfffe, true);
  view.setUint16(2, 0xe000, true);
  view.setUint32(4, length, true);
  return out;
}

function checkFileId(fileId: readonly string[]): void {
  const good = fileId.length > 0 && fileId.length <= MAX_COMPONENTS;
  if (!good || !fileId.every((one) => COMPONENT.test(one))) throw new Fault('MEDIA_FILE_ID');
}
