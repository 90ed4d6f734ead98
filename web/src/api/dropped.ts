/** What was dropped on the page as a flat list of files; folders are walked to the bottom. Layer: web/api. */
import type { NamedFile } from './uploads.ts';

/** Must be called inside the drop event: afterwards the browser has emptied the list. */
export function readDrop(transfer: DataTransfer): Promise<NamedFile[]> {
  const entries: FileSystemEntry[] = [];
  const loose: NamedFile[] = [];
  for (const item of transfer.items) {
    if (item.kind !== 'file') continue;
    const entry = item.webkitGetAsEntry();
    if (entry) entries.push(entry);
    else {
      const file = item.getAsFile();
      if (file) loose.push({ name: file.name, file });
    }
  }
  return Promise.all(entries.map((entry) => walk(entry, ''))).then((lists) => [...loose, ...lists.flat()]);
}

async function walk(entry: FileSystemEntry, path: string): Promise<NamedFile[]> {
  const name = path + entry.name;
  if (isFile(entry)) {
    if (isNoise(entry.name)) return [];
    const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject));
    return [{ name, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: NamedFile[] = [];
  // readEntries gives at most 100 at a time and an empty list at the end.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (!batch.length) return found;
    for (const child of batch) found.push(...(await walk(child, `${name}/`)));
  }
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;

/** Files that operating systems leave in folders. DICOMDIR and others are sent: the server says what it skips. */
export const isNoise = (name: string): boolean =>
  name === '.DS_Store' || name === 'Thumbs.db' || name === 'desktop.ini';
