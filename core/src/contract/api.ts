/**
 * Our own HTTP API under /api: one definition, validated by the server and typed in the web.
 *
 * DICOM services live under /dicom-web (PS3.18); this is everything else.
 * Layer:  core/contract.
 */
import { z } from 'zod';

export const Role = z.enum(['administrator', 'radiologist', 'technologist', 'referrer']);
export const Right = z.enum([
  'study.search',
  'study.view',
  'study.store',
  'study.export',
  'study.send',
  'study.correct',
  'remote.search',
  'remote.retrieve',
  'transfer.manage',
  'workitem.view',
  'workitem.manage',
  'device.read',
  'device.manage',
  'user.manage',
  'audit.read',
  'quarantine.read',
  'settings.manage',
  'apikey.manage',
  'metrics.read',
]);

/** Every error body. `code` is a row of docs/errors.md; `requestId` finds the log line. */
export const Problem = z.object({
  code: z.string(),
  message: z.string(),
  requestId: z.string(),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});

// --- session: GET /api/session (public), POST /api/setup (public, one time), better-auth under /api/auth/*
export const SessionUser = z.object({
  id: z.string(),
  name: z.string(),
  email: z.string(),
  roles: z.array(Role),
  rights: z.array(Right),
  twoFactor: z.boolean(),
});
export const Session = z.object({
  /** True until the first administrator exists: the page shows the setup form when it has the one-time token. */
  setupRequired: z.boolean(),
  user: SessionUser.nullable(),
  /** Seconds without activity after which the session locks; the web blanks images then. */
  idleLockSeconds: z.number().int(),
  locked: z.boolean(),
  version: z.string(),
});
export const SetupRequest = z.object({
  token: z.string().min(1),
  name: z.string().min(1).max(200),
  email: z.email(),
  password: z.string().min(12).max(200),
});
/** POST /api/session/unlock */
export const UnlockRequest = z.object({ password: z.string().min(1).max(200) });

// --- study list: GET /api/studies
export const StudySort = z.enum([
  'date',
  'patientName',
  'patientId',
  'birthDate',
  'description',
  'accession',
  'modality',
  'received',
]);
export const StudyListQuery = z.object({
  /** Matches name or patient id or accession, any script, prefix of each word. */
  search: z.string().max(200).optional(),
  patientName: z.string().max(200).optional(),
  patientId: z.string().max(64).optional(),
  accession: z.string().max(64).optional(),
  description: z.string().max(200).optional(),
  /** Comma separated, e.g. "CT,MR". */
  modality: z.string().max(200).optional(),
  /** DICOM dates YYYYMMDD, inclusive. */
  dateFrom: z
    .string()
    .regex(/^\d{8}$/)
    .optional(),
  dateTo: z
    .string()
    .regex(/^\d{8}$/)
    .optional(),
  sort: StudySort.default('date'),
  descending: z.stringbool().default(true),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  /** Opaque; from the previous page's `next`. */
  cursor: z.string().max(500).optional(),
});
export const PersonNameGroups = z.object({
  alphabetic: z.string(),
  ideographic: z.string().optional(),
  phonetic: z.string().optional(),
});
export const StudyRow = z.object({
  studyUid: z.string(),
  patientName: PersonNameGroups,
  patientId: z.string(),
  issuer: z.string().optional(),
  birthDate: z.string(),
  sex: z.string(),
  date: z.string(),
  time: z.string(),
  description: z.string(),
  accession: z.string(),
  referrer: z.string(),
  modalities: z.array(z.string()),
  seriesCount: z.number().int(),
  instanceCount: z.number().int(),
  receivedAt: z.iso.datetime(),
  /** True until no object came for the quiet time: images are still arriving. */
  arriving: z.boolean(),
  /** PATIENT_MISMATCH: objects of this study name different patients; to be shown to people. */
  warnings: z.array(z.string()).optional(),
  /** People corrected what came: it is shown as they said. */
  corrected: z.boolean().optional(),
});
export const StudyPage = z.object({
  items: z.array(StudyRow),
  next: z.string().nullable(),
  /** Exact up to 10,000, then an estimate. */
  total: z.number().int(),
  totalIsEstimate: z.boolean(),
});

// --- one study: GET /api/studies/:studyUid
export const SeriesRow = z.object({
  seriesUid: z.string(),
  number: z.number().nullable(),
  modality: z.string(),
  description: z.string(),
  bodyPart: z.string(),
  laterality: z.string(),
  instanceCount: z.number().int(),
  frameCount: z.number().int(),
  /** What the viewer should do with it. */
  kind: z.enum(['image', 'pdf', 'sr', 'waveform', 'video', 'presentation', 'other']),
  sopClassUids: z.array(z.string()),
  /** Middle instance: the thumbnail shown for the series. */
  thumbnailSopUid: z.string(),
  /** Set when the series came with another patient than the study; to be shown to people. */
  otherPatient: z.object({ patientName: PersonNameGroups, patientId: z.string() }).optional(),
});
export const StudyDetail = StudyRow.extend({ series: z.array(SeriesRow) });

/** GET /api/events, server-sent events: each `data:` line is one of these. */
export const LiveEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('study.changed'), studyUid: z.string(), instances: z.number().int() }),
  z.object({ type: z.literal('study.stable'), studyUid: z.string() }),
  z.object({ type: z.literal('device.refused'), callingAe: z.string() }),
  z.object({ type: z.literal('transfer.changed'), id: z.string(), state: z.string() }),
  z.object({ type: z.literal('workitem.changed'), uid: z.string(), state: z.string() }),
]);

// --- upload: POST /api/upload?name=... one raw body per file (application/dicom or application/zip)
export const UploadResult = z.object({
  /** Name within the ZIP, or the query's name. */
  name: z.string(),
  /** waiting: for a person to say whose it is (imports only). */
  status: z.enum(['stored', 'duplicate', 'conflict', 'quarantined', 'refused', 'skipped', 'waiting']),
  studyUid: z.string().optional(),
  sopInstanceUid: z.string().optional(),
  code: z.string().optional(),
  message: z.string().optional(),
});
/** Answer: application/x-ndjson, one UploadResult per line as each file finishes. */

// --- imports: POST /api/imports begins one, POST /api/imports/:id/files?name=... takes files as /api/upload does,
// GET shows whose they are, POST /api/imports/:id/decisions takes them in (answer as of /api/upload), DELETE forgets them
export const ImportBegun = z.object({ id: z.string() });
const foreignPerson = {
  name: PersonNameGroups,
  id: z.string(),
  issuer: z.string(),
  birthDate: z.string(),
  sex: z.string(),
};
export const ImportChoice = z.enum(['keep', 'same', 'local', 'skip']);
export const ImportPatient = z.object({
  person: z.string(),
  ...foreignPerson,
  objects: z.number().int(),
  studies: z.array(
    z.object({
      studyUid: z.string(),
      date: z.string(),
      description: z.string(),
      modalities: z.array(z.string()),
      objects: z.number().int(),
    }),
  ),
  /** Patients here, or others of this import (`studies` is 0). */
  matches: z.array(
    z.object({
      kind: z.enum(['same', 'conflict', 'similar', 'study']),
      ...foreignPerson,
      studies: z.number().int(),
    }),
  ),
  choices: z.array(ImportChoice),
});
export const ImportPreview = z.object({
  patients: z.array(ImportPatient),
  objects: z.number().int(),
  /** Listed in a directory of the medium, and not among the files that came. */
  missing: z.number().int(),
});
export const ImportDecisions = z.object({
  decisions: z.array(z.object({ person: z.string().max(2000), choice: ImportChoice })).max(10_000),
});

// --- exports: POST /api/exports makes a ticket, GET /api/exports/:id tells how far it is, GET /api/exports/:id/file is the medium
/** PS3.15 §E.3; names as in docs/de-identification.md. */
export const DeidentifyOptionName = z.enum([
  'cleanPixelData',
  'cleanVisualFeatures',
  'cleanGraphics',
  'cleanStructuredContent',
  'cleanDescriptors',
  'retainFullDates',
  'retainModifiedDates',
  'retainPatientCharacteristics',
  'retainDeviceIdentity',
  'retainUids',
  'retainSafePrivate',
  'retainInstitutionIdentity',
]);
const RectangleInput = z.object({
  left: z.number().int().min(0).max(65535),
  top: z.number().int().min(0).max(65535),
  width: z.number().int().min(1).max(65535),
  height: z.number().int().min(1).max(65535),
});
export const ExportInput = z.object({
  studies: z
    .array(
      z.object({
        studyUid: z.string().max(64),
        /** Some series of it; without, all. */
        seriesUids: z.array(z.string().max(64)).min(1).max(5000).optional(),
      }),
    )
    .min(1)
    .max(500),
  format: z.enum(['zip', 'iso']).default('zip'),
  /** As kept, byte for byte; or uncompressed, which every reader of media has to take (PS3.11 Annex D). */
  pixels: z.enum(['kept', 'uncompressed']).default('kept'),
  /** index.html, which shows the images without a program. */
  viewer: z.boolean().default(true),
  deidentify: z
    .object({
      options: z.array(DeidentifyOptionName).default([]),
      rectangles: z.array(RectangleInput).max(100).default([]),
      /** A person has looked at the pixels of all that is exported. */
      pixelsReviewed: z.boolean().default(false),
      /** The same secret gives the same pseudonyms and UIDs again; without one they are new with every export. */
      key: z.string().min(16).max(200).optional(),
    })
    .optional(),
});
/** What was left out or is not as asked, by the code that says why. */
export const ExportNote = z.object({ code: z.string(), message: z.string(), objects: z.number().int() });
export const ExportTicket = z.object({
  id: z.string(),
  url: z.string(),
  name: z.string(),
  objects: z.number().int(),
  /** Of the objects as they are kept. */
  bytes: z.number(),
  notes: z.array(ExportNote),
});
export const ExportState = z.object({
  state: z.enum(['ready', 'sending', 'done', 'failed']),
  sentBytes: z.number(),
  /** When the length was known in advance. */
  totalBytes: z.number().nullable(),
});

// --- documents: GET /api/studies/:studyUid/series/:seriesUid/instances/:sopUid/document, and its bytes at .../document/file
/** Whose document it is and what kind of object, with every answer. Dates and times as DA and TM. */
const documentHead = {
  title: z.string(),
  sopClassUid: z.string(),
  sopClassName: z.string(),
  patient: z.object({ name: PersonNameGroups, id: z.string(), birthDate: z.string(), sex: z.string() }),
  date: z.string(),
  time: z.string(),
  institution: z.string(),
};
/** Bytes to show or to save, by range. */
const documentFile = { url: z.string(), mediaType: z.string(), bytes: z.number().int() };
/** PN as DICOM writes it; DT. */
const SrPerson = z.object({ name: z.string(), organization: z.string(), dateTime: z.string() });
export const WaveformGroup = z.object({
  label: z.string(),
  samplingFrequency: z.number(),
  sampleCount: z.number().int(),
  /** Samples that one value below stands for; more than 1: least and greatest of each stretch, no peak is lost. */
  samplesPerValue: z.number(),
  /** Seconds from the start of the recording. */
  start: z.number(),
  /** Fewer samples are there than the object declares. */
  short: z.boolean(),
  moreChannels: z.number().int(),
  /** Set when the group cannot be drawn; then no channel has values. */
  problem: z.enum(['frequency', 'layout', 'empty']).optional(),
  channels: z.array(
    z.object({
      label: z.string(),
      /** `I` to `V6` for a lead of a standard ECG. */
      lead: z.string().optional(),
      unit: z.string(),
      /** Factor from `unit` to millivolts; absent when it is no voltage. */
      millivolts: z.number().optional(),
      calibrated: z.boolean(),
      highPass: z.number().optional(),
      lowPass: z.number().optional(),
      notch: z.number().optional(),
      skew: z.number(),
      /** Base64 of Float32 little endian in `unit`; NaN where there is no sample. */
      values: z.string(),
    }),
  ),
});
export const WaveformAnnotation = z.object({
  name: z.string(),
  value: z.string(),
  unit: z.string(),
  channels: z.array(z.string()),
  group: z.number().int(),
  /** Seconds from the start of the group. */
  at: z.array(z.number()),
});
export const Document = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('pdf'), ...documentHead, ...documentFile }),
  z.object({
    kind: z.literal('video'),
    ...documentHead,
    ...documentFile,
    /** MPEG-2, H.264 or HEVC. */
    coding: z.string(),
  }),
  /** Bytes that are not shown here, with the reason: to be saved and opened by a program for them. */
  z.object({
    kind: z.literal('file'),
    ...documentHead,
    ...documentFile,
    /** As the object calls it; the bytes are served as application/octet-stream. */
    declaredType: z.string(),
    reason: z.string(),
  }),
  z.object({
    kind: z.literal('sr'),
    ...documentHead,
    /** As sent; empty for a key object selection. */
    completion: z.string(),
    completionNote: z.string(),
    verification: z.string(),
    preliminary: z.string(),
    verifiers: z.array(SrPerson),
    authors: z.array(SrPerson),
    predecessors: z.number().int(),
    nodes: z.array(z.lazy(() => SrNode)),
    nodeCount: z.number().int(),
    truncated: z.boolean(),
  }),
  z.object({
    kind: z.literal('waveform'),
    ...documentHead,
    groups: z.array(WaveformGroup),
    annotations: z.array(WaveformAnnotation),
    truncated: z.boolean(),
  }),
  /** Nothing to draw: why (a key of the page's texts) and what is known of the object. */
  z.object({
    kind: z.literal('none'),
    ...documentHead,
    reason: z.string(),
    facts: z.array(z.object({ keyword: z.string(), value: z.string() })),
  }),
]);
/** One content item of an SR document (PS3.3 §C.17.3). Text, never markup. */
export type SrNode = {
  /** Place in the tree: `1.2` is the second item of the root. */
  id: string;
  relationship: string;
  type: string;
  name: string;
  /** DATE, TIME, DATETIME and PNAME as DICOM writes them, everything else ready to be read. */
  value: string;
  unit?: string | undefined;
  code?: { value: string; scheme: string; meaning: string } | undefined;
  reference?:
    | {
        sopClassUid: string;
        sopUid: string;
        frames: number[];
        /** Where the object lies here; absent when it is not here. */
        at?: { studyUid: string; seriesUid: string } | undefined;
      }
    | undefined;
  /** `id` of the item meant by an item by reference. */
  target?: string | undefined;
  children: SrNode[];
};
export const SrNode: z.ZodType<SrNode> = z
  .object({
    id: z.string(),
    relationship: z.string(),
    type: z.string(),
    name: z.string(),
    value: z.string(),
    unit: z.string().optional(),
    code: z.object({ value: z.string(), scheme: z.string(), meaning: z.string() }).optional(),
    reference: z
      .object({
        sopClassUid: z.string(),
        sopUid: z.string(),
        frames: z.array(z.number()),
        at: z.object({ studyUid: z.string(), seriesUid: z.string() }).optional(),
      })
      .optional(),
    target: z.string().optional(),
    children: z.array(z.lazy(() => SrNode)),
  })
  .meta({ id: 'SrNode' });

// --- devices: GET/POST /api/devices, PUT/DELETE /api/devices/:id, GET /api/devices/refused, POST /api/devices/:id/echo
export const DeviceVerb = z.enum([
  'echo',
  'store',
  'find',
  'move',
  'get',
  'worklist',
  'mpps',
  'commit',
  'workitem',
]);
/** What may be asked of it: to keep objects that are sent to it, to be searched and fetched from. */
export const DeviceOffer = z.enum(['store', 'archive', 'commit', 'availability']);
/** PS3.5 §6.2 AE: 1-16 characters of the default repertoire without backslash and control characters. */
export const AeTitle = z.string().regex(/^(?=.*[^ ])[\x20-\x5b\x5d-\x7e]{1,16}$/);
/** SHA-256 in hex; colons and capitals, as other programs print it, are taken too. Answers have neither. */
export const Fingerprint = z.string().regex(/^([0-9A-Fa-f]{2}[: ]?){32}$/);
/** The one certificate of a device, or whichever a trusted authority issues to a name. */
export const BoundCertificate = z.discriminatedUnion('by', [
  z.object({ by: z.literal('fingerprint'), fingerprint: Fingerprint }),
  z.object({ by: z.literal('subject'), subject: z.string().min(1).max(500), authority: Fingerprint }),
]);
/** In which form a device gets images; compressed ones are without loss. */
export const SendForm = z.enum(['stored', 'uncompressed', 'jpeg-ls', 'jpeg2000', 'htj2k', 'rle']);
/** Its DICOMweb service: the URL before `/studies`. The secret comes in and never goes out. */
export const WebAddress = z.object({
  url: z
    .url({ protocol: /^https?$/, hostname: /./ })
    .max(1000)
    .refine((url) => !/[?#]/.test(url) && !/^https?:\/\/[^/]*@/.test(url), 'no user, query or fragment'),
  auth: z.enum(['none', 'basic', 'bearer']).default('none'),
  user: z
    .string()
    .max(200)
    .regex(/^[^:\x00-\x1f\x7f]*$/)
    .default(''),
  /** Password or token; left out: the one that is kept. */
  secret: z
    .string()
    .min(1)
    .max(8192)
    .regex(/^[^\x00-\x1f\x7f]*$/)
    .optional(),
});
export const DeviceInput = z.object({
  aeTitle: AeTitle,
  description: z.string().max(200).default(''),
  host: z.string().max(253).nullable().default(null),
  port: z.number().int().min(1).max(65535).nullable().default(null),
  checkAddress: z.boolean().default(false),
  verbs: z.array(DeviceVerb).default(['echo', 'store']),
  /** We reach it by TLS. */
  tls: z.boolean().default(false),
  /** It has to reach us by TLS. */
  tlsOnly: z.boolean().default(false),
  certificate: BoundCertificate.nullable().default(null),
  identity: z.enum(['optional', 'named', 'verified']).default('optional'),
  /** Which of our AE titles it may call; empty: all. */
  calledAes: z.array(AeTitle).max(50).default([]),
  offers: z.array(DeviceOffer).default(['store']),
  /** Objects travel to it and from it by DICOMweb; null: by DIMSE. */
  dicomweb: WebAddress.nullable().default(null),
  sendAs: SendForm.default('stored'),
});
export const Device = DeviceInput.extend({
  id: z.string(),
  dicomweb: WebAddress.omit({ secret: true }).extend({ url: z.string(), hasSecret: z.boolean() }).nullable(),
});
export const RefusedDevice = z.object({
  callingAe: z.string(),
  calledAe: z.string(),
  remoteAddress: z.string(),
  reason: z.string(),
  count: z.number().int(),
  lastAt: z.iso.datetime(),
  /** SHA-256 of the certificate it showed; empty when none. */
  fingerprint: z.string(),
});
export const EchoResult = z.object({
  ok: z.boolean(),
  milliseconds: z.number(),
  /** Plain language: "answered", "connection refused: is the program running on that port?", ... */
  diagnosis: z.string(),
});

// --- our AE titles: GET/POST /api/local-aes, DELETE /api/local-aes/:aeTitle
export const LocalAeInput = z.object({
  aeTitle: AeTitle,
  description: z.string().max(200).default(''),
  verbs: z.array(DeviceVerb).default([...DeviceVerb.options]),
});
/** `main`: the one of the settings. */
export const LocalAe = LocalAeInput.extend({ main: z.boolean() });

// --- certificates: GET /api/certificates and the routes below it
const Pem = z.string().min(1).max(65_536);
export const Certificate = z.object({
  id: z.string(),
  role: z.enum(['authority', 'own', 'trusted']),
  /** Own ones: who presents it; null: all of our AE titles that have none of their own. */
  aeTitle: z.string().nullable(),
  label: z.string(),
  fingerprint: z.string(),
  subject: z.string(),
  issuer: z.string(),
  names: z.string(),
  authority: z.boolean(),
  notBefore: z.iso.datetime(),
  notAfter: z.iso.datetime(),
});
export const Certificates = z.object({
  certificates: z.array(Certificate),
  /** `port` is the one that is listening; null: none is. `off`: the settings say so. */
  listener: z.object({
    port: z.number().int().nullable(),
    off: z.boolean(),
    clients: z.enum(['required', 'optional']),
  }),
});
/** Host names and addresses; empty: those this machine knows of. */
const Names = z
  .array(z.string().regex(/^[A-Za-z0-9.:*_-]{1,253}$/))
  .max(50)
  .default([]);
export const OwnCertificateInput = z.object({ aeTitle: AeTitle.nullable().default(null), names: Names });
export const GivenCertificateInput = z.object({
  aeTitle: AeTitle.nullable().default(null),
  /** The certificate, then its chain. */
  certificate: Pem,
  privateKey: Pem,
});
export const TrustInput = z.object({ label: z.string().max(100).default(''), certificate: Pem });
export const IssueInput = z.object({ commonName: z.string().trim().min(1).max(64), names: Names });
/** Shown once: the key is not kept. */
export const IssuedCertificate = z.object({
  certificate: z.string(),
  privateKey: z.string(),
  authority: z.string(),
  fingerprint: z.string(),
  notAfter: z.iso.datetime(),
});

// --- storage commitments: GET /api/commitments, POST /api/commitments/:id/retry, POST /api/devices/:id/commitments
export const CommitmentState = z.enum([
  ...['checking', 'checked', 'told', 'waiting', 'asked', 'answered', 'dead', 'gone'],
] as const);
export const CommitmentQuery = z.object({
  /** Only those in this state. */
  state: CommitmentState.optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});
export const Commitment = z.object({
  id: z.string(),
  /** received: a peer asked us. requested: we asked a peer. */
  direction: z.enum(['received', 'requested']),
  via: z.enum(['dimse', 'web']),
  peer: z.string(),
  transactionUid: z.string(),
  objects: z.number().int(),
  /** Null until the result is known. */
  failed: z.number().int().nullable(),
  state: CommitmentState,
  attempts: z.number().int(),
  nextAt: z.iso.datetime().nullable(),
  /** A row of docs/errors.md: why it could not be told or asked last time. */
  code: z.string().nullable(),
  message: z.string().nullable(),
  createdAt: z.iso.datetime(),
  finishedAt: z.iso.datetime().nullable(),
});
/** Asks the device whether it keeps this study. */
export const CommitmentInput = z.object({ studyUid: z.string().min(1).max(64) });
export const CommitmentsAsked = z.object({ ids: z.array(z.string()) });

// --- people: GET/POST /api/users, PUT /api/users/:id; POST returns a one-time invitation link
export const UserRow = z.object({
  id: z.string(),
  name: z.string(),
  email: z.string(),
  roles: z.array(Role),
  active: z.boolean(),
  twoFactor: z.boolean(),
  lastSeenAt: z.iso.datetime().nullable(),
});
export const UserInput = z.object({
  name: z.string().min(1).max(200),
  email: z.email(),
  roles: z.array(Role).min(1),
});
export const UserUpdate = z.object({
  name: z.string().min(1).max(200).optional(),
  roles: z.array(Role).min(1).optional(),
  active: z.boolean().optional(),
});
/** The link is shown once; opening it lets the person choose a password (POST /api/invitations/accept). */
export const Invitation = z.object({ user: UserRow, link: z.string() });
export const AcceptInvitation = z.object({ token: z.string().min(1), password: z.string().min(12).max(200) });

// --- API keys: GET/POST /api/keys, DELETE /api/keys/:id
export const ApiKeyInput = z.object({
  name: z.string().min(1).max(100),
  rights: z.array(Right).min(1),
  expiresInDays: z.number().int().min(1).max(3650).nullable().default(365),
});
export const ApiKeyRow = z.object({
  id: z.string(),
  name: z.string(),
  rights: z.array(Right),
  start: z.string(),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().nullable(),
  lastUsedAt: z.iso.datetime().nullable(),
});
/** `key` is shown once. Sent as `Authorization: Bearer <key>`. */
export const ApiKeyCreated = ApiKeyRow.extend({ key: z.string() });

// --- audit: GET /api/audit, GET /api/audit/verify
export const AuditQuery = z.object({
  event: z.string().max(50).optional(),
  outcome: z.enum(['success', 'refused', 'failed']).optional(),
  principal: z.string().max(200).optional(),
  studyUid: z.string().max(64).optional(),
  from: z.iso.datetime().optional(),
  to: z.iso.datetime().optional(),
  before: z.coerce.number().int().optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const AuditRow = z.object({
  seq: z.number().int(),
  at: z.iso.datetime(),
  event: z.string(),
  outcome: z.enum(['success', 'refused', 'failed']),
  principalKind: z.string(),
  principalId: z.string(),
  principalName: z.string(),
  remoteAddress: z.string(),
  studyUids: z.array(z.string()),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});
export const AuditPage = z.object({ items: z.array(AuditRow), next: z.number().int().nullable() });
export const AuditVerificationQuery = z.object({
  /** `head` of an earlier verification, or of the log: the trail has to lead through it. */
  head: z.string().max(100).optional(),
});
export const AuditVerification = z.object({
  ok: z.boolean(),
  rows: z.number().int(),
  /** First row that is changed, too many or missing. */ brokenAt: z.number().int().nullable(),
  /** Number and hash of the last row that holds. Noted elsewhere, it shows later that nothing was cut off. */
  head: z.string(),
});

// --- preferences of the signed-in person: GET/PUT /api/preferences/:key (JSON up to 64 KiB)
export const PreferenceKey = z.string().regex(/^[a-z][a-zA-Z0-9.]{0,63}$/);
/** Kept as JSON, not as text of an address: a boolean is one. */
export const SavedFilter = z.object({
  name: z.string().min(1).max(100),
  query: StudyListQuery.omit({ limit: true, cursor: true }).extend({ descending: z.boolean() }).partial(),
});

// --- quarantine: GET /api/quarantine, GET /api/quarantine/:id/file
export const QuarantineItem = z.object({
  id: z.string(),
  receivedAt: z.iso.datetime(),
  source: z.string(),
  by: z.string(),
  bytes: z.number().int(),
  code: z.string(),
  message: z.string(),
});

// --- status: GET /api/status
export const Status = z.object({
  version: z.string(),
  uptimeSeconds: z.number(),
  studies: z.number().int(),
  series: z.number().int(),
  instances: z.number().int(),
  conflicts: z.number().int(),
  quarantined: z.number().int(),
  bytes: z.number(),
  freeBytes: z.number(),
  full: z.boolean(),
  /** Where the bytes are: as they came in, and sealed. */
  journalBytes: z.number(),
  packBytes: z.number(),
  packs: z.number().int(),
  unsealed: z.number().int(),
  sealLagSeconds: z.number(),
  dicom: z.object({
    aeTitle: z.string(),
    port: z.number().int(),
    tlsPort: z.number().int().nullable(),
    associations: z.number().int(),
  }),
});
