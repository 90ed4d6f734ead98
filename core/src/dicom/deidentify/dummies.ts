/**
 * Values that stand where the standard wants one and the real one must not be told.
 *
 * Source: PS3.15 §E.1.1 (D: "a non-zero length value that may be a dummy value and consistent with the VR"), PS3.5 §6.2;
 *         items PS3.3 Tables 8.8-1 (codes), 10-1 (persons), C.10-5 (graphic annotations), C.17-2 (verifying observers),
 *         C.17-3 (content).
 * Layer:  core/dicom.
 */
import type { DataSet, Element, Tag } from '../data-set.ts';
import { dataSet, makeElement } from '../element.ts';
import { Tags } from '../tags.gen.ts';
import { text } from '../values.ts';
import { VR_FACTS, type Vr } from '../vr.ts';
import { REMOVED } from './clean-text.ts';

const DATE = '19000101';
const TIME = '000000';

/** A value of the VR that tells nothing. */
export function dummyElement(tag: Tag, vr: Vr): Element {
  switch (vr) {
    case 'DA':
      return makeElement(tag, DATE, { vr });
    case 'TM':
      return makeElement(tag, TIME, { vr });
    case 'DT':
      return makeElement(tag, DATE + TIME, { vr });
    case 'AS':
      return makeElement(tag, '000Y', { vr });
    case 'DS':
    case 'IS':
      return makeElement(tag, '0', { vr });
    case 'UR':
      return makeElement(tag, 'http://removed.invalid/', { vr });
    case 'SQ':
      return { tag, vr, items: [] };
    default: {
      const { kind, unit } = VR_FACTS[vr];
      if (kind === 'text') return makeElement(tag, REMOVED, { vr });
      return { tag, vr, bytes: new Uint8Array(Math.max(2, unit)) };
    }
  }
}

const CODE = (): DataSet =>
  dataSet({ CodeValue: REMOVED, CodingSchemeDesignator: '99REMOVED', CodeMeaning: REMOVED });

/** One item in place of those of a sequence whose action is D. */
export function dummyItem(tag: Tag, original: readonly DataSet[]): DataSet {
  const concept = dataSet({
    CodeValue: '121106',
    CodingSchemeDesignator: 'DCM',
    CodeMeaning: 'Comment',
  });
  switch (tag) {
    case Tags.ContentSequence:
      return dataSet({
        RelationshipType: 'CONTAINS',
        ValueType: 'TEXT',
        ConceptNameCodeSequence: [concept],
        TextValue: REMOVED,
      });
    case Tags.GraphicAnnotationSequence:
      return dataSet({
        GraphicLayer: layerOf(original),
        TextObjectSequence: [
          dataSet({
            AnchorPointAnnotationUnits: 'DISPLAY',
            UnformattedTextValue: REMOVED,
            AnchorPoint: [0, 0],
            AnchorPointVisibility: 'N',
          }),
        ],
      });
    case Tags.VerifyingObserverSequence:
      return dataSet({
        VerifyingOrganization: REMOVED,
        VerificationDateTime: DATE + TIME,
        VerifyingObserverName: REMOVED,
        VerifyingObserverIdentificationCodeSequence: [],
      });
    case Tags.OperatorIdentificationSequence:
      return dataSet({ PersonIdentificationCodeSequence: [CODE()], InstitutionName: REMOVED });
    case Tags.FlowIdentifierSequence:
      return dataSet({ FlowIdentifier: new Uint8Array(2) });
    default:
      return CODE();
  }
}

/** The layer is named once more in the Graphic Layer Module, and has to be the same there. */
function layerOf(items: readonly DataSet[]): string {
  for (const item of items) {
    const layer = text(item, Tags.GraphicLayer);
    if (layer !== undefined && /^[A-Z0-9 _]{1,16}$/.test(layer)) return layer;
  }
  return REMOVED;
}
