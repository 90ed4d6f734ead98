/** What a sender over HTTP hears when rules changed an object (PS3.18 Table I.2-1, PS3.4 §B.2.3). */
import { expect, it } from 'vitest';
import { correct } from '@lightbox/core/dicom/correct.ts';
import { dataSet } from '@lightbox/core/dicom/element.ts';
import type { DicomJson } from '@lightbox/core/dicom/json.ts';
import { Tags } from '@lightbox/core/dicom/tags.gen.ts';
import { storeResponse } from './store.ts';

it('names the warning and the values that were sent', () => {
  const corrected = correct(dataSet({ SpecificCharacterSet: 'ISO_IR 100', PatientID: 'Müller 1' }), [
    {
      edits: [{ op: 'set', tag: Tags.PatientID, vr: 'LO', value: ['P2'] }],
      ...{ reason: 'COERCE', at: '20260102030405.000000+0000', system: 'Lightbox' },
    },
  ]);
  const original = corrected.elements.get(Tags.OriginalAttributesSequence)!;
  const outcome = {
    ...{
      status: 'stored' as const,
      sopClassUid: '1.2',
      sopInstanceUid: '1.3',
      studyUid: '1.4',
      seriesUid: '1.5',
    },
    ...{ warnings: [], coerced: { rules: ['right'], original } },
  } as const;
  const { json, status } = storeResponse([{ outcome }], 'http://x/dicom-web');
  expect(status).toBe(202);
  const [item] = json['00081199']!.Value as DicomJson[];
  expect(item!['00081196']).toEqual({ vr: 'US', Value: [0xb000] });
  const [change] = item!['04000561']!.Value as DicomJson[];
  expect(change!['04000565']!.Value).toEqual(['COERCE']);
  expect((change!['04000550']!.Value as DicomJson[])[0]!['00100020']!.Value).toEqual(['Müller 1']);
});
