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
  | { row: 'run'; run: RunSummary; depth: number; top: number };

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
  const children = new Map<RunId, RunSummary[]>();
  const roots: RunSummary[] = [];
  for (const run of shown) {
    if (run.parent === null || !known.has(run.parent)) {
      roots.push(run);
    } else {
      const others = children.get(run.parent);
      if (others === undefined) children.set(run.parent, [run]);
      else others.unshift(run); // in the order they were called
    }
  }
  const trees: Record<Group, { run: RunSummary; depth: number }[]> = { waiting: [], work: [], over: [] };
  for (const root of roots) {
    const tree = treeOf(root, children);
    trees[groupOf(tree.map(({ run }) => run))].push(...tree);
  }
  let top = 0;
  return GROUPS.flatMap(({ group, title }): Row[] => {
    const tree = trees[group];
    if (tree.length === 0) return [];
    const head: Row = { row: 'head', group, title, count: tree.length, top };
    top += HEAD;
    const lines = tree.map(({ run, depth }): Row => {
      const line: Row = { row: 'run', run, depth, top };
      top += LINE;
      return line;
    });
    return [head, ...lines];
  });
}

/** A run with everything below it; a circle, which no owner makes, ends at its first run. */
function treeOf(root: RunSummary, children: ReadonlyMap<RunId, readonly RunSummary[]>): { run: RunSummary; depth: number }[] {
  if (!children.has(root.id)) return [{ run: root, depth: 0 }];
  const tree: { run: RunSummary; depth: number }[] = [];
  const seen = new Set<RunId>();
  const walk = (run: RunSummary, depth: number): void => {
    if (seen.has(run.id)) return;
    seen.add(run.id);
    tree.push({ run, depth: Math.min(depth, DEEPEST) });
    for (const child of children.get(run.id) ?? []) walk(child, depth + 1);
  };
  walk(root, 0);
  return tree;
}

/** A family stands where its most pressing member belongs. */
function groupOf(family: readonly RunSummary[]): Group {
  if (family.some((run) => needsUser(run.state))) return 'waiting';
  return family.every((run) => isOver(run.state)) ? 'over' : 'work';
}

function filtered(runs: readonly RunSummary[], words: string): readonly RunSummary[] {
  const wanted = words.toLowerCase().split(/\s+/).filter((word) => word !== '');
  if (wanted.length === 0) return runs;
  return runs.filter((run) => {
    const text = `${run.goal} ${runWord(run).word}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
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
