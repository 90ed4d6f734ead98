/**
 * C-FIND of workitems, by the Worklist search method: answered match by match until the end or until it is cancelled.
 *
 * Source: PS3.4 §CC.2.8 (C-FIND), §CC.2.8.1.3 (identifiers), PS3.7 §9.1.2.
 * Layer:  server/doors/dimse.
 */
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { effectiveVr } from '@lightbox/core/dicom/values.ts';
import { type DicomJson, tagHex } from '@lightbox/core/dicom/json.ts';
import { matchKeysOf } from '@lightbox/core/dicom/matching.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { writeDataSet } from '@lightbox/core/dicom/write.ts';
import { STATUS } from '@lightbox/core/dimse/status.ts';
import { sorted } from '@lightbox/core/workflow/workitem-checks.ts';
import type { DoorParts } from './door.ts';
import { type Found, SearchTask } from './search-task.ts';
import type { Request } from './services.ts';
import { readSmall, wireDataSet } from './ups-data-set.ts';

/** Never told, never matched (PS3.4 Table CC.2.5-3). */
const SECRET = Tags.TransactionUID;

export class UpsFindTask extends SearchTask {
  readonly #identifier: Uint8Array;

  constructor(parts: DoorParts, request: Request, identifier: Uint8Array) {
    super(parts, request, { level: 'workitem' });
    this.#identifier = identifier;
  }

  protected async search(found: Found): Promise<void> {
    const { context, answer } = this.request;
    const { signal } = this;
    const identifier = readSmall(this.#identifier, context.transferSyntax);
    const keys = matchKeysOf(identifier).filter(({ tag, kind }) => kind !== 'universal' && tag !== SECRET);
    found.keys = keys.map(({ tag }) => tagHex(tag)).join(' ');
    for await (const workitem of this.parts.workitems.find({ keys, signal })) {
      found.matches += 1;
      const dataSet = wireDataSet(answerOf(workitem, identifier));
      await answer(STATUS.pending, { dataSet: writeDataSet(dataSet, context.transferSyntax) });
    }
  }
}

/** What was asked for, empty where the workitem has none (§CC.2.8.1.3.2). */
function answerOf(workitem: DicomJson, identifier: DataSet): DicomJson {
  const match: DicomJson = {};
  for (const element of identifier.elements.values()) {
    const hex = tagHex(element.tag);
    if ((element.tag & 0xffff) === 0 || element.tag === Tags.SpecificCharacterSet) continue;
    const own = element.tag === SECRET ? undefined : workitem[hex];
    match[hex] = own ?? { vr: element.items ? 'SQ' : effectiveVr(element) };
  }
  return sorted(match);
}
