/**
 * PS3.15 Table E.3.4-1 (Content Item Concept Name Codes of the Clean Structured Content Option), 211 rows:
 * `coding scheme|code|value type|Basic Profile|options|meaning`.
 *
 * Options: u Retain UIDs, d Device Identity, i Institution Identity, p Patient Characteristics: each K. t Full Dates K and
 * Modified Dates C. c Clean Descriptors C.
 *
 * Source: PS3.15 2026a Table E.3.4-1. 199 rows were compared, codes, value types, actions and options, with PixelMed of 2022;
 *         the other 12 are newer than that.
 * Layer:  core/dicom.
 */
export const CONTENT_ROWS = `
DCM|109054|TEXT|X|c|Patient State
DCM|109056|TEXT|X|c|Stress Protocol
DCM|110119|TEXT|X|d|Station AE Title
DCM|110180|UIDREF|D|u|Study Instance UID
DCM|110190|TEXT|X||Issuer of Identifier
DCM|111018|DATE|X/D|t|Content Date
DCM|111019|TIME|X/D|t|Content Time
DCM|111021|TEXT|X|c|Description of Change
DCM|111033|TEXT|D|c|Impression Description
DCM|111040|COMPOSITE|D|u|Original Source
DCM|111054|DATE|X/D|t|Recommended Follow-up Date
DCM|111058|TEXT|D|c|Selected Region Description
DCM|111060|DATE|X/D|t|Study Date
DCM|111061|TIME|X/D|t|Study Time
DCM|111469|DATETIME|D|t|Sampling DateTime
DCM|111516|TEXT|X|c|Medication Type
DCM|111526|DATETIME|X/D|t|DateTime Started
DCM|111527|DATETIME|X|t|DateTime Ended
DCM|111535|DATETIME|X|t|DateTime problem observed
DCM|111536|DATETIME|X|t|DateTime of last evaluation
DCM|111700|TEXT|X||Specimen Container Identifier
DCM|111702|DATETIME|X|t|DateTime of processing
DCM|111703|TEXT|X|c|Processing step description
DCM|111705|TEXT|D||Parent Specimen Identifier
DCM|111706|TEXT|X||Issuer of Parent Specimen Identifier
DCM|111724|TEXT|X||Issuer of Specimen Identifier
DCM|112002|UIDREF|D|u|Series Instance UID
DCM|112040|UIDREF|D|u|Tracking Unique Identifier
DCM|112050|TEXT|X|c|Anatomic Identifier
DCM|112227|UIDREF|X/D|u|Frame of Reference UID
DCM|112229|IMAGE|D|u|Identifying Segment
DCM|112347|TEXT|D||Component ID
DCM|112351|TEXT|D||Mating Feature Set ID
DCM|112352|TEXT|D||Mating Feature ID
DCM|112353|COMPOSITE|X|u|Spatial Registration
DCM|112354|IMAGE|X|u|Patient Image
DCM|112356|UIDREF|D|u|User Selected Fiducial
DCM|112357|UIDREF|D|u|Derived Fiducial
DCM|112359|COMPOSITE|X|u|Supporting Information
DCM|112361|COMPOSITE|X|u|Patient Data Used During Planning
DCM|112363|TEXT|D||Degree of Freedom ID
DCM|112364|COMPOSITE|X|u|Related Patient Data Not Used During Planning
DCM|112366|COMPOSITE|X|u|Implant Assembly Template
DCM|112371|COMPOSITE|D|u|Manufacturer Implant Template
DCM|112372|COMPOSITE|X|u|Derived Planning Images
DCM|112373|COMPOSITE|X|u|Derived Planning Data
DCM|113012|TEXT|X|c|Key Object Description
DCM|113503|UIDREF|D|u|Radiopharmaceutical Administration Event UID
DCM|113511|TEXT|X||Radiopharmaceutical Dispense Unit Identifier
DCM|113512|TEXT|X||Radiopharmaceutical Lot Identifier
DCM|113513|TEXT|X||Reagent Vial Identifier
DCM|113514|TEXT|X||Radionuclide Identifier
DCM|113516|TEXT|X||Prescription Identifier
DCM|113552|TEXT|X|c|Recent Physical Activity
DCM|113605|TEXT|X||Irradiation Event Label
DCM|113701|COMPOSITE|X|u|X-Ray Radiation Dose Report
DCM|113720|TEXT|X|c|Calibration Protocol
DCM|113723|DATETIME|D|t|Calibration DateTime
DCM|113724|TEXT|D|c|Calibration Responsible Party
DCM|113769|UIDREF|D|u|Irradiation Event UID
DCM|113795|IMAGE|D|u|Acquired Image
DCM|113809|DATETIME|D|t|Start of X-Ray Irradiation
DCM|113810|DATETIME|D|t|End of X-Ray Irradiation
DCM|113815|TEXT|D|c|Patient Model
DCM|113832|TEXT|D|d|Identification of the X-Ray Source
DCM|113850|PNAME|D||Irradiation Authorizing
DCM|113870|PNAME|D||Person Name
DCM|113871|TEXT|X||Person ID
DCM|113872|TEXT|X||Person ID Issuer
DCM|113873|TEXT|X|i|Organization Name
DCM|113877|TEXT|X|d|Device Name
DCM|113880|TEXT|X/D|d|Device Serial Number
DCM|113907|TEXT|X|c|Reason for Proceeding
DCM|113985|UIDREF|D|u|Series or Instance used for Water Equivalent Diameter estimation
DCM|120999|TEXT|X|d|Device Description
DCM|121000|CONTAINER|X|d|Unique Device Identifiers
DCM|121002|COMPOSITE|D|u|Quoted Source
DCM|121008|PNAME|D||Person Observer Name
DCM|121009|TEXT|X|i|Person Observer's Organization Name
DCM|121012|UIDREF|X/D|ud|Device Observer UID
DCM|121013|TEXT|X|d|Device Observer Name
DCM|121016|TEXT|X|d|Device Observer Serial Number
DCM|121017|TEXT|X|i|Device Observer Physical Location During Observation
DCM|121018|UIDREF|X|u|Procedure Study Instance UID
DCM|121019|UIDREF|X|u|Procedure Study Component UID
DCM|121020|TEXT|X||Placer Number
DCM|121021|TEXT|X||Filler Number
DCM|121022|TEXT|X||Accession Number
DCM|121028|UIDREF|X|u|Subject UID
DCM|121029|PNAME|D||Subject Name
DCM|121030|TEXT|X/D||Subject ID
DCM|121031|DATE|X||Subject Birth Date
DCM|121032|CODE|X|p|Subject Sex
DCM|121033|NUM|X|p|Subject Age
DCM|121036|PNAME|X||Mother of fetus
DCM|121039|UIDREF|X|u|Specimen UID
DCM|121041|TEXT|X||Specimen Identifier
DCM|121065|TEXT|X/D|c|Procedure Description
DCM|121071|TEXT|X/D|c|Finding
DCM|121075|TEXT|X|c|Recommendation
DCM|121077|TEXT|X|c|Conclusion
DCM|121080|IMAGE|X|u|Best illustration of finding
DCM|121080|WAVEFORM|X|u|Best illustration of finding
DCM|121088|PNAME|X||Fellow
DCM|121106|TEXT|X|c|Comment
DCM|121110|TEXT|X|c|Patient Presentation
DCM|121111|TEXT|X|c|Summary
DCM|121112|IMAGE|D|u|Source of Measurement
DCM|121112|WAVEFORM|X|u|Source of Measurement
DCM|121114|PNAME|D||Performing Physician
DCM|121120|COMPOSITE|X|u|Cath Lab Procedure Log
DCM|121121|TEXT|X||Room Identification
DCM|121122|TEXT|X|dc|Equipment Identification
DCM|121124|TEXT|X/D||Procedure Action ID
DCM|121125|DATETIME|X|t|DateTime of Recording of Log Entry
DCM|121126|UIDREF|D|u|Performed Procedure Step SOP Instance UID
DCM|121138|IMAGE|D|u|Image Acquired
DCM|121143|WAVEFORM|D|u|Waveform Acquired
DCM|121145|TEXT|X|c|Description of Material
DCM|121152|PNAME|X||Person administering drug/contrast
DCM|121154|TEXT|D||Intervention attempt identifier
DCM|121173|TEXT|X|c|Physician Note
DCM|121191|IMAGE|X/D|u|Referenced Segment
DCM|121193|TEXT|D|d|Device Subject Name
DCM|121196|TEXT|X|d|Device Subject Serial Number
DCM|121197|TEXT|X|i|Device Subject Physical Location during observation
DCM|121198|UIDREF|X|ud|Device Subject UID
DCM|121200|IMAGE|X|u|Illustration of ROI
DCM|121214|IMAGE|D|u|Referenced Segmentation Frame
DCM|121232|UIDREF|D|u|Source series for segmentation
DCM|121233|IMAGE|D|u|Source image for segmentation
DCM|121342|IMAGE|X|u|Dose Image
DCM|121431|DATETIME|X|t|DateTime Concern Noted
DCM|121432|DATETIME|X|t|DateTime Concern Resolved
DCM|121433|DATETIME|X|t|DateTime Problem Resolved
DCM|121434|TEXT|X|i|Service Delivery Location
DCM|121435|PNAME|X||Service Performer
DCM|121435|TEXT|X||Service Performer
DCM|122073|COMPOSITE|X|u|Current procedure evidence
DCM|122075|COMPOSITE|X|u|Prior report for current patient
DCM|122081|DATETIME|X|t|Drug start
DCM|122082|DATETIME|X|t|Drug end
DCM|122083|TEXT|X/D|c|Drug administered
DCM|122105|DATETIME|X|t|DateTime of Intervention
DCM|122128|TEXT|X|i|Patient Transferred From
DCM|122146|DATETIME|X/D|t|Procedure DateTime
DCM|122163|DATETIME|X|t|Discharge DateTime
DCM|122165|DATETIME|X|t|DateTime of Death
DCM|122173|DATETIME|X|t|ST Elevation Onset DateTime
DCM|122177|TEXT|X|c|Procedure Result
DCM|122701|DATETIME|X|t|Procedure Time Base
DCM|122712|DATETIME|D|t|Imaging Start DateTime
DCM|123003|DATETIME|X/D|t|Radiopharmaceutical Start DateTime
DCM|123004|DATETIME|X|t|Radiopharmaceutical Stop DateTime
DCM|125010|TEXT|X||Identifier
DCM|125201|IMAGE|X|u|Illustration of Finding
DCM|125203|TEXT|X|c|Acquisition Protocol
DCM|126070|TEXT|X|c|Subject Time Point Identifier
DCM|126071|TEXT|X|c|Protocol Time Point Identifier
DCM|126100|COMPOSITE|X|u|Real World Value Map used for measurement
DCM|126201|DATE|X|t|Acquisition Date
DCM|126202|TIME|X|t|Acquisition Time
DCM|127857|DATE|D|t|Glucose Measurement Date
DCM|127858|TIME|D|t|Glucose Measurement Time
DCM|128230|TEXT|X|c|Pulse Sequence Name
DCM|128403|TEXT|D|c|Radiation Dose Estimate Name
DCM|128414|COMPOSITE|D|u|Radiation Dose Representation Data
DCM|128414|IMAGE|D|u|Radiation Dose Representation Data
DCM|128416|COMPOSITE|D|u|SR Instance Used
DCM|128425|COMPOSITE|X|u|Patient Radiation Dose Model Data
DCM|128425|IMAGE|X|u|Patient Radiation Dose Model Data
DCM|128425|UIDREF|X|u|Patient Radiation Dose Model Data
DCM|128426|TEXT|X|c|Patient Radiation Dose Model Reference
DCM|128429|UIDREF|D|u|Event UID Used
DCM|128436|COMPOSITE|D|u|Radiation Dose Composite Parameters
DCM|128444|COMPOSITE|D|u|Spatial Registration Reference
DCM|128447|COMPOSITE|X|u|Spatial Fiducials
DCM|128470|COMPOSITE|X|u|X-Ray Attenuator Model Data
DCM|128470|IMAGE|X|u|X-Ray Attenuator Model Data
DCM|128470|UIDREF|X|u|X-Ray Attenuator Model Data
DCM|128774|TEXT|X||Person Observer's Login Name
DCM|128775|TEXT|X||Identifier within Person Observer's Role
DCM|130507|TEXT|X|c|RDSR Frame of Reference Description
DCM|130527|TEXT|D|i|Identification of the Attenuator
DCM|130884|DATETIME|X|t|Acquisition DateTime
DCM|130885|UIDREF|X|u|Synchronization Frame of Reference UID
LN|11329-0|TEXT|X|c|History
LN|11778-8|DATE|X|t|EDD
LN|11951-1|TEXT|D||Fetus ID
LN|11955-2|DATE|X|t|Date of last menstrual period
LN|18118-0|TEXT|X|c|LV Wall Motion Segmental Findings
LN|18785-6|TEXT|D|c|Indications for Procedure
LN|74711-3|TEXT|X|d|Unique Device Identifier
NCDR|15|DATETIME|X|t|Admission DateTime
NCDR|52|DATETIME|D|t|Procedure DateTime
NCDR|53|TEXT|X||Procedure Number in this admission
NCDR|76|PNAME|D||Catheterization Operator
NCIt|C54627|NUM|X||Experience
NCIt|C67447|TEXT|X|c|Activity Session
SCT|116224001|TEXT|X|c|Complication of Procedure
SCT|160476009|TEXT|X|c|Social History
SCT|271921002|TEXT|X/D|c|ECG Finding
SCT|363698007|TEXT|D|c|Finding Site
SCT|371524004|COMPOSITE|X|u|Clinical Report
SCT|371524004|TEXT|X|c|Clinical Report
SCT|397898000|DATETIME|D|t|Stop DateTime
SCT|398164008|DATETIME|X|t|Anesthesia Finish Time
SCT|398201009|DATETIME|D|t|Start DateTime
SCT|398325003|DATETIME|X|t|Anesthesia Start Time
SCT|440252007|TEXT|D|c|Administration of radiopharmaceutical
UMLS|C2348792|TEXT|X/D|c|Time Point
`;

/** SNOMED codes as they were written before SCT: the IDs of SRT, SNM3 and 99SDM (PS3.16 Table O-1; §E.3.4 wants them found too). */
export const RETIRED_CODES = `
116224001 DD-60002
160476009 F-02455
271921002 F-00033
363698007 G-C0E3
371524004 R-42B89
397898000 G-D320
398164008 DF-0070B
398201009 G-D321
398325003 DF-0068E
440252007 PA-30029
`;
