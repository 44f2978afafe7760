// The bench of the tests: recordings from the shared fixtures, and a port that a test drives by hand.

import { render } from '@testing-library/svelte';
import userEvent from '@testing-library/user-event';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { tick } from 'svelte';
import App from '../src/App.svelte';
import type { Envelope, Frame, KnownProject, Op, Problem, ProjectId, ProjectView, Reply, RunView } from '../src/ipc/bindings';
import type { Mark, Port, StartInfo } from '../src/ipc/port';
import { parseRecording, type Recording } from '../src/ipc/recording';
import { Atelier } from '../src/state/atelier.svelte';
import type { Desk } from '../src/state/desk.svelte';

/** Hands on keys and mouse. Nothing here has a size or a style, so whether a press gets through is not asked. */
export const user = userEvent.setup({ pointerEventsCheck: 0 });

export const FIXTURES = resolve(import.meta.dirname, '../../tests/fixtures/journal');

export function recordingNames(): string[] {
  return readdirSync(FIXTURES)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.replace(/\.json$/, ''));
}

export function recording(name: string): Recording {
  return parseRecording(readFileSync(`${FIXTURES}/${name}.json`, 'utf8'));
}

/** The events of a recording before the first of a kind, that one included. */
export function upTo(events: readonly Envelope[], kind: Envelope['kind']): Envelope[] {
  return events.slice(0, events.findIndex((event) => event.kind === kind) + 1);
}

export const problem = (code: Problem['code'], message = 'It cannot be done.', hint = 'Do something else.'): Problem => ({ code, message, hint });

/** A port whose answers a test decides and whose frames a test sends. */
export class HandPort implements Port {
  readonly asked: { project: ProjectId | null; op: Op }[] = [];
  readonly opened: { path: string; init: boolean }[] = [];
  readonly marks: Mark[] = [];
  info: StartInfo = { version: '1.2.3', project: null, tour: false };
  known: KnownProject[] | Problem = [];
  /** What opening a folder answers. */
  open: (path: string, init: boolean) => ProjectView | Problem;
  folder: string | null = null;
  answers: Partial<Record<Op['op'], Reply | Problem | Promise<Reply>>>;
  after: number | null = null;
  closed = 0;
  #onFrames: (frames: Frame[]) => void = () => undefined;

  constructor(readonly tape: Recording) {
    this.open = () => tape.project;
    this.answers = {
      show_settings: { reply: 'settings', value: tape.settings },
      list_model_work: { reply: 'model_work', value: [] },
      list_permissions: { reply: 'permissions', value: [] },
      show_egress: { reply: 'egress', value: { rows: [], totals: [] } },
      list_models: { reply: 'models', value: tape.models },
      show_project: { reply: 'project', value: tape.project },
      show_diff: { reply: 'diff', value: tape.diff },
      list_runs: { reply: 'runs', value: [] },
      show_commands: { reply: 'commands', value: { hash: 'blake3:none', commands: [], allowed: true } },
    };
  }

  async startInfo(): Promise<StartInfo> {
    return this.info;
  }
  async knownProjects(): Promise<KnownProject[]> {
    if ('code' in this.known) throw this.known;
    return this.known;
  }
  async openProject(path: string, init: boolean): Promise<ProjectView> {
    this.opened.push({ path, init });
    const answer = this.open(path, init);
    if ('code' in answer) throw answer;
    return answer;
  }
  async pickFolder(): Promise<string | null> {
    return this.folder;
  }
  async startTour(): Promise<string> {
    return '/tmp/tour';
  }
  async submit(project: ProjectId | null, op: Op): Promise<Reply> {
    this.asked.push({ project, op });
    const answer = await (this.answers[op.op] ?? { reply: 'done' });
    if ('code' in answer) throw answer;
    return answer;
  }
  async subscribe(_project: ProjectId, after: number, onFrames: (frames: Frame[]) => void): Promise<() => void> {
    this.after = after;
    this.#onFrames = onFrames;
    return () => {
      this.closed += 1;
    };
  }
  mark(name: Mark): void {
    this.marks.push(name);
  }

  /** Sends frames and lets the page settle. */
  async send(frames: Frame[]): Promise<void> {
    this.#onFrames(frames);
    await tick();
  }
  async play(events: readonly Envelope[]): Promise<void> {
    await this.send([...events.map((value): Frame => ({ frame: 'event', value })), { frame: 'caught_up', value: events.at(-1)?.seq ?? 0 }]);
  }
  /** The ops of one kind that were asked. */
  ops<K extends Op['op']>(kind: K): Extract<Op, { op: K }>[] {
    return this.asked.map(({ op }) => op).filter((op): op is Extract<Op, { op: K }> => op.op === kind);
  }
}

export interface Window {
  port: HandPort;
  atelier: Atelier;
}

/** The whole window on the first screen. */
export async function welcome(port = new HandPort(recording('wrap-job'))): Promise<Window> {
  const atelier = new Atelier(port);
  render(App, { atelier });
  await atelier.begin();
  await settle();
  return { port, atelier };
}

/** The whole window with the recording's project open and these events played. */
export async function bench(events: readonly Envelope[], port: HandPort): Promise<Window & { desk: Desk }> {
  port.info = { ...port.info, project: port.tape.project.path };
  const { atelier } = await welcome(port);
  await port.play(events);
  await settle();
  if (atelier.desk === null) throw new Error('no project is open');
  return { port, atelier, desk: atelier.desk };
}

/** Lets promises and effects run out. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
  await tick();
}

/** The element of a `data-test` name; fails by name where it is missing. */
export function at(name: string): HTMLElement {
  const found = maybe(name);
  if (found === null) throw new Error(`nothing is called ${name}`);
  return found;
}
export function maybe(name: string): HTMLElement | null {
  return document.querySelector(`[data-test=${JSON.stringify(name)}]`);
}
export function text(name: string): string {
  return (at(name).textContent ?? '').replace(/\s+/g, ' ').trim();
}

/** The run of a recording whose final view is in a state. */
export function runIn(tape: Recording, wanted: (view: RunView) => boolean): RunView {
  const found = Object.values(tape.views ?? {}).find(wanted);
  if (found === undefined) throw new Error('no such run in the recording');
  return found;
}
