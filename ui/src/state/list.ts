// How the runs are laid out in the list: in groups by what they need, children under their parents, only the rows in view.
//
// Rule: pure, and quick enough to be made anew whenever a run changes; every row of a kind has one height, so that which
// rows are in view is a division.

import type { RunId, RunSummary } from '../ipc/bindings';
import { isOver, needsUser } from './project';
import { runWord } from './words';

export type Group = 'waiting' | 'work' | 'over';
export type Row =
  | { row: 'head'; group: Group; title: string; count: number; top: number }
  /** `place` counts the runs from 1, without the heads. */
  | { row: 'run'; run: RunSummary; depth: number; place: number; top: number };

/** Heights in pixels. */
export const HEAD = 32;
export const LINE = 52;
/** Rows that are drawn beyond each edge of what is in view. */
const SPARE = 8;
const DEEPEST = 4;

const GROUPS: readonly { group: Group; title: string }[] = [
  { group: 'waiting', title: 'Waiting for you' },
  { group: 'work', title: 'At work' },
  { group: 'over', title: 'Done' },
];

/** The rows of the list. `runs` are newest first; `words` must all be in a goal or its state. */
export function rowsOf(runs: readonly RunSummary[], words: string): Row[] {
  const shown = filtered(runs, words);
  const known = new Set(shown.map((run) => run.id));
  /** A run stands on another one as long as that one is not decided. */
  const pending = new Set(shown.filter((run) => run.disposition.disposition === 'pending').map((run) => run.id));
  const children = new Map<RunId, RunSummary[]>();
  const roots: RunSummary[] = [];
  for (const run of shown) {
    // Ids rise with time: a parent that is not older, which no owner makes, would be a circle.
    const above = run.parent ?? (run.on !== null && pending.has(run.on) ? run.on : null);
    const parent = above !== null && above < run.id && known.has(above) ? above : null;
    const others = parent === null ? roots : children.get(parent);
    if (others !== undefined) others.push(run);
    else if (parent !== null) children.set(parent, [run]);
  }
  const families: Record<Group, Member[]> = { waiting: [], work: [], over: [] };
  for (const root of roots) {
    const family: Member[] = [];
    gather(root, 0, children, family);
    families[groupOf(family)].push(...family);
  }
  return placed(families);
}

interface Member {
  run: RunSummary;
  depth: number;
}

/** A run and everything below it, children in the order they were called. */
function gather(run: RunSummary, depth: number, children: ReadonlyMap<RunId, readonly RunSummary[]>, into: Member[]): void {
  into.push({ run, depth: Math.min(depth, DEEPEST) });
  for (const child of (children.get(run.id) ?? []).toReversed()) gather(child, depth + 1, children, into);
}

function placed(families: Readonly<Record<Group, readonly Member[]>>): Row[] {
  const rows: Row[] = [];
  let top = 0;
  let place = 0;
  for (const { group, title } of GROUPS) {
    if (families[group].length === 0) continue;
    rows.push({ row: 'head', group, title, count: families[group].length, top });
    top += HEAD;
    for (const { run, depth } of families[group]) {
      place += 1;
      rows.push({ row: 'run', run, depth, place, top });
      top += LINE;
    }
  }
  return rows;
}

/** A family stands where its most pressing member belongs. */
function groupOf(family: readonly Member[]): Group {
  if (family.some(({ run }) => needsUser(run.state))) return 'waiting';
  return family.every(({ run }) => isOver(run.state)) ? 'over' : 'work';
}

function filtered(runs: readonly RunSummary[], words: string): readonly RunSummary[] {
  const wanted = words.toLowerCase().split(/\s+/).filter((word) => word !== '');
  if (wanted.length === 0) return runs;
  return runs.filter((run) => {
    const text = `${run.goal} ${runWord(run).word}${isBehind(run) ? ' behind' : ''}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}

/** Whether the run it stands on moved and it could not follow, which matters until it is decided. */
export function isBehind(run: RunSummary): boolean {
  return run.behind && run.disposition.disposition === 'pending';
}

export function heightOf(row: Row): number {
  return row.row === 'head' ? HEAD : LINE;
}

/** The height of all rows together. */
export function tall(rows: readonly Row[]): number {
  const last = rows.at(-1);
  return last === undefined ? 0 : last.top + heightOf(last);
}

/** The rows that are in view, and some around them, when the list is scrolled to `from` and `height` is seen. */
export function inView(rows: readonly Row[], from: number, height: number): readonly Row[] {
  const first = rowAt(rows, from);
  const last = rowAt(rows, from + height);
  return rows.slice(Math.max(0, first - SPARE), last + 1 + SPARE);
}

/** The index of the row at a height, by halving. */
function rowAt(rows: readonly Row[], at: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((rows[middle]?.top ?? 0) <= at) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** The runs below a run that only the user can bring on, nearest first. */
export function waitingBelow(runs: Iterable<RunSummary>, top: RunId): RunSummary[] {
  const children = new Map<RunId, RunSummary[]>();
  for (const run of runs) {
    if (run.parent === null) continue;
    const others = children.get(run.parent);
    if (others === undefined) children.set(run.parent, [run]);
    else others.push(run);
  }
  const found: RunSummary[] = [];
  const seen = new Set<RunId>([top]);
  for (let level: RunId[] = [top]; level.length > 0; ) {
    const next = level.flatMap((id) => children.get(id) ?? []).filter((run) => !seen.has(run.id));
    for (const run of next) seen.add(run.id);
    found.push(...next.filter((run) => needsUser(run.state)));
    level = next.map((run) => run.id);
  }
  return found;
}
