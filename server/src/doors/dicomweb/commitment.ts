/**
 * Storage commitment over the web: a user agent asks for the safekeeping of objects, and comes back for the result.
 *
 * Source: PS3.18 §13.4 (Request), Table 13.4.3-1; §13.5 (Result Check), Table 13.5.3-1; Annex J (payloads).
 * Layer:  server/doors/dicomweb.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '@lightbox/core/base/fault.ts';
import { isUid } from '@lightbox/core/base/uid.ts';
import type { DataSet } from '@lightbox/core/dicom/data-set.ts';
import { toJson } from '@lightbox/core/dicom/json.ts';
import { toXml } from '@lightbox/core/dicom/xml.ts';
import {
  type CommitmentAnswer,
  commitmentResponse,
  requestedItems,
} from '@lightbox/core/translate/commitment.ts';
import type { Commitments, Requester } from '../../archive/commitment/types.ts';
import { toFault } from '../../platform/http.ts';
import { acceptOf, principalOf } from './answer.ts';
import type { DoorContext } from './context.ts';
import { covers } from './media.ts';
import { metadataText, oneDataSet } from './one-data-set.ts';

/** Two hundred thousand objects as JSON. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** Bodies of all requests together that are in memory. */
const MAX_BODIES_BYTES = 2 * MAX_BODY_BYTES;
/** An ordinary study is checked within this, and answered at once; what takes longer is 202. */
const AT_ONCE_MS = 2000;
const COME_BACK_SECONDS = 5;

type Form = 'json' | 'xml';

/** What the two transactions need beside the door's context. */
export class CommitmentResource {
  readonly #context: DoorContext;
  readonly #commitments: Commitments;
  #bodies = 0;

  constructor(context: DoorContext, commitments: Commitments) {
    this.#context = context;
    this.#commitments = commitments;
  }

  /** POST /commitment-requests/{transactionUID} */
  async request(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const form = formOf(request);
    const { requester, transactionUid } = this.#named(request);
    try {
      const items = requestedItems(await this.#payload(request));
      await this.#commitments.accept(requester, transactionUid, items);
    } catch (error) {
      const fault = toFault(error);
      this.#context.audit.record({
        ...{ event: 'commitment', outcome: fault.row.http >= 500 ? 'failed' : 'refused' },
        ...{ principal: requester.principal, detail: { door: 'dicomweb', code: fault.code } },
      });
      if (fault.row.http === 503) reply.header('retry-after', String(COME_BACK_SECONDS));
      throw fault;
    }
    return answer(reply, form, await this.#commitments.result(requester, transactionUid, AT_ONCE_MS));
  }

  /** GET /commitment-requests/{transactionUID} */
  async check(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const form = formOf(request);
    const { requester, transactionUid } = this.#named(request);
    return answer(reply, form, await this.#commitments.result(requester, transactionUid));
  }

  /** The transaction of one principal is nobody else's: for others there is none. */
  #named(request: FastifyRequest): { requester: Requester; transactionUid: string } {
    const { transaction = '' } = request.params as { transaction?: string };
    if (!isUid(transaction)) throw new Fault('BAD_REQUEST', { problem: 'the transaction UID is no UID' });
    const principal = principalOf(request);
    return {
      requester: { via: 'web', peer: principal.id, localAe: '', principal },
      transactionUid: transaction,
    };
  }

  async #payload(request: FastifyRequest): Promise<DataSet> {
    let length = 0;
    try {
      const { text, type } = await metadataText(request, MAX_BODY_BYTES, (bytes) => {
        length += bytes;
        this.#bodies += bytes;
        if (this.#bodies > MAX_BODIES_BYTES) throw new Fault('COMMIT_BUSY');
      });
      return oneDataSet(text, type);
    } finally {
      this.#bodies -= length;
    }
  }
}

/** Before anything is done: a form of the answer nobody can read is no answer. */
function formOf(request: FastifyRequest): Form {
  for (const wanted of acceptOf(request)) {
    if (covers(wanted, 'application/dicom+json')) return 'json';
    if (covers(wanted, 'application/dicom+xml')) return 'xml';
  }
  throw new Fault('NOT_ACCEPTABLE');
}

function answer(
  reply: FastifyReply,
  form: Form,
  answers: readonly CommitmentAnswer[] | undefined,
): FastifyReply {
  reply.header('cache-control', 'no-store');
  if (!answers) return reply.status(202).header('retry-after', String(COME_BACK_SECONDS)).send();
  const json = toJson(commitmentResponse(answers));
  return form === 'json'
    ? reply.type('application/dicom+json').send(JSON.stringify(json))
    : reply.type('application/dicom+xml').send(toXml(json));
}
