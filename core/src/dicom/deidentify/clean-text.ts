/**
 * Descriptions with everything taken out that is not known to be harmless: only words of a medical and technical
 * vocabulary and short numbers stay.
 *
 * Source: PS3.15 §E.1.1 (C: "values of similar meaning known not to contain identifying information"), §E.3.5.
 * Layer:  core/dicom.
 */
import { DICTIONARY } from '../dictionary.gen.ts';
import { fold, type Identifiers, repeatsValue, wordsOf } from './identifiers.ts';

/** What stands for words that were taken out. */
const GAP = '*';
/** Stands where a value must not be empty (Type 1). */
export const REMOVED = 'REMOVED';

/**
 * Words of protocols, series and findings in English and German (folded), beside those of the DICOM dictionary. Words that
 * are common as family names are not here, and what is a name in the object itself is never kept.
 */
const WORDS = `
abdomen abdominal acetabulum achilles acl adc adrenal angio angiography ankle anterior aorta aortic ap apex arm arterial
artery artifact atrium auf average axial axillary axr bariatric barium base basis becken bein beide bereich beidseits bh bilateral
biopsy biopsie bladder blade blood bold bone bowel brain brachial breast breath bronchus brust bwk calcaneus calcium
cardiac caro carotid carpal cartilage catheter caudal cava cavity cerebellum cerebral cervical cerebrum chest cholangio
chronic circle cirrhosis clavicle coccyx coil colon column contrast control coronal coronary cor cortex cortical cranial cranium cervix ce
cta ctpa cube cyst dcm decubitus deep defect delay delayed dce diaphragm diastole diffusion dislocation disc disk dorsal
dose dual duodenum dwi dti echo ecg edema effusion elbow ellenbogen embolism emergency endo enhanced epi esophagus exam
examination expiration extremity eye facial fat fast femoral femur fett fibula finger fistula flair flash flow fluoro follow followup foot fov
fracture fraktur frei from frontal full function functional fuss fgre fse fspgr gadolinium gallbladder gastric gate gated gelenk gefaess gland glenoid
gradient gre groin guided halo hals hand haste head heart hemorrhage hepatic hernia herz hip hirn hoch hocker huefte humerus
hydro hypo hwk iac ileum iliac imaging in infarct inguinal injection inlet inspiration intervention intra intravenous inversion ir iv
jaw joint junction kidney kiefer knee knie knochen knorpel kontrast kontrolle kopf kub kv lateral leber left leg lesion level ligament limb liver
lobe localizer loop low lower lumbar lung lunge lws lwk lymph magen mamma mammo mammography mandible map mass maxilla mean medial
mediastinum meniscus meniskus metastases metastasis milz mip mit mitral mpr mprage mr mra mrcp mri mrt multi muscle musculo myelo myocardial myocardium
nasal nativ native neck necrosis neonatal nephro nerve niere node nodes non normal nuclear oben oblique obl occipital oder ohne optic orbit
orbital os out outlet ovary overview pa pancreas parietal patella pelvic pelvis perfusion peripheral pet phase phases phantom pituitary plain pleura
plexus pneumonia pneumothorax portal post posterior postop pre preop prone prostate protocol proximal pulmonary pulmonal qc quality radial radius
raw reconstruction rectum recon reformat renal rest resting rib right roi rotation routine sacral sacrum sag sagittal sakrum scaphoid
scan scapula schaedel schulter scout screening se secondary sella seq series shoulder side sinus skull slab slice soft spect spgr sprunggelenk
spiral spin spine spleen standing sternum stir stomach stress study subclavian supine survey suture swi systole t tendon test thick thigh thin thorax thoracic
throat thrombosis thumb thyroid tibia time tirm to tof toe topogram torso tra trachea transverse transversal trauma triphasic tse tumor tumour
ulna ultrasound unten und unenhanced upper ureter urinary urography uterus vein venous ventral ventricle vertebra vertebral vessel vessels
vibe view views volume von vor wedge weight weighted whole wirbel wirbelsaeule with without wo wrist xray zehe
acute chronische akut links rechts re li seitlich seite liegend stehend oberschenkel unterschenkel oberarm unterarm handgelenk
hohe tief tiefe duenn dick schicht schichten weichteil weichteile angiographie koronar sagittal transversal
adult child pediatric infant baby kind erwachsen
km up of and the to at by on vs mit bei im am nach
ct cr dx mg us nm pt xa rf ot sc px io es xc sm sr seg
`;

let vocabulary: ReadonlySet<string> | undefined;

/** Common family and given names among the words of the dictionary's attribute names. */
const NAMES = new Set(
  'white green gray long day ray holder slot page field light short small carrier max young king stone price'.split(
    ' ',
  ),
);

function words(): ReadonlySet<string> {
  if (vocabulary) return vocabulary;
  const all = new Set(WORDS.split(/\s+/).filter((word) => word !== ''));
  for (const line of DICTIONARY.split('\n')) {
    for (const word of wordsOf(line.split('|')[4] ?? '')) {
      if (word.length >= 3 && !NAMES.has(word) && /^[a-z]+$/.test(word)) all.add(word);
    }
  }
  vocabulary = all;
  return all;
}

/** `3`, `T2`, `L5`, `5mm`, `120kV`, `3D`, `C4`: short enough to be no number of a person and no year. */
const SHORT = /^([a-z]{1,2})?\d{1,3}([a-z]{1,2})?$/;
/** Groups of digits that together are a date, a time, a phone number or a UID. */
const NUMBERS = /\d+(?:\s*[-./:]\s*\d+){2,}|\d{1,3}[-/:]\d{1,3}|\d{4,}/g;
/** Titles, with the name that follows them, which may be a word of the vocabulary. */
const TITLES = /\b(?:Dr|Prof|Mr|Mrs|Ms|Herr|Frau)\b\.?(?:\s+\p{Lu}[\p{L}'-]*){0,3}/gu;
/** Years of age over 89 are an identifier by themselves (45 CFR 164.514(b)(2)(i)(C)). */
const OLD = /\b(?:9\d|1[0-4]\d)\s*-?\s*(?:y|yo|yr|yrs|j|year|years|jahre)\b/giu;
const ADDRESS = /\S+@\S+|\bhttps?:\S+|\bwww\.\S+/giu;

/**
 * The text with `*` for what is not known to be harmless.
 *
 * @param identifiers  None: nothing can be known to be harmless, and all is taken out.
 * @returns            Never longer than `text`, but `REMOVED` when no word is left.
 */
export function cleanText(text: string, identifiers: Identifiers | undefined): string {
  if (text.trim() === '') return text;
  if (!identifiers) return REMOVED;
  const known = words();
  const plain = text.replace(ADDRESS, GAP).replace(TITLES, GAP).replace(OLD, GAP).replace(NUMBERS, GAP);
  let kept = 0;
  const cleaned = plain.replace(/[\p{L}\p{M}\p{N}]+/gu, (word) => {
    const folded = fold(word).replaceAll('ß', 'ss');
    if (identifiers.words.has(folded)) return GAP;
    if (!known.has(folded) && !SHORT.test(folded)) return GAP;
    kept += 1;
    return word;
  });
  const short = cleaned.replace(/\*(?:[\s^=,;.'/_-]*\*)+/g, GAP).trim();
  return kept === 0 || repeatsValue(short, identifiers) ? REMOVED : short;
}
