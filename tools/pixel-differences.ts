/**
 * Where we differ on purpose, or GDCM does; each reason is proved in server/src/archive/render/decode.test.ts. Every other
 * valid image has to be equal to the byte.
 */
export const DIFFERENT: ReadonlyMap<string, string> = new Map([
  ['image/dx/highdicom__dx_image.dcm', 'GDCM adds a pad byte to an odd number of pixels'],
  ['image/mr/pydicom__MR_small_padded.dcm', 'GDCM counts bytes after the last frame'],
  ['microscopy/highdicom__seg_image_sm_dots.dcm', 'GDCM counts the pad bits after the last frame'],
  ['microscopy/highdicom__seg_image_sm_dots_tiled_full.dcm', 'GDCM counts the pad bits after the last frame'],
  [
    'image/ot/pydicom__SC_rgb_rle_16bit.dcm',
    'colour planes of 16 bits: equal to DCMTK, GDCM orders otherwise',
  ],
  [
    'image/ot/pydicom__SC_rgb_rle_32bit.dcm',
    'colour planes of 32 bits: as those of 16, GDCM orders otherwise',
  ],
  ['image/us/dcm4che__YBR_FULL-RLE.dcm', 'Planar Configuration 1 kept, GDCM interleaves'],
  ['rt/pydicom__rtdose_expb.dcm', 'cells of 32 bits in big endian OW: GDCM turns words only'],
  ['rt/pydicom__rtdose_expb_1frame.dcm', 'cells of 32 bits in big endian OW: GDCM turns words only'],
  ['seg-paramap/pydicomdata__liver_j2k.dcm', 'Bits Allocated 1 kept packed, GDCM gives a byte each'],
  [
    'seg-paramap/pydicomdata__liver_nonbyte_aligned_j2k.dcm',
    'Bits Allocated 1 kept packed, GDCM gives a byte each',
  ],
  ['wg04/RG3/dtf__RG3_JPLY', 'lossy 12 bit: the two inverse transforms round differently'],
]);
