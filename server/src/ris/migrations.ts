/**
 * All tables of the radiology information system.
 *
 * Layer:  server/ris.
 */
import type { Migrations } from '../platform/database.ts';
import { workitemMigrations } from './workitems/migrations.ts';

export const risMigrations: Migrations = { ...workitemMigrations };
