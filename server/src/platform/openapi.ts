/**
 * How our routes describe themselves in OpenAPI: their zod schemas, who may call them, and the shape of every error.
 *
 * Source: OpenAPI 3.1.0.
 * Layer:  server/platform.
 */
import type { SwaggerOptions } from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Problem } from '@lightbox/core/contract/api.ts';

export const VERSION = '0.1.0';

const PROBLEM = {
  description: 'What went wrong; `code` is a row of docs/errors.md.',
  content: { 'application/problem+json': { schema: z.toJSONSchema(Problem) } },
};

/** Options of @fastify/swagger. Register before any route. */
export const OPENAPI: SwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Lightbox',
      version: VERSION,
      description: 'Everything under /api, and DICOMweb (PS3.18).',
    },
    components: {
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: 'lightbox.session_token' },
        key: { type: 'http', scheme: 'bearer', description: 'An API key from the page "API keys".' },
      },
    },
  },
  // Schemas with a name of their own, so that one may hold itself (a content item of an SR).
  transformObject: jsonSchemaTransformObject,
  transform(document) {
    const { schema = {}, url } = jsonSchemaTransform(document as Parameters<typeof jsonSchemaTransform>[0]);
    const { right, public: open } = document.route.config ?? {};
    const who = open ? 'Anyone.' : right === undefined ? 'Whoever is signed in.' : `Right: ${right}.`;
    return {
      url,
      schema: {
        ...schema,
        description: [schema.description, who].filter((one) => one !== undefined).join(' '),
        security: open ? [] : [{ session: [] }, { key: [] }],
        response: { ...(schema.response as object | undefined), default: PROBLEM },
      },
    };
  },
};
