/**
 * What can go wrong, once: every failure Lightbox reports has a row in FAULTS with its meaning, its HTTP status
 * and its DIMSE status. docs/errors.md is generated from this table.
 *
 * Source: DIMSE statuses PS3.7 Annex C, PS3.4 Annex B.2.3, C.4 and CC.2; HTTP statuses PS3.18 §8.5.
 * Layer:  core/base.
 */

export interface FaultRow {
  /** What happened and what to do, for a person. Never holds a value from a patient's data. */
  readonly meaning: string;
  readonly http: number;
  readonly dimse: number;
}

const row = (http: number, dimse: number, meaning: string): FaultRow => ({ http, dimse, meaning });

/** Add a row beside its neighbours; codes are AREA_WHAT. 0xC000 cannot understand, 0xA900 does not match, 0xA700 out of resources. */
export const FAULTS = {
  // --- anything
  INTERNAL: row(500, 0x0110, 'An internal error occurred. The log has the details under the request id.'),
  BAD_REQUEST: row(400, 0x0115, 'The request is not of the documented form.'),
  NOT_FOUND: row(404, 0x0112, 'There is no such object, or you may not see it.'),
  NOT_SIGNED_IN: row(401, 0x0124, 'Sign in, or send a valid API key.'),
  FORBIDDEN: row(403, 0x0124, 'Your role does not allow this.'),
  TOO_LARGE: row(413, 0xa700, 'The request is larger than the limit.'),
  METHOD_NOT_ALLOWED: row(
    405,
    0x0110,
    'This resource does not know this method. Allow names those it knows.',
  ),
  NOT_ACCEPTABLE: row(406, 0xa900, 'None of the media types or transfer syntaxes asked for can be produced.'),
  UNSUPPORTED_MEDIA: row(415, 0xa900, 'The media type of the body is not supported.'),
  NOT_IMPLEMENTED: row(501, 0x0110, 'This part of the standard is not offered here.'),
  BUSY: row(503, 0xa700, 'The server is at its limit. Try again shortly.'),
  TOO_MANY_REQUESTS: row(429, 0xa700, 'Too many attempts. Wait and try again.'),
  PORT_BUSY: row(
    500,
    0x0110,
    'A port is in use by another program. End that program or choose another port.',
  ),
  // --- identity
  SESSION_LOCKED: row(
    423,
    0x0124,
    'The session is locked after a time without activity. Enter the password.',
  ),
  SIGN_IN_REFUSED: row(401, 0x0124, 'E-mail address or password is not right.'),
  PASSWORD_WRONG: row(403, 0x0124, 'The password is not right.'),
  ORIGIN_REFUSED: row(403, 0x0124, 'The request comes from another site. Open Lightbox at its own address.'),
  SETUP_DONE: row(409, 0x0111, 'Lightbox is set up already. Sign in.'),
  SETUP_TOKEN: row(403, 0x0124, 'The setup link is not valid. Use the one printed at the latest start.'),
  INVITATION_INVALID: row(403, 0x0124, 'The invitation is not valid any more. Ask for a new one.'),
  USER_EXISTS: row(409, 0x0111, 'There is a person with this e-mail address already.'),
  LAST_ADMINISTRATOR: row(409, 0x0110, 'At least one active administrator has to remain.'),
  DEVICE_EXISTS: row(409, 0x0111, 'There is a device with this AE title already.'),
  CERTIFICATE_UNREADABLE: row(
    400,
    0x0110,
    'The certificate cannot be read. PEM text is needed: -----BEGIN CERTIFICATE-----.',
  ),
  CERTIFICATE_EXPIRED: row(400, 0x0110, 'The certificate has expired.'),
  CERTIFICATE_NOT_YET: row(400, 0x0110, 'The certificate is not valid yet. Is the clock right?'),
  CERTIFICATE_WEAK: row(
    400,
    0x0110,
    'The key or the signature of the certificate is too weak for TLS today.',
  ),
  CERTIFICATE_KEY: row(
    400,
    0x0110,
    'The private key is not a PEM key without password, or belongs to another certificate.',
  ),
  CERTIFICATE_CHAIN: row(
    400,
    0x0110,
    'The certificates do not form a chain: each has to be issued by the one after it.',
  ),
  DEVICE_SECRET: row(
    400,
    0x0110,
    'Enter the password or token: a kept one stays with the address and the user it was entered for.',
  ),
  CERTIFICATE_NONE: row(409, 0x0110, 'There is no certificate authority of our own yet. Make one first.'),
  CERTIFICATE_KNOWN: row(409, 0x0111, 'This certificate is trusted already.'),
  AE_KNOWN: row(409, 0x0111, 'This is one of our AE titles already.'),
  AUDIT_BEHIND: row(503, 0xa700, 'The audit trail cannot be written, so nothing that needs it is done.'),
  // --- upload and documents
  UPLOAD_ZIP: row(400, 0xc000, 'The ZIP file is damaged or not well formed.'),
  UPLOAD_ZIP_LIMIT: row(
    413,
    0xa700,
    'The ZIP file holds more files or unpacks to more bytes than the limit.',
  ),
  UPLOAD_ENCRYPTED: row(400, 0xc000, 'The file in the ZIP is encrypted.'),
  DOCUMENT_UNREADABLE: row(422, 0xc000, 'The document in this object cannot be read.'),
  // --- corrections (PS3.4 §B.4.1.3)
  EDIT_FORBIDDEN: row(
    422,
    0xa900,
    'This attribute cannot be corrected: the object is known by it, or its pixels are read by it.',
  ),
  EDIT_VALUE: row(422, 0xa900, 'The new value of an attribute is not one of its value representation.'),
  OVERLAY_PATIENT: row(
    409,
    0xa900,
    'The study is here with several patients. Say which of them is to be corrected.',
  ),
  OVERLAY_UNDONE: row(409, 0x0110, 'This correction was taken back before.'),
  // --- de-identification
  DEIDENTIFY_OPTIONS: row(
    400,
    0x0115,
    'The options of de-identification do not go together, or one of them is not known.',
  ),
  DEIDENTIFY_PIXELS: row(
    422,
    0xc000,
    'Names may be written into the pixels of this image. Name the rectangles to blacken.',
  ),
  DEIDENTIFY_DIRECTORY: row(
    422,
    0xc000,
    'This is a directory of other files. De-identify the files and make a new directory.',
  ),
  DEIDENTIFY_EXISTS: row(
    409,
    0x0111,
    'There is a file of this object in the folder already. It was not changed.',
  ),
  DEIDENTIFY_FEATURES: row(
    422,
    0xc000,
    'A face may be recognized in this image, and taking it out is not possible here.',
  ),
  // --- media: exports, directories
  MEDIA_FILE_ID: row(500, 0x0110, 'A file on a medium has a name that the standard does not allow.'),
  MEDIA_NO_DIRECTORY: row(400, 0xc000, 'The file is not the directory of a medium (DICOMDIR).'),
  MEDIA_SIZE: row(500, 0x0110, 'A file on a medium has another size than was announced.'),
  EXPORT_EMPTY: row(404, 0x0112, 'Nothing of what was chosen is here.'),
  EXPORT_TOO_MANY: row(
    413,
    0xa700,
    'More objects were chosen than one export may hold. Export them in parts.',
  ),
  IMPORT_UNDECIDED: row(
    409,
    0x0110,
    'For each patient one of the choices offered has to be made. Look at the import again.',
  ),
  // --- DICOMweb and pixels
  RANGE_NOT_SATISFIABLE: row(416, 0xa900, 'The byte range asked for lies outside the object.'),
  MULTIPART_BROKEN: row(400, 0xc000, 'The multipart body is not well formed or ends early.'),
  STUDY_MISMATCH: row(409, 0xa900, 'The object belongs to another study than the one it was sent to.'),
  PIXELS_NONE: row(406, 0xa900, 'The object has no image that can be shown.'),
  PIXELS_UNSUPPORTED: row(406, 0xa900, 'The pixels are in a form for which there is no decoder here.'),
  PIXELS_BROKEN: row(406, 0xa900, 'The pixels cannot be decoded; the object is served as it was received.'),
  RENDER_TIMEOUT: row(406, 0xa900, 'Decoding the pixels took longer than the limit and was ended.'),
  // --- reading DICOM (core/dicom)
  DICOM_NOT_PART10: row(400, 0xc000, 'The file does not begin with a DICOM preamble or a readable data set.'),
  DICOM_TRUNCATED: row(400, 0xc000, 'The data ends in the middle of an element.'),
  DICOM_LENGTH: row(400, 0xc000, 'An element declares a length that is not possible here.'),
  DICOM_VR: row(400, 0xc000, 'An element has a value representation that cannot be read.'),
  DICOM_DEPTH: row(400, 0xc000, 'Sequences are nested deeper than the limit.'),
  DICOM_TOO_MANY: row(400, 0xc000, 'There are more elements or items than the limit.'),
  DICOM_HEADER_SIZE: row(400, 0xc000, 'The header is larger than the limit.'),
  DICOM_STRUCTURE: row(400, 0xc000, 'The data set is not well formed.'),
  DICOM_TRANSFER_SYNTAX: row(400, 0xc000, 'The transfer syntax is unknown.'),
  DICOM_SYNTAX_MISMATCH: row(
    400,
    0xc000,
    'The data set is not written in the transfer syntax it was announced in.',
  ),
  DICOM_INFLATE: row(400, 0xc000, 'The deflated data set cannot be inflated within the limits.'),
  DICOM_UID: row(400, 0xc000, 'A required UID is missing or is not a valid UID.'),
  DICOM_JSON: row(400, 0xc000, 'The DICOM JSON or XML model is not well formed.'),
  QUERY_KEY: row(
    400,
    0xa900,
    'A matching key has a value that is not possible for its value representation.',
  ),
  // --- retrieving (PS3.4 Tables C.4-2 and C.4-3)
  RETRIEVE_IDENTIFIER: row(
    400,
    0xa900,
    'The identifier does not name objects as its level and model demand.',
  ),
  RETRIEVE_PATIENTS: row(
    409,
    0xa900,
    'Several patients have this Patient ID: name the issuer, or ask study by study.',
  ),
  RETRIEVE_TOO_MANY: row(413, 0xa701, 'More objects than can be counted: ask study by study.'),
  RETRIEVE_DESTINATION: row(404, 0xa801, 'The destination is no known device with an address.'),
  // --- storage commitment (PS3.4 §J.3, PS3.18 §13)
  COMMIT_REQUEST: row(
    400,
    0x0115,
    'The storage commitment does not name its transaction and its objects as it has to.',
  ),
  COMMIT_DUPLICATE: row(409, 0x0131, 'The transaction UID is in use already. Ask again with a new one.'),
  COMMIT_UNKNOWN: row(404, 0x0115, 'No storage commitment with this transaction UID was asked for by you.'),
  COMMIT_GONE: row(410, 0x0115, 'The result of this storage commitment is no longer kept. Ask again.'),
  COMMIT_TOO_MANY: row(413, 0x0213, 'More objects in one storage commitment than the limit. Ask in parts.'),
  COMMIT_BUSY: row(503, 0x0213, 'Too many storage commitments wait already. Ask again later.'),
  // --- workitems (PS3.4 Tables CC.2.1-2 to CC.2.7-1, PS3.18 §11)
  WORKITEM_EXISTS: row(409, 0x0111, 'There is a workitem of this UID already.'),
  WORKITEM_UNKNOWN: row(404, 0xc307, 'There is no workitem of this UID.'),
  WORKITEM_GONE: row(410, 0xc307, 'The workitem was finished long ago and is no longer kept.'),
  WORKITEM_MISSING: row(400, 0x0120, 'An attribute that a workitem needs is missing.'),
  WORKITEM_EMPTY: row(400, 0x0121, 'An attribute of the workitem needs a value.'),
  WORKITEM_VALUE: row(400, 0x0106, 'An attribute may not be set here, or not to this value.'),
  WORKITEM_NOT_SCHEDULED: row(400, 0xc309, 'A workitem has to be created as SCHEDULED.'),
  WORKITEM_FINAL: row(409, 0xc300, 'The workitem is COMPLETED or CANCELED and does not change any more.'),
  WORKITEM_UPDATE_FINAL: row(400, 0xc300, 'The workitem is COMPLETED or CANCELED and may not be updated.'),
  WORKITEM_TRANSACTION: row(
    400,
    0xc301,
    'The transaction UID is missing, or is not that of the performer who claimed the workitem.',
  ),
  WORKITEM_CLAIMED: row(409, 0xc302, 'The workitem is IN PROGRESS already.'),
  WORKITEM_TO_SCHEDULED: row(400, 0xc303, 'A workitem becomes SCHEDULED only when it is created.'),
  WORKITEM_UNFINISHED: row(
    409,
    0xc304,
    'What the final state demands is not in the workitem yet (PS3.4 Table CC.2.5-3). Set it first.',
  ),
  WORKITEM_RECEIVER: row(403, 0xc308, 'The receiver of events is no known device with an address.'),
  WORKITEM_UNCLAIMED: row(409, 0xc310, 'The workitem is not IN PROGRESS: claim it first.'),
  WORKITEM_COMPLETED: row(409, 0xc311, 'The workitem is COMPLETED already.'),
  WORKITEM_UNREACHABLE: row(
    409,
    0xc312,
    'Nobody watches this workitem, so that its performer cannot be told.',
  ),
  WORKITEM_ACTION: row(400, 0xc314, 'This cannot be done with this workitem or subscription.'),
  WEBSOCKET_WANTED: row(426, 0x0110, 'Here a WebSocket connection is opened (RFC 6455).'),
  // --- transfers (server/archive/transfers)
  TRANSFER_DEVICE: row(409, 0xa801, 'The device is not known any more, or has no host and port.'),
  TRANSFER_STATE: row(409, 0x0110, 'The transfer is not in a state in which this can be done.'),
  TRANSFER_REFUSED: row(
    502,
    0xa702,
    'The destination refused some objects. They would be refused again: look at the reason, then try again or put it away.',
  ),
  WEB_UNREACHABLE: row(502, 0x0110, 'The DICOMweb server cannot be reached.'),
  WEB_TIMEOUT: row(504, 0x0110, 'The DICOMweb server did not answer in time.'),
  WEB_STATUS: row(502, 0x0110, 'The DICOMweb server answered with an HTTP status that says no.'),
  WEB_ANSWER: row(502, 0x0110, 'The answer is not one that DICOMweb allows: it was not believed.'),
  RULES_INVALID: row(
    422,
    0x0110,
    'The file of rules has mistakes. Each is told with its rule, its place and what to write instead.',
  ),
  RULES_CHANGED: row(
    409,
    0x0110,
    'Somebody else has changed the rules meanwhile. Load them again and make the change once more.',
  ),
  TRANSFER_MISSING: row(502, 0xa702, 'The archive says that it sent everything, but not everything came.'),
  // --- messages between DICOM programs (core/dimse)
  PDU_TYPE: row(400, 0xc000, 'The peer sent a message of a kind that DICOM does not have.'),
  PDU_LENGTH: row(400, 0xc000, 'The peer announced a message length that is not allowed.'),
  PDU_ITEM_LENGTH: row(400, 0xc000, 'A length inside a message of the peer runs past its end.'),
  PDU_VALUE: row(400, 0xc000, 'A message of the peer has a value that is not possible.'),
  PDU_UNEXPECTED: row(400, 0xc000, 'The peer sent a message that is not expected at this point.'),
  DIMSE_COMMAND: row(400, 0xc000, 'The command of a message cannot be understood.'),
  DIMSE_NO_CONTEXT: row(400, 0x0122, 'The peer did not accept this kind of object in this transfer syntax.'),
  DIMSE_REJECTED: row(502, 0x0110, 'The peer does not accept our association.'),
  DIMSE_ABORTED: row(502, 0x0110, 'The association was aborted or the connection was lost.'),
  DIMSE_TIMEOUT: row(504, 0x0110, 'The peer did not answer in time.'),
  DIMSE_UNREACHABLE: row(502, 0x0110, 'The peer cannot be reached.'),
  TLS_FAILED: row(502, 0x0110, 'The peer and we could not agree on TLS, or its certificate is not trusted.'),
  DIMSE_STATUS: row(502, 0x0110, 'The peer answered with a failure status.'),
  // --- starting (server/platform)
  CONFIG_VALUE: row(500, 0x0110, 'A setting has a value that is not possible. See docs/configuration.md.'),
  DATA_LOCKED: row(
    500,
    0x0110,
    'Another Lightbox is running on this data folder. Stop it, or choose another folder.',
  ),
  DATA_FOLDER: row(
    500,
    0x0110,
    'The data folder cannot be made or written. Give its user the right to, or choose another with LIGHTBOX_DATA.',
  ),
  DATABASE_START: row(500, 0x0110, 'The built-in database did not start. The log has its own words.'),
  DATABASE_USER: row(
    500,
    0x0110,
    'As root the built-in database needs a user "postgres"; create it, or start Lightbox as an ordinary user.',
  ),
  DATABASE_FOLDER: row(
    500,
    0x0110,
    'The user of the built-in database cannot reach the data folder. Choose a folder whose parents may be entered by everybody.',
  ),
  DATABASE_UNREACHABLE: row(503, 0xa700, 'The database does not answer. Try again shortly.'),
  DATABASE_VERSION: row(500, 0x0110, 'The database is older than PostgreSQL 16.'),
  DATABASE_MIGRATION: row(
    500,
    0x0110,
    'The database could not be brought to the form this version needs. Nothing was changed.',
  ),
  // --- keeping objects (server/archive)
  ARCHIVE_FULL: row(
    507,
    0xa700,
    'The disk is nearly full. New objects are refused until there is room; reading goes on.',
  ),
  ARCHIVE_STOPPING: row(503, 0xa700, 'The archive is stopping. Send again shortly.'),
  ARCHIVE_DISK: row(
    500,
    0xa700,
    'The disk failed while an object was written. It was not kept, and the server stops.',
  ),
  PACK_DAMAGED: row(
    500,
    0x0110,
    'A pack is not as it was written. Nothing was taken away because of it; `lightbox verify` says which objects it concerns.',
  ),
  PACK_MOVED: row(
    503,
    0x0110,
    'Objects moved or went while a pack of them was written. It is written again.',
  ),
  PACK_SOURCE: row(
    500,
    0x0110,
    'An object is not as it was kept. It is left where it is and not packed; `lightbox verify` names it.',
  ),
  SOP_MISMATCH: row(409, 0xa900, 'The SOP class or instance in the data set is not the one announced.'),
  INSTANCE_CONFLICT: row(
    409,
    0x0111,
    'Another object with this SOP Instance UID is already kept. The new one is kept aside for a person to decide.',
  ),
} satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof FAULTS;

/** Facts for the log and the caller: counts, offsets, tags, codes. Never a name, birth date or other patient value. */
export type FaultFacts = Readonly<Record<string, string | number | boolean | undefined>>;

/** The one error class. `code` picks the row; `facts` say where. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly facts: FaultFacts;

  constructor(code: FaultCode, facts: FaultFacts = {}, options?: { cause?: unknown }) {
    super(code + describe(facts), options);
    this.name = 'Fault';
    this.code = code;
    this.facts = facts;
  }

  get row(): FaultRow {
    return FAULTS[this.code];
  }
}

function describe(facts: FaultFacts): string {
  const parts = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${String(value)}`);
  return parts.length ? ` (${parts.join(', ')})` : '';
}

/** Any thrown value as a Fault: Faults stay, everything else becomes INTERNAL with the original as its cause. */
export function asFault(error: unknown): Fault {
  return error instanceof Fault ? error : new Fault('INTERNAL', {}, { cause: error });
}
