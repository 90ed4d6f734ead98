/**
 * Private attributes that are thought to hold nothing about a person: physics of the acquisition.
 *
 * Source: PS3.15 §E.3.10 and Table E.3.10-1: the rows of the scanners in wide use whose values are numbers or codes. Rows
 *         with UIDs, sequences, free text and binary headers are left out: §E.3.10 note 2 calls such values unsafe.
 * Layer:  core/dicom.
 */
import type { DataSet, Element, Tag } from '../data-set.ts';
import { creatorTagOf } from '../dictionary.ts';
import { text } from '../values.ts';
import { isVr, type Vr } from '../vr.ts';

/** Creator, then `group element VR`, as in the table. */
const SAFE: Readonly<Record<string, string>> = {
  'Philips PET Private Group': '7053 00 DS, 7053 09 DS',
  'Philips Imaging DD 001': '2001 03 FL, 2001 04 CS',
  ELSCINT1: '00E1 21 DS, 00E1 50 DS, 01E1 26 CS, 01F1 01 CS, 01F1 07 DS, 01F1 26 DS, 01F1 27 DS',
  GEMS_ACQU_01: '0019 23 DS, 0019 24 DS, 0019 27 DS, 0019 9E LO',
  GEMS_PARM_01: '0043 27 SH, 0043 39 IS, 0043 6F DS',
  GEMS_HELIOS_01: '0045 01 SS, 0045 02 FL',
  GEMS_SERS_01: '0025 07 SL',
  'GEIIS PACS': '0903 10 US, 0903 11 US, 0903 12 US',
  'SIEMENS MR HEADER': '0019 0C IS, 0019 0D CS, 0019 0E FD, 0019 27 FD',
};

const safe = new Map<string, Vr>();
for (const [creator, rows] of Object.entries(SAFE)) {
  for (const row of rows.split(', ')) {
    const [group = '', element = '', vr = ''] = row.split(' ');
    if (isVr(vr)) safe.set(`${creator}|${group}${element}`, vr);
  }
}

/**
 * The table's VR when this private element is listed for the creator of its block in `ds`, and its own VR is that one or
 * was not written; undefined otherwise.
 */
export function safePrivateVr(element: Element, ds: DataSet): Vr | undefined {
  const creatorTag: Tag | undefined = creatorTagOf(element.tag);
  const creator = creatorTag === undefined ? undefined : text(ds, creatorTag)?.trim();
  if (creator === undefined) return undefined;
  const hex = element.tag.toString(16).toUpperCase().padStart(8, '0');
  const vr = safe.get(`${creator}|${hex.slice(0, 4)}${hex.slice(6)}`);
  return vr !== undefined && (element.vr === vr || element.vr === 'UN') ? vr : undefined;
}
