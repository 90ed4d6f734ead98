/**
 * A disc image as it is burnt onto a CD or DVD, written while it is sent: ISO 9660 with the Joliet names that Windows shows.
 *
 * Source: ECMA-119 (4th edition): §6 (sectors), §8.4 (primary volume descriptor), §8.5 (supplementary), §8.3 (terminator), §9.1
 *         (directory record), §9.4 (path table), §7.5 and §7.6 (names), §6.8.2.1 (depth). Joliet specification 1 (UCS-2 level 3).
 *         PS3.12 Annexes F and J: DICOM media with this file system.
 * Layer:  server/platform. Directories are in memory (about 120 bytes for each file), contents flow through.
 */
import { Fault } from '@lightbox/core/base/fault.ts';
import { exactly, type MediumFile } from './medium.ts';
import type { Pieces } from './outgoing.ts';

const SECTOR = 2048;
/** System area (§6.2.1), then primary, supplementary and terminating descriptor. */
const FIRST_FREE = 16 + 3;
/** Many drives read ahead, beyond the last file. */
const TAIL_SECTORS = 150;
/** One extent says its length in 32 bits; larger files are several, each but the last whole sectors (§9.1.6, multi-extent). */
const MAX_EXTENT = 0xfffff800;
const DIRECTORY_FLAG = 0x02;
const MULTI_EXTENT_FLAG = 0x80;
const MAX_DEPTH = 8;

interface FileNode {
  readonly name: string;
  readonly file: MediumFile;
  readonly bytes: number;
  sector: number;
}

interface Folder {
  readonly name: string;
  readonly parent: Folder | undefined;
  readonly folders: Map<string, Folder>;
  readonly files: FileNode[];
}

export interface IsoOptions {
  /** d-characters: A-Z, 0-9 and _, at most 16 so that Joliet has room for it too. */
  readonly volume: string;
  readonly created: Date;
}

export interface IsoPlan {
  readonly bytes: number;
  write(): Pieces;
}

/**
 * Lays the files out. Names are A-Z, 0-9, _ and one dot, at most 8 and 3 characters (§7.5, level 1), letters of either case:
 * the ISO names are upper case, the Joliet ones as given.
 *
 * @throws Fault MEDIA_FILE_ID for another name, INTERNAL when a file does not say its size.
 */
export function planIso(files: readonly MediumFile[], options: IsoOptions): IsoPlan {
  if (!/^[A-Z0-9_]{1,16}$/.test(options.volume)) throw new Fault('MEDIA_FILE_ID');
  const root: Folder = { name: '', parent: undefined, folders: new Map(), files: [] };
  const order: FileNode[] = [];
  for (const file of files) order.push(enter(root, file));
  const trees = [new Tree(root, PLAIN), new Tree(root, JOLIET)];
  let next = FIRST_FREE;
  for (const tree of trees) next = tree.place(next);
  for (const one of order) {
    one.sector = next;
    next += sectors(one.bytes);
  }
  const total = next + TAIL_SECTORS;

  async function* write(): Pieces {
    yield Buffer.alloc(16 * SECTOR);
    for (const tree of trees) yield descriptor(tree, total, options);
    yield terminator();
    for (const tree of trees) yield* tree.write(options.created);
    for (const { file, bytes } of order) {
      const opened = await file.open();
      if (opened.bytes !== bytes) throw new Fault('MEDIA_SIZE', { announced: bytes, opened: opened.bytes });
      yield* exactly(bytes, opened.pieces);
      if (bytes % SECTOR > 0) yield Buffer.alloc(SECTOR - (bytes % SECTOR));
    }
    yield Buffer.alloc(TAIL_SECTORS * SECTOR);
  }
  return { bytes: total * SECTOR, write };
}

const sectors = (bytes: number): number => Math.ceil(bytes / SECTOR);

function enter(root: Folder, file: MediumFile): FileNode {
  const { path, bytes } = file;
  if (bytes === undefined) throw new Fault('INTERNAL', { what: 'a file without a size' });
  const name = path.at(-1) ?? '';
  // The root is the first level (§6.8.2.1).
  if (path.length > MAX_DEPTH - 1 || !/^\w{1,8}(\.\w{1,4})?$/.test(name)) throw new Fault('MEDIA_FILE_ID');
  let folder = root;
  for (const part of path.slice(0, -1)) {
    if (!/^\w{1,8}$/.test(part)) throw new Fault('MEDIA_FILE_ID');
    let below = folder.folders.get(part);
    if (!below) {
      below = { name: part, parent: folder, folders: new Map(), files: [] };
      folder.folders.set(part, below);
    }
    folder = below;
  }
  const node: FileNode = { name, file, bytes, sector: 0 };
  folder.files.push(node);
  return node;
}

/** How names are written in one of the two trees. */
interface Naming {
  readonly type: 1 | 2;
  file(name: string): Buffer;
  folder(name: string): Buffer;
  text(value: string, bytes: number): Buffer;
}

function filled(value: Buffer, bytes: number, pad: Buffer): Buffer {
  const out = Buffer.alloc(bytes, pad);
  value.copy(out, 0, 0, bytes);
  return out;
}

/** §7.5.1: name, dot, extension, semicolon, version; the dot also without an extension. */
const PLAIN: Naming = {
  type: 1,
  file: (name) => Buffer.from(`${name.includes('.') ? name : `${name}.`};1`.toUpperCase()),
  folder: (name) => Buffer.from(name.toUpperCase()),
  text: (value, bytes) => filled(Buffer.from(value), bytes, Buffer.from(' ')),
};

const ucs2 = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();
const JOLIET: Naming = {
  type: 2,
  file: (name) => ucs2(`${name};1`),
  folder: ucs2,
  text: (value, bytes) => filled(ucs2(value), bytes, ucs2(' ')),
};

interface Placed {
  readonly folder: Folder;
  readonly id: Buffer;
  /** Number in the path table, from 1. */
  number: number;
  sector: number;
  bytes: number;
}

type Entry = { readonly id: Buffer; readonly folder?: Folder; readonly file?: FileNode };

class Tree {
  readonly naming: Naming;
  /** In the order of the path table: level by level, within it by parent, then by name (§6.9.1). */
  readonly #folders: Placed[] = [];
  readonly #byFolder = new Map<Folder, Placed>();
  #tableBytes = 0;
  #tableSector = 0;

  constructor(root: Folder, naming: Naming) {
    this.naming = naming;
    let level: Placed[] = [this.#add(root, Buffer.from([0]))];
    while (level.length) {
      level = level.flatMap(({ folder }) =>
        this.#entries(folder).flatMap((one) => (one.folder ? [this.#add(one.folder, one.id)] : [])),
      );
    }
    this.#tableBytes = this.#folders.reduce((sum, { id }) => sum + 8 + id.length + (id.length % 2), 0);
  }

  #add(folder: Folder, id: Buffer): Placed {
    const placed: Placed = { folder, id, number: this.#folders.length + 1, sector: 0, bytes: 0 };
    this.#folders.push(placed);
    this.#byFolder.set(folder, placed);
    return placed;
  }

  /** Sorted by name (§9.3). */
  #entries(folder: Folder): Entry[] {
    const entries: Entry[] = [
      ...[...folder.folders.values()].map((one) => ({ id: this.naming.folder(one.name), folder: one })),
      ...folder.files.map((one) => ({ id: this.naming.file(one.name), file: one })),
    ];
    return entries.sort((one, other) => Buffer.compare(one.id, other.id));
  }

  /** @returns the first sector that is free behind the path tables and directories. */
  place(from: number): number {
    this.#tableSector = from;
    // One table in each byte order (§6.9).
    let next = from + 2 * sectors(this.#tableBytes);
    for (const placed of this.#folders) {
      placed.sector = next;
      placed.bytes = this.#layout(placed.folder, () => undefined);
      next += placed.bytes / SECTOR;
    }
    return next;
  }

  /** Walks the records of a directory; none lies across two sectors (§6.8.1.1). Gives its length. */
  #layout(folder: Folder, put: (at: number, record: RecordFacts) => void): number {
    let at = 0;
    for (const record of this.#records(folder)) {
      const length = recordBytes(record.id);
      if ((at % SECTOR) + length > SECTOR) at += SECTOR - (at % SECTOR);
      put(at, record);
      at += length;
    }
    return sectors(at) * SECTOR;
  }

  *#records(folder: Folder): Generator<RecordFacts> {
    const own = this.#byFolder.get(folder)!;
    const parent = this.#byFolder.get(folder.parent ?? folder)!;
    // §6.8.2.2: the directory itself, and the one above.
    yield { ...own, id: Buffer.from([0]), flags: DIRECTORY_FLAG };
    yield { ...parent, id: Buffer.from([1]), flags: DIRECTORY_FLAG };
    for (const { id, folder: below, file } of this.#entries(folder)) {
      if (below) {
        const { sector, bytes } = this.#byFolder.get(below)!;
        yield { id, sector, bytes, flags: DIRECTORY_FLAG };
      } else if (file) {
        let { sector, bytes } = file;
        for (; bytes > MAX_EXTENT; sector += MAX_EXTENT / SECTOR, bytes -= MAX_EXTENT)
          yield { id, sector, bytes: MAX_EXTENT, flags: MULTI_EXTENT_FLAG };
        yield { id, sector, bytes, flags: 0 };
      }
    }
  }

  *write(created: Date): Generator<Buffer> {
    for (const little of [true, false]) yield this.#table(little);
    const date = shortDate(created);
    for (const { folder, bytes } of this.#folders) {
      const out = Buffer.alloc(bytes);
      this.#layout(folder, (at, record) => writeRecord(out, at, record, date));
      yield out;
    }
  }

  #table(little: boolean): Buffer {
    const out = Buffer.alloc(sectors(this.#tableBytes) * SECTOR);
    let at = 0;
    for (const { folder, id, sector } of this.#folders) {
      const parent = this.#byFolder.get(folder.parent ?? folder)?.number ?? 1;
      out[at] = id.length;
      if (little) {
        out.writeUInt32LE(sector, at + 2);
        out.writeUInt16LE(parent, at + 6);
      } else {
        out.writeUInt32BE(sector, at + 2);
        out.writeUInt16BE(parent, at + 6);
      }
      id.copy(out, at + 8);
      at += 8 + id.length + (id.length % 2);
    }
    return out;
  }

  /** What its volume descriptor says of it. */
  facts(): { root: RecordFacts; tableBytes: number; little: number; big: number } {
    const [root] = this.#folders;
    return {
      root: { id: Buffer.from([0]), sector: root!.sector, bytes: root!.bytes, flags: DIRECTORY_FLAG },
      tableBytes: this.#tableBytes,
      little: this.#tableSector,
      big: this.#tableSector + sectors(this.#tableBytes),
    };
  }
}

interface RecordFacts {
  readonly id: Buffer;
  readonly sector: number;
  readonly bytes: number;
  readonly flags: number;
}

/** §9.1: an even length. */
const recordBytes = (id: Buffer): number => 33 + id.length + (id.length % 2 === 0 ? 1 : 0);

function writeRecord(out: Buffer, at: number, { id, sector, bytes, flags }: RecordFacts, date: Buffer): void {
  out[at] = recordBytes(id);
  both32(out, at + 2, sector);
  both32(out, at + 10, bytes);
  date.copy(out, at + 18);
  out[at + 25] = flags;
  both16(out, at + 28, 1);
  out[at + 32] = id.length;
  id.copy(out, at + 33);
}

/** §7.2.3 and §7.3.3: least significant byte first, then the other way round. */
function both16(out: Buffer, at: number, value: number): void {
  out.writeUInt16LE(value, at);
  out.writeUInt16BE(value, at + 2);
}

function both32(out: Buffer, at: number, value: number): void {
  out.writeUInt32LE(value, at);
  out.writeUInt32BE(value, at + 4);
}

/** §9.1.5, in UTC. */
const shortDate = (at: Date): Buffer =>
  Buffer.from([
    at.getUTCFullYear() - 1900,
    at.getUTCMonth() + 1,
    at.getUTCDate(),
    at.getUTCHours(),
    at.getUTCMinutes(),
    at.getUTCSeconds(),
    0,
  ]);

/** §8.4.26.1: sixteen digits and the zone. */
const longDate = (at: Date): Buffer =>
  Buffer.concat([
    Buffer.from(
      at
        .toISOString()
        .replaceAll(/[-:T.Z]/g, '')
        .slice(0, 16),
    ),
    Buffer.from([0]),
  ]);
const NO_DATE = Buffer.concat([Buffer.from('0'.repeat(16)), Buffer.from([0])]);

/** §8.4, and §8.5 for the Joliet tree: the same places, and the escape sequence of UCS-2 level 3. */
function descriptor(tree: Tree, total: number, { volume, created }: IsoOptions): Buffer {
  const { naming } = tree;
  const { root, tableBytes, little, big } = tree.facts();
  const out = Buffer.alloc(SECTOR);
  const text = (at: number, bytes: number, value = ''): void => void naming.text(value, bytes).copy(out, at);
  out[0] = naming.type;
  out.write('CD001', 1, 'latin1');
  out[6] = 1;
  text(8, 32);
  text(40, 32, volume);
  both32(out, 80, total);
  if (naming.type === 2) out.write('%/E', 88, 'latin1');
  both16(out, 120, 1);
  both16(out, 124, 1);
  both16(out, 128, SECTOR);
  both32(out, 132, tableBytes);
  out.writeUInt32LE(little, 140);
  out.writeUInt32BE(big, 148);
  writeRecord(out, 156, root, shortDate(created));
  text(190, 128);
  text(318, 128);
  text(446, 128);
  text(574, 128, 'LIGHTBOX');
  for (const at of [702, 739, 776]) text(at, 37);
  longDate(created).copy(out, 813);
  longDate(created).copy(out, 830);
  NO_DATE.copy(out, 847);
  NO_DATE.copy(out, 864);
  out[881] = 1;
  return out;
}

function terminator(): Buffer {
  const out = Buffer.alloc(SECTOR);
  out[0] = 255;
  out.write('CD001', 1, 'latin1');
  out[6] = 1;
  return out;
}
