// Runs that wait, work for one another, undo what they did or continue another: each says why it stands still and what
// can be done.

import { describe, expect, it } from 'vitest';
import type { Envelope, RunState, RunSummary, RunView } from '../src/ipc/bindings';
import { summaryOf } from '../src/state/reduce';
import { at, bench, HandPort, maybe, problem, recording, runIn, settle, text, user, type Window } from './bench';

const tape = recording('family');
const inState = (state: RunState) => (view: RunView) => view.state === state;

async function showing(wanted: (view: RunView) => boolean): Promise<Window & { run: RunView }> {
  const run = runIn(tape, wanted);
  const { desk, ...window } = await bench(tape.events, new HandPort(tape));
  desk.select(run.id);
  await settle();
  return { ...window, run };
}

describe('every state that is no end', () => {
  it.each([
    ['created', 'starting', 'begins'],
    ['planning', 'planning', 'Business analyst asks the model'],
    ['waits_for_slot', 'waits for its turn', 'waits until another run makes room'],
    ['waits_for_answer', 'asks you', 'asks you a question'],
    ['waits_for_budget', 'asks for more budget', 'has used its budget and asks for more'],
    ['waits_for_child', 'waits for a child run', 'waits for its child run'],
    ['indeterminate', 'outcome unknown', 'begins in “Tidy the changelog”'], // the bottom line is about what goes on
    ['compensating', 'undoing', 'failed and undoes “Publish a draft branch”'],
  ] as const)('%s is said in the head, in the list and in the bottom line', async (state, word, doing) => {
    const { run } = await showing(inState(state));
    expect([text('run.state'), text(`rail.state.${run.id}`)]).toEqual([word, word]);
    const said = text('status.line').replace(/ \d+ (h|min|s)( \d+ (min|s))?(?= )/, '');
    expect(said).toContain(doing);
  });

  it('can be stopped from the bottom line', async () => {
    const { run, port } = await showing(inState('waits_for_slot'));
    await user.click(at('run.stop'));
    await user.click(at('run.stop'));
    expect(port.ops('cancel_run')).toEqual([{ op: 'cancel_run', run: run.id }]);
  });
});

it('a run in the queue says how many stood before it', async () => {
  await showing(inState('waits_for_slot'));
  expect(text('run.hold')).toContain('2 runs stood before it');
});

it('a run whose effect cannot be known says what was found, and is resumed only by the user', async () => {
  const { run, port } = await showing(inState('indeterminate'));
  expect(text('run.result')).toMatch(/Outcome unknown.*not done again until you have looked.*git log notes/);
  await user.click(at('run.resume'));
  expect(port.ops('resume_run')).toEqual([{ op: 'resume_run', run: run.id }]);
});

it('a run that rests can be given up in its own thread, by a second press, whatever else is at work', async () => {
  const { run, port } = await showing(inState('indeterminate'));
  await user.click(at('run.give-up'));
  expect(port.ops('cancel_run')).toEqual([]);
  await user.click(at('run.give-up'));
  expect(port.ops('cancel_run')).toEqual([{ op: 'cancel_run', run: run.id }]);
});

describe('a question in words', () => {
  it('shows its default and is answered with what is written', async () => {
    const { run, port } = await showing(inState('waits_for_answer'));
    expect([text('approval.default'), text('approval.approve'), text('approval.reject')]).toEqual(['Two.', 'Answer', 'Take the default']);
    await user.type(at('approval.text'), '  One, we draw them ourselves. ');
    await user.click(at('approval.approve'));
    expect(port.ops('settle_approval')).toEqual([
      { op: 'settle_approval', approval: run.approvals[0]?.id, answer: 'approve', note: 'One, we draw them ourselves.' },
    ]);
  });

  it('is not answered with nothing, but the default can be taken', async () => {
    const { port } = await showing(inState('waits_for_answer'));
    await user.click(at('approval.approve'));
    expect([text('approval.lacks'), document.activeElement]).toEqual(['Write an answer, or take the default.', at('approval.text')]);
    expect(port.ops('settle_approval')).toEqual([]);
    await user.click(at('approval.reject'));
    expect(port.ops('settle_approval').map(({ answer, note }) => [answer, note])).toEqual([['reject', '']]);
  });

  it('that is settled shows the answer, or that the default was taken', async () => {
    const { run } = await showing((view) => view.approvals.length === 3);
    const lines = run.approvals.map((approval) => text(`approval.settled.${approval.id}`));
    expect(lines[0]).toContain('Next multiple of eight, as terminals do it.');
    expect(lines[1]).toContain('Yes, and it is shown only there. (the default)');
    expect(lines[2]).toContain('Approved: 20k tokens more');
  });
});

it('a question for more budget says what is used, what was given, and what each answer leads to', async () => {
  const { port } = await showing(inState('waits_for_budget'));
  expect(text('approval.budget')).toMatch(/Used so far 41k tokens Given so far 40k tokens Asked for 40k more, 80k in all/);
  await user.click(at('approval.approve'));
  expect(port.ops('settle_approval').map(({ answer }) => answer)).toEqual(['approve']);
});

describe('a child run', () => {
  const parent = runIn(tape, (view) => view.state === 'waits_for_child' && view.parent === null);
  const child = runIn(tape, (view) => view.state === 'waits_for_child' && view.parent !== null);
  const asks = runIn(tape, inState('waits_for_answer'));

  it('stands in its parent’s thread with goal and state, and leads there and back', async () => {
    await showing((view) => view.id === parent.id);
    expect(text(`child.${child.id}`)).toContain(`Child run: ${child.goal} waits for a child run`);
    expect(parent.children.map((one) => at(`child.${one.run}`).dataset.state)).toEqual(['done', 'waits_for_child']);
    await user.click(at(`child.open.${child.id}`));
    expect(text('run.parent')).toBe(`Works for ${parent.goal}`);
    await user.keyboard('{Alt>}{ArrowLeft}{/Alt}');
    expect(text('run.goal')).toBe(parent.goal);
  });

  it('is indented in the list under its parent, in the group of what is most pressing', async () => {
    await showing((view) => view.id === parent.id);
    expect([parent, child, asks].map((run) => at(`rail.run.${run.id}`).dataset.depth)).toEqual(['0', '1', '2']);
    const rows = [...at('rail').querySelectorAll<HTMLElement>('[data-test^="rail.group."], [data-test^="rail.run."]')].map((one) => one.dataset.test);
    expect(rows.indexOf(`rail.run.${parent.id}`)).toBeGreaterThan(rows.indexOf('rail.group.waiting'));
    expect(rows.indexOf(`rail.run.${asks.id}`)).toBeLessThan(rows.indexOf('rail.group.work'));
  });

  it('that waits for the user is named by the run at the top, with its question one key away', async () => {
    await showing((view) => view.id === parent.id);
    expect(text('run.hold')).toContain('How many columns does a flag take');
    await user.keyboard('{Control>}j{/Control}');
    await settle();
    expect(text('run.goal')).toBe(asks.goal);
    expect(document.activeElement).toBe(at('approval.text'));
  });

  it('that is done is its parent’s to review', async () => {
    await showing((view) => view.parent !== null && view.state === 'done');
    expect(text('run.state')).toBe('done');
    expect([maybe('run.accept'), maybe('run.discard'), maybe('run.fork')]).toEqual([null, null, null]);
  });
});

it('a stuck run says since when, after how many turns, and what was accepted last', async () => {
  const { run } = await showing((view) => view.stalled !== null);
  expect(text('run.stalled')).toMatch(/Stuck since .*14 turns brought nothing that was accepted\. Last accepted: the state after “Make the change”/);
  expect([text(`rail.stalled.${run.id}`), maybe('status.stalled') !== null]).toEqual(['stuck', true]);
});

describe('undoing', () => {
  it('under way shows the error, what is undone and how, and what comes next', async () => {
    await showing(inState('compensating'));
    expect(text('run.undo')).toContain('undoes what its steps did: 1 of 3');
    expect(text('run.undo.problem')).toContain('parses_nested');
    expect(['serve.1', 'branch.1', 'move.1'].map((step) => text(`run.undo.${step}`))).toEqual([
      'Start the fuzzing process: process fuzz is ended',
      'Publish a draft branch: remove branch draft/parser, under way',
      'Move the files: restore the tree of before, comes next',
    ]);
    expect([text('run.step.undone.serve.1'), text('run.step.undo.move.1')]).toEqual([
      'Undone: process fuzz is ended', 'If a later step fails: restore the tree of before',
    ]);
  });

  it('that is over leaves the error of before as the reason', async () => {
    await showing(inState('failed'));
    expect(text('run.undo')).toContain('What its steps did is undone');
    expect(text('run.problem')).toContain('3 links lead nowhere');
  });
});

describe('another way', () => {
  const failed = runIn(tape, inState('failed'));
  const fork = runIn(tape, (view) => view.forked !== null);
  const end = tape.events.find((event) => event.run === failed.id && event.kind === 'step_finished' && event.step === 'prepare.1')?.seq ?? 0;

  it('begins after a step, once it is said what that means', async () => {
    const { port } = await showing((view) => view.id === failed.id);
    await user.click(at('run.step.fork.prepare.1'));
    await settle();
    expect(text('run.fork.ask')).toMatch(/up to the end of “Make the docs folder”.*This run stays as it is/);
    expect(document.activeElement).toBe(at('run.fork.keep')); // Enter takes the safe choice
    expect(port.ops('fork_run')).toEqual([]);
    port.answers.fork_run = { reply: 'run', value: fork.id };
    await user.click(at('run.fork.confirm'));
    await settle();
    expect(port.ops('fork_run')).toEqual([{ op: 'fork_run', run: failed.id, at: end }]);
    expect(text('run.forked')).toContain(`Continues another way, after event ${fork.forked?.at}: ${failed.goal}`);
    await user.click(at('run.forked.open'));
    expect(text('run.state')).toBe('failed');
  });

  it('that cannot be taken says why', async () => {
    const { port } = await showing((view) => view.id === failed.id);
    port.answers.fork_run = problem('fork_point', 'Nothing can be continued from there.');
    await user.click(at('run.fork'));
    await user.click(at('run.fork.confirm'));
    expect(text('run.refusal')).toContain('Nothing can be continued from there.');
  });

  it('may be looked for in the past, where nothing can be done by accident', async () => {
    const { port } = await showing((view) => view.id === failed.id);
    port.answers.show_run = { reply: 'run_view', value: { ...failed, state: 'running', problem: null, compensating: null, steps: failed.steps.slice(0, 2) } };
    await user.click(at('run.step.back.prepare.1'));
    await settle();
    expect(port.ops('show_run')).toEqual([{ op: 'show_run', run: failed.id, at: end }]);
    expect([text('run.state'), maybe('run.step.verify.1'), maybe('run.result')]).toEqual(['running', null, null]);
    await user.keyboard('{Escape}');
    expect([text('run.state'), maybe('run.past')]).toEqual(['failed', null]);
  });
});

describe('a run of the list', () => {
  const lines: RunSummary[] = Object.values(tape.views ?? {}).map(summaryOf);
  const last = tape.events.at(-1)?.seq ?? 0;
  const eventsOf = (run: string): Envelope[] => tape.events.filter((event) => event.run === run);

  async function known(read: (run: string) => Envelope[]): Promise<Window & { desk: Awaited<ReturnType<typeof bench>>['desk'] }> {
    const port = new HandPort(tape);
    port.answers.list_runs = { reply: 'runs', value: lines };
    const { submit } = port;
    port.submit = (project, op) =>
      op.op === 'read_events' && op.run !== null
        ? (port.asked.push({ project, op }), Promise.resolve({ reply: 'events', value: read(op.run).filter((event) => event.seq > op.after) }))
        : submit.call(port, project, op);
    return bench([], port);
  }

  it('is subscribed to from where the list ends, and read whole only when somebody looks', async () => {
    const { desk, port } = await known(eventsOf);
    expect(port.after).toBe(last);
    const before = Object.keys(desk.state.runs).length;
    expect(before).toBeLessThan(4);
    const other = lines.find((line) => line.state === 'failed') as RunSummary;
    desk.select(other.id);
    await settle();
    expect(text('run.problem')).toContain('3 links lead nowhere');
    expect(port.ops('read_events').filter((op) => op.run === other.id)).toHaveLength(1);
  });

  it('is read when something happens in it, and loses nothing that came meanwhile', async () => {
    const { desk, port } = await known(eventsOf);
    const other = lines.find((line) => line.state === 'waits_for_slot') as RunSummary;
    const now = { ...(eventsOf(other.id)[0] as Envelope), seq: last + 1, kind: 'slot_given', payload: {} } as Envelope;
    await port.play([now]);
    await settle();
    expect(desk.lines.get(other.id)?.state).toBe('created');
    expect(text(`rail.state.${other.id}`)).toBe('starting');
    expect(text('said')).toContain(`starting: ${other.goal}`);
  });

  it('that cannot be read says why and is tried again', async () => {
    let broken = true;
    const { desk } = await known((run) => {
      if (broken) throw problem('store_damaged', 'Event 7 cannot be read.');
      return eventsOf(run);
    });
    desk.select((lines.find((line) => line.state === 'failed') as RunSummary).id);
    await settle();
    expect(text('run.unread')).toContain('Event 7 cannot be read.');
    broken = false;
    await user.click(at('run.readagain'));
    await settle();
    expect(text('run.state')).toBe('failed');
  });
});
