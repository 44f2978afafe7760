/** The hits of a search as they are shown: what they are, where they are, and the words of the question in them. Pure. */

import type { Anchor, Hit, HitKind, Licence, RunId } from '../ipc/bindings';
import { parts } from './diff';

/** What is searched: one kind, the files, all there is, or the files of other projects. */
export type Scope = HitKind | 'all' | 'files' | 'elsewhere';

export const KIND_NAMES: Readonly<Record<HitKind, string>> = {
  code: 'code',
  doc: 'text',
  commit: 'commit',
  chat: 'talk',
  spec: 'spec',
  decision: 'decision',
  document: 'document',
  note: 'note',
};

/** The kinds of a scope as the owner is asked for them; none means files. */
export function kindsOf(scope: Scope): HitKind[] {
  switch (scope) {
    case 'files':
    case 'elsewhere':
      return [];
    case 'all':
      return ['code', 'doc', 'commit', 'chat', 'spec', 'decision', 'document', 'note'];
    default:
      return [scope];
  }
}

export interface HitLabel {
  /** The run that it is of. */
  run: RunId | null;
  folder: string;
  name: string;
  where: string;
  /** What it is called besides. */
  called: string | null;
}

/** What is said of a hit in one line. */
export function labelOf(hit: Hit): HitLabel {
  const title = hit.title ?? null;
  const lines = `:${hit.lines[0]}-${hit.lines[1]}`;
  switch (hit.origin?.from) {
    case undefined: {
      const place = parts(hit.kind === 'commit' ? hit.path.slice(0, 10) : hit.path);
      return { run: null, ...place, where: lines, called: hit.symbol };
    }
    case 'event':
      return { run: hit.origin.run, folder: '', name: title ?? hit.path, where: '', called: null };
    case 'part':
      return { run: null, ...parts(hit.path), where: `, ${anchorWord(hit.origin.anchor)}`, called: title };
    case 'library':
      return { run: null, folder: '', name: title ?? hit.origin.id, where: '', called: null };
  }
}

/** Under which licence something is, as far as it can be told. */
export function licenceOf(licence: Licence | null): string {
  return licence === null ? 'licence unknown' : `${licence.name} by ${licence.from}`;
}

function anchorWord(anchor: Anchor): string {
  switch (anchor.at) {
    case 'whole':
      return 'whole';
    case 'sheet':
      return `sheet ${anchor.name}`;
    case 'lines':
      return `lines ${anchor.lines[0]}-${anchor.lines[1]}`;
    default:
      return `${anchor.at} ${anchor.n}`;
  }
}

export interface Piece {
  text: string;
  hit: boolean;
}

/** Cuts `text` into pieces that are a word of `query`, or begin with one, and the pieces between. */
export function marked(text: string, query: string): Piece[] {
  const words = query.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
  if (words.length === 0) return [{ text, hit: false }];
  const pattern = new RegExp(`(${[...new Set(words)].sort((a, b) => b.length - a.length).join('|')})`, 'giu');
  return text
    .split(pattern)
    .map((piece, at) => ({ text: piece, hit: at % 2 === 1 }))
    .filter((piece) => piece.text !== '');
}
