/**
 * index.html of a medium: shows what is on it in any browser, from the disc itself, without a server and without a network.
 *
 * The page is one file: text, style and script of web/src/media, and what it shows as JSON. Pictures lie beside it as JPEG.
 * Layer:  server/archive.
 */
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { asFault, Fault } from '@lightbox/core/base/fault.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { recordType } from '@lightbox/core/dicom/dicomdir/records.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { integer, text } from '@lightbox/core/dicom/values.ts';
import { memoryFile, type MediumFile } from '../../platform/medium.ts';
import type { InstanceRef } from '../types.ts';
import { type ExportParts, numbered } from './plan.ts';

/** Some minutes of work at most, and a page that a phone can hold: of larger exports every second or tenth image is shown. */
const MAX_PICTURES = 2000;
/** Pixels on the longer side: as much as a screen shows. */
const MAX_SIDE = 1024;
const QUALITY = 85;
const SOURCES = resolve(import.meta.dirname, '../../../../web/src/media');

interface Slot {
  readonly ref: InstanceRef;
  readonly frame: number;
}

/** What the page is given; its script reads the same form. */
interface PageSeries {
  readonly number: string;
  readonly modality: string;
  readonly description: string;
  /** Type of the directory record, for those that are no images. */
  readonly type: string;
  objects: number;
  readonly pictures: string[];
}
interface PageStudy {
  readonly date: string;
  readonly description: string;
  readonly accession: string;
  readonly series: PageSeries[];
}
interface PagePatient {
  readonly name: string;
  readonly id: string;
  readonly birthDate: string;
  readonly sex: string;
  readonly studies: PageStudy[];
}

export interface PageFiles {
  readonly index: MediumFile;
  readonly pictures: readonly MediumFile[];
  close(): Promise<void>;
}

export class ExportPage {
  readonly #parts: ExportParts;
  readonly #options: { readonly now: Date; readonly deidentified: boolean };
  readonly #patients = new Map<string, PagePatient>();
  readonly #studies = new Map<string, PageStudy>();
  readonly #series = new Map<string, { readonly shown: PageSeries; readonly slots: Slot[] }>();

  constructor(parts: ExportParts, options: { readonly now: Date; readonly deidentified: boolean }) {
    this.#parts = parts;
    this.#options = options;
  }

  /**
   * @param ds        As it goes onto the medium: of a de-identified object nothing else is shown.
   * @param drawable  Its pixels go onto the medium as they are kept, and nothing is to be hidden in them.
   */
  add(ds: DataSet, ref: InstanceRef, drawable: boolean): void {
    const value = (tag: number): string => text(ds, tag) ?? '';
    const who = [Tags.PatientID, Tags.IssuerOfPatientID, Tags.PatientName, Tags.PatientBirthDate].map(value);
    const patientKey = JSON.stringify(who);
    const patient = known(this.#patients, patientKey, () => ({
      ...{ name: value(Tags.PatientName), id: value(Tags.PatientID) },
      ...{ birthDate: value(Tags.PatientBirthDate), sex: value(Tags.PatientSex), studies: [] },
    }));
    const studyKey = `${ref.studyUid} ${patientKey}`;
    const study = known(this.#studies, studyKey, () => {
      const made: PageStudy = {
        ...{ date: value(Tags.StudyDate), description: value(Tags.StudyDescription) },
        ...{ accession: value(Tags.AccessionNumber), series: [] },
      };
      patient.studies.push(made);
      return made;
    });
    const series = known(this.#series, `${ref.seriesUid} ${studyKey}`, () => {
      const shown: PageSeries = {
        ...{ number: value(Tags.SeriesNumber), modality: value(Tags.Modality) },
        ...{ description: value(Tags.SeriesDescription), type: recordType(ref.sopClassUid) },
        ...{ objects: 0, pictures: [] },
      };
      study.series.push(shown);
      return { shown, slots: [] };
    });
    series.shown.objects += 1;
    if (!drawable || ref.rows === undefined || !this.#parts.renderer.canDecode(ref)) return;
    const frames = Math.max(1, integer(ds, Tags.NumberOfFrames, 1) ?? 1);
    for (let frame = 0; frame < Math.min(frames, ref.frameCount); frame += 1)
      series.slots.push({ ref, frame });
  }

  /** @param measured  Sizes are needed now: pictures are made and kept on the disk until `close`. */
  async finish(measured: boolean): Promise<PageFiles> {
    const total = [...this.#series.values()].reduce((sum, { slots }) => sum + slots.length, 0);
    const step = Math.max(1, Math.ceil(total / MAX_PICTURES));
    const folder = join(this.#parts.folder, randomUUID());
    const close = (): Promise<void> => rm(folder, { recursive: true, force: true });
    const pictures: MediumFile[] = [];
    try {
      if (measured) await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const { shown, slots } of this.#series.values()) {
        for (let at = 0; at < slots.length; at += step) {
          const slot = slots[at]!;
          const path = ['VIEWER', `${numbered('P', pictures.length + 1)}.JPG`];
          shown.pictures.push(path.join('/'));
          pictures.push(measured ? await this.#kept(path, slot, folder) : this.#made(path, slot));
        }
      }
    } catch (error) {
      await close();
      throw error;
    }
    const { now, deidentified } = this.#options;
    const data = { made: now.toISOString(), deidentified, step, patients: [...this.#patients.values()] };
    return { index: memoryFile(['index.html'], Buffer.from(pageText(data))), pictures, close };
  }

  #made(path: readonly string[], slot: Slot): MediumFile {
    return { path, bytes: undefined, open: async () => memoryFile(path, await this.#draw(slot)).open() };
  }

  async #kept(path: readonly string[], slot: Slot, folder: string): Promise<MediumFile> {
    const file = join(folder, path.at(-1)!);
    const bytes = await this.#draw(slot);
    await writeFile(file, bytes, { mode: 0o600 });
    return {
      ...{ path, bytes: bytes.length },
      open: async () => memoryFile(path, await readFile(file)).open(),
    };
  }

  /** Empty where there is none: the page says so, and the object itself is on the medium. */
  async #draw({ ref, frame }: Slot): Promise<Uint8Array> {
    const large = Math.max(ref.rows ?? 0, ref.columns ?? 0) > MAX_SIDE;
    const viewport = large ? { width: MAX_SIDE, height: MAX_SIDE } : undefined;
    try {
      const options = { type: 'image/jpeg', quality: QUALITY, viewport } as const;
      return (await this.#parts.renderer.rendered(ref, frame, options)).bytes;
    } catch (error) {
      if (asFault(error).row.http >= 500) throw error;
      return new Uint8Array(0);
    }
  }
}

function known<T>(map: Map<string, T>, key: string, make: () => T): T {
  const found = map.get(key);
  if (found) return found;
  const made = make();
  map.set(key, made);
  return made;
}

let template: { readonly html: string; readonly css: string; readonly script: string } | undefined;

/** Text of patients is data, never markup: `<` cannot end the element it stands in. */
function pageText(data: unknown): string {
  const source = (name: string): string => readFileSync(join(SOURCES, name), 'utf8');
  template ??= { html: source('page.html'), css: source('page.css'), script: source('page.js') };
  const { html, css, script } = template;
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  const parts: Record<string, string> = {
    ...{ STYLE: css, SCRIPT: script, DATA: json },
    ...{ STYLE_HASH: hash(css), SCRIPT_HASH: hash(script) },
  };
  return html.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new Fault('INTERNAL', { what: 'the page has an unknown part' });
    return part;
  });
}
