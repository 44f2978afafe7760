// The thread of a run in each of its states, and the acts that end one.

import { describe, expect, it } from 'vitest';
import type { Envelope, RunView } from '../src/ipc/bindings';
import { runWord } from '../src/state/words';
import { at, bench, HandPort, maybe, problem, recording, runIn, settle, text, upTo, user } from './bench';

const every = recording('every-state');
const tape = recording('wrap-job');
const finished = upTo(tape.events, 'run_finished');

async function showing(wanted: (view: RunView) => boolean): Promise<{ run: RunView; port: HandPort }> {
  const run = runIn(every, wanted);
  const { desk, port } = await bench(every.events, new HandPort(every));
  desk.select(run.id);
  await settle();
  return { run, port };
}
const inState = (state: RunView['state']) => (view: RunView) => view.state === state;

it('every run is in the rail with its state in words', async () => {
  await bench(every.events, new HandPort(every));
  for (const view of Object.values(every.views ?? {})) {
    expect(text(`rail.state.${view.id}`)).toBe(runWord(view).word);
    expect(at(`rail.run.${view.id}`).dataset.state).toBe(view.state);
  }
});

it.each(Object.values(every.views ?? {}).map((view) => [runWord(view).word, view.id] as const))(
  'a run that is %s shows its goal, state, disposition, steps and turns',
  async (_word, id) => {
    const { run } = await showing((view) => view.id === id);
    expect(at('run.state').dataset.state).toBe(run.state);
    expect(at('run.disposition').dataset.disposition).toBe(run.disposition.disposition);
    for (const step of run.steps) expect(text(`run.step.${step.id}`)).toContain(step.title);
    const turns = run.steps.flatMap((step) => step.items).filter((item) => item.item === 'turn');
    expect(turns.filter((turn) => maybe(`turn.${turn.call}`) !== null).length).toBeGreaterThan(0);
  },
);

describe('a failed run', () => {
  it('says what failed, what now, and shows denied and repeated calls for what they are', async () => {
    await showing(inState('failed'));
    expect(text('run.problem')).toContain('2 checks failed');
    expect(text('run.thread')).toContain('write .git/hooks/pre-commit denied');
    expect(text('run.thread')).toContain('read src/count.rs 1-31 ×4');
    expect(text('turn.corrected')).toContain('The answer holds no tool call');
    expect(maybe('run.accept')).toBeNull();
  });

  it('opens failed checks at once and fetches the whole output on demand', async () => {
    const { port } = await showing(inState('failed'));
    await user.click(at('tab.checks'));
    const check = at('checks.check.0') as HTMLDetailsElement;
    expect(check.open).toBe(true);
    expect(text('checks.check.0')).toMatch(/test exit code 101 .*not sandboxed/);
    expect(text('checks.check.1')).toContain('stopped at the time limit');
    expect(text('checks.unconfined')).toContain('your own rights');
    port.answers.read_blob = { reply: 'blob', value: 'the whole output' };
    const more = [...check.querySelectorAll('button')].find((button) => button.textContent?.includes('Show all'));
    await user.click(more as HTMLElement);
    expect(check.textContent).toContain('the whole output');
  });
});

it.each(['parked', 'interrupted'] as const)('a run that is %s is resumed with one press', async (state) => {
  const { run, port } = await showing(inState(state));
  await user.click(at('run.resume'));
  expect(port.ops('resume_run')).toEqual([{ op: 'resume_run', run: run.id }]);
});

it('a run without checks says so wherever its result is shown', async () => {
  await showing((view) => view.checks_missing);
  expect(text('run.result')).toContain('unchecked');
  await user.click(at('tab.checks'));
  expect(text('checks.missing')).toContain('Looked for .atelier/project.yaml, Cargo.toml');
});

describe('a result', () => {
  it('is accepted with one press, and is accepted when the journal says so', async () => {
    const port = new HandPort(tape);
    const { desk } = await bench(finished, port);
    port.answers.accept_run = { reply: 'accepted', value: { branch: 'main', commit: 'abc', mode: 'fast_forward' } };
    await user.click(at('run.accept'));
    expect(port.ops('accept_run')).toEqual([{ op: 'accept_run', run: desk.selected, how: { way: null, only: null, resolved: [], message: null, skip_hooks: false, with_base: false, skip_signing: false } }]);
    expect(at('run.disposition').dataset.disposition).toBe('pending');
    await port.play(tape.events.slice(finished.length));
    expect(at('run.disposition').dataset.disposition).toBe('accepted');
    expect(text('run.result')).toContain('by fast-forward');
    expect(maybe('run.accept')).toBeNull();
  });

  it('is taken without the hunks that were left out', async () => {
    const port = new HandPort(tape);
    const { desk } = await bench(finished, port);
    const run = desk.run;
    if (run === null) throw new Error('no run');
    await desk.review.loadDiff(run);
    desk.review.leaveHunk({ file: 0, hunk: 0 });
    await settle();
    expect(text('run.accept')).toContain('Accept without 1 hunk');
    await user.click(at('run.accept'));
    const sent = port.ops('accept_run')[0];
    const diff = desk.review.diffs[run.id]?.diff;
    const path = diff?.at === 'ready' ? diff.value.files[0]?.change.path : undefined;
    const only = sent?.op === 'accept_run' ? (sent.how.only ?? []) : [];
    expect(only.length).toBeGreaterThan(0);
    expect(only).not.toContainEqual({ path, hunk: 0 });
    expect(only).not.toContainEqual({ path, hunk: null });
  });

  it('with a conflict is settled file by file, by a side or by hand', async () => {
    const port = new HandPort(tape);
    const { desk } = await bench(finished, port);
    const merged = 'a\n<<<<<<< your branch\nmine\n=======\ntheirs\n>>>>>>> the run\nz\n';
    port.answers.accept_run = problem('accept_conflict', 'Both changed the same places.', 'Say what is taken.');
    port.answers.show_conflicts = { reply: 'conflicts', value: [{ path: 'src/wrap.rs', base: 'a\nz\n', yours: 'a\nmine\nz\n', run: 'a\ntheirs\nz\n', merged }] };
    await user.click(at('run.accept'));
    await settle();
    expect(text('run.conflict.src/wrap.rs')).toContain('not settled');
    await user.click(at('run.conflict.run.src/wrap.rs'));
    expect(at('run.conflict.run.src/wrap.rs').getAttribute('aria-pressed')).toBe('true');
    await user.click(at('run.conflict.edit.src/wrap.rs'));
    const field = at('run.conflict.text.src/wrap.rs') as HTMLTextAreaElement;
    expect(field.value).toBe(merged);
    expect(text('run.conflict.src/wrap.rs')).toContain('still in it');
    await user.clear(field);
    await user.type(field, 'both');
    expect(text('run.conflict.src/wrap.rs')).not.toContain('still in it');
    await user.click(at('run.accept'));
    const sent = port.ops('accept_run').at(-1);
    expect(sent?.op === 'accept_run' ? sent.how.resolved : []).toEqual([{ path: 'src/wrap.rs', take: { take: 'text', text: 'both' } }]);
    expect(desk.run?.disposition.disposition).toBe('pending');
  });

  it.each([['hook_refused', 'run.accept.no-hooks', 'skip_hooks'], ['signing_failed', 'run.accept.unsigned', 'skip_signing']] as const)('that is refused as %s has a way on', async (code, button, skips) => {
    const port = new HandPort(tape);
    await bench(finished, port);
    port.answers.accept_run = problem(code, 'It was refused.', 'Mend it.');
    await user.click(at('run.accept'));
    await user.click(at(button));
    const sent = port.ops('accept_run').at(-1);
    expect(sent?.op === 'accept_run' ? sent.how[skips] : false).toBe(true);
  });

  it('is taken back only after the files that change were shown', async () => {
    const port = new HandPort(tape);
    const { desk } = await bench(finished, port);
    const change = { place: 'branch' as const, branch: 'main', from: 'a', to: 'b', mode: 'fast_forward' as const };
    const done = { operation: 7, run: desk.selected ?? '', at_ms: 0, kind: 'accept' as const, title: 'accepted on main', change, undoes: null, undone_by: null };
    const files = [{ path: 'src/lib.rs', old_path: null, status: 'modified' as const, insertions: 1, deletions: 1 }];
    port.answers.list_operations = { reply: 'operations', value: [{ ...done, preview: null }] };
    port.answers.show_operation = { reply: 'operations', value: [{ ...done, preview: { preview: 'possible', change, files } }] };
    port.answers.undo_operation = { reply: 'operations', value: [{ ...done, operation: 9, kind: 'undo', undoes: 7, preview: null }] };
    await user.click(at('run.undo'));
    expect(text('run.undo.files')).toContain('src/lib.rs');
    expect(port.ops('undo_operation')).toEqual([]);
    await user.click(at('run.undo.confirm'));
    expect(port.ops('undo_operation')).toEqual([{ op: 'undo_operation', operation: 7 }]);
  });

  it('that cannot be accepted says why, with the files, and stays', async () => {
    const port = new HandPort(tape);
    port.answers.accept_run = { ...problem('accept_dirty', 'Uncommitted changes touch files of this run.'), details: ['src/lib.rs'] };
    await bench(finished, port);
    await user.click(at('run.accept'));
    expect(text('run.refusal')).toMatch(/Uncommitted changes.*src\/lib\.rs/);
    expect(maybe('run.accept')).not.toBeNull();
  });

  it('is discarded only by a second act, and Enter takes the safe choice', async () => {
    const port = new HandPort(tape);
    await bench(finished, port);
    await user.click(at('run.discard'));
    await settle();
    expect(document.activeElement).toBe(at('run.discard.keep'));
    await user.keyboard('{Enter}');
    expect(port.ops('discard_run')).toEqual([]);
    await user.click(at('run.discard'));
    await user.click(at('run.discard.confirm'));
    expect(port.ops('discard_run')).toHaveLength(1);
  });

  it('question of discarding is taken back by Esc', async () => {
    await bench(finished, new HandPort(tape));
    await user.click(at('run.discard'));
    await user.keyboard('{Escape}');
    expect(maybe('run.discard.confirm')).toBeNull();
  });
});

describe('a run under way', () => {
  const events = upTo(tape.events, 'call_started');
  const call = events.at(-1);

  it('shows the phase, the model and the streamed text, and stops on a second press', async () => {
    const port = new HandPort(tape);
    await bench(events, port);
    if (call?.kind !== 'call_started') throw new Error('the recording changed');
    const id = call.payload.call;
    const draft = { run: call.run ?? '', step: call.step ?? '', call: id };
    await port.send([{ frame: 'draft', value: { ...draft, phase: 'loading', text: '' } }]);
    expect(text(`turn.${id}`)).toMatch(/loading model qwen3:8b 0 s/);
    await port.send([
      { frame: 'draft', value: { ...draft, phase: 'thinking', text: 'Hm.' } },
      { frame: 'draft', value: { ...draft, phase: 'answering', text: 'It is done, ' } },
      { frame: 'draft', value: { ...draft, phase: 'answering', text: 'nearly.' } },
    ]);
    expect(text(`turn.text.${id}`)).toBe('It is done, nearly.');
    expect(text('status.line')).toContain('Business analyst answering on qwen3:8b');
    await user.click(at('run.stop'));
    expect(port.ops('cancel_run')).toEqual([]);
    expect(text('run.stop')).toBe('Press again to stop');
    await user.click(at('run.stop'));
    expect(port.ops('cancel_run')).toEqual([{ op: 'cancel_run', run: call.run }]);
  });

  it('keeps thinking folded until it is asked for', async () => {
    const port = new HandPort(tape);
    await bench(upTo(tape.events, 'call_finished'), port);
    const done = upTo(tape.events, 'call_finished').at(-1);
    if (done?.kind !== 'call_finished') throw new Error('the recording changed');
    expect(text('run.thread')).not.toContain(done.payload.thinking);
    await user.click(at(`turn.thinking.${done.payload.call}`));
    expect(text('run.thread')).toContain(done.payload.thinking);
  });
});

it('a lost connection is said, and said no more when it is back', async () => {
  const { port } = await bench(finished, new HandPort(tape));
  await port.send([{ frame: 'lost', value: problem('owner_lost', 'The owner went away.') }]);
  expect(text('status.lost')).toContain('The owner went away.');
  await port.send([{ frame: 'caught_up', value: finished.length }]);
  expect(maybe('status.lost')).toBeNull();
});

it('a run that waits for its hand-over and could not follow says why, and what to do next', async () => {
  const asked = upTo(tape.events, 'approval_requested');
  const run = asked.find((event) => event.kind === 'run_started')?.run ?? '';
  const events = asked.map((event) => (event.kind === 'run_started' ? { ...event, payload: { ...event.payload, on: { run: 'below', paths: [], held: null } } } : event));
  const last = asked.at(-1) as Envelope;
  const problemOf = problem('accept_conflict', 'It does not fit on the run below.', 'Look at both sides.');
  const held = { ...last, seq: last.seq + 1, step: null, kind: 'rebase_held', payload: { held: { to: 'c0ffee', problem: problemOf } } } as Envelope;
  const { port } = await bench([...events, held], new HandPort(tape));
  expect(text('run.behind')).toContain('It does not fit on the run below. Look at both sides.');
  expect(maybe('run.result')).toBeNull();
  port.answers.show_conflicts = { reply: 'conflicts', value: [{ path: 'a', yours: 'one\n', run: 'two\n', merged: null, base: null }] };
  await user.click(at('run.behind.show'));
  await user.click(at('run.conflict.run.a'));
  await user.click(at('run.rebase'));
  expect(port.ops('rebase_run')).toEqual([{ op: 'rebase_run', run, resolved: [{ path: 'a', take: { take: 'run' } }] }]);
});
