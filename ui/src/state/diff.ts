// Finding one's way in a diff: places, steps between them, and how much of a large file is shown at once.
//
// Rule: pure; a place is always one that exists, or the first.

import type { DiffView, FileDiff, Hunk, Part } from '../ipc/bindings';

/** A place in a diff: indices of a file and of a hunk in it. */
export interface DiffPlace {
  file: number;
  hunk: number;
}

export const FIRST: DiffPlace = { file: 0, hunk: 0 };

/** Lines of one file that are shown before the reader asks for all. */
export const SHOWN_LINES = 600;

/** The place one hunk or file further or back; at the ends it stays. */
export function move(diff: DiffView, at: DiffPlace, what: 'hunk' | 'file', by: 1 | -1): DiffPlace {
  if (diff.files[at.file] === undefined) return FIRST;
  if (what === 'hunk') {
    const hunk = at.hunk + by;
    if (hunk >= 0 && hunk < (diff.files[at.file]?.hunks.length ?? 0)) return { file: at.file, hunk };
  }
  const file = at.file + by;
  const next = diff.files[file];
  if (next === undefined) return what === 'file' && by === -1 ? { file: at.file, hunk: 0 } : at;
  return { file, hunk: what === 'hunk' && by === -1 ? Math.max(0, next.hunks.length - 1) : 0 };
}

/** A hunk that is left out. */
export interface LeftOut {
  path: string;
  hunk: number;
}

/** What is taken of a diff where some hunks are left out; a file without hunks is taken whole. */
export function taken(diff: DiffView, left: readonly LeftOut[]): Part[] {
  return diff.files.flatMap(({ change: { path }, hunks }): Part[] => {
    const out = left.filter((other) => other.path === path).map((other) => other.hunk);
    if (out.length === 0) return [{ path, hunk: null }];
    return hunks.flatMap((_, hunk) => (out.includes(hunk) ? [] : [{ path, hunk }]));
  });
}

/** The hunks of a file, cut after `limit` lines, and how many lines are left out. */
export function cut(file: FileDiff, limit: number): { hunks: Hunk[]; left: number } {
  let room = limit;
  const hunks: Hunk[] = [];
  for (const hunk of file.hunks) {
    if (room <= 0) break;
    hunks.push(hunk.lines.length <= room ? hunk : { ...hunk, lines: hunk.lines.slice(0, room) });
    room -= hunk.lines.length;
  }
  return { hunks, left: Math.max(0, -room) + linesAfter(file, hunks.length) };
}

function linesAfter(file: FileDiff, hunks: number): number {
  return file.hunks.slice(hunks).reduce((sum, hunk) => sum + hunk.lines.length, 0);
}

/** The `@@` line of a hunk. */
export function hunkLine(hunk: Hunk): string {
  const old = hunk.lines.filter((line) => line.side !== 'added').length;
  const fresh = hunk.lines.filter((line) => line.side !== 'removed').length;
  return `@@ -${hunk.old_start},${old} +${hunk.new_start},${fresh} @@`;
}

/** A path as its folder, with the slash, and its name. */
export function parts(path: string): { folder: string; name: string } {
  const at = path.lastIndexOf('/') + 1;
  return { folder: path.slice(0, at), name: path.slice(at) };
}

/** Lines added and removed over all files; null where one is binary only and nothing is known. */
export function totals(files: readonly { insertions: number | null; deletions: number | null }[]): { added: number; removed: number } {
  return files.reduce(
    (sum, file) => ({ added: sum.added + (file.insertions ?? 0), removed: sum.removed + (file.deletions ?? 0) }),
    { added: 0, removed: 0 },
  );
}
