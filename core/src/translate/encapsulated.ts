/**
 * What a stream of bytes in an object really is: told from its first bytes, never from what it calls itself alone.
 *
 * Source: PS3.3 §A.45 (encapsulated documents), PS3.5 §8.2.5 to §8.2.9 (video streams); ISO 32000-2 §7.5.2 (PDF header),
 *         ISO/IEC 14496-12 §4.3 (ftyp), ISO/IEC 13818-1 §2.4.3.2 (transport stream), §2.5.3.3 (pack header).
 * Layer:  core/translate.
 */

/** Bytes that the two functions below look at. */
export const SNIFF_BYTES = 1024;

/** Readers look for the header within the first 1,024 bytes, since some writers put a line before it. */
export function looksLikePdf(start: Uint8Array): boolean {
  return find(start.subarray(0, SNIFF_BYTES), [0x25, 0x50, 0x44, 0x46, 0x2d]) >= 0;
}

/** Containers and bare streams of video that DICOM allows; `''` for none of them. */
export type VideoContainer = 'mp4' | 'mpeg-ts' | 'mpeg-ps' | 'mpeg-es' | 'annex-b' | '';

export function videoContainer(start: Uint8Array): VideoContainer {
  if (matches(start, 4, [0x66, 0x74, 0x79, 0x70])) return 'mp4';
  if (start[0] === 0x47 && start[188] === 0x47) return 'mpeg-ts';
  if (matches(start, 0, [0, 0, 1, 0xba])) return 'mpeg-ps';
  if (matches(start, 0, [0, 0, 1, 0xb3])) return 'mpeg-es';
  if (matches(start, 0, [0, 0, 0, 1]) || matches(start, 0, [0, 0, 1])) return 'annex-b';
  return '';
}

const TYPES: Readonly<Record<VideoContainer, string>> = {
  mp4: 'video/mp4',
  'mpeg-ts': 'video/mp2t',
  'mpeg-ps': 'video/mpeg',
  'mpeg-es': 'video/mpeg',
  'annex-b': 'application/octet-stream',
  '': 'application/octet-stream',
};
export const videoMediaType = (container: VideoContainer): string => TYPES[container];

/** Video transfer syntaxes (PS3.5 §A.4.5 to §A.4.13): MPEG-2, H.264, HEVC, and the same in more than one fragment. */
export const isVideoSyntax = (uid: string): boolean => /^1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?$/.test(uid);

export type VideoCoding = 'MPEG-2' | 'H.264' | 'HEVC';
export function videoCoding(transferSyntaxUid: string): VideoCoding {
  const number = Number(/\.4\.(10[0-8])/.exec(transferSyntaxUid)?.[1] ?? 0);
  return number >= 107 ? 'HEVC' : number >= 102 ? 'H.264' : 'MPEG-2';
}

function matches(bytes: Uint8Array, at: number, wanted: readonly number[]): boolean {
  return wanted.every((byte, index) => bytes[at + index] === byte);
}

function find(bytes: Uint8Array, wanted: readonly number[]): number {
  for (let at = 0; at + wanted.length <= bytes.length; at += 1) if (matches(bytes, at, wanted)) return at;
  return -1;
}
