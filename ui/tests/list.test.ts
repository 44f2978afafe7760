// The list of runs: groups, families, filter, only what is in view, and its speed with ten thousand runs.

import { describe, expect, it } from 'vitest';
import type { RunState, RunSummary } from '../src/ipc/bindings';
import { HEAD, inView, LINE, rowsOf, tall, waitingBelow, type Row } from '../src/state/list';
import { listed, NOTHING, runsOf } from '../src/state/project';
import { at, bench, HandPort, maybe, recording, settle, text, user } from './bench';

const tape = recording('family');

function line(id: string, state: RunState, parent: string | null = null, goal = `goal ${id}`): RunSummary {
  const at = Number(id.replace(/\D/g, ''));
  return {
    id, goal, state, parent, disposition: { disposition: 'pending' }, started_at_ms: at, updated_at_ms: at, last_seq: at, files: 0,
    priority: 'normal', questions: 0, stalled: false, on: null, behind: false,
  };
}
/** The rows in short: `# group count` and the ids, indented. */
const drawn = (rows: readonly Row[]): string[] => rows.map((row) => (row.row === 'head' ? `# ${row.group} ${row.count}` : `${'  '.repeat(row.depth)}${row.run.id}`));
const newestFirst = (lines: RunSummary[]): RunSummary[] => runsOf(listed(NOTHING, lines));

describe('the layout', () => {
  it('groups by what is needed, newest first, with families together where their most pressing member belongs', () => {
    const lines = newestFirst([
      line('r1', 'done'), line('r2', 'waits_for_child'), line('r3', 'done', 'r2'), line('r4', 'waits_for_child', 'r2'), line('r5', 'parked', 'r4'),
      line('r6', 'running'), line('r7', 'waits_for_approval'), line('r8', 'cancelled'), line('r9', 'waits_for_slot'),
    ]);
    expect(drawn(rowsOf(lines, ''))).toEqual([
      '# waiting 5', 'r7', 'r2', '  r3', '  r4', '    r5', '# work 2', 'r9', 'r6', '# over 2', 'r8', 'r1',
    ]);
    expect(waitingBelow(lines, 'r2').map((run) => run.id)).toEqual(['r5']);
  });

  it('finds by words of the goal and of the state; a child without its parent stands alone', () => {
    const lines = newestFirst([line('r1', 'done', null, 'Wrap text'), line('r2', 'running', 'r1', 'Wrap by columns'), line('r3', 'parked', null, 'Other')]);
    expect(drawn(rowsOf(lines, 'COLUMNS wrap'))).toEqual(['# work 1', 'r2']);
    expect(drawn(rowsOf(lines, 'parked'))).toEqual(['# waiting 1', 'r3']);
    expect(rowsOf(lines, 'nowhere')).toEqual([]);
  });

  it('keeps every run once, even where parents go round in a circle or are missing', () => {
    const lines = newestFirst([line('r1', 'running', 'r2'), line('r2', 'running', 'r1'), line('r3', 'running', 'gone'), line('r4', 'running')]);
    expect(drawn(rowsOf(lines, '')).filter((row) => !row.startsWith('#')).map((row) => row.trim()).sort()).toEqual(['r1', 'r2', 'r3', 'r4']);
  });

  it('draws the rows in view and few more, wherever it is scrolled to', () => {
    const rows = rowsOf(newestFirst(Array.from({ length: 1000 }, (_, index) => line(`r${index}`, index % 3 === 0 ? 'done' : 'running'))), '');
    expect(tall(rows)).toBe(1000 * LINE + 2 * HEAD);
    for (const from of [0, 5000, tall(rows) - 600]) {
      const seen = inView(rows, from, 600);
      expect(seen.length).toBeLessThan(32);
      expect(rows.filter((row) => row.top + LINE > from && row.top < from + 600).every((row) => seen.includes(row))).toBe(true);
    }
  });
});

it('a run that could not follow the one it stands on says so in its row, and is found by that', async () => {
  const lines = newestFirst([{ ...line('r1', 'waits_for_approval'), on: 'r0', behind: true }, line('r2', 'waits_for_approval'), { ...line('r3', 'done'), behind: true, disposition: { disposition: 'discarded' } }]);
  expect(drawn(rowsOf(lines, 'behind'))).toEqual(['# waiting 1', 'r1']);
  const { desk, port } = await bench([], new HandPort(tape));
  port.answers.list_runs = { reply: 'runs', value: lines };
  desk.state = listed(desk.state, lines);
  await settle();
  expect(text('rail.behind.r1')).toBe('behind');
  expect(maybe('rail.behind.r2')).toBeNull();
  expect(maybe('rail.behind.r3')).toBeNull();
});

it('ten thousand runs are laid out, drawn, narrowed and opened', { timeout: 120_000 }, async () => {
  const states: RunState[] = ['done', 'failed', 'running', 'waits_for_slot', 'cancelled', 'done', 'parked', 'waits_for_approval', 'done', 'planning'];
  const lines = Array.from({ length: 10_000 }, (_, index) =>
    line(`r${index + 1}`, states[index % states.length] ?? 'done', index % 7 === 0 && index > 7 ? `r${index - 6}` : null, `Goal number ${index + 1} of many`),
  );
  const timed = (what: string, since: number): void => {
    process.stdout.write(`10,000 runs: ${what} in ${(performance.now() - since).toFixed(1)} ms\n`);
  };
  const sorted = newestFirst(lines);
  let since = performance.now();
  const rows = rowsOf(sorted, '');
  timed('laid out', since);
  expect(rows.filter((row) => row.row === 'run')).toHaveLength(10_000);

  const port = new HandPort(tape);
  port.answers.list_runs = { reply: 'runs', value: lines };
  port.answers.read_events = { reply: 'events', value: tape.events.slice(1, 12) };
  since = performance.now();
  const { desk } = await bench([], port);
  timed('list asked for, window opened and drawn', since);
  expect(document.querySelectorAll('[data-test^="rail.run."]').length).toBeLessThan(40);

  since = performance.now();
  await port.play([{ ...(tape.events[1] as (typeof tape.events)[number]), seq: 10_001, at_ms: 20_000 }]);
  await settle();
  timed('a new run shown', since);
  expect(desk.runs).toHaveLength(10_001);

  since = performance.now();
  await user.click(at('rail.filter'));
  await user.paste('number 4711 of');
  await settle();
  timed('narrowed to one', since);
  expect([...document.querySelectorAll('[data-test^="rail.run."]')].map((one) => one.getAttribute('data-test'))).toEqual(['rail.run.r4711']);

  await user.clear(at('rail.filter'));
  await user.type(at('rail.filter'), 'nothing like it');
  expect([text('rail.none'), maybe('rail.run.r4711')]).toEqual(['Nothing found No goal and no state has “nothing like it”.', null]);
  await user.keyboard('{Escape}');
  expect(desk.filter).toBe('');
});
