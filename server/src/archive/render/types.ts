/**
 * What rendering offers to the doors: frames in another transfer syntax, whole objects in another transfer syntax,
 * and pictures a browser can show.
 *
 * Source: PS3.18 §8.3.5 (rendering parameters), §8.7.3 (media types and transfer syntaxes).
 * Layer:  server/archive.
 */
import type { Readable } from 'node:stream';
import type { Window } from '@lightbox/core/pixel/window.ts';
import type { Pieces } from '../../platform/outgoing.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import type { InstanceRef } from '../types.ts';
import type { IccOption } from './icc.ts';
import type { PixelEdit } from './pixel-edit.ts';
import type { WrittenObject } from './transcode.ts';

export type PictureType = 'image/jpeg' | 'image/png' | 'image/gif' | 'image/webp';

/** Values to grey, PS3.18 §8.3.5.1.4; functions of PS3.3 §C.11.2.1.2 and §C.11.2.1.3. */
export type WindowOption = Window;

/** PS3.18 §8.3.5.1.3: size of the picture, and which part of the image is put into it. Negative sizes flip. */
export interface ViewportOption {
  readonly width: number;
  readonly height: number;
  readonly source?:
    { readonly x: number; readonly y: number; readonly width: number; readonly height: number } | undefined;
}

export interface RenderOptions {
  readonly type: PictureType;
  /** 1 to 100; of lossy types. Default 90. */
  readonly quality?: number | undefined;
  readonly window?: WindowOption | undefined;
  readonly viewport?: ViewportOption | undefined;
  /** Lines burnt into the picture: who it is, how it was made (PS3.18 §8.3.5.1.1). */
  readonly annotation?: readonly ('patient' | 'technique')[] | undefined;
  /** Colour profile of the picture; without it none is written and nothing is turned. */
  readonly icc?: IccOption | undefined;
}

export interface Picture {
  readonly bytes: Uint8Array;
  readonly type: PictureType;
}

export interface FrameBytes {
  readonly bytes: Uint8Array;
  readonly transferSyntaxUid: string;
}

/** Another data set for the same pixels, and what has to happen to those. */
export interface Rewriting {
  readonly dataSet: DataSet;
  /** Only for an object that is written uncompressed. */
  readonly edit?: PixelEdit | undefined;
}

export interface Renderer {
  /**
   * One frame as a picture; `frame` is zero-based.
   *
   * @throws Fault NOT_FOUND (no such frame), PIXELS_UNSUPPORTED, PIXELS_BROKEN, PIXELS_NONE, RENDER_TIMEOUT, TOO_LARGE.
   */
  rendered(ref: InstanceRef, frame: number, options: RenderOptions): Promise<Picture>;
  /** A small picture of the middle frame, JPEG, at most `size` pixels wide and high; kept in memory and on disk. */
  thumbnail(ref: InstanceRef, size: number): Promise<Picture>;
  /** One frame in a transfer syntax; its own when `transferSyntaxUid` is '*' or equal. Throws as `rendered`. */
  frame(ref: InstanceRef, index: number, transferSyntaxUid: string): Promise<FrameBytes>;
  /** The Part 10 file in a transfer syntax, written while it is read. Throws as `rendered` before the first byte. */
  transcode(ref: InstanceRef, transferSyntaxUid: string): Promise<Readable>;
  /**
   * The Part 10 file with another data set, in a transfer syntax that both `canProduceObject` and `canWriteHeader` name. Bulk
   * values of the data set lie where those of `header` do. Throws as `rendered`.
   */
  rewritten(ref: InstanceRef, transferSyntaxUid: string, change: Rewriting): Promise<WrittenObject>;
  /**
   * The data set alone, as a C-STORE carries it: as kept in its own transfer syntax, else written anew, compressed where that is asked
   * for and `canCompress`. Written anew with even
   * lengths where it has an odd one, if it is uncompressed. Each piece is valid until the next is asked for. Throws as `rendered`
   * before the first piece.
   */
  dataSet(ref: InstanceRef, transferSyntaxUid: string): Promise<Pieces>;
  /** The same without bulk data (PS3.4 §Z.1.3), in any transfer syntax that `canWriteHeader` names. */
  dataSetWithoutBulk(ref: InstanceRef, transferSyntaxUid: string): Promise<Pieces>;
  /**
   * The Part 10 file compressed without loss for a peer: JPEG-LS, JPEG 2000, HTJ2K or RLE. Proven by decoding before it is given.
   *
   * @throws Fault PIXELS_UNSUPPORTED, PIXELS_BROKEN, PIXELS_NONE, RENDER_TIMEOUT, BUSY, TOO_LARGE (beyond 64 MiB).
   */
  compressed(ref: InstanceRef, transferSyntaxUid: string): Promise<WrittenObject>;
  /** Whether that may be tried. */
  canCompress(ref: InstanceRef, transferSyntaxUid: string): boolean;
  /** Whether elements that are no pixels can be written so: little endian and not deflated. */
  canWriteHeader(transferSyntaxUid: string): boolean;
  /** Whether there is a codec for its transfer syntax. */
  canDecode(ref: InstanceRef): boolean;
  /** Whether frames can be given in this transfer syntax: its own when encapsulated, or explicit little endian. */
  canProduceFrames(ref: InstanceRef, transferSyntaxUid: string): boolean;
  /** Whether the object can be given in this transfer syntax: its own, or explicit or implicit little endian. */
  canProduceObject(ref: InstanceRef, transferSyntaxUid: string): boolean;
  /** Frames waiting for a decoder. */
  waiting(): number;
  close(): Promise<void>;
}
