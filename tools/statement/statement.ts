/**
 * The conformance statement: the words of template.md with the tables of the code in them.
 *
 * Source: PS3.2 Annex N.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { dicomwebResources } from './dicomweb.ts';
import * as tables from './tables.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** @throws Error for a place in the template that has no table, and for a table that has no place. */
export async function statement(): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const parts: Readonly<Record<string, string>> = {
    identity: tables.identity(version),
    overview: tables.overview(),
    associations: tables.associationPolicies(),
    'service-classes': tables.serviceClasses(),
    rights: tables.rights(),
    'plain-syntaxes': tables.plainSyntaxes(),
    'storage-classes': tables.storageClasses(),
    'storage-syntaxes': tables.storageSyntaxes(),
    statuses: tables.statuses(),
    'query-attributes': tables.queryAttributes(),
    dicomweb: await dicomwebResources(),
    'directory-records': tables.directoryRecords(),
    'tls-profiles': tables.tlsProfiles(),
    'audit-messages': tables.auditMessages(),
    'deidentify-options': tables.deidentifyOptions(),
    'deidentify-attributes': tables.deidentifyAttributes(),
    configuration: tables.configuration(),
  };
  const used = new Set<string>();
  const text = readFileSync(join(import.meta.dirname, 'template.md'), 'utf8').replaceAll(
    /\{\{([\w-]+)\}\}/g,
    (_, name: string) => {
      const part = parts[name];
      if (part === undefined) throw new Error(`tools/statement/template.md: nothing is called ${name}`);
      used.add(name);
      return part;
    },
  );
  const unused = Object.keys(parts).filter((name) => !used.has(name));
  if (unused.length) throw new Error(`tools/statement/template.md has no place for ${unused.join(', ')}`);
  return text;
}
