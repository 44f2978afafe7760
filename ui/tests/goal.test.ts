// The goal box: what is typed is never lost before it has become a run.

import { describe, expect, it } from 'vitest';
import type { Reply } from '../src/ipc/bindings';
import { at, bench, HandPort, maybe, problem, recording, runIn, settle, text, upTo, user } from './bench';

const tape = recording('wrap-job');
const owner = tape.events.slice(0, 1);
const goal = (): HTMLTextAreaElement => at('goal.text') as HTMLTextAreaElement;

it('an empty goal is answered with what is missing', async () => {
  const port = new HandPort(tape);
  port.answers.start_run = problem('empty_goal', 'The goal has no text.', 'Write what should change.');
  await bench(owner, port);
  await user.click(at('goal.start'));
  expect(port.ops('start_run')).toEqual([
    { op: 'start_run', goal: '', model: null, approve: [], deny_asks: false, flow: null, priority: 'normal', budget_tokens: null, on: null },
  ]);
  expect(text('goal.problem')).toBe('The goal has no text. Write what should change.');
  expect(document.activeElement).toBe(goal());
});

it('the text stays while the run is being started, and where it could not be', async () => {
  const port = new HandPort(tape);
  let refuse: (reason: unknown) => void = () => undefined;
  port.answers.start_run = new Promise<Reply>((_, no) => (refuse = no));
  await bench(owner, port);
  await user.type(goal(), 'Add wrap');
  await user.keyboard('{Control>}{Enter}{/Control}');
  expect(goal().value).toBe('Add wrap');
  expect(text('goal.start')).toBe('Starting');
  refuse(problem('no_model', 'No model is found.', 'Start a model server.'));
  await settle();
  expect(goal().value).toBe('Add wrap');
  expect(text('goal.problem')).toContain('No model is found.');
});

it('a started run is shown at once and the box is free again', async () => {
  const port = new HandPort(tape);
  const run = tape.events.find((event) => event.kind === 'run_started')?.run ?? '';
  port.answers.start_run = { reply: 'run', value: run };
  await bench(owner, port);
  await user.type(goal(), 'Add wrap{Enter}and test it');
  await user.click(at('goal.start'));
  expect(port.ops('start_run')[0]?.goal).toBe('Add wrap\nand test it');
  await port.play(upTo(tape.events, 'step_started'));
  expect(goal().value).toBe('');
  expect(text('run.goal')).toContain('Add a wrap function');
  expect(at('run.state').dataset.state).toBe('running');
  expect(at(`rail.run.${run}`).getAttribute('aria-current')).toBe('true');
});

it('an unfinished goal is still there when the project is opened again', async () => {
  await bench(owner, new HandPort(tape));
  await user.type(goal(), 'Half a thought');
  document.body.innerHTML = '';
  await bench(owner, new HandPort(tape));
  expect(goal().value).toBe('Half a thought');
});

it('a run takes the model that was chosen for it', async () => {
  const port = new HandPort(tape);
  port.answers.start_run = { reply: 'run', value: 'x' };
  await bench(owner, port);
  await user.selectOptions(at('goal.model'), 'ollama/granite4:3b');
  await user.type(goal(), 'Add wrap');
  await user.click(at('goal.start'));
  expect(port.ops('start_run')[0]?.model).toEqual({ provider: 'ollama', model: 'granite4:3b' });
  expect(maybe('goal.nomodel')).toBeNull();
});

it('a run follows the flow that was chosen for it, else the usual one', async () => {
  const port = new HandPort(tape);
  port.answers.start_run = { reply: 'run', value: 'x' };
  await bench(owner, port);
  const flow = at('goal.flow') as HTMLSelectElement;
  expect([...flow.options].map((option) => option.label)).toEqual(['Specify, build, verify', 'Specify, build, have it reviewed']);
  await user.type(goal(), 'Add wrap');
  await user.click(at('goal.start'));
  await user.selectOptions(flow, 'reviewed');
  await user.type(goal(), 'Add unwrap');
  await user.click(at('goal.start'));
  expect(port.ops('start_run').map((op) => op.flow)).toEqual([null, 'reviewed']);
});

describe('the models on offer', () => {
  it('are those of the project', async () => {
    const port = new HandPort(tape);
    await bench(owner, port);
    const asked = port.asked.filter(({ op }) => op.op === 'list_models').map(({ project }) => project);
    expect(asked).toEqual([null, tape.project.id]);
  });

  it('are looked for again on demand where none answers', async () => {
    const port = new HandPort(tape);
    port.answers.list_models = { reply: 'models', value: [] };
    await bench(owner, port);
    expect(text('goal.nomodel')).toBe('No model answers on this machine.');
    port.answers.list_models = { reply: 'models', value: tape.models };
    await user.click(at('goal.look'));
    expect(maybe('goal.nomodel')).toBeNull();
    expect(at('goal.model')).not.toBeNull();
  });
});

it('the goal of a run that failed is used again, and nothing that was typed is lost', async () => {
  const every = recording('every-state');
  const { desk } = await bench(every.events, new HandPort(every));
  const failed = runIn(every, (view) => view.state === 'failed');
  desk.select(failed.id);
  await user.type(goal(), 'Half a thought');
  await user.click(at('run.again'));
  expect(goal().value).toBe(`${failed.goal}\n\nHalf a thought`);
  expect(document.activeElement).toBe(goal());
});

it('a very long goal is shown as a beginning that opens', async () => {
  const started = owner.concat(upTo(tape.events, 'run_started').slice(owner.length)).map((event) =>
    event.kind === 'run_started' ? { ...event, payload: { ...event.payload, goal: 'Make it better. '.repeat(40) } } : event,
  );
  await bench(started, new HandPort(tape));
  expect(at('run.goal').classList.contains('clamped')).toBe(true);
  await user.click(at('run.goal.whole'));
  expect(at('run.goal').classList.contains('clamped')).toBe(false);
});
