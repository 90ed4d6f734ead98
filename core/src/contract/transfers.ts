/**
 * Our own HTTP API, second part: sending to other systems, and searching and fetching from other archives.
 *
 * Layer:  core/contract.
 */
import { z } from 'zod';
import { PersonNameGroups } from './api.ts';

const Uid = z.string().regex(/^[0-9.]{1,64}$/);
const Scope = z.object({ studyUid: Uid, seriesUid: Uid.optional(), sopUid: Uid.optional() });
/** One request names so many at most; a whole archive is not moved by hand. */
const Scopes = z.array(Scope).min(1).max(1000);
export const FetchMethod = z.enum(['auto', 'get', 'move']);

export const TransferState = z.enum(['queued', 'running', 'waiting', 'done', 'failed', 'cancelled']);

/** GET /api/destinations, GET /api/archives: devices objects may be sent to, and those that may be searched. */
export const Peer = z.object({ id: z.string(), aeTitle: z.string(), description: z.string() });

/** POST /api/transfers */
export const SendRequest = z.object({ deviceId: z.string().min(1).max(100), scopes: Scopes });

/** POST /api/remote/retrieve */
export const RetrieveRequest = z.object({
  deviceId: z.string().min(1).max(100),
  scopes: Scopes,
  method: FetchMethod.default('auto'),
});

export const TransferRow = z.object({
  id: z.string(),
  kind: z.enum(['send', 'fetch']),
  deviceId: z.string(),
  aeTitle: z.string(),
  state: TransferState,
  askedBy: z.string(),
  studyUids: z.array(z.string()),
  /** Of the first study, when it is here. */
  patientName: PersonNameGroups.optional(),
  patientId: z.string().optional(),
  description: z.string().optional(),
  /** Objects; of a fetch, what the archive has said so far. */
  total: z.number().int(),
  sent: z.number().int(),
  /** Of those sent: with a warning. */
  warning: z.number().int(),
  failed: z.number().int(),
  attempts: z.number().int(),
  createdAt: z.iso.datetime(),
  /** When it is tried again. */
  nextAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  /** A row of docs/errors.md, and what to look at in plain language. */
  code: z.string().nullable(),
  advice: z.string().nullable(),
});

/** GET /api/transfers/:id: with the objects that were refused, as far as there is room. */
export const TransferDetail = TransferRow.extend({
  failures: z.array(
    z.object({
      studyUid: z.string(),
      seriesUid: z.string(),
      sopUid: z.string(),
      /** What the other side answered. */
      status: z.number().int().nullable(),
      /** A row of docs/errors.md. */
      code: z.string().nullable(),
    }),
  ),
});

/** GET /api/transfers */
export const TransferQuery = z.object({
  /** Comma separated. */
  state: z.string().max(100).optional(),
  kind: z.enum(['send', 'fetch']).optional(),
  deviceId: z.string().max(100).optional(),
  studyUid: Uid.optional(),
  before: z.string().max(100).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export const TransferPage = z.object({
  items: z.array(TransferRow),
  next: z.string().nullable(),
  counts: z.partialRecord(TransferState, z.number().int()),
});

/** POST /api/remote/studies: names belong into no address, so this search is a POST. */
export const RemoteQuery = z.object({
  deviceIds: z.array(z.string().min(1).max(100)).min(1).max(20),
  /** As in DICOM: `*` and `?` stand for others; a plain name matches from its beginning. */
  patientName: z.string().max(64).optional(),
  patientId: z.string().max(64).optional(),
  birthDate: z
    .string()
    .regex(/^\d{8}$/)
    .optional(),
  accession: z.string().max(16).optional(),
  description: z.string().max(64).optional(),
  modality: z.string().max(16).optional(),
  dateFrom: z
    .string()
    .regex(/^\d{8}$/)
    .optional(),
  dateTo: z
    .string()
    .regex(/^\d{8}$/)
    .optional(),
  studyUid: Uid.optional(),
  limit: z.number().int().min(1).max(1000).default(200),
});

/** What is here of a study or series found elsewhere. */
const Here = z.object({
  series: z.number().int(),
  instances: z.number().int(),
  /** False: it is kept here under another patient ID or birth date. A person has to look. */
  samePatient: z.boolean(),
});
export const RemoteStudy = z.object({
  studyUid: z.string(),
  patientName: PersonNameGroups,
  patientId: z.string(),
  issuer: z.string().default(''),
  birthDate: z.string(),
  sex: z.string(),
  date: z.string(),
  time: z.string(),
  description: z.string(),
  accession: z.string(),
  modalities: z.array(z.string()),
  /** null: the archive does not say. */
  seriesCount: z.number().int().nullable(),
  instanceCount: z.number().int().nullable(),
  here: Here.nullable(),
});
/** The answer to POST /api/remote/studies: application/x-ndjson, matches as they come, one `end` for each archive. */
export const RemoteLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('match'), deviceId: z.string(), study: RemoteStudy }),
  z.object({
    type: z.literal('end'),
    deviceId: z.string(),
    matches: z.number().int(),
    /** There are more than the limit. */
    more: z.boolean(),
    milliseconds: z.number().int(),
    code: z.string().optional(),
    /** What to look at, in plain language. */
    advice: z.string().optional(),
  }),
]);

/** POST /api/remote/series */
export const RemoteSeriesQuery = z.object({ deviceId: z.string().min(1).max(100), studyUid: Uid });
export const RemoteSeries = z.object({
  seriesUid: z.string(),
  number: z.number().nullable(),
  modality: z.string(),
  description: z.string(),
  bodyPart: z.string(),
  instanceCount: z.number().int().nullable(),
  /** Objects of it here. */
  here: z.number().int(),
});
