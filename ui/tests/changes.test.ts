// The diff: every line with its numbers, walked by key.

import { expect, it } from 'vitest';
import { at, bench, HandPort, maybe, problem, recording, runIn, settle, text, upTo, user } from './bench';

const tape = recording('wrap-job');
const finished = upTo(tape.events, 'run_finished');

it('shows each file, hunk and line with the numbers of both sides', async () => {
  const { port, desk } = await bench(finished, new HandPort(tape));
  expect(port.ops('show_diff')).toEqual([{ op: 'show_diff', run: desk.selected }]);
  for (const file of tape.diff.files) expect(maybe(`changes.file.${file.change.path}`)).not.toBeNull();
  const rows = [...at('changes.diff').querySelectorAll('tr')].map((row) => [...row.cells].map((cell) => cell.textContent));
  const lines = tape.diff.files.flatMap((file) => file.hunks.flatMap((hunk) => hunk.lines));
  expect(rows.filter((row) => row.length === 4)).toEqual(
    lines.map((line) => [
      String(line.old ?? ''),
      String(line.new ?? ''),
      { context: ' ', added: '+', removed: '−' }[line.side],
      line.text,
    ]),
  );
});

it('goes from hunk to hunk and file to file by key', async () => {
  const { desk } = await bench(finished, new HandPort(tape));
  await user.keyboard('{F7}{F7}');
  expect(desk.review.at).toEqual({ file: 1, hunk: 1 });
  await user.keyboard('{F8}');
  expect(desk.review.at).toEqual({ file: 2, hunk: 0 });
  expect(at('changes.file.src/wrap.rs').getAttribute('aria-current')).toBe('true');
  await user.keyboard('{Shift>}{F7}{/Shift}');
  expect(desk.review.at).toEqual({ file: 1, hunk: 1 });
});

it('is fetched again when the run has recorded a new state, not at every event', async () => {
  const first = upTo(tape.events, 'checkpoint_made');
  const { port } = await bench(first, new HandPort(tape));
  expect(port.ops('show_diff')).toHaveLength(1);
  await port.play(finished.slice(first.length));
  await settle();
  const states = finished.filter((event) => event.kind === 'checkpoint_made').length;
  expect(port.ops('show_diff')).toHaveLength(states);
});

it('says what cannot be shown: binary, cut, renamed, no line end', async () => {
  const every = recording('every-state');
  const run = runIn(every, (view) => view.checks_missing);
  const port = new HandPort(every);
  const diff = every.diffs?.[run.id];
  if (diff === undefined) throw new Error('the recording changed');
  port.answers.show_diff = { reply: 'diff', value: diff };
  const { desk } = await bench(every.events, port);
  desk.select(run.id);
  await settle();
  const shown = text('changes.diff');
  expect(shown).toContain('A binary file');
  expect(shown).toContain('logo.png → assets/logo.png');
  expect(shown).toContain('⏎ missing');
  expect(shown).toContain('Show 300 more lines');
  expect(shown).toContain('left out');
});

it('that cannot be read says why and is tried again on demand', async () => {
  const port = new HandPort(tape);
  port.answers.show_diff = problem('git_failed', 'The tree cannot be read.');
  await bench(finished, port);
  expect(text('changes.problem')).toContain('The tree cannot be read.');
  port.answers.show_diff = { reply: 'diff', value: tape.diff };
  await user.click(at('changes.problem').querySelector('button') as HTMLElement);
  expect(maybe('changes.diff')).not.toBeNull();
});

it('is empty in words before anything has changed', async () => {
  await bench(upTo(tape.events, 'call_started'), new HandPort(tape));
  expect(text('changes.empty')).toContain('Nothing is changed');
});
