// One open project on the bench: its state, what is selected, and everything the user can do with it.
//
// Rule: the state comes only from the subscription; an act asks the owner and then waits for the journal to say
// what happened. Nothing is shown as done because it was asked for.

import {
  STATES, type AcceptMode, type Acceptance, type ExportFormat, type Hash, type ModelChoice, type Op, type OperationView, type Problem, type ProjectView, type ProviderView,
  type RunId, type RunSummary, type RunView, type Seq,
} from '../ipc/bindings';
import { asProblem, expectReply, type Port } from '../ipc/port';
import { Asks } from './asks.svelte';
import { FIRST } from './diff';
import { firstLine } from './format';
import { recall, remember } from './layout.svelte';
import { rowsOf, waitingBelow, type Row } from './list';
import type { Loaded } from './loaded';
import { changedRuns, isActive, listed, NOTHING, readWhole, runsOf, take, type ProjectState } from './project';
import { Reader } from './reader.svelte';
import { Review } from './review.svelte';
import { runWord } from './words';

export type Tab = 'changes' | 'checks' | 'context' | 'files';
export type Pane = Tab | 'thread' | 'runs';
/** An act that asks for a second press. */
export interface Confirm {
  act: 'stop' | 'discard' | 'fork' | 'undo';
  run: RunId;
  /** The last event that a fork keeps; null is the last of all. */
  at: Seq | null;
}
/** A run as it was after an event. */
export interface Past {
  run: RunId;
  at: Seq;
  view: Loaded<RunView>;
}
/** What is otherwise than usual with an accept: what git is set up for is left out, or the run below comes along. */
export interface Without {
  hooks?: boolean;
  signatures?: boolean;
  /** The run below is accepted first. */
  base?: boolean;
}
/** What the user is most likely to do next. */
export type Primary = 'approve' | 'below' | 'waiting' | 'accept' | 'resume' | 'start' | null;

/** Changes that are said one by one. */
const SAID = 3;

/** The goal that the tour's scripted model answers. */
export const TOUR_GOAL = 'Greet several people in one line';

export class Desk {
  readonly port: Port;
  /** Whether the project is the tour's sample, whose model is scripted. */
  readonly tour: boolean;
  readonly asks: Asks;
  readonly reader: Reader;
  /** What is read of and said about a run's changes. */
  readonly review: Review;
  project: ProjectView;
  state: ProjectState = $state.raw(NOTHING);
  /** The model servers that this project's runs can use. */
  models: Loaded<ProviderView[]> = $state.raw({ at: 'loading' });
  selected: RunId | null = $state(null);
  tab: Tab = $state('changes');
  pane: Pane = $state('thread');
  confirm: Confirm | null = $state.raw(null);
  accepted: Readonly<Record<RunId, AcceptMode>> = $state.raw({});
  /** The selected run as it was, while somebody looks at that. */
  past: Past | null = $state.raw(null);
  /** What the list of runs is narrowed to. */
  filter = $state('');
  /** The operation that is asked about, with what taking it back changes. */
  undoing: OperationView | null = $state.raw(null);
  blobs: Readonly<Record<Hash, Loaded<string>>> = $state.raw({});
  /** The last change of state, in words, for those who listen. */
  said = $state('');
  goal = $state('');
  /** Counts the times that something brought a goal into the box, to be read and started there. */
  goalAsked = $state(0);
  goalProblem: Problem | null = $state.raw(null);
  /** The run that the next one stands on. */
  on: RunId | null = $state(null);
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
  readonly lines = $derived(this.state.lines);
  readonly runs: readonly RunSummary[] = $derived(runsOf({ ...NOTHING, lines: this.lines }));
  /** The list as it is laid out. */
  readonly rows: readonly Row[] = $derived(rowsOf(this.runs, this.filter));
  readonly run: RunView | null = $derived(this.selected === null ? null : (this.state.runs[this.selected] ?? null));
  readonly waiting = $derived(this.runs.filter((run) => STATES[run.state].waits_for_user));
  /** What holds the selected run up further down: a child's question, or a child that rests. */
  readonly below: RunSummary | null = $derived(
    this.run?.state === 'waits_for_child' ? (waitingBelow(this.lines.values(), this.run.id)[0] ?? null) : null,
  );
  /** The run that the bottom line speaks of: the selected one if somebody works on it, else the newest such. */
  readonly active: RunView | null = $derived.by(() => {
    if (this.run !== null && isActive(this.run.state)) return this.run;
    const newest = this.runs.find((run) => isActive(run.state) && run.id in this.state.runs);
    return newest === undefined ? null : (this.state.runs[newest.id] ?? null);
  });

  /** The one thing that is brass now. */
  readonly primary: Primary = $derived.by(() => {
    if (this.run !== null && STATES[this.run.state].waits_for_user) return 'approve';
    if (this.below !== null) return 'below';
    if (this.waiting.length > 0) return 'waiting';
    if (this.run?.state === 'done' && this.run.disposition.disposition === 'pending' && this.run.parent === null) return 'accept';
    if (this.run !== null && STATES[this.run.state].rests) return 'resume';
    return this.run !== null && isActive(this.run.state) ? null : 'start';
  });

  constructor(port: Port, project: ProjectView, tour = false) {
    this.port = port;
    this.tour = tour;
    this.asks = new Asks(port, project.id);
    this.reader = new Reader(this.asks, (run, events) => {
      const before = this.state;
      this.state = readWhole(before, run, events);
      this.#tell(before, this.state);
    });
    this.review = new Review(this.asks, () => this.run, () => this.show('changes'));
    this.project = $state.raw(project);
    this.goal = recall(this.#goalKey()) ?? (tour ? TOUR_GOAL : '');
  }

  /** Begins to follow the project; resolves when the first frames can arrive. */
  async open(): Promise<void> {
    await this.#list();
    try {
      const close = await this.port.subscribe(this.project.id, this.state.lastSeq, (frames) => {
        if (this.#closed) return;
        const before = this.state;
        this.state = take(before, frames, Date.now());
        this.#tell(before, this.state);
        for (const run of Object.keys(this.state.behind)) this.read(run);
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
      const reply = await this.asks.submit({ op: 'list_models' });
      this.models = { at: 'ready', value: expectReply(reply, 'models').value };
    } catch (reason) {
      this.models = { at: 'error', problem: asProblem(reason) };
    }
  }

  close(): void {
    this.#closed = true;
    this.reader.close();
    clearTimeout(this.#confirmTimer);
    this.#close?.();
  }

  select(run: RunId | null): void {
    if (run !== this.selected) this.review.at = FIRST;
    this.#show(run);
    this.confirm = null;
    this.past = null;
    this.pane = 'thread';
  }

  /** Reads a run whole, unless it was read; the one asked for last comes first. */
  read(run: RunId): void {
    if (!(run in this.state.runs)) this.reader.read(run);
  }

  /** Selects the run before or after in the list, as it is laid out. */
  step(by: 1 | -1): void {
    const order = this.rows.filter((row) => row.row === 'run');
    const at = order.findIndex((row) => row.run.id === this.selected);
    const next = order[at === -1 ? 0 : at + by];
    if (next !== undefined) this.select(next.run.id);
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
  async start(model: ModelChoice | null, flow: string | null = null): Promise<boolean> {
    if (this.doing('start', '')) return false;
    this.goalProblem = null;
    const goal = this.goal;
    const op: Op = { op: 'start_run', goal, model, approve: [], deny_asks: false, flow, priority: 'normal', budget_tokens: null, on: this.on };
    const reply = await this.asks.ask('start', '', op, (problem) => (this.goalProblem = problem));
    if (reply === null) return false;
    try {
      const run = expectReply(reply, 'run').value;
      if (this.goal === goal) this.keepGoal('');
      this.on = null;
      this.select(run);
      return true;
    } catch (reason) {
      this.goalProblem = asProblem(reason);
      return false;
    }
  }

  settle(run: RunId, approval: string, answer: 'approve' | 'reject', note: string): Promise<boolean> {
    return this.asks.act('settle', run, { op: 'settle_approval', approval, answer, note });
  }

  resume(run: RunId): Promise<boolean> {
    return this.asks.act('resume', run, { op: 'resume_run', run });
  }

  /** The first press asks for a second one; the second stops the run. */
  async stop(run: RunId): Promise<boolean> {
    if (!this.#pressedTwice('stop', run)) return false;
    return this.asks.act('stop', run, { op: 'cancel_run', run });
  }

  async accept(run: RunId, without: Without = {}): Promise<boolean> {
    const how: Acceptance = { way: null, only: this.review.part(run), resolved: this.review.resolved(run), message: null, skip_hooks: without.hooks ?? false, with_base: without.base ?? false, skip_signing: without.signatures ?? false };
    const reply = await this.asks.ask('accept', run, { op: 'accept_run', run, how }, (problem) => this.#refusedByConflict(run, problem));
    if (reply?.reply === 'accepted') this.accepted = { ...this.accepted, [run]: reply.value.mode };
    await this.#look();
    return reply !== null;
  }

  /** The next run begins with what this one changes, and follows it. */
  standOn(run: RunId): void {
    this.on = run;
    this.show('thread');
    this.goalAsked += 1;
  }

  /** Puts a run on what the run below it is now, with what was said about places that both changed. */
  async rebase(run: RunId): Promise<boolean> {
    const op: Op = { op: 'rebase_run', run, resolved: this.review.resolved(run) };
    const reply = await this.asks.ask('rebase', run, op, (problem) => this.#refusedByConflict(run, problem));
    if (reply !== null) this.review.settled(run);
    return reply !== null;
  }

  /** Looks what taking the newest operation of a run back would change, and asks. */
  async askUndo(run: RunId): Promise<void> {
    const reply = await this.asks.ask('undo', run, { op: 'list_operations', run, limit: 1000 });
    if (reply?.reply !== 'operations') return;
    const newest = reply.value.find((operation) => operation.undone_by === null && operation.kind !== 'undo');
    if (newest === undefined) {
      this.notice = 'Nothing of this run can be taken back.';
      return;
    }
    const shown = await this.asks.ask('undo', run, { op: 'show_operation', operation: newest.operation });
    const operation = shown?.reply === 'operations' ? shown.value[0] : undefined;
    if (operation?.preview?.preview === 'refused') this.asks.refuse(run, operation.preview.problem);
    else if (operation !== undefined) {
      this.undoing = operation;
      this.confirm = { act: 'undo', run, at: null };
    }
  }

  /** Takes back what was asked about. */
  async undo(run: RunId): Promise<boolean> {
    const operation = this.undoing?.operation;
    this.confirm = null;
    this.undoing = null;
    if (operation === undefined) return false;
    const done = await this.asks.act('undo', run, { op: 'undo_operation', operation });
    await this.#look();
    return done;
  }

  askDiscard(run: RunId): void {
    this.confirm = { act: 'discard', run, at: null };
  }

  /** Asks whether a run is to be continued another way from an event on; null is its last. */
  askFork(run: RunId, at: Seq | null): void {
    this.confirm = { act: 'fork', run, at };
  }

  /** Continues a run another way, in a new run that is then shown. */
  async fork(run: RunId, at: Seq | null): Promise<boolean> {
    const reply = await this.asks.ask('fork', run, { op: 'fork_run', run, at });
    this.confirm = null;
    if (reply === null) return false;
    try {
      this.select(expectReply(reply, 'run').value);
      return true;
    } catch (reason) {
      this.asks.refuse(run, asProblem(reason));
      return false;
    }
  }

  /** Shows a run as it was after an event. */
  async lookBack(run: RunId, at: Seq): Promise<void> {
    const keep = (view: Loaded<RunView>): void => {
      this.past = { run, at, view };
    };
    keep({ at: 'loading' });
    const here = (): boolean => this.past?.run === run && this.past.at === at;
    try {
      const reply = await this.asks.submit({ op: 'show_run', run, at });
      if (here()) keep({ at: 'ready', value: expectReply(reply, 'run_view').value });
    } catch (reason) {
      if (here()) keep({ at: 'error', problem: asProblem(reason) });
    }
  }

  async discard(run: RunId): Promise<boolean> {
    this.confirm = null;
    return this.asks.act('discard', run, { op: 'discard_run', run, anyway: false });
  }

  /** Writes a run's result, or the project, into a folder the user picks. */
  async export(run: RunSummary | RunView | null, format: ExportFormat): Promise<void> {
    const key = run?.id ?? '';
    try {
      const folder = await this.port.pickFolder();
      if (folder === null) return;
      const name = run === null ? this.project.name : `${this.project.name}-${run.id.slice(-8)}`;
      const to = format === 'folder' ? `${folder}/${name}` : `${folder}/${name}.${format === 'tar_gz' ? 'tar.gz' : format}`;
      const reply = await this.asks.ask('export', key, { op: 'export', run: run?.id ?? null, format, to }, (problem) => {
        this.notice = `${problem.message} ${problem.hint}`;
      });
      if (reply !== null) this.notice = `Written: ${expectReply(reply, 'exported').value.path}`;
    } catch (reason) {
      this.notice = asProblem(reason).message;
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
      keep({ at: 'ready', value: expectReply(await this.asks.submit({ op: 'read_blob', hash }), 'blob').value });
    } catch (reason) {
      keep({ at: 'error', problem: asProblem(reason) });
    }
  }

  doing(act: string, run: RunId): boolean {
    return this.asks.doing(act, run);
  }

  #goalKey(): string {
    return `atelier.goal.${this.project.id}`;
  }

  #refusedByConflict(run: RunId, problem: Problem): void {
    this.asks.refuse(run, problem);
    if (problem.code === 'accept_conflict') void this.review.loadConflicts(run);
  }

  #pressedTwice(act: Confirm['act'], run: RunId): boolean {
    clearTimeout(this.#confirmTimer);
    if (this.confirm?.act === act && this.confirm.run === run) {
      this.confirm = null;
      return true;
    }
    this.confirm = { act, run, at: null };
    this.#confirmTimer = setTimeout(() => (this.confirm = null), 5000);
    return false;
  }

  /** The branch may have moved: the title says which one is checked out. */
  async #look(): Promise<void> {
    try {
      this.project = expectReply(await this.asks.submit({ op: 'show_project' }), 'project').value;
    } catch {
      // the title keeps what it knew
    }
  }

  #tell(before: ProjectState, after: ProjectState): void {
    // The first run of a project is shown wherever it was started; later ones do not push in.
    const first = !before.caughtUp || before.lines.size === 0;
    if (first && this.selected === null && after.caughtUp) this.#selectFirst();
    if (!before.caughtUp) return;
    const changed = changedRuns(before, after);
    const words = changed.slice(0, SAID).map((run) => `${runWord(run).word}: ${firstLine(run.goal)}`);
    if (changed.length > SAID) words.push(`and ${changed.length - SAID} more runs changed`);
    if (words.length > 0) this.said = words.join('. ');
  }

  /** The lines of all runs; where they cannot be had, the subscription tells everything from the first event on. */
  async #list(): Promise<void> {
    if (this.state.lines.size > 0) return;
    try {
      const reply = await this.asks.submit({ op: 'list_runs', states: [], limit: null });
      this.state = listed(this.state, expectReply(reply, 'runs').value);
    } catch {
      // slower, and the same
    }
  }

  #show(run: RunId | null): void {
    this.selected = run;
    this.review.remarkAt = null;
    if (run !== null && this.lines.has(run)) this.read(run);
  }

  /** On opening: what waits, else what runs, else the newest. */
  #selectFirst(): void {
    const active = this.runs.find((run) => isActive(run.state));
    const first = this.waiting[0] ?? active ?? this.runs[0];
    if (first !== undefined) this.#show(first.id);
    if (active !== undefined) this.read(active.id);
  }
}
