/**
 * Attributes of the dictionary that Table E.1-1 does not name. The table "may not be sufficient" (§E.1.1 note 1), so what
 * can carry a name is taken out by its value representation, and what describes the machine and the pixels stays.
 *
 * Source: PS3.15 §E.1.1 notes 1, 4 and 5.
 * Layer:  core/dicom.
 */
import type { Element } from '../data-set.ts';
import { lookup } from '../dictionary.ts';
import { tagOf } from '../dictionary.ts';
import { effectiveVr } from '../values.ts';

/**
 * keep: as it is; technical: kept unless it repeats a name or number of the patient; text: like a descriptor; coded: kept when
 * it is a legal code or number; date; person; uid; remove.
 */
export type UnlistedRule =
  'keep' | 'technical' | 'text' | 'coded' | 'date' | 'person' | 'uid' | 'items' | 'remove';

/** Text of codes, makers, algorithms and physics. Makers' names are not the device's identity: that is its serial number. */
const TECHNICAL = `
CodeValue LongCodeValue URNCodeValue CodeMeaning ExtendedCodeValue ExtendedCodeMeaning CodingSchemeDesignator CodingSchemeVersion
CodingSchemeRegistry CodingSchemeName CodingSchemeExternalID CodingSchemeResponsibleOrganization CodingSchemeURL MappingResourceName
Manufacturer ManufacturerModelName ManufacturerRelatedModelGroup ManufacturerModelVersion SoftwareVersions
SecondaryCaptureDeviceManufacturer SecondaryCaptureDeviceManufacturerModelName SecondaryCaptureDeviceSoftwareVersions
DetectorManufacturerName DetectorManufacturerModelName ReceiveCoilManufacturerName TransmitCoilManufacturerName
ApplicationName ApplicationVersion ApplicationManufacturer AlgorithmName AlgorithmVersion AlgorithmSource SegmentAlgorithmName
PrivateCreatorReference DimensionIndexPrivateCreator FunctionalGroupPrivateCreator DimensionDescriptionLabel
Radiopharmaceutical RadiopharmaceuticalRoute InterventionDrugName ContrastBolusRoute ImagedNucleus
DigitalImageFormatAcquired VideoImageFormatAcquired TriggerSourceOrType CardiacFramingType PVCRejection TypeOfFilters FilterType
PaddleDescription AcquisitionMode DoseModeName PhosphorType PlateType ProcessingFunction AcquisitionDeviceProcessingCode TransducerData
CollimatorGridName GridAbsorbingMaterial GridSpacingMaterial ConvolutionKernel ImageFilter ReceiveCoilName TransmitCoilName
MultiCoilConfiguration MultiCoilElementName SequenceName PulseSequenceName ASLTechniqueDescription ASLCrusherDescription
ASLBolusCutoffTechnique OutputPower ReconstructionMethod AttenuationCorrectionMethod ScatterCorrectionMethod
DetectorLinesOfResponseUsed PositionReferenceIndicator TargetPositionReferenceIndicator RescaleType WindowCenterWidthExplanation
LUTExplanation ModalityLUTType StackID MultiplexGroupLabel ChannelLabel OpticalPathIdentifier ReferencedOpticalPathIdentifier
EnergyWindowName StageName ViewName MIMETypeOfEncapsulatedDocument ListOfMIMETypes EXIFVersion FontName CSSFontName
SourceIsotopeName TimeSource
`;
/** UIDs that name a kind of thing, private SOP classes and transfer syntaxes among them. */
const CLASSES = `
SOPClassUID RelatedGeneralSOPClassUID OriginalSpecializedSOPClassUID SOPClassesInStudy SOPClassesSupported ReferencedSOPClassUID
CodingSchemeUID ContextGroupExtensionCreatorUID ContextUID MappingResourceUID StoredInstanceTransferSyntaxUID
AvailableTransferSyntaxUID FlowTransferSyntaxUID CreatorVersionUID MACCalculationTransferSyntaxUID PertinentSOPClassesInStudy
PertinentSOPClassesInSeries ReferencedSOPClassUIDInFile ReferencedTransferSyntaxUIDInFile
ReferencedRelatedGeneralSOPClassUIDInFile TransferSyntaxUID EncryptedContentTransferSyntaxUID
`;
/**
 * Encrypted copies of what was there (whoever holds the key could read it), what describes private elements that are gone,
 * and keys of other systems' databases.
 */
const REMOVED_KEYWORDS = `
EncryptedAttributesSequence EncryptedContent Signature PrivateDataElementCharacteristicsSequence RecordKey PriorRecordKey
PrivateInformation PrivateInformationCreatorUID
`;

const tags = (keywords: string): ReadonlySet<number> =>
  new Set(
    keywords
      .split(/\s+/)
      .map(tagOf)
      .filter((tag) => tag !== undefined),
  );

let sets: Record<'technical' | 'classes' | 'removed', ReadonlySet<number>> | undefined;

function known(): NonNullable<typeof sets> {
  sets ??= { technical: tags(TECHNICAL), classes: tags(CLASSES), removed: tags(REMOVED_KEYWORDS) };
  return sets;
}

/** Whether text of this attribute is kept by this file's list, for tests and documents. */
export const isTechnical = (tag: number): boolean => known().technical.has(tag);

/** What happens to an element outside the table; private ones never come here. */
export function unlistedRule(element: Element): UnlistedRule {
  const { tag } = element;
  const entry = lookup(tag);
  const { technical, classes, removed } = known();
  // Command and file meta elements have no place in a data set (PS3.5 §7.1, PS3.10 §7.1); unknown ones could be anything.
  if (!entry || tag < 0x00040000 || removed.has(tag)) return 'remove';
  if (element.items) return 'items';
  const vr = effectiveVr(element);
  switch (vr) {
    case 'PN':
      return 'person';
    case 'DA':
    case 'DT':
    case 'TM':
      return 'date';
    case 'UI':
      return classes.has(tag) ? 'keep' : 'uid';
    case 'AE':
    case 'LO':
    case 'LT':
    case 'SH':
    case 'ST':
    case 'UC':
    case 'UR':
    case 'UT':
      if (technical.has(tag)) return 'technical';
      // No IOD of today demands a retired attribute.
      return entry.retired ? 'remove' : 'text';
    case 'AS':
    case 'CS':
    case 'DS':
    case 'IS':
      return 'coded';
    case 'SQ':
      return 'items';
    case 'UN':
      return 'remove';
    default:
      return 'keep';
  }
}
