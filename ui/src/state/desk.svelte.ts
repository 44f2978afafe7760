// One open project on the bench: its state, what is selected, and everything the user can do with it.
//
// Rule: the state comes only from the subscription; an act asks the owner and then waits for the journal to say
// what happened. Nothing is shown as done because it was asked for.

import {
  STATES, type AcceptMode, type Acceptance, type ConflictView, type DiffView, type Envelope, type ExportFormat, type Hash, type ModelChoice, type Op, type OperationView, type Problem, type ProjectView,
  type ProviderView, type Reply, type RunId, type RunSummary, type RunView, type Seq,
  type Take,
} from '../ipc/bindings';
import { asProblem, expectReply, type Port } from '../ipc/port';
import { FIRST, move, taken, type DiffPlace, type LeftOut } from './diff';
import { firstLine } from './format';
import { recall, remember } from './layout.svelte';
import { rowsOf, waitingBelow, type Row } from './list';
import { changedRuns, isActive, listed, NOTHING, readWhole, runsOf, take, type ProjectState } from './project';
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
export type Loaded<T> = { at: 'loading' } | { at: 'ready'; value: T } | { at: 'error'; problem: Problem };

/** Events asked for at once, and how many runs are read side by side. */
const PAGE = 10_000;
const READERS = 4;
/** Changes that are said one by one. */
const SAID = 3;

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
  /** The selected run as it was, while somebody looks at that. */
  past: Past | null = $state.raw(null);
  /** What the list of runs is narrowed to. */
  filter = $state('');
  /** Why a run could not be read. */
  unread: Readonly<Record<RunId, Problem>> = $state.raw({});
  diffs: Readonly<Record<RunId, { key: string; diff: Loaded<DiffView> }>> = $state.raw({});
  /** Where the reader of the diff is. */
  at: DiffPlace = $state.raw(FIRST);
  /** Hunks that are left out of what is accepted. */
  left: Readonly<Record<RunId, readonly LeftOut[]>> = $state.raw({});
  /** Files that your branch and a run both changed, and which side is taken of each. */
  conflicts: Readonly<Record<RunId, readonly ConflictView[]>> = $state.raw({});
  taken: Readonly<Record<RunId, Readonly<Record<string, Take>>>> = $state.raw({});
  /** The hunk that a remark is being written on. */
  remarkAt: DiffPlace | null = $state.raw(null);
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
  /** Runs to be read whole, the next one last, and those under way. */
  #toRead: RunId[] = [];
  #reading: readonly RunId[] = [];
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

  /** Whether parts of the selected run's result can be left out now: it is there and nothing is decided. */
  readonly choosing: boolean = $derived(
    this.run?.state === 'done' && this.run.disposition.disposition === 'pending' && this.run.parent === null && this.run.branch !== null,
  );
  /** Whether a remark on the selected run's changes still reaches its author. */
  readonly remarking: boolean = $derived(this.run !== null && this.run.checkpoint !== null && !STATES[this.run.state].final);

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
    this.#show(run);
    this.confirm = null;
    this.past = null;
    this.pane = 'thread';
  }

  /** Reads a run whole, unless it was read; the one asked for last comes first. */
  read(run: RunId): void {
    if (run in this.state.runs || this.#reading.includes(run) || run in this.unread) return;
    this.#toRead = [...this.#toRead.filter((other) => other !== run), run];
    void this.#readNext();
  }

  /** Tries once more to read a run. */
  readAgain(run: RunId): void {
    this.unread = Object.fromEntries(Object.entries(this.unread).filter(([id]) => id !== run));
    this.read(run);
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
    const reply = await this.#ask('start', '', op, (problem) => (this.goalProblem = problem));
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

  async accept(run: RunId, without: Without = {}): Promise<boolean> {
    const diff = this.diffs[run]?.diff;
    const left = this.left[run] ?? [];
    const only = left.length > 0 && diff?.at === 'ready' ? taken(diff.value, left) : null;
    const resolved = Object.entries(this.taken[run] ?? {}).map(([path, take]) => ({ path, take }));
    const how: Acceptance = { way: null, only, resolved, message: null, skip_hooks: without.hooks ?? false, with_base: without.base ?? false, skip_signing: without.signatures ?? false };
    const reply = await this.#ask('accept', run, { op: 'accept_run', run, how }, (problem) => {
      this.#refuse(run, problem);
      if (problem.code === 'accept_conflict') void this.loadConflicts(run);
    });
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
    const resolved = Object.entries(this.taken[run] ?? {}).map(([path, take]) => ({ path, take }));
    const reply = await this.#ask('rebase', run, { op: 'rebase_run', run, resolved }, (problem) => {
      this.#refuse(run, problem);
      if (problem.code === 'accept_conflict') void this.loadConflicts(run);
    });
    if (reply !== null) {
      this.conflicts = { ...this.conflicts, [run]: [] };
      this.taken = { ...this.taken, [run]: {} };
    }
    return reply !== null;
  }

  /** Leaves a hunk of the selected run's diff out of what is accepted, or takes it again; without a place, the one read now. */
  leaveHunk(place: DiffPlace = this.at): void {
    const run = this.run;
    const diff = run === null ? undefined : this.diffs[run.id]?.diff;
    if (run === null || !this.choosing || diff?.at !== 'ready') return;
    const path = diff.value.files[place.file]?.change.path;
    if (path === undefined) return;
    const left = this.left[run.id] ?? [];
    const isIt = (other: LeftOut): boolean => other.path === path && other.hunk === place.hunk;
    const next = left.some(isIt) ? left.filter((other) => !isIt(other)) : [...left, { path, hunk: place.hunk }];
    this.left = { ...this.left, [run.id]: next };
  }

  isLeft(path: string, hunk: number): boolean {
    return this.choosing && (this.left[this.run?.id ?? ''] ?? []).some((other) => other.path === path && other.hunk === hunk);
  }

  /** Opens the field for a remark on the hunk that is read now. */
  askRemark(place: DiffPlace = this.at): void {
    this.at = place;
    this.remarkAt = this.remarking ? place : null;
  }

  /** Remarks on the changed lines of a hunk; rejecting the hand-over sends them to the author. */
  async remark(text: string): Promise<boolean> {
    const run = this.run;
    const diff = run === null ? undefined : this.diffs[run.id]?.diff;
    const place = this.remarkAt;
    const file = place === null || diff?.at !== 'ready' ? undefined : diff.value.files[place.file];
    if (run === null || place === null || file === undefined) return false;
    const lines = (file.hunks[place.hunk]?.lines ?? []).filter((line) => line.side === 'added');
    const comment = { path: file.change.path, quote: lines.map((line) => line.text), line: lines[0]?.new ?? 1, text };
    const done = await this.#act('remark', run.id, { op: 'comment_run', run: run.id, comment });
    if (done) this.remarkAt = null;
    return done;
  }

  /** Fetches both sides of the files that your branch and a run changed in the same place. */
  async loadConflicts(run: RunId): Promise<void> {
    try {
      const reply = await this.port.submit(this.project.id, { op: 'show_conflicts', run });
      this.conflicts = { ...this.conflicts, [run]: expectReply(reply, 'conflicts').value };
    } catch (reason) {
      this.#refuse(run, asProblem(reason));
    }
  }

  /** Settles the conflict in one file: by a side, or by a text of the user's own. */
  take(run: RunId, path: string, take: Take): void {
    this.taken = { ...this.taken, [run]: { ...this.taken[run], [path]: take } };
  }

  /** Looks what taking the newest operation of a run back would change, and asks. */
  async askUndo(run: RunId): Promise<void> {
    const reply = await this.#ask('undo', run, { op: 'list_operations', run, limit: 1000 }, (problem) => this.#refuse(run, problem));
    if (reply?.reply !== 'operations') return;
    const newest = reply.value.find((operation) => operation.undone_by === null && operation.kind !== 'undo');
    if (newest === undefined) {
      this.notice = 'Nothing of this run can be taken back.';
      return;
    }
    const shown = await this.#ask('undo', run, { op: 'show_operation', operation: newest.operation }, (problem) => this.#refuse(run, problem));
    const operation = shown?.reply === 'operations' ? shown.value[0] : undefined;
    if (operation?.preview?.preview === 'refused') this.#refuse(run, operation.preview.problem);
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
    const done = await this.#act('undo', run, { op: 'undo_operation', operation });
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
    const reply = await this.#ask('fork', run, { op: 'fork_run', run, at }, (problem) => this.#refuse(run, problem));
    this.confirm = null;
    if (reply === null) return false;
    try {
      this.select(expectReply(reply, 'run').value);
      return true;
    } catch (reason) {
      this.#refuse(run, asProblem(reason));
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
      const reply = await this.port.submit(this.project.id, { op: 'show_run', run, at });
      if (here()) keep({ at: 'ready', value: expectReply(reply, 'run_view').value });
    } catch (reason) {
      if (here()) keep({ at: 'error', problem: asProblem(reason) });
    }
  }

  async discard(run: RunId): Promise<boolean> {
    this.confirm = null;
    return this.#act('discard', run, { op: 'discard_run', run, anyway: false });
  }

  /** Writes a run's result, or the project, into a folder the user picks. */
  async export(run: RunSummary | RunView | null, format: ExportFormat): Promise<void> {
    const key = run?.id ?? '';
    try {
      const folder = await this.port.pickFolder();
      if (folder === null) return;
      const name = run === null ? this.project.name : `${this.project.name}-${run.id.slice(-8)}`;
      const to = format === 'folder' ? `${folder}/${name}` : `${folder}/${name}.${format === 'tar_gz' ? 'tar.gz' : format}`;
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
    this.confirm = { act, run, at: null };
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
      const reply = await this.port.submit(this.project.id, { op: 'list_runs', states: [], limit: null });
      this.state = listed(this.state, expectReply(reply, 'runs').value);
    } catch {
      // slower, and the same
    }
  }

  #show(run: RunId | null): void {
    this.selected = run;
    this.remarkAt = null;
    if (run !== null && this.lines.has(run)) this.read(run);
  }

  async #readNext(): Promise<void> {
    const run = this.#reading.length < READERS ? this.#toRead.pop() : undefined;
    if (run === undefined || this.#closed) return;
    this.#reading = [...this.#reading, run];
    try {
      const events: Envelope[] = [];
      for (let more = true; more; ) {
        const op: Op = { op: 'read_events', run, after: events.at(-1)?.seq ?? 0, limit: PAGE };
        const page = expectReply(await this.port.submit(this.project.id, op), 'events').value;
        events.push(...page);
        more = page.length === PAGE;
      }
      const before = this.state;
      this.state = readWhole(before, run, events);
      this.#tell(before, this.state);
    } catch (reason) {
      this.unread = { ...this.unread, [run]: asProblem(reason) };
    }
    this.#reading = this.#reading.filter((other) => other !== run);
    void this.#readNext();
  }

  /** On opening: what waits, else what runs, else the newest. */
  #selectFirst(): void {
    const active = this.runs.find((run) => isActive(run.state));
    const first = this.waiting[0] ?? active ?? this.runs[0];
    if (first !== undefined) this.#show(first.id);
    if (active !== undefined) this.read(active.id);
  }
}
