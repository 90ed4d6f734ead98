/**
 * Colour profiles of pictures: which one a picture carries, and what its numbers mean.
 *
 * Source: PS3.18 §8.3.5.1.5 (iccprofile), PS3.3 §C.11.15 (ICC Profile), PNG (ISO/IEC 15948) §11.3.3.3 (iCCP).
 * Layer:  server/archive.
 */
import { crc32, deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { items } from '@lightbox/core/dicom/values.ts';
import { hydrated, type ObjectSource } from './source.ts';

/** 'yes': the object's own profile, sRGB where it has none. The others: the picture is turned into that space. */
export type IccOption = 'no' | 'yes' | 'srgb' | 'displayp3';

/** Camera and scanner profiles have up to a megabyte; more would only be carried around. */
const MAX_PROFILE_BYTES = 4 * 1024 * 1024;

/** The profile of the object, or of its first optical path (PS3.3 §C.8.12.5). */
export async function profileOf(source: ObjectSource): Promise<Uint8Array | undefined> {
  const { dataSet } = source;
  const [path] = items(dataSet, Tags.OpticalPathSequence);
  for (const set of [dataSet, path]) {
    if (!set?.elements.has(Tags.ICCProfile)) continue;
    const read = await hydrated(source, set, MAX_PROFILE_BYTES, ONLY);
    const bytes = profileBytes(read);
    if (bytes) return bytes;
  }
  return undefined;
}

const ONLY = new Set([Tags.ICCProfile]);

/** With the signature that every profile has (ISO 15076-1 §7.2.11): other bytes would make the picture unreadable. */
function profileBytes(set: DataSet): Uint8Array | undefined {
  const bytes = set.elements.get(Tags.ICCProfile)?.bytes;
  if (!bytes || bytes.length < 128 || Buffer.from(bytes.subarray(36, 40)).toString('latin1') !== 'acsp')
    return undefined;
  return bytes;
}

/** The picture in the space asked for, with its profile. Values are only changed where the space is. */
export async function inSpace(
  image: Sharp,
  option: Exclude<IccOption, 'no'>,
  own: Uint8Array | undefined,
): Promise<Sharp> {
  if (!own) return image.withIccProfile(option === 'displayp3' ? 'p3' : 'srgb');
  const named = sharp(withProfile(await image.png({ compressionLevel: 0 }).toBuffer(), own));
  if (option === 'yes') return named.keepIccProfile();
  return named.withIccProfile(option === 'displayp3' ? 'p3' : 'srgb');
}

const SIGNATURE_AND_IHDR = 8 + 25;

/** The PNG file saying that its numbers are meant in a profile. */
function withProfile(png: Buffer, profile: Uint8Array): Buffer {
  const data = Buffer.concat([Buffer.from('iCCPicc\0\0', 'latin1'), deflateSync(profile)]);
  const chunk = Buffer.alloc(data.length + 8);
  chunk.writeUInt32BE(data.length - 4, 0);
  data.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(data), data.length + 4);
  return Buffer.concat([png.subarray(0, SIGNATURE_AND_IHDR), chunk, png.subarray(SIGNATURE_AND_IHDR)]);
}
