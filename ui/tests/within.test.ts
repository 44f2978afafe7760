// What is marked within a changed line.

import { describe, expect, it } from 'vitest';
import type { DiffLine } from '../src/ipc/bindings';
import { within } from '../src/state/within';
import { recording } from './bench';

/** Lines as git prints them: the first letter is the side. */
function lines(...texts: string[]): DiffLine[] {
  const sides = { ' ': 'context', '+': 'added', '-': 'removed' } as const;
  return texts.map((text) => ({ side: sides[text.charAt(0) as ' ' | '+' | '-'], old: null, new: null, text: text.slice(1), no_newline: false }));
}
/** The marked words of each line, the rest left out. */
function marks(given: DiffLine[]): Record<number, string[]> {
  return Object.fromEntries([...within(given)].map(([at, pieces]) => [at, pieces.filter((piece) => piece.changed).map((piece) => piece.text)]));
}

it('marks the words that were replaced, on both sides', () => {
  expect(marks(lines(' a', '-let name = first;', '+let names = first;'))).toEqual({ 1: ['name'], 2: ['names'] });
});

it('marks neighbouring words as one', () => {
  expect(marks(lines('-greets one person by name', '+greets everybody there by name'))).toEqual({ 0: ['one person'], 1: ['everybody there'] });
});

it('finds the line that took the place of another among new ones, and never crosses pairs', () => {
  const found = marks(lines('-let a = open(one);', '-let b = open(two);', '+use std::fs;', '+let a = open(three);', '+', '+let b = open(four);'));
  expect(found).toEqual({ 0: ['one'], 3: ['three'], 1: ['two'], 5: ['four'] });
});

describe('leaves unmarked', () => {
  it.each([
    ['lines that share too little', lines('-name=${1:-world}', '+for each in everything; do')],
    ['lines that were only added or only removed', lines('+a b c', ' a', '-a b c')],
    ['very long lines', lines(`-${'word '.repeat(200)}`, `+${'word '.repeat(201)}`)],
    ['very large blocks', lines(...Array.from({ length: 50 }, () => '-same line'), '+same lines')],
  ])('%s', (_what, given) => {
    expect(marks(given)).toEqual({});
  });
});

it('never changes the text of a line', () => {
  const hunks = recording('wrap-job').diff.files.flatMap((file) => file.hunks);
  expect(hunks.length).toBeGreaterThan(0);
  for (const hunk of hunks) {
    for (const [at, pieces] of within(hunk.lines)) expect(pieces.map((piece) => piece.text).join('')).toBe(hunk.lines[at]?.text);
  }
});
