import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { dataSet, makeElement, withElements } from '@lightbox/core/dicom/element.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { EXPLICIT_LE } from '@lightbox/core/dicom/transfer-syntax.ts';
import { encapsulatedPixelData, writePart10 } from '@lightbox/core/dicom/write.ts';
import { keptFile } from './kept-file.ts';
import { createRenderer } from './renderer.ts';
import type { Renderer } from './types.ts';

type Attributes = Parameters<typeof dataSet>[0];
const RLE = '1.2.840.10008.1.2.5';
const words = (...values: number[]): Uint8Array => new Uint8Array(Uint16Array.from(values).buffer);
const image = (attributes: Attributes) =>
  dataSet({
    ...{ SOPClassUID: '1.2.840.10008.5.1.4.1.1.7', SOPInstanceUID: '1.2.3' },
    ...{ Rows: 1, Columns: 4, SamplesPerPixel: 1, PhotometricInterpretation: 'MONOCHROME2' },
    ...{ BitsAllocated: 16, BitsStored: 16, HighBit: 15, PixelRepresentation: 0 },
    ...attributes,
  });

describe('pictures of an object', () => {
  let renderer: Renderer | undefined;
  afterEach(() => renderer?.close());

  /** The bytes of the picture, as they were before PNG. */
  async function shown(
    ds: ReturnType<typeof dataSet>,
    frame = 0,
    syntax = EXPLICIT_LE,
  ): Promise<{ channels: number; bytes: number[] }> {
    const { retrieve, ref } = keptFile(writePart10(ds, syntax));
    await renderer?.close();
    renderer = createRenderer({ retrieve, log: { debug: () => undefined } as never, workers: 1 });
    const { bytes } = await renderer.rendered(ref, frame, { type: 'image/png' });
    const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    return { channels: info.channels, bytes: [...data] };
  }
  /** First channel of each pixel. */
  const grey = async (...args: Parameters<typeof shown>): Promise<number[]> => {
    const { bytes, channels } = await shown(...args);
    return bytes.filter((_, at) => at % channels === 0);
  };

  it('apply a VOI table larger than a header keeps in memory (PS3.3 §C.11.2.1.1)', async () => {
    // 65,536 entries that turn the picture over.
    const table = Uint16Array.from({ length: 65536 }, (_, at) => 65535 - at);
    const voi = withElements(dataSet({ LUTDescriptor: words(0, 0, 16) }), [
      makeElement(Tags.LUTData, new Uint8Array(table.buffer), { vr: 'OW' }),
    ]);
    const ds = image({ VOILUTSequence: [voi], PixelData: words(0, 65535, 0, 65535) });
    expect(await grey(ds)).toEqual([255, 0, 255, 0]);
    expect(await grey(ds, 0, '1.2.840.10008.1.2')).toEqual([255, 0, 255, 0]);
  });

  it('begin single bits in the middle of a byte (PS3.5 §8.1.1)', async () => {
    const bits = { BitsAllocated: 1, BitsStored: 1, HighBit: 0, Rows: 1, Columns: 3, NumberOfFrames: 5 };
    // 101 010 111 000 110, low bit first.
    const ds = image({ ...bits, PixelData: Uint8Array.of(0b11010101, 0b00110001) });
    const frames = [];
    for (let frame = 0; frame < 5; frame++) frames.push(await grey(ds, frame));
    expect(frames).toEqual([
      [255, 0, 255],
      [0, 255, 0],
      [255, 255, 255],
      [0, 0, 0],
      [255, 255, 0],
    ]);
  });

  it('give the frame its own window (PS3.3 §C.7.6.16.2.10)', async () => {
    const voi = (center: string) =>
      dataSet({
        FrameVOILUTSequence: [
          dataSet({ WindowCenter: center, WindowWidth: '2', VOILUTFunction: 'LINEAR_EXACT' }),
        ],
      });
    const ds = image({
      ...{ NumberOfFrames: 2, Columns: 2 },
      PerFrameFunctionalGroupsSequence: [voi('1'), voi('101')],
      PixelData: words(0, 2, 100, 102),
    });
    expect(await grey(ds, 0)).toEqual([0, 255]);
    expect(await grey(ds, 1)).toEqual([0, 255]);
  });

  it('of RLE have full chroma, whatever the photometric interpretation says (PS3.5 §G.2)', async () => {
    const header = new Uint32Array(16);
    header.set([3, 64, 66, 68]);
    // Runs of two: Y 76, Cb 85, Cr 255 is red.
    const frame = Uint8Array.from([...new Uint8Array(header.buffer), 255, 76, 255, 85, 255, 255]);
    const ds = withElements(
      image({
        ...{ Columns: 2, SamplesPerPixel: 3, PlanarConfiguration: 1 },
        ...{ PhotometricInterpretation: 'YBR_FULL_422', BitsAllocated: 8, BitsStored: 8, HighBit: 7 },
      }),
      [encapsulatedPixelData([frame])],
    );
    expect((await shown(ds, 0, RLE)).bytes).toEqual([254, 0, 0, 254, 0, 0]);
  });

  it('put colours on grey where there is a supplemental palette (PS3.3 §C.8.16.2.1.1.1)', async () => {
    const table = (first: number, second: number): Attributes[string] => ({
      vr: 'OW',
      value: Uint8Array.of(first, second),
    });
    const palette = Object.fromEntries(
      [
        ['Red', 255, 0],
        ['Green', 0, 255],
        ['Blue', 0, 0],
      ].flatMap(([colour, first, second]) => [
        [`${String(colour)}PaletteColorLookupTableDescriptor`, { vr: 'US', value: words(2, 1000, 8) }],
        [`${String(colour)}PaletteColorLookupTableData`, table(Number(first), Number(second))],
      ]),
    ) as Attributes;
    const ds = image({ ...palette, PixelData: words(0, 100, 1000, 1001) });
    const coloured = withElements(ds, [makeElement(Tags.PixelPresentation, 'COLOR')]);
    expect((await shown(coloured)).bytes).toEqual([0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 0]);
    // Without the word for it the values are grey, all of them.
    expect(await grey(ds)).toEqual([0, 25, 255, 255]);
  });

  it.each<[string, Attributes, string]>([
    ['no rows', { Rows: [], PixelData: words(1) }, 'PIXELS_NONE'],
    ['no pixels', {}, 'PIXELS_NONE'],
    ['bits that are none (case B36)', { BitsAllocated: 24, PixelData: words(1) }, 'PIXELS_UNSUPPORTED'],
    [
      'a palette that is none (case B38)',
      { PhotometricInterpretation: 'PALETTE COLOR', PixelData: words(1) },
      'PIXELS_BROKEN',
    ],
    [
      'colours without an equation',
      { SamplesPerPixel: 3, PhotometricInterpretation: 'HSV', PixelData: words(1) },
      'PIXELS_UNSUPPORTED',
    ],
  ])('are refused with %s', async (_what, attributes, code) => {
    await expect(shown(image(attributes))).rejects.toMatchObject({ code });
  });

  it('of pixels that end early are black from there, never other memory (case B37)', async () => {
    const ds = image({
      ...{ Columns: 8, BitsAllocated: 8, BitsStored: 8, HighBit: 7 },
      PixelData: Uint8Array.of(200, 200),
    });
    expect(await grey(ds)).toEqual([200, 200, 0, 0, 0, 0, 0, 0]);
  });
});
