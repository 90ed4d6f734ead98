/**
 * demo: synthetic studies of our own making, to try Lightbox with. No real person is in them.
 *
 * Layer:  server/cli.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { writePart10 } from '@lightbox/core/dicom/write.ts';
import { type Attributes, demoStudies } from './studies.ts';

/** A UID nobody else has (PS3.5 §B.2). */
const uid = (): string => `2.25.${BigInt(`0x${randomUUID().replaceAll('-', '')}`)}`;

/** Of every object; what a study, a series or an image says itself comes after. */
const COMMON: Attributes = {
  ...{ SpecificCharacterSet: 'ISO_IR 192', Manufacturer: 'Lightbox', InstitutionName: 'Lightbox Demo' },
};

/** Writes the studies as files, one after the other. @returns how many. */
export async function writeDemo(
  folder: string,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<number> {
  await mkdir(folder, { recursive: true });
  const studies = demoStudies();
  const total = studies.flatMap(({ series }) => series).reduce((sum, { count }) => sum + count, 0);
  let written = 0;
  for (const [studyIndex, study] of studies.entries()) {
    const studyUid = uid();
    const frames = new Map<string, string>();
    for (const [seriesIndex, series] of study.series.entries()) {
      const own: Attributes = {
        ...{ StudyInstanceUID: studyUid, SeriesInstanceUID: uid(), SeriesNumber: seriesIndex + 1 },
      };
      const letter = series.frameOfReference ?? String(seriesIndex);
      const frameOfReference = frames.get(letter) ?? uid();
      frames.set(letter, frameOfReference);
      for (let index = 0; index < series.count; index += 1) {
        const image = series.image(index);
        const placed = 'ImagePositionPatient' in image ? { FrameOfReferenceUID: frameOfReference } : {};
        const ds = dataSet({
          ...COMMON,
          ...{ ...study.attributes, ...series.attributes, ...placed, ...image, ...own },
          ...{ SOPInstanceUID: uid(), InstanceNumber: index + 1 },
        });
        const name = `${studyIndex + 1}-${seriesIndex + 1}-${String(index + 1).padStart(3, '0')}.dcm`;
        await writeFile(join(folder, name), writePart10(ds, EXPLICIT_LE));
        written += 1;
        progress(written, total);
        // Painting takes long: a key or a signal is heard in between.
        await turn();
      }
    }
  }
  return written;
}
