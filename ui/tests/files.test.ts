// Searching the project: as one types, with a preview, and with what an answer had to do without.

import { expect, it } from 'vitest';
import type { Found, Op } from '../src/ipc/bindings';
import { marked } from '../src/state/found';
import { at, bench, HandPort, recording, text, upTo, user } from './bench';

const tape = recording('wrap-job');
const finished = upTo(tape.events, 'run_finished');
const hash = 'blake3:0000000000000000000000000000000000000000000000000000000000000000';

function found(...paths: string[]): Found {
  const hits = paths.map((path, n) => ({
    kind: 'code' as const,
    path,
    lines: [n + 1, n + 2] as [number, number],
    score: 1,
    snippet: `fn wrap_${n}() {\n  Wrap(${n})`,
    hash,
    symbol: `wrap_${n}`,
  }));
  return { hits, scanned: 1, missing: ['history'], by: ['words'] };
}

it('words are marked wherever they stand, whatever their case', () => {
  expect(marked('fn wrap(Wrap: x)', 'wrap x+')).toEqual([
    { text: 'fn ', hit: false },
    { text: 'wrap', hit: true },
    { text: '(', hit: false },
    { text: 'Wrap', hit: true },
    { text: ': ', hit: false },
    { text: 'x', hit: true },
    { text: ')', hit: false },
  ]);
  expect(marked('a.b', '.*')).toEqual([{ text: 'a.b', hit: false }]);
});

it('an answer comes while one types, and the chosen hit shows its lines', async () => {
  const port = new HandPort(tape);
  port.answers.search_all = { reply: 'found', value: [found('src/a.ts', 'src/b.ts')] };
  await bench(finished, port);
  await user.click(at('tab.files'));
  await user.type(at('files.query'), 'wrap');
  await expect.poll(() => document.querySelector('[data-test="files.hits"]')).not.toBeNull();
  expect(text('files.preview')).toContain('wrap_0');
  expect(at('files.preview').querySelectorAll('mark').length).toBe(2);
  expect(text('files.freshness')).toContain('1 file changed a moment ago and was read for this answer');
  expect(text('files.freshness')).toContain('what earlier commits say');
  await user.click(at('files.hit.1').querySelector('button') as HTMLButtonElement);
  expect(text('files.preview')).toContain('wrap_1');
  // An empty question has no answer.
  await user.clear(at('files.query'));
  await expect.poll(() => document.querySelector('[data-test="files.hits"]')).toBeNull();
});

it('an answer that another question overtook is dropped', async () => {
  const port = new HandPort(tape);
  let late: (reply: { reply: 'found'; value: Found[] }) => void = () => undefined;
  await bench(finished, port);
  await user.click(at('tab.files'));
  port.answers.search_all = new Promise((resolve) => (late = resolve));
  await user.type(at('files.query'), 'first{Enter}');
  port.answers.search_all = { reply: 'found', value: [found('src/second.ts')] };
  await user.type(at('files.query'), ' second{Enter}');
  await expect.poll(() => document.querySelector('[data-test="files.hits"]')).not.toBeNull();
  late({ reply: 'found', value: [found('src/first.ts')] });
  await Promise.resolve();
  expect(text('files.hits')).toContain('second.ts');
});

it('runs and documents are found beside files, each with what it is and where', async () => {
  const port = new HandPort(tape);
  const at_ms = 1_790_000_000_000;
  const run = tape.events.find((event) => event.kind === 'run_started')?.run ?? '';
  const common = { lines: [1, 1] as [number, number], score: 1, hash, symbol: null };
  port.answers.search_all = {
    reply: 'found',
    value: [
      {
        hits: [
          { ...common, kind: 'decision', path: run, title: 'hand-over', snippet: 'May the wrap be handed over?', origin: { from: 'event', run, step: null, seq: 9, at_ms } },
          { ...common, kind: 'document', path: 'docs/manual.pdf', title: 'Manual', snippet: 'Wrap it well.', origin: { from: 'part', anchor: { at: 'page', n: 3 } } },
          { ...common, kind: 'commit', path: '0123456789abcdef', snippet: 'Add wrap' },
        ],
        scanned: 0,
        missing: ['documents'],
        by: ['words'],
      },
    ],
  };
  await bench(finished, port);
  await user.click(at('tab.files'));
  await user.click(at('files.scope.all'));
  await user.type(at('files.query'), 'wrap');
  await expect.poll(() => document.querySelector('[data-test="files.hits"]')).not.toBeNull();
  const asked = port.asked.map(({ op }) => op).findLast((op): op is Extract<Op, { op: 'search_all' }> => op.op === 'search_all');
  expect(asked?.kinds).toContain('document');
  expect(text('files.hit.0')).toContain('decision hand-over');
  expect(text('files.hit.1')).toContain('document docs/manual.pdf, page 3');
  expect(text('files.hit.2')).toContain('0123456789:1-1');
  expect(text('files.freshness')).toContain('Not in the index yet: documents');
  expect(at('files.run')).toBeTruthy();
  await user.click(at('files.hit.1').querySelector('button') as HTMLButtonElement);
  expect(document.querySelector('[data-test="files.run"]')).toBeNull();
});
