/** A structured report as a document: sections, lines, tables of measurements, links to images. Layer: web/viewer. */
import { Alert, Badge, Button } from '@mantine/core';
import { createContext, useContext, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { SrNode } from '@lightbox/core/contract/api.ts';
import type { DocumentContent } from '../../api/viewer.ts';
import { formatDate, formatTime } from '../../ui/format.ts';
import { Person } from './person.tsx';

type Report = Extract<DocumentContent, { kind: 'sr' }>;
export type OpenSeries = (seriesUid: string) => void;

interface Surroundings {
  readonly studyUid: string;
  readonly onOpenSeries: OpenSeries;
}
const Around = createContext<Surroundings>({ studyUid: '', onOpenSeries: () => undefined });

/** More lines than this are drawn when they are asked for: a CAD report has tens of thousands. */
const FIRST_NODES = 2000;

export function SrDocument({ document, ...around }: { document: Report } & Surroundings) {
  const { t, i18n } = useTranslation();
  const [all, setAll] = useState(false);
  const { completion, verification, preliminary, nodeCount } = document;
  const shown = all ? document.nodes : firstNodes(document.nodes, FIRST_NODES);
  const word = (kind: string, value: string): string =>
    i18n.exists(`viewer.sr.${kind}.${value}`) ? t(`viewer.sr.${kind}.${value}`) : value;
  return (
    <Around.Provider value={around}>
      <p className="sr-state">
        {completion ? (
          <Badge color={completion === 'COMPLETE' ? 'green' : 'orange'} variant="light">
            {word('completion', completion)}
          </Badge>
        ) : null}
        {verification ? (
          <Badge color={verification === 'VERIFIED' ? 'green' : 'orange'} variant="light">
            {word('verification', verification)}
          </Badge>
        ) : null}
        {preliminary ? <Badge variant="light">{word('preliminary', preliminary)}</Badge> : null}
        {document.completionNote ? <bdi>{document.completionNote}</bdi> : null}
      </p>
      <People label={t('viewer.sr.verifiedBy')} people={document.verifiers} />
      <People label={t('viewer.sr.author')} people={document.authors} />
      {document.predecessors > 0 ? (
        <p className="dim">{t('viewer.sr.replaces', { count: document.predecessors })}</p>
      ) : null}
      <div className="sr-content" data-testid="sr-content">
        <Nodes nodes={shown} level={3} />
      </div>
      {!all && nodeCount > FIRST_NODES ? (
        <Button variant="default" onClick={() => setAll(true)}>
          {t('viewer.sr.showAll', { count: nodeCount })}
        </Button>
      ) : null}
      {document.truncated ? (
        <Alert color="orange" role="alert">
          {t('viewer.document.truncated')}
        </Alert>
      ) : null}
    </Around.Provider>
  );
}

/** The first nodes in reading order, with those they stand in. */
export function firstNodes(nodes: readonly SrNode[], most: number): SrNode[] {
  let left = most;
  const cut = (list: readonly SrNode[]): SrNode[] => {
    const kept: SrNode[] = [];
    for (const node of list) {
      if (left <= 0) break;
      left -= 1;
      kept.push({ ...node, children: cut(node.children) });
    }
    return kept;
  };
  return cut(nodes);
}

function People({ label, people }: { label: string; people: Report['authors'] }) {
  const { i18n } = useTranslation();
  if (people.length === 0) return null;
  return (
    <p className="sr-people">
      {label}:{' '}
      {people.map((one, at) => (
        <span key={at}>
          {at > 0 ? '; ' : ''}
          <Person value={one.name} />
          {one.organization ? (
            <>
              , <bdi>{one.organization}</bdi>
            </>
          ) : null}
          {one.dateTime ? `, ${dateTimeText(one.dateTime, i18n.language)}` : ''}
        </span>
      ))}
    </p>
  );
}

/** Neighbouring measurements become one table, neighbouring lines one list, containers sections under a heading. */
export function groupNodes(
  nodes: readonly SrNode[],
): { kind: 'table' | 'list' | 'section'; nodes: SrNode[] }[] {
  const groups: { kind: 'table' | 'list' | 'section'; nodes: SrNode[] }[] = [];
  for (const node of nodes) {
    const kind = node.type === 'NUM' ? 'table' : node.type === 'CONTAINER' ? 'section' : 'list';
    const last = groups.at(-1);
    if (last?.kind === kind && kind !== 'section') last.nodes.push(node);
    else groups.push({ kind, nodes: [node] });
  }
  return groups;
}

function Nodes({ nodes, level }: { nodes: readonly SrNode[]; level: number }) {
  return groupNodes(nodes).map((group) => {
    const [first] = group.nodes;
    const key = first?.id ?? '';
    if (group.kind === 'table') return <Numbers key={key} nodes={group.nodes} level={level} />;
    if (group.kind === 'section' && first) return <Section key={key} node={first} level={level} />;
    return (
      <ul key={key}>
        {group.nodes.map((node) => (
          <Line key={node.id} node={node} level={level} />
        ))}
      </ul>
    );
  });
}

function Section({ node, level }: { node: SrNode; level: number }) {
  const { t } = useTranslation();
  const Heading = `h${Math.min(6, level)}` as 'h3' | 'h4' | 'h5' | 'h6';
  return (
    <section id={anchorOf(node.id)} className="sr-section">
      <Heading dir="auto">{node.name || t('viewer.sr.section')}</Heading>
      {node.value ? <Text>{node.value}</Text> : null}
      <Nodes nodes={node.children} level={level + 1} />
    </section>
  );
}

function Numbers({ nodes, level }: { nodes: readonly SrNode[]; level: number }) {
  const { t } = useTranslation();
  const details = nodes.some(({ children }) => children.length > 0);
  return (
    <table className="sr-numbers">
      <thead>
        <tr>
          <th scope="col">{t('viewer.sr.measurement')}</th>
          <th scope="col">{t('viewer.sr.value')}</th>
          {details ? <th scope="col">{t('viewer.sr.details')}</th> : null}
        </tr>
      </thead>
      <tbody>
        {nodes.map((node) => (
          <tr key={node.id} id={anchorOf(node.id)}>
            <th scope="row" dir="auto">
              {node.name}
            </th>
            <td>
              <bdi>{node.value || '–'}</bdi> <bdi>{node.unit}</bdi>
            </td>
            {details ? (
              <td>
                <Nodes nodes={node.children} level={level + 1} />
              </td>
            ) : null}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Line({ node, level }: { node: SrNode; level: number }) {
  const { t, i18n } = useTranslation();
  const key = `viewer.sr.relationship.${node.relationship.replaceAll(' ', '_')}`;
  const plain = node.relationship === 'CONTAINS' || node.relationship === '';
  return (
    <li
      id={anchorOf(node.id)}
      // The direction of its name: the value has one of its own.
      dir="auto"
      className={node.relationship === 'HAS OBS CONTEXT' ? 'sr-context' : undefined}
      title={node.code ? `${node.code.value} (${node.code.scheme})` : undefined}
    >
      {plain || node.relationship === 'HAS OBS CONTEXT' ? null : (
        <span className="dim">{i18n.exists(key) ? t(key) : node.relationship} </span>
      )}
      {node.name ? <strong>{node.name}: </strong> : null}
      <Value node={node} />
      <Nodes nodes={node.children} level={level + 1} />
    </li>
  );
}

function Value({ node }: { node: SrNode }): ReactNode {
  const { i18n } = useTranslation();
  const language = i18n.language;
  switch (node.type) {
    case 'DATE':
      return formatDate(node.value, language);
    case 'TIME':
      return formatTime(node.value);
    case 'DATETIME':
      return dateTimeText(node.value, language);
    case 'PNAME':
      return <Person value={node.value} />;
    case 'UIDREF':
      return <code>{node.value}</code>;
    case 'IMAGE':
    case 'COMPOSITE':
    case 'WAVEFORM':
      return <Reference node={node} />;
    case 'REFERENCE':
      return node.target ? (
        <a href={`#${anchorOf(node.target)}`}>
          <bdi>{node.value || node.target}</bdi>
        </a>
      ) : (
        <bdi>{node.value || '–'}</bdi>
      );
    default:
      return <Text>{node.value || (node.children.length > 0 ? '' : '–')}</Text>;
  }
}

/** Text as it was written: its own line breaks, its own direction, never markup. */
function Text({ children }: { children: string }) {
  return (
    <bdi className="sr-text" dir="auto">
      {children}
    </bdi>
  );
}

function Reference({ node }: { node: SrNode }) {
  const { t } = useTranslation();
  const { studyUid, onOpenSeries } = useContext(Around);
  const { reference } = node;
  if (!reference) return '–';
  const frames =
    reference.frames.length > 0
      ? ` · ${t('viewer.sr.frames', { list: reference.frames.slice(0, 20).join(', ') })}`
      : '';
  const name = `${node.value || reference.sopClassUid}${frames}`;
  const { at } = reference;
  if (!at)
    return (
      <span>
        <bdi>{name}</bdi> <span className="dim">({t('viewer.sr.notHere')})</span>
      </span>
    );
  if (at.studyUid !== studyUid)
    return <a href={`/viewer/${encodeURIComponent(at.studyUid)}`}>{t('viewer.sr.otherStudy', { name })}</a>;
  return (
    <button
      type="button"
      className="link"
      data-testid="sr-reference"
      onClick={() => onOpenSeries(at.seriesUid)}
    >
      {t('viewer.sr.open', { name })}
    </button>
  );
}

const anchorOf = (id: string): string => `sr-${id.replaceAll('.', '-')}`;

/** DT (PS3.5 §6.2): date and time as far as they are given; anything else as it came. */
function dateTimeText(value: string, language: string): string {
  const match = /^(\d{8})(\d{4,})?/.exec(value);
  if (!match) return value;
  return [formatDate(match[1] ?? '', language), match[2] ? formatTime(match[2]) : '']
    .filter(Boolean)
    .join(' ');
}
