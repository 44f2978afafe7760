// Small pure pieces: folding, prose, numbers, keys, places in a diff, what a server list lacks.

import { describe, expect, it } from 'vitest';
import type { Item } from '../src/ipc/bindings';
import { lacks } from '../src/over/servers';
import { blocks, pieces } from '../src/parts/prose';
import { cut, FIRST, hunkLine, move, parts } from '../src/state/diff';
import { fold } from '../src/state/fold';
import { ago, bytes, commandLine, money, span, ticking, tokens } from '../src/state/format';
import { KEYS, keyText, pressed } from '../src/state/keys';
import { recording } from './bench';

const tool = (id: string, line: string | null): Item => ({
  item: 'tool',
  call: { id, name: 'read_file', arguments: { path: 'a' } },
  verdict: null,
  line,
  ok: line === null ? null : true,
  output: null,
});
const turn = (call: string, text: string): Item => ({
  item: 'turn',
  call,
  role: 'developer',
  route: { provider: 'p', model: 'm', local: true, context: null, reason: '', cost: null, most_tools: null, edits: null, constrained: false },
  at_ms: 0,
  state: 'done',
  text,
  thinking: '',
  usage: null,
  problem: null,
});

describe('identical retries', () => {
  it('fold to one line with a count', () => {
    const folds = fold([tool('1', 'read a'), turn('t1', ''), tool('2', 'read a'), turn('t2', ''), tool('3', 'read a'), turn('t3', 'Now b.'), tool('4', 'read b')]);
    expect(folds.map(({ item, times }) => [item.item === 'tool' ? item.line : item.item, times])).toEqual([
      ['read a', 3],
      ['turn', 1],
      ['read b', 1],
    ]);
  });

  it('do not fold over something said, or while one is under way', () => {
    expect(fold([tool('1', 'read a'), turn('t1', 'Once more.'), tool('2', 'read a')])).toHaveLength(3);
    expect(fold([tool('1', 'read a'), tool('2', null)])).toHaveLength(2);
  });

  it('do not fold a turn that asked for more than the same again', () => {
    expect(fold([tool('1', 'read a'), turn('t1', ''), tool('2', 'read a'), tool('3', 'read b')])).toHaveLength(4);
  });
});

describe('prose', () => {
  it('splits code from text and keeps an open fence as code', () => {
    expect(blocks('See:\n```rust\nfn a() {}\n```\nand\n~~~\nrest')).toEqual([
      { kind: 'text', label: '', text: 'See:' },
      { kind: 'code', label: 'rust', text: 'fn a() {}' },
      { kind: 'text', label: '', text: 'and' },
      { kind: 'code', label: '', text: 'rest' },
    ]);
  });

  it('sets code between back-ticks, and leaves a lone one alone', () => {
    expect(pieces('use `wrap` now')).toEqual([{ code: false, text: 'use ' }, { code: true, text: 'wrap' }, { code: false, text: ' now' }]);
    expect(pieces('a ` b')).toEqual([{ code: false, text: 'a ` b' }]);
  });
});

it('numbers are honest', () => {
  expect([tokens(null), tokens(950), tokens(3140), money(null), money(0), money(1_234_500)]).toEqual(['unknown', '950', '3.1k', 'unknown', 'none', '1.2345']);
  expect([span(40), span(420), span(12_900), span(64_000), span(7_500_000), ticking(9_900)]).toEqual(['40 ms', '0.4 s', '12 s', '1 min 04 s', '2 h 05 min', '9 s']);
  expect([bytes(812), bytes(4_700_000_000), bytes(null), ago(0, 300_000), ago(0, 26 * 3_600_000)]).toEqual(['812 B', '4.7 GB', 'unknown', '5 min', '1 day']);
  expect(commandLine(['cargo', 'test', '--', "it's here"])).toBe("cargo test -- 'it'\\''s here'");
});

describe('keys', () => {
  const event = (init: KeyboardEventInit): KeyboardEvent => new KeyboardEvent('keydown', init);

  it('no two actions share one', () => {
    expect(new Set(Object.values(KEYS)).size).toBe(Object.values(KEYS).length);
  });

  it('are pressed with their modifiers and no others', () => {
    expect(pressed(event({ key: 'k', code: 'KeyK', ctrlKey: true }), 'Mod+K', false)).toBe(true);
    expect(pressed(event({ key: 'k', code: 'KeyK', metaKey: true }), 'Mod+K', true)).toBe(true);
    expect(pressed(event({ key: 'K', code: 'KeyK', ctrlKey: true, shiftKey: true }), 'Mod+K', false)).toBe(false);
    expect(pressed(event({ key: 'k', code: 'KeyK' }), 'Mod+K', false)).toBe(false);
  });

  it('are written as on the machine', () => {
    expect([keyText('Mod+Shift+A', false), keyText('Mod+Shift+A', true), keyText('Alt+ArrowDown', false)]).toEqual(['Ctrl+Shift+A', '⌘⇧A', 'Alt+↓']);
  });
});

describe('places in a diff', () => {
  const { diff } = recording('wrap-job');

  it('go through hunks and over to the next file, and stay at the ends', () => {
    const walk = [FIRST];
    for (let step = 0; step < 6; step += 1) walk.push(move(diff, walk[step] ?? FIRST, 'hunk', 1));
    expect(walk.map(({ file, hunk }) => `${file}.${hunk}`)).toEqual(['0.0', '1.0', '1.1', '2.0', '3.0', '3.0', '3.0']);
    expect(move(diff, { file: 2, hunk: 0 }, 'hunk', -1)).toEqual({ file: 1, hunk: 1 });
    expect(move(diff, FIRST, 'file', -1)).toEqual(FIRST);
  });

  it('a large file is cut at a line and says how many are left', () => {
    const file = diff.files[1];
    if (file === undefined) throw new Error('the recording changed');
    const lines = file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
    const shown = cut(file, 4);
    expect([shown.hunks.length, shown.hunks[0]?.lines.length, shown.left]).toEqual([1, 4, lines - 4]);
    expect(cut(file, Infinity)).toEqual({ hunks: file.hunks, left: 0 });
  });

  it('a hunk is headed as git does it', () => {
    const hunk = diff.files[0]?.hunks[0];
    expect(hunk && hunkLine(hunk)).toBe('@@ -14,6 +14,9 @@');
    expect(parts('src/deep/lib.rs')).toEqual({ folder: 'src/deep/', name: 'lib.rs' });
  });
});

it('a server list is saved only when every server has a name and an address', () => {
  const server = { id: 'ollama', kind: 'ollama' as const, base_url: 'http://127.0.0.1:11434' };
  expect(lacks([server])).toBeNull();
  expect(lacks([{ ...server, id: ' ' }])).toMatch(/name/);
  expect(lacks([server, server])).toMatch(/same name/);
  expect(lacks([{ ...server, base_url: 'file:///etc/passwd' }])).toMatch(/http/);
});
