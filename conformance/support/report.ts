/**
 * A report and other objects for the eye, written element by element without the program's own writers: text that is an
 * attack, names in several scripts, a link to an image. Explicit VR little endian (PS3.5 §A.2).
 */
import { element, fileMeta } from './images.ts';

const ROOT = '1.2.826.0.1.3680043.10.1234';
const ENHANCED_SR = '1.2.840.10008.5.1.4.1.1.88.22';
const CT = '1.2.840.10008.5.1.4.1.1.2';

/** Would set a title and a flag if anything of it were ever taken as markup. */
export const HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';

/** A sequence of defined length (PS3.5 §7.5). */
function sequence(group: number, number: number, ...items: Buffer[]): Buffer {
  const parts = items.flatMap((item) => {
    const head = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    head.writeUInt32LE(item.length, 4);
    return [head, item];
  });
  return element(group, number, 'SQ', Buffer.concat(parts));
}

const code = (meaning: string): Buffer =>
  Buffer.concat([
    element(0x0008, 0x0100, 'SH', '121071'),
    element(0x0008, 0x0102, 'SH', 'DCM'),
    element(0x0008, 0x0104, 'LO', meaning),
  ]);
const item = (type: string, name: string, ...rest: Buffer[]): Buffer =>
  Buffer.concat([
    element(0x0040, 0xa010, 'CS', 'CONTAINS'),
    element(0x0040, 0xa040, 'CS', type),
    sequence(0x0040, 0xa043, code(name)),
    ...rest,
  ]);
const text = (name: string, value: string): Buffer =>
  item('TEXT', name, element(0x0040, 0xa160, 'UT', value));
const number = (name: string, value: string, unit: string): Buffer =>
  item(
    'NUM',
    name,
    sequence(
      0x0040,
      0xa300,
      Buffer.concat([
        sequence(
          0x0040,
          0x08ea,
          Buffer.concat([
            element(0x0008, 0x0100, 'SH', unit),
            element(0x0008, 0x0102, 'SH', 'UCUM'),
            element(0x0008, 0x0104, 'LO', unit),
          ]),
        ),
        element(0x0040, 0xa30a, 'DS', value),
      ]),
    ),
  );

/** A report in the study of an image, which it points at. */
export function hostileReport(image: { readonly studyUid: string; readonly sopUid: string }): Buffer {
  const reference = Buffer.concat([
    element(0x0008, 0x1150, 'UI', CT),
    element(0x0008, 0x1155, 'UI', image.sopUid),
  ]);
  return Buffer.concat([
    fileMeta(ENHANCED_SR, `${ROOT}.88.1`),
    element(0x0008, 0x0005, 'CS', 'ISO_IR 192'),
    element(0x0008, 0x0016, 'UI', ENHANCED_SR),
    element(0x0008, 0x0018, 'UI', `${ROOT}.88.1`),
    element(0x0008, 0x0020, 'DA', '20260102'),
    element(0x0008, 0x0023, 'DA', '20260103'),
    element(0x0008, 0x0033, 'TM', '081500'),
    element(0x0008, 0x0060, 'CS', 'SR'),
    element(0x0008, 0x103e, 'LO', 'Befund'),
    element(0x0010, 0x0010, 'PN', 'Yamada^Tarou=山田^太郎'),
    element(0x0010, 0x0020, 'LO', 'SR-1'),
    element(0x0010, 0x0030, 'DA', '19700101'),
    element(0x0010, 0x0040, 'CS', 'O'),
    element(0x0020, 0x000d, 'UI', image.studyUid),
    element(0x0020, 0x000e, 'UI', `${ROOT}.88`),
    element(0x0020, 0x0011, 'IS', '88'),
    element(0x0020, 0x0013, 'IS', '1'),
    element(0x0040, 0xa040, 'CS', 'CONTAINER'),
    sequence(0x0040, 0xa043, code('Chest CT Report')),
    element(0x0040, 0xa050, 'CS', 'SEPARATE'),
    element(0x0040, 0xa491, 'CS', 'COMPLETE'),
    element(0x0040, 0xa493, 'CS', 'VERIFIED'),
    sequence(
      0x0040,
      0xa073,
      Buffer.concat([
        element(0x0040, 0xa027, 'LO', 'Clinic of Tests'),
        element(0x0040, 0xa030, 'DT', '20260103093000'),
        element(0x0040, 0xa075, 'PN', 'Müller^Änne^^Dr.'),
      ]),
    ),
    sequence(
      0x0040,
      0xa730,
      item(
        'CONTAINER',
        'Findings',
        sequence(
          0x0040,
          0xa730,
          text('Finding', HOSTILE),
          text('Finding', 'First line.\r\nSecond line: nodule in the right upper lobe.'),
          text('ממצא', 'קשרית באונה העליונה הימנית, 12 mm'),
          number('Long axis', '12.50', 'mm'),
          number('Area', '98', 'mm2'),
          number('Attenuation', '-15', "[hnsf'U]"),
          item('IMAGE', 'Best illustration', sequence(0x0008, 0x1199, reference)),
        ),
      ),
      item('CONTAINER', 'Impression', sequence(0x0040, 0xa730, text('Impression', 'Follow-up in 3 months.'))),
    ),
  ]);
}
