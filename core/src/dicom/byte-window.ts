/**
 * The bytes of a stream that were not read yet, wherever its chunks are cut.
 *
 * Layer:  core/dicom.
 *
 * Bytes once given stay where they are: views on them remain valid for as long as someone holds them.
 */

const NOTHING = new Uint8Array(0);

export class ByteWindow {
  bytes: Uint8Array = NOTHING;
  /** Index in `bytes` of the next byte to read. */
  at = 0;
  /** Index behind the last byte there is. */
  end = 0;
  /** Position in the stream of `bytes[0]`. */
  #base = 0;
  #own = false;

  /** Position in the stream of the next byte. */
  get offset(): number {
    return this.#base + this.at;
  }

  get available(): number {
    return this.end - this.at;
  }

  /**
   * Adds a piece behind the bytes there are.
   *
   * @param lasting  The piece will not be changed by its owner, so that it need not be copied.
   */
  give(piece: Uint8Array, lasting: boolean): void {
    if (lasting && this.available === 0) {
      this.#base = this.offset;
      this.bytes = piece;
      this.at = 0;
      this.end = piece.length;
      this.#own = false;
      return;
    }
    if (!this.#own || this.end + piece.length > this.bytes.length) this.#move(piece.length);
    this.bytes.set(piece, this.end);
    this.end += piece.length;
  }

  /** Passes over bytes: those that are here, and with `beyond` those that never will be. */
  skip(count: number, beyond = 0): void {
    this.at += count;
    this.#base += beyond;
  }

  u16(index: number, littleEndian: boolean): number {
    const first = this.bytes[index] ?? 0;
    const second = this.bytes[index + 1] ?? 0;
    return littleEndian ? first | (second << 8) : (first << 8) | second;
  }

  u32(index: number, littleEndian: boolean): number {
    const low = this.u16(littleEndian ? index : index + 2, littleEndian);
    const high = this.u16(littleEndian ? index + 2 : index, littleEndian);
    return high * 0x10000 + low;
  }

  /** Group and element number, in the order of bytes given. */
  tag(index: number, littleEndian: boolean): number {
    return this.u16(index, littleEndian) * 0x10000 + this.u16(index + 2, littleEndian);
  }

  /** A larger home for what is left. The old one stays untouched for those who look at it. */
  #move(more: number): void {
    const left = this.available;
    const home = new Uint8Array(left === 0 ? more : (left + more) * 2);
    home.set(this.bytes.subarray(this.at, this.end));
    this.#base = this.offset;
    this.bytes = home;
    this.at = 0;
    this.end = left;
    this.#own = true;
  }
}
