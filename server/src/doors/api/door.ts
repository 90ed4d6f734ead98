/**
 * Everything under /api.
 *
 * Layer:  server/doors/api.
 */
import type { HttpApp } from '../../platform/http.ts';
import { adminRoutes } from './admin.ts';
import { certificateRoutes } from './certificates.ts';
import { commitmentRoutes } from './commitments.ts';
import type { ApiContext } from './context.ts';
import { documentRoutes } from './documents.ts';
import { exportRoutes } from './exports.ts';
import { importRoutes } from './imports.ts';
import { operationsRoutes } from './operations.ts';
import { overlayRoutes } from './overlays.ts';
import { ruleRoutes } from './rules.ts';
import { sessionRoutes } from './session.ts';
import { studyRoutes } from './studies.ts';
import { transferRoutes } from './transfers.ts';
import { uploadRoutes } from './upload.ts';

export async function apiDoor(app: HttpApp, context: ApiContext): Promise<void> {
  sessionRoutes(app, context);
  studyRoutes(app, context);
  overlayRoutes(app, context);
  documentRoutes(app, context);
  adminRoutes(app, context);
  certificateRoutes(app, context);
  exportRoutes(app, context);
  transferRoutes(app, context);
  importRoutes(app, context);
  operationsRoutes(app, context);
  commitmentRoutes(app, context);
  ruleRoutes(app, context);
  await app.register((upload) => uploadRoutes(upload, context));
}
