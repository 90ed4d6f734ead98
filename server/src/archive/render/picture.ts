/**
 * Shown pixels to a picture file: region, flips, size, lines of text.
 *
 * Source: PS3.18 §8.3.5.1.1 (annotation), §8.3.5.1.3 (viewport), §8.7.4 (rendered media types).
 * Layer:  server/archive.
 */
import sharp, { type Sharp } from 'sharp';
import { Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { text } from '@lightbox/core/dicom/values.ts';
import { inSpace } from './icc.ts';
import type { JobResult } from './job.ts';
import type { Picture, RenderOptions, ViewportOption } from './types.ts';

export async function drawPicture(
  shown: JobResult,
  dataSet: DataSet,
  options: RenderOptions,
  profile?: Uint8Array,
): Promise<Picture> {
  const { columns: width, rows: height } = shown.image;
  const { viewport, quality = 90 } = options;
  let image = sharp(shown.bytes, { raw: { width, height, channels: shown.channels } });
  if (viewport?.source) image = region(image, viewport.source, width, height);
  // The whole region within the viewport, its shape kept (§8.3.5.1.3).
  if (viewport) image = image.resize(viewport.width, viewport.height, { fit: 'inside' });
  const lines = annotationLines(dataSet, options);
  if (lines.length > 0) {
    // Flips and sizes are applied before text is put on, so that it is readable.
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
    image = sharp(data, {
      raw: { width: info.width, height: info.height, channels: info.channels },
    }).composite([{ input: overlay(lines, info.width, info.height) }]);
  }
  if (options.icc !== undefined && options.icc !== 'no') image = await inSpace(image, options.icc, profile);
  // Grey stays grey: as three equal channels it would be a third dearer to compress.
  else if (shown.channels === 1) image = image.toColourspace('b-w');
  if (options.type === 'image/png') image = image.png();
  else if (options.type === 'image/gif') image = image.gif({ dither: 0 });
  else image = options.type === 'image/webp' ? image.webp({ quality }) : image.jpeg({ quality });
  return { bytes: await image.toBuffer(), type: options.type };
}

/** The part of the image to be shown; a negative width or height flips it. 0 is the rest of the image. */
function region(
  image: Sharp,
  source: NonNullable<ViewportOption['source']>,
  width: number,
  height: number,
): Sharp {
  // Absolute values, as the standard has it (§8.3.5.1.3).
  const left = Math.floor(Math.abs(source.x));
  const top = Math.floor(Math.abs(source.y));
  if (left >= width || top >= height) throw new Fault('BAD_REQUEST', { parameter: 'viewport' });
  const wide = Math.min(width - left, Math.round(Math.abs(source.width)) || width);
  const high = Math.min(height - top, Math.round(Math.abs(source.height)) || height);
  let out = image.extract({ left, top, width: wide, height: high });
  if (source.width < 0) out = out.flop();
  if (source.height < 0) out = out.flip();
  return out;
}

/** What §8.3.5.1.1 asks for: who it is, and how it was made. */
function annotationLines(ds: DataSet, { annotation = [] }: RenderOptions): string[] {
  const known = (tag: number): string => text(ds, tag) ?? '';
  const lines: string[] = [];
  if (annotation.includes('patient'))
    lines.push(
      known(Tags.PatientName).replace(/=.*$/s, '').replaceAll('^', ' '),
      [known(Tags.PatientID), known(Tags.PatientBirthDate), known(Tags.PatientSex)].join('  '),
    );
  if (annotation.includes('technique'))
    lines.push(
      [known(Tags.Modality), known(Tags.StudyDate), known(Tags.SeriesDescription)].join('  '),
      [
        known(Tags.KVP) && `${known(Tags.KVP)} kV`,
        known(Tags.SliceThickness) && `${known(Tags.SliceThickness)} mm`,
      ]
        .filter((one) => one !== '')
        .join('  '),
    );
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}

function overlay(lines: readonly string[], width: number, height: number): Buffer {
  const size = Math.max(8, Math.round(height / 32));
  const rows = lines.map(
    (line, index) =>
      `<text x="${size}" y="${Math.round(size * 1.3 * (index + 1.2))}">${escaped(line)}</text>`,
  );
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="${size}" fill="white" stroke="black" stroke-width="${size / 6}" paint-order="stroke">${rows.join('')}</svg>`,
  );
}

/** Text of an object inside SVG: no markup and no control characters come through (attack F104). */
const escaped = (value: string): string =>
  value
    .slice(0, 200)
    .replace(/[\u0000-\u001f\ufffe\uffff]/g, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
