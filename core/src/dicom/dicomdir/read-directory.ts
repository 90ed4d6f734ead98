/**
 * Reading the directory of a medium from anywhere: offsets are followed only to records that are there, and each record once,
 * so that no cycle and no offset beyond the file can hold the reader up (attack A28).
 *
 * Source: PS3.3 Annex F, PS3.10 §8. Directories in other transfer syntaxes than the one that is allowed are read too.
 * Layer:  core/dicom.
 */
import { Fault } from '../../base/fault.ts';
import type { DataSet } from '../data-set.ts';
import { readPart10 } from '../read.ts';
import { Tags } from '../tags.gen.ts';
import { items, number, text, texts, uidValue } from '../values.ts';

export interface DirectoryEntry {
  /** PATIENT, STUDY, SERIES, IMAGE … as written. */
  readonly type: string;
  readonly record: DataSet;
  /** Components as written: for comparing and showing, never to make a path of. */
  readonly fileId: readonly string[];
  readonly sopInstanceUid: string | undefined;
  readonly children: readonly DirectoryEntry[];
}

export interface ReadDirectory {
  readonly fileSetId: string;
  readonly roots: readonly DirectoryEntry[];
  /** Every file that any record names, whether offsets lead to the record or not. */
  readonly files: readonly {
    readonly fileId: readonly string[];
    readonly sopInstanceUid: string | undefined;
  }[];
  /** Offsets that lead nowhere, or to a record that was there already. */
  readonly brokenOffsets: number;
  /** Records in use that no offset leads to. */
  readonly unreachable: number;
}

/** Patient, study, series, object, and what private records may hang below. */
const MAX_DEPTH = 8;
/** Item tag and length, then tag, VR and length of its first element. */
const BEFORE_FIRST_VALUE = 16;

/** @throws Fault DICOM_… when it is no DICOM file, MEDIA_NO_DIRECTORY when it is another one. */
export function readDirectory(bytes: Uint8Array): ReadDirectory {
  const { dataSet, deflated } = readPart10(bytes, { onMismatch: 'warn' });
  if (!dataSet.elements.has(Tags.DirectoryRecordSequence) || deflated) throw new Fault('MEDIA_NO_DIRECTORY');
  const records = items(dataSet, Tags.DirectoryRecordSequence);
  const byOffset = new Map<number, DataSet>();
  for (const record of records) {
    const offset = offsetOf(record, bytes);
    if (offset !== undefined) byOffset.set(offset, record);
  }
  const visited = new Set<DataSet>();
  let brokenOffsets = 0;
  const entity = (first: number, depth: number): DirectoryEntry[] => {
    const found: DirectoryEntry[] = [];
    for (let offset = first; offset !== 0;) {
      const record = byOffset.get(offset);
      if (!record || visited.has(record) || depth > MAX_DEPTH) {
        brokenOffsets += 1;
        break;
      }
      visited.add(record);
      const lower = number(record, Tags.OffsetOfReferencedLowerLevelDirectoryEntity) ?? 0;
      const children = entity(lower, depth + 1);
      if (isInUse(record)) found.push(entryOf(record, children));
      offset = number(record, Tags.OffsetOfTheNextDirectoryRecord) ?? 0;
    }
    return found;
  };
  const start = number(dataSet, Tags.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity) ?? 0;
  const roots = entity(start, 1);
  const used = records.filter(isInUse);
  return {
    fileSetId: text(dataSet, Tags.FileSetID) ?? '',
    roots,
    files: used.filter((record) => record.elements.has(Tags.ReferencedFileID)).map(fileOf),
    brokenOffsets,
    unreachable: used.filter((record) => !visited.has(record)).length,
  };
}

/** Where the item of a record begins in the file, told by where its first value lies: values are views on the file. */
function offsetOf(record: DataSet, file: Uint8Array): number | undefined {
  const first = record.elements.get(Tags.OffsetOfTheNextDirectoryRecord)?.bytes;
  return first?.buffer === file.buffer ? first.byteOffset - file.byteOffset - BEFORE_FIRST_VALUE : undefined;
}

/** (0004,1410): 0 is a record that was taken out; what lies below it may still be in use. */
const isInUse = (record: DataSet): boolean => number(record, Tags.RecordInUseFlag) !== 0;

const fileOf = (record: DataSet): ReadDirectory['files'][number] => ({
  fileId: texts(record, Tags.ReferencedFileID).filter((one) => one !== ''),
  sopInstanceUid: uidValue(record, Tags.ReferencedSOPInstanceUIDInFile),
});

const entryOf = (record: DataSet, children: readonly DirectoryEntry[]): DirectoryEntry => ({
  type: text(record, Tags.DirectoryRecordType) ?? '',
  record,
  ...fileOf(record),
  children,
});
