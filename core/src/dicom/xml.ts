/**
 * The Native DICOM Model: the same attributes as DICOM JSON, as XML.
 *
 * Source: PS3.19 §A.1 (model and schema), PS3.18 §8.7.3 (application/dicom+xml).
 * Layer:  core/dicom. Both directions go through the DICOM JSON model, which has the same content.
 */
import { Fault } from '../base/fault.ts';
import type { Tag } from './data-set.ts';
import { keywordOf } from './dictionary.ts';
import { decimalValue } from './json-numbers.ts';
import {
  type DicomJson,
  type DicomJsonElement,
  type DicomJsonValue,
  MAX_JSON_DEPTH,
  vrKind,
} from './json.ts';
import { nameComponents, type PersonNameGroups } from './person-name.ts';
import type { Vr } from './vr.ts';
import { escapeXml, parseXml, type XmlNode } from './xml-text.ts';

const NAMESPACE = 'http://dicom.nema.org/PS3.19/models/NativeDICOM';
const GROUPS = ['Alphabetic', 'Ideographic', 'Phonetic'] as const;
const COMPONENTS = [
  ['FamilyName', 'family'],
  ['GivenName', 'given'],
  ['MiddleName', 'middle'],
  ['NamePrefix', 'prefix'],
  ['NameSuffix', 'suffix'],
] as const;

/** One object as a complete XML document in UTF-8 text. */
export function toXml(json: DicomJson): string {
  const out: string[] = [
    '<?xml version="1.0" encoding="UTF-8"?>\n',
    `<NativeDicomModel xmlns="${NAMESPACE}" xml:space="preserve">`,
  ];
  writeAttributes(json, out);
  out.push('</NativeDicomModel>');
  return out.join('');
}

function writeAttributes(json: DicomJson, out: string[]): void {
  for (const [hex, element] of Object.entries(json)) {
    const tag = parseInt(hex, 16);
    const keyword = keywordOf(tag);
    const creator = privateCreator(json, tag);
    out.push(`<DicomAttribute tag="${hex}" vr="${element.vr}"`);
    if (keyword) out.push(` keyword="${keyword}"`);
    if (creator) out.push(` privateCreator="${escapeXml(creator)}"`);
    out.push('>');
    if (element.BulkDataURI !== undefined) out.push(`<BulkData uri="${escapeXml(element.BulkDataURI)}"/>`);
    else if (element.InlineBinary !== undefined)
      out.push(`<InlineBinary>${element.InlineBinary}</InlineBinary>`);
    else element.Value?.forEach((value, index) => writeValue(element.vr, value, index + 1, out));
    out.push('</DicomAttribute>');
  }
}

/** The value of the element that reserves the block of a private attribute (PS3.5 §7.8.1). */
function privateCreator(json: DicomJson, tag: Tag): string | undefined {
  const group = Math.floor(tag / 0x10000);
  const block = (tag >>> 8) & 0xff;
  if (group % 2 === 0 || block < 0x10) return undefined;
  const reserved = (
    group.toString(16).padStart(4, '0') +
    '00' +
    block.toString(16).padStart(2, '0')
  ).toUpperCase();
  const value = json[reserved]?.Value?.[0];
  return typeof value === 'string' ? value : undefined;
}

function writeValue(vr: Vr, value: DicomJsonValue, number: number, out: string[]): void {
  if (vr === 'SQ') {
    out.push(`<Item number="${number}">`);
    writeAttributes((value ?? {}) as DicomJson, out);
    out.push('</Item>');
  } else if (vr === 'PN') {
    out.push(`<PersonName number="${number}">`);
    for (const group of GROUPS) {
      const text = (value as PersonNameGroups | null)?.[group];
      if (!text) continue;
      const components = nameComponents(text);
      out.push(`<${group}>`);
      for (const [name, key] of COMPONENTS) {
        if (components[key]) out.push(`<${name}>${escapeXml(components[key])}</${name}>`);
      }
      out.push(`</${group}>`);
    }
    out.push('</PersonName>');
  } else {
    out.push(
      `<Value number="${number}">${value === null ? '' : escapeXml(String(value as string | number))}</Value>`,
    );
  }
}

/**
 * The DICOM JSON model of a Native DICOM Model document; give it to `fromJson` for a data set.
 *
 * @throws Fault DICOM_JSON when it is not well formed or not this model, DICOM_DEPTH or DICOM_TOO_MANY past the budgets.
 */
export function fromXml(text: string): DicomJson {
  const root = parseXml(text);
  if (root.name !== 'NativeDicomModel') throw fail('root element');
  return readAttributes(root, 0);
}

const fail = (what: string): Fault => new Fault('DICOM_JSON', { what });

function readAttributes(node: XmlNode, depth: number): DicomJson {
  if (depth > MAX_JSON_DEPTH) throw new Fault('DICOM_DEPTH', { limit: MAX_JSON_DEPTH });
  const json: DicomJson = {};
  for (const child of node.children) {
    if (child.name !== 'DicomAttribute') throw fail('element in a data set');
    const tag = child.attributes.get('tag');
    const vr = child.attributes.get('vr');
    if (!tag || !/^[0-9A-Fa-f]{8}$/.test(tag)) throw fail('tag');
    if (!vr || !vrKind(vr)) throw fail('vr');
    json[tag.toUpperCase()] = readElement(child, vr as Vr, depth);
  }
  return json;
}

function readElement(node: XmlNode, vr: Vr, depth: number): DicomJsonElement {
  const values: DicomJsonValue[] = [];
  for (const child of node.children) {
    switch (child.name) {
      case 'BulkData': {
        const uri = child.attributes.get('uri') ?? child.attributes.get('uuid');
        if (uri === undefined) throw fail('BulkData');
        return { vr, BulkDataURI: uri };
      }
      case 'InlineBinary':
        return { vr, InlineBinary: child.text.trim() };
      case 'Item':
        if (vr !== 'SQ') throw fail('Item');
        place(values, child, readAttributes(child, depth + 1));
        break;
      case 'PersonName':
        if (vr !== 'PN') throw fail('PersonName');
        place(values, child, readName(child));
        break;
      case 'Value':
        if (vr === 'SQ' || vr === 'PN') throw fail('Value');
        place(values, child, readText(vr, child.text));
        break;
      default:
        throw fail('element in an attribute');
    }
  }
  return values.length ? { vr, Value: values } : { vr };
}

/** Values carry their number, counted from 1; a gap is an empty value (§A.1.5). */
function place(values: DicomJsonValue[], node: XmlNode, value: DicomJsonValue): void {
  const number = Number(node.attributes.get('number') ?? values.length + 1);
  // A number is never trusted for a size: a wide gap is refused.
  if (!Number.isInteger(number) || number < 1 || number > values.length + 16) throw fail('number');
  while (values.length < number - 1) values.push(null);
  values[number - 1] = value;
}

function readText(vr: Vr, text: string): DicomJsonValue {
  switch (vrKind(vr)) {
    case 'decimal':
      return decimalValue(text);
    case 'number': {
      const value = Number(text);
      return text.trim() === '' ||
        !Number.isFinite(value) ||
        (Number.isInteger(value) && !Number.isSafeInteger(value))
        ? text.trim()
        : value;
    }
    case 'paragraph':
      return text || null;
    default:
      return text.trim() || null;
  }
}

function readName(node: XmlNode): PersonNameGroups | null {
  const groups: PersonNameGroups = {};
  for (const child of node.children) {
    const group = GROUPS.find((name) => name === child.name);
    if (!group) throw fail('name group');
    const parts = COMPONENTS.map(
      ([name]) => child.children.find((part) => part.name === name)?.text.trim() ?? '',
    );
    while (parts.length && parts[parts.length - 1] === '') parts.pop();
    if (parts.length) groups[group] = parts.join('^');
  }
  return Object.keys(groups).length ? groups : null;
}
