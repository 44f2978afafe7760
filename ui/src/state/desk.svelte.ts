// One open project on the bench: its state, what is selected, and everything the user can do with it.
//
// Rule: the state comes only from the subscription; an act asks the owner and then waits for the journal to say
// what happened. Nothing is shown as done because it was asked for.

import {
  STATES, type AcceptMode, type DiffView, type ExportFormat, type Hash, type ModelChoice, type Op, type Problem, type ProjectView,
  type ProviderView, type Reply, type RunId, type RunView,
} from '../ipc/bindings';
import { asProblem, expectReply, type Port } from '../ipc/port';
import { FIRST, move, type DiffPlace } from './diff';
import { firstLine } from './format';
import { recall, remember } from './layout.svelte';
import { changedRuns, isActive, NOTHING, runsOf, take, type ProjectState } from './project';
import { runWord } from './words';

export type Tab = 'changes' | 'checks' | 'context' | 'files';
export type Pane = Tab | 'thread' | 'runs';
/** An act that asks for a second press. */
export interface Confirm {
  act: 'stop' | 'discard';
  run: RunId;
}
/** What the user is most likely to do next. */
export type Primary = 'approve' | 'waiting' | 'accept' | 'resume' | 'start' | null;
export type Loaded<T> = { at: 'loading' } | { at: 'ready'; value: T } | { at: 'error'; problem: Problem };

/** The goal that the tour's scripted model answers. */
export const TOUR_GOAL = 'Greet several people in one line';

export class Desk {
  readonly port: Port;
  /** Whether the project is the tour's sample, whose model is scripted. */
  readonly tour: boolean;
  project: ProjectView;
  state: ProjectState = $state.raw(NOTHING);
  /** The model servers that this project's runs can use. */
  models: Loaded<ProviderView[]> = $state.raw({ at: 'loading' });
  selected: RunId | null = $state(null);
  tab: Tab = $state('changes');
  pane: Pane = $state('thread');
  confirm: Confirm | null = $state.raw(null);
  /** Why the last act on a run was refused. */
  refusals: Readonly<Record<RunId, Problem>> = $state.raw({});
  /** Acts under way, as `act.run`. */
  busy: readonly string[] = $state.raw([]);
  accepted: Readonly<Record<RunId, AcceptMode>> = $state.raw({});
  diffs: Readonly<Record<RunId, { key: string; diff: Loaded<DiffView> }>> = $state.raw({});
  /** Where the reader of the diff is. */
  at: DiffPlace = $state.raw(FIRST);
  blobs: Readonly<Record<Hash, Loaded<string>>> = $state.raw({});
  /** The last change of state, in words, for those who listen. */
  said = $state('');
  goal = $state('');
  /** Counts the times that something brought a goal into the box, to be read and started there. */
  goalAsked = $state(0);
  goalProblem: Problem | null = $state.raw(null);
  /** A short word about something done, such as where a file was written. */
  notice = $state('');

  #close: (() => void) | null = null;
  #closed = false;
  #confirmTimer: ReturnType<typeof setTimeout> | undefined;

  /** The models that a run of this project can take. */
  readonly choices: ModelChoice[] = $derived.by(() => {
    if (this.models.at !== 'ready') return [];
    const usable = this.models.value.filter((server) => server.problem === null);
    return usable.flatMap((server) => server.models.map((model) => ({ provider: server.id, model: model.name })));
  });
  readonly runs = $derived(runsOf(this.state));
  readonly run: RunView | null = $derived(this.selected === null ? null : (this.state.runs[this.selected] ?? null));
  readonly waiting = $derived(this.runs.filter((run) => STATES[run.state].waits_for_user));
  /** The run that the bottom line speaks of: the selected one if somebody works on it, else the newest such. */
  readonly active: RunView | null = $derived(
    this.run !== null && isActive(this.run.state) ? this.run : (this.runs.find((run) => isActive(run.state)) ?? null),
  );

  /** The one thing that is brass now. */
  readonly primary: Primary = $derived.by(() => {
    if (this.run !== null && STATES[this.run.state].waits_for_user) return 'approve';
    if (this.waiting.length > 0) return 'waiting';
    if (this.run?.state === 'done' && this.run.disposition.disposition === 'pending') return 'accept';
    if (this.run !== null && STATES[this.run.state].rests) return 'resume';
    return this.run !== null && isActive(this.run.state) ? null : 'start';
  });

  constructor(port: Port, project: ProjectView, tour = false) {
    this.port = port;
    this.tour = tour;
    this.project = $state.raw(project);
    this.goal = recall(this.#goalKey()) ?? (tour ? TOUR_GOAL : '');
  }

  /** Begins to follow the project; resolves when the first frames can arrive. */
  async open(): Promise<void> {
    try {
      const close = await this.port.subscribe(this.project.id, this.state.lastSeq, (frames) => {
        if (this.#closed) return;
        const before = this.state;
        this.state = take(before, frames, Date.now());
        this.#tell(before, this.state);
      });
      if (this.#closed) close();
      else this.#close = close;
    } catch (reason) {
      this.state = { ...this.state, lost: asProblem(reason) };
    }
  }

  /** Looks for the model servers; those known stay on screen meanwhile. */
  async loadModels(): Promise<void> {
    try {
      const reply = await this.port.submit(this.project.id, { op: 'list_models' });
      this.models = { at: 'ready', value: expectReply(reply, 'models').value };
    } catch (reason) {
      this.models = { at: 'error', problem: asProblem(reason) };
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#confirmTimer);
    this.#close?.();
  }

  select(run: RunId | null): void {
    if (run !== this.selected) this.at = FIRST;
    this.selected = run;
    this.confirm = null;
    this.pane = 'thread';
  }

  /** Selects the run before or after in the list. */
  step(by: 1 | -1): void {
    const at = this.runs.findIndex((run) => run.id === this.selected);
    const next = this.runs[at === -1 ? 0 : at + by];
    if (next !== undefined) this.select(next.id);
  }

  show(pane: Pane): void {
    this.pane = pane;
    if (pane !== 'thread' && pane !== 'runs') this.tab = pane;
  }

  keepGoal(text: string): void {
    this.goal = text;
    remember(this.#goalKey(), text);
  }

  /** Brings the goal of a run into the box again; what was typed there stays below it. */
  again(run: RunView): void {
    if (this.goal.trim() !== run.goal.trim()) this.keepGoal([run.goal.trim(), this.goal.trim()].filter((part) => part !== '').join('\n\n'));
    this.show('thread');
    this.goalAsked += 1;
  }

  /** Starts a run for the goal. The text stays until the run has begun. */
  async start(model: ModelChoice | null): Promise<boolean> {
    if (this.doing('start', '')) return false;
    this.goalProblem = null;
    const goal = this.goal;
    const op: Op = { op: 'start_run', goal, model, approve: [], deny_asks: false, flow: null, priority: 'normal', budget_tokens: null };
    const reply = await this.#ask('start', '', op, (problem) => (this.goalProblem = problem));
    if (reply === null) return false;
    try {
      const run = expectReply(reply, 'run').value;
      if (this.goal === goal) this.keepGoal('');
      this.select(run);
      return true;
    } catch (reason) {
      this.goalProblem = asProblem(reason);
      return false;
    }
  }

  settle(run: RunId, approval: string, answer: 'approve' | 'reject', note: string): Promise<boolean> {
    return this.#act('settle', run, { op: 'settle_approval', approval, answer, note });
  }

  resume(run: RunId): Promise<boolean> {
    return this.#act('resume', run, { op: 'resume_run', run });
  }

  /** The first press asks for a second one; the second stops the run. */
  async stop(run: RunId): Promise<boolean> {
    if (!this.#pressedTwice('stop', run)) return false;
    return this.#act('stop', run, { op: 'cancel_run', run });
  }

  async accept(run: RunId): Promise<boolean> {
    const reply = await this.#ask('accept', run, { op: 'accept_run', run }, (problem) => this.#refuse(run, problem));
    if (reply?.reply === 'accepted') this.accepted = { ...this.accepted, [run]: reply.value.mode };
    await this.#look();
    return reply !== null;
  }

  askDiscard(run: RunId): void {
    this.confirm = { act: 'discard', run };
  }

  async discard(run: RunId): Promise<boolean> {
    this.confirm = null;
    return this.#act('discard', run, { op: 'discard_run', run });
  }

  /** Writes a run's result, or the project, into a folder the user picks. */
  async export(run: RunView | null, format: ExportFormat): Promise<void> {
    const key = run?.id ?? '';
    try {
      const folder = await this.port.pickFolder();
      if (folder === null) return;
      const name = run === null ? this.project.name : `${this.project.name}-${run.id.slice(-8)}`;
      const to = `${folder}/${name}.${format}`;
      const reply = await this.#ask('export', key, { op: 'export', run: run?.id ?? null, format, to }, (problem) => {
        this.notice = `${problem.message} ${problem.hint}`;
      });
      if (reply !== null) this.notice = `Written: ${expectReply(reply, 'exported').value.path}`;
    } catch (reason) {
      this.notice = asProblem(reason).message;
    }
  }

  /** Fetches the diff of a run, once for each recorded state of its tree. */
  async loadDiff(run: RunView, again = false): Promise<void> {
    const key = run.checkpoint?.commit ?? '';
    const known = this.diffs[run.id];
    if (key === '' || (known?.key === key && !again)) return;
    const keep = (diff: Loaded<DiffView>): void => {
      this.diffs = { ...this.diffs, [run.id]: { key, diff } };
    };
    // The diff of the state before stays readable while the next one is fetched.
    keep(known?.diff.at === 'ready' ? known.diff : { at: 'loading' });
    try {
      const reply = await this.port.submit(this.project.id, { op: 'show_diff', run: run.id });
      if (this.diffs[run.id]?.key === key) keep({ at: 'ready', value: expectReply(reply, 'diff').value });
    } catch (reason) {
      if (this.diffs[run.id]?.key === key) keep({ at: 'error', problem: asProblem(reason) });
    }
  }

  /** Fetches the whole of an output that was cut. */
  async loadBlob(hash: Hash): Promise<void> {
    if (this.blobs[hash]?.at === 'ready') return;
    const keep = (blob: Loaded<string>): void => {
      this.blobs = { ...this.blobs, [hash]: blob };
    };
    keep({ at: 'loading' });
    try {
      keep({ at: 'ready', value: expectReply(await this.port.submit(this.project.id, { op: 'read_blob', hash }), 'blob').value });
    } catch (reason) {
      keep({ at: 'error', problem: asProblem(reason) });
    }
  }

  /** Goes to another hunk or file of the selected run's diff and shows it. */
  moveDiff(what: 'hunk' | 'file', by: 1 | -1): void {
    const diff = this.run === null ? undefined : this.diffs[this.run.id]?.diff;
    this.show('changes');
    if (diff?.at === 'ready') this.at = move(diff.value, this.at, what, by);
  }

  /** Shows one file of the selected run's diff. */
  showFile(path: string): void {
    const diff = this.run === null ? undefined : this.diffs[this.run.id]?.diff;
    this.show('changes');
    if (diff?.at === 'ready') this.at = { file: Math.max(0, diff.value.files.findIndex((file) => file.change.path === path)), hunk: 0 };
  }

  doing(act: string, run: RunId): boolean {
    return this.busy.includes(`${act}.${run}`);
  }

  #goalKey(): string {
    return `atelier.goal.${this.project.id}`;
  }

  async #act(act: string, run: RunId, op: Op): Promise<boolean> {
    return (await this.#ask(act, run, op, (problem) => this.#refuse(run, problem))) !== null;
  }

  async #ask(act: string, run: RunId, op: Op, refused: (problem: Problem) => void): Promise<Reply | null> {
    if (this.doing(act, run)) return null;
    const key = `${act}.${run}`;
    this.busy = [...this.busy, key];
    this.refusals = Object.fromEntries(Object.entries(this.refusals).filter(([id]) => id !== run));
    try {
      return await this.port.submit(this.project.id, op);
    } catch (reason) {
      refused(asProblem(reason));
      return null;
    } finally {
      this.busy = this.busy.filter((other) => other !== key);
    }
  }

  #refuse(run: RunId, problem: Problem): void {
    this.refusals = { ...this.refusals, [run]: problem };
  }

  #pressedTwice(act: Confirm['act'], run: RunId): boolean {
    clearTimeout(this.#confirmTimer);
    if (this.confirm?.act === act && this.confirm.run === run) {
      this.confirm = null;
      return true;
    }
    this.confirm = { act, run };
    this.#confirmTimer = setTimeout(() => (this.confirm = null), 5000);
    return false;
  }

  /** The branch may have moved: the title says which one is checked out. */
  async #look(): Promise<void> {
    try {
      this.project = expectReply(await this.port.submit(this.project.id, { op: 'show_project' }), 'project').value;
    } catch {
      // the title keeps what it knew
    }
  }

  #tell(before: ProjectState, after: ProjectState): void {
    // The first run of a project is shown wherever it was started; later ones do not push in.
    const first = !before.caughtUp || Object.keys(before.runs).length === 0;
    if (first && this.selected === null && after.caughtUp) this.#selectFirst();
    if (!before.caughtUp) return;
    const words = changedRuns(before, after).map((run) => `${runWord(run).word}: ${firstLine(run.goal)}`);
    if (words.length > 0) this.said = words.join('. ');
  }

  /** On opening: what waits, else what runs, else the newest. */
  #selectFirst(): void {
    const first = this.waiting[0] ?? this.active ?? this.runs[0];
    if (first !== undefined) this.selected = first.id;
  }
}
