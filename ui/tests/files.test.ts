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

it('other projects are asked where they are shared, and each hit says whose it is and under which licence', async () => {
  const port = new HandPort(tape);
  const pump = { id: 'other', name: 'pump', path: '/home/me/pump', licence: { name: 'MPL-2.0', from: 'LICENSE' } };
  const diary = { id: 'third', name: 'diary', path: '/home/me/diary', licence: null };
  const hits = found('src/a.ts', 'src/b.ts').hits;
  const known = (shared: boolean) => ({ reply: 'projects' as const, value: [{ id: tape.project.id, path: '/x', name: 'x', shared }] });
  port.answers.list_projects = known(false);
  port.answers.share_project = known(true);
  port.answers.search_elsewhere = {
    reply: 'elsewhere',
    value: {
      hits: hits.map((hit, n) => ({ ...hit, project: n === 0 ? pump : diary })),
      searched: [pump, diary],
      left_out: [['gone', { code: 'no_folder', message: 'Its folder /home/me/gone is not there.', hint: 'Open the project where it is now.' }]],
      private: 2,
      missing: false,
      unpacked: 2048,
    },
  };
  await bench(finished, port);
  await user.click(at('tab.files'));
  await user.click(at('files.scope.elsewhere'));
  await user.type(at('files.query'), 'wrap');
  await expect.poll(() => document.querySelector('[data-test="files.hits"]')).not.toBeNull();
  const asked = port.asked.findLast(({ op }) => op.op === 'search_elsewhere');
  expect(asked).toMatchObject({ project: null, op: { query: 'wrap', except: tape.project.id } });
  expect(text('files.hit.0')).toContain('pump, MPL-2.0 by LICENSE');
  expect(text('files.hit.1')).toContain('diary, licence unknown');
  expect(text('files.elsewhere.asked')).toContain('2 private projects not opened');
  expect(text('files.elsewhere.left')).toContain('gone was left out');
  expect(text('files.freshness')).toContain('were unpacked');
  const share = at('files.elsewhere.share') as HTMLInputElement;
  expect(share.checked).toBe(false);
  await user.click(share);
  expect(port.asked.some(({ op }) => op.op === 'share_project' && op.shared && op.project === tape.project.id)).toBe(true);
  await expect.poll(() => share.checked).toBe(true);
});

it('a note is kept in the library, listed, found and removed', async () => {
  const port = new HandPort(tape);
  const note = { id: 'n1', title: 'Retry', text: 'wait twice as long', at_ms: 1 };
  port.answers.list_library = { reply: 'library', value: [] };
  port.answers.keep_note = { reply: 'library', value: [note] };
  port.answers.drop_note = { reply: 'library', value: [] };
  await bench(finished, port);
  await user.click(at('tab.files'));
  await user.click(at('files.scope.note'));
  await expect.poll(() => text('library.notes')).toContain('No notes yet');
  expect((at('library.keep') as HTMLButtonElement).disabled).toBe(true);
  await user.type(at('library.title'), 'Retry');
  await user.type(at('library.text'), 'wait twice as long');
  await user.click(at('library.keep'));
  await expect.poll(() => text('library.notes')).toContain('Retry');
  expect((at('library.title') as HTMLInputElement).value).toBe('');
  port.answers.search_all = {
    reply: 'found',
    value: [{ hits: [{ kind: 'note', path: 'library/n1', lines: [1, 1], score: 1, snippet: note.text, hash, symbol: null, title: 'Retry', origin: { from: 'library', id: 'n1' } }], scanned: 0, missing: [], by: [] }],
  };
  await user.type(at('files.query'), 'twice');
  await expect.poll(() => document.querySelector('[data-test="files.hits"]')).not.toBeNull();
  const asked = port.asked.map(({ op }) => op).findLast((op): op is Extract<Op, { op: 'search_all' }> => op.op === 'search_all');
  expect(asked?.kinds).toEqual(['note']);
  expect(text('files.hit.0')).toContain('Retry');
  await user.clear(at('files.query'));
  await user.click(at('library.remove.n1'));
  await expect.poll(() => text('library.notes')).toContain('No notes yet');
});
