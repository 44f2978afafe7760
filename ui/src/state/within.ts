// What changed within a line: a removed line next to the added line that took its place, word by word.
//
// Rule: pure, and only a help for the eye. Where no added line resembles a removed one, nothing is marked.

import { diffWordsWithSpace } from 'diff';
import type { DiffLine } from '../ipc/bindings';

/** A part of a line; the parts of a line add up to its text. */
export interface Piece {
  text: string;
  changed: boolean;
}

/** How much two lines must share to be one line before and after, from 0 to 1. */
const ALIKE = 0.5;
/** Larger blocks and longer lines are new text rather than changed text; they are left as they are. */
const MOST_LINES = 40;
const MOST_LETTERS = 400;

/** The pieces of each line that is one side of a changed line, by its index. */
export function within(lines: readonly DiffLine[]): Map<number, Piece[]> {
  const found = new Map<number, Piece[]>();
  for (let at = 0; at < lines.length; ) {
    const removed = sideFrom(lines, at, 'removed');
    const added = sideFrom(lines, removed, 'added');
    if (removed > at && added > removed) {
      for (const [before, after] of pairs(lines, at, removed, added)) mark(found, lines, before, after);
    }
    at = Math.max(added, at + 1);
  }
  return found;
}

/** The end of a block of one side that begins at `from`. */
function sideFrom(lines: readonly DiffLine[], from: number, side: DiffLine['side']): number {
  let end = from;
  while (lines[end]?.side === side) end += 1;
  return end;
}

/** Each removed line with the most alike added line, in order, so that no two pairs cross. */
function pairs(lines: readonly DiffLine[], from: number, middle: number, end: number): [number, number][] {
  if (middle - from > MOST_LINES || end - middle > MOST_LINES) return [];
  const found: [number, number][] = [];
  let next = middle;
  for (let before = from; before < middle; before += 1) {
    let best = ALIKE;
    let after = -1;
    for (let index = next; index < end; index += 1) {
      const how = alike(lines[before]?.text ?? '', lines[index]?.text ?? '');
      if (how > best) [best, after] = [how, index];
    }
    if (after !== -1) {
      found.push([before, after]);
      next = after + 1;
    }
  }
  return found;
}

/** The share of words that two lines have in common. */
function alike(a: string, b: string): number {
  if (a.length > MOST_LETTERS || b.length > MOST_LETTERS) return 0;
  const words = wordsOf(a);
  const others = wordsOf(b);
  const left = [...others];
  let shared = 0;
  for (const word of words) {
    const at = left.indexOf(word);
    if (at === -1) continue;
    left.splice(at, 1);
    shared += 1;
  }
  const all = words.length + others.length;
  return all === 0 ? 0 : (2 * shared) / all;
}

function wordsOf(line: string): string[] {
  return line.match(/\w+|[^\w\s]/g) ?? [];
}

function mark(found: Map<number, Piece[]>, lines: readonly DiffLine[], before: number, after: number): void {
  const parts = diffWordsWithSpace(lines[before]?.text ?? '', lines[after]?.text ?? '');
  found.set(before, joined(parts.filter((part) => !part.added).map((part) => ({ text: part.value, changed: part.removed }))));
  found.set(after, joined(parts.filter((part) => !part.removed).map((part) => ({ text: part.value, changed: part.added }))));
}

/** Changed pieces with nothing but a space between them are one. */
function joined(pieces: readonly Piece[]): Piece[] {
  const found: Piece[] = [];
  pieces.forEach((piece, index) => {
    const last = found.at(-1);
    const bridge = piece.text.trim() === '' && last?.changed === true && pieces[index + 1]?.changed === true;
    const changed = piece.changed || bridge;
    if (last?.changed === changed) found[found.length - 1] = { text: last.text + piece.text, changed };
    else found.push({ text: piece.text, changed });
  });
  return found;
}
