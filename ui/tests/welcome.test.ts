// The first screen: opening a folder, what goes wrong with it, the servers found, the tour.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TOUR_GOAL } from '../src/state/desk.svelte';
import { at, HandPort, maybe, problem, recording, settle, text, user, welcome } from './bench';

const tape = recording('wrap-job');

describe('opening a folder', () => {
  it('goes to the bench of the project', async () => {
    const { port } = await welcome();
    await user.type(at('welcome.path'), '/home/mara/code/textkit{Enter}');
    expect(port.opened).toEqual([{ path: '/home/mara/code/textkit', init: false }]);
    expect(text('title.project')).toBe('textkit');
    expect(text('title.branch')).toBe('main');
  });

  it('that is no repository offers to make it one, as a second act only', async () => {
    const port = new HandPort(tape);
    port.open = (_path, init) => (init ? tape.project : problem('not_a_repository', '/tmp/plain is not a git repository.'));
    await welcome(port);
    expect(maybe('welcome.init')).toBeNull();
    await user.type(at('welcome.path'), '/tmp/plain');
    await user.click(at('welcome.open'));
    expect(text('welcome.problem')).toContain('/tmp/plain is not a git repository.');
    expect(at('welcome.problem').getAttribute('role')).toBe('alert');
    expect(port.opened).toEqual([{ path: '/tmp/plain', init: false }]);
    await user.click(at('welcome.init'));
    expect(port.opened.at(-1)).toEqual({ path: '/tmp/plain', init: true });
    expect(text('title.project')).toBe('textkit');
  });

  it('that cannot be opened says why and what now, and offers nothing destructive', async () => {
    const port = new HandPort(tape);
    port.open = () => problem('no_folder', '/nowhere does not exist.', 'Choose a folder that exists.');
    await welcome(port);
    await user.type(at('welcome.path'), '/nowhere{Enter}');
    expect(text('welcome.problem')).toBe('/nowhere does not exist. Choose a folder that exists.');
    expect(maybe('welcome.init')).toBeNull();
    await user.type(at('welcome.path'), '/else');
    expect(maybe('welcome.problem')).toBeNull();
  });

  it('can be done by picking it', async () => {
    const port = new HandPort(tape);
    port.folder = '/picked/here';
    await welcome(port);
    await user.click(at('welcome.browse'));
    expect((at('welcome.path') as HTMLInputElement).value).toBe('/picked/here');
    expect(port.opened).toEqual([]);
  });

  it('given with the start goes straight to the bench', async () => {
    const port = new HandPort(tape);
    port.info = { version: '1', project: tape.project.path, tour: false };
    await welcome(port);
    expect(text('title.project')).toBe('textkit');
    expect(port.marks).toEqual(['mounted', 'ready']);
  });
});

describe('recent projects', () => {
  it('are opened with one press', async () => {
    const port = new HandPort(tape);
    port.known = [{ id: 'p1', path: '/home/mara/code/textkit', name: 'textkit', shared: false }];
    await welcome(port);
    await user.click(at('welcome.known.p1'));
    expect(port.opened).toEqual([{ path: '/home/mara/code/textkit', init: false }]);
  });

  it('say what to do where there are none, and why where they cannot be read', async () => {
    await welcome();
    expect(text('welcome.known.empty')).toContain('No project yet');
    document.body.innerHTML = '';
    const port = new HandPort(tape);
    port.known = problem('store_failed', 'The list cannot be read.');
    await welcome(port);
    expect(text('welcome.known.problem')).toContain('The list cannot be read.');
  });
});

describe('model servers', () => {
  it('that run show their models; one that does not says how to start it', async () => {
    const port = new HandPort(tape);
    const [running, down] = tape.models;
    if (running === undefined || down === undefined) throw new Error('the recording changed');
    port.answers.list_models = { reply: 'models', value: [running, { ...down, id: 'second', kind: 'ollama' }] };
    await welcome(port);
    expect(text('welcome.models.provider.ollama')).toMatch(/ollama found this machine .*qwen3:8b/);
    expect(text('welcome.models.provider.second')).toBe(`second not running ${down.local ? 'this machine' : 'another machine'} ${down.problem?.message} ${down.problem?.hint}`.replaceAll('`', ''));
    expect(maybe('welcome.models.tour')).toBeNull();
    expect(port.asked.find(({ op }) => op.op === 'list_models')?.project).toBeNull();
  });

  it('are looked for again on demand', async () => {
    const { port } = await welcome();
    port.answers.list_models = { reply: 'models', value: [] };
    await user.click(at('welcome.models.refresh'));
    expect(text('welcome.models')).toContain('No model server is set up');
    port.answers.list_models = problem('internal', 'It broke.');
    await user.click(at('welcome.models.refresh'));
    expect(text('welcome.models.problem')).toContain('It broke.');
  });
});

describe('the tour', () => {
  /** A port whose project has the one scripted model. */
  function scripted(): HandPort {
    const port = new HandPort(tape);
    const server = tape.models[0];
    const model = server?.models[0];
    if (server === undefined || model === undefined) throw new Error('the recording changed');
    port.answers.list_models = { reply: 'models', value: [{ ...server, id: 'tour', models: [{ ...model, name: 'tour:latest' }] }] };
    return port;
  }

  it('opens a fresh sample project with its goal written, so that one key starts it', async () => {
    const port = scripted();
    await welcome(port);
    await user.click(at('welcome.tour'));
    await settle();
    expect(port.opened).toEqual([{ path: '/tmp/tour', init: false }]);
    await port.play(tape.events.slice(0, 1));
    expect(document.activeElement).toBe(at('goal.text'));
    expect(text('goal.only')).toBe('tour:latest, a model scripted for this goal');
    port.answers.start_run = { reply: 'run', value: 'x' };
    await user.keyboard('{Control>}{Enter}{/Control}');
    expect(port.ops('start_run')[0]).toMatchObject({ goal: TOUR_GOAL, model: { provider: 'tour', model: 'tour:latest' } });
  });

  it('begins at once where the window was started for it', async () => {
    const port = scripted();
    port.info = { version: '1', project: null, tour: true };
    await welcome(port);
    expect((at('goal.text') as HTMLTextAreaElement).value).toBe(TOUR_GOAL);
    expect(document.activeElement).toBe(at('goal.text'));
  });

  it('has the goal that its script answers', () => {
    const source = readFileSync(resolve(import.meta.dirname, '../../src-tauri/crates/stage/src/tour.rs'), 'utf8');
    expect(/pub const GOAL: &str = "(.*)";/.exec(source)?.[1]).toBe(TOUR_GOAL);
  });

  it('is the one thing to do where nothing was opened before, until a folder is named', async () => {
    const port = new HandPort(tape);
    port.answers.list_models = { reply: 'models', value: tape.models.slice(1) };
    await welcome(port);
    const brass = (): (string | undefined)[] => [...document.querySelectorAll<HTMLElement>('.brass')].map((one) => one.dataset.test);
    expect(brass()).toEqual(['welcome.tour']);
    expect(text('welcome.models.tour')).toBe('The tour works without a model server.');
    await user.type(at('welcome.path'), '/home');
    expect(brass()).toEqual(['welcome.open']);
  });
});

it('going back leaves the project and its subscription', async () => {
  const port = new HandPort(tape);
  port.info = { version: '1', project: tape.project.path, tour: false };
  await welcome(port);
  await user.click(at('title.back'));
  expect(port.closed).toBe(1);
  expect(maybe('welcome')).not.toBeNull();
});
