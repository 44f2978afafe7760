// Everything the page knows of one project: a line for every run, the whole of those that were read, drafts, and how far
// it has read.
//
// Rule: pure. Frames in, next state out; an event seen before changes nothing; a draft never outlives its turn. A run of
// the list is read whole only when somebody looks at it or something happens in it; until then its events lie in `behind`.

import {
  STATES, type CallId, type Envelope, type Frame, type Problem, type PromptRecord, type RoleId, type Route, type RunId, type RunState,
  type RunSummary, type RunView, type Seq, type StepId, type Stop,
} from '../ipc/bindings';
import { draftNext, type DraftText } from './drafts';
import { reduce, summaryOf } from './reduce';

/** What was sent with one call. */
export interface CallRecord {
  call: CallId;
  step: StepId | null;
  role: RoleId;
  route: Route;
  prompt: PromptRecord;
  attempt: number;
  stop: Stop | null;
}

/** What a run's view does not hold and the screen shows. */
export interface Marks {
  /** The event that ended each step: what a fork keeps. */
  ends: Readonly<Record<StepId, Seq>>;
  /** Since when nothing was accepted, where that was noticed. */
  stalledSince: number | null;
  /** Runs before it, when it was put in the queue. */
  ahead: number | null;
}

export interface ProjectState {
  /** Every run, read or not. */
  lines: ReadonlyMap<RunId, RunSummary>;
  /** The runs that were read whole. */
  runs: Readonly<Record<RunId, RunView>>;
  /** Events of runs that are known from the list only. */
  behind: Readonly<Record<RunId, readonly Envelope[]>>;
  /** The calls of each run in the order they began. */
  calls: Readonly<Record<RunId, readonly CallRecord[]>>;
  /** What was looked for where no check was found. */
  lookedFor: Readonly<Record<RunId, readonly string[]>>;
  marks: Readonly<Record<RunId, Marks>>;
  drafts: Readonly<Record<CallId, DraftText>>;
  lastSeq: Seq;
  /** Whether everything stored before the subscription has arrived. */
  caughtUp: boolean;
  /** Who owns the store now. */
  owner: { epoch: number; mine: boolean } | null;
  /** Why nothing arrives, while that is so. */
  lost: Problem | null;
}

const NO_MARKS: Marks = { ends: {}, stalledSince: null, ahead: null };

export const NOTHING: ProjectState = {
  lines: new Map(),
  runs: {},
  behind: {},
  calls: {},
  lookedFor: {},
  marks: {},
  drafts: {},
  lastSeq: 0,
  caughtUp: false,
  owner: null,
  lost: null,
};

/** The state with the owner's list of runs; what follows is subscribed to from its last event on. */
export function listed(state: ProjectState, lines: readonly RunSummary[]): ProjectState {
  const lastSeq = lines.reduce((last, line) => Math.max(last, line.last_seq), state.lastSeq);
  return { ...state, lines: new Map(lines.map((line) => [line.id, line])), lastSeq };
}

/** The state after a batch of frames. `now` is when they arrived, milliseconds since 1970 UTC. */
export function take(state: ProjectState, frames: readonly Frame[], now: number): ProjectState {
  return relined(state, frames.reduce((before, frame) => takeOne(before, frame, now), state));
}

/** The state with one run read whole: its events, and those that came while it was being read. */
export function readWhole(state: ProjectState, run: RunId, events: readonly Envelope[]): ProjectState {
  const { [run]: late = [], ...behind } = state.behind;
  const next = relined(state, [...events, ...late].reduce(takeEvent, { ...state, behind }));
  const drafts = Object.entries(next.drafts).filter(([call, draft]) => draft.run !== run || awaits(next, run, call));
  return { ...next, drafts: Object.fromEntries(drafts) };
}

function takeOne(state: ProjectState, frame: Frame, now: number): ProjectState {
  switch (frame.frame) {
    case 'event':
      return frame.value.seq <= state.lastSeq ? state : takeEvent({ ...state, lastSeq: frame.value.seq }, frame.value);
    case 'draft':
      if (!awaits(state, frame.value.run, frame.value.call)) return state; // its turn is recorded already
      return {
        ...state,
        drafts: { ...state.drafts, [frame.value.call]: draftNext(state.drafts[frame.value.call], frame.value, now) },
      };
    case 'caught_up':
      return { ...state, caughtUp: true, lost: null, lastSeq: Math.max(state.lastSeq, frame.value) };
    case 'owner':
      return { ...state, owner: frame.value };
    case 'lost':
      return { ...state, lost: frame.value };
  }
}

function takeEvent(state: ProjectState, envelope: Envelope): ProjectState {
  const id = envelope.run;
  if (id === null) return state;
  const before = state.runs[id];
  if (before !== undefined && envelope.seq <= before.last_seq) return state;
  const view = reduce(before ?? null, envelope);
  if (view === null) {
    if (!state.lines.has(id)) return state;
    return { ...state, behind: { ...state.behind, [id]: [...(state.behind[id] ?? []), envelope] } };
  }
  return noted({ ...state, runs: { ...state.runs, [id]: view } }, id, envelope);
}

/** Keeps of an event what the run's view does not hold. */
function noted(next: ProjectState, id: RunId, envelope: Envelope): ProjectState {
  switch (envelope.kind) {
    case 'call_started': {
      const { call, role, route, prompt, attempt } = envelope.payload;
      const record: CallRecord = { call, step: envelope.step, role, route, prompt, attempt, stop: null };
      return { ...next, calls: { ...next.calls, [id]: [...(next.calls[id] ?? []), record] } };
    }
    case 'call_finished': {
      const { call, stop } = envelope.payload;
      const calls = (next.calls[id] ?? []).map((record) => (record.call === call ? { ...record, stop } : record));
      return { ...next, calls: { ...next.calls, [id]: calls }, drafts: without(next.drafts, call) };
    }
    case 'call_failed':
      return { ...next, drafts: without(next.drafts, envelope.payload.call) };
    case 'checks_missing':
      return { ...next, lookedFor: { ...next.lookedFor, [id]: envelope.payload.looked_for } };
    case 'step_finished':
      return envelope.step === null ? next : marked(next, id, { ends: { ...marksOf(next, id).ends, [envelope.step]: envelope.seq } });
    case 'stall_noticed':
      return marked(next, id, { stalledSince: envelope.at_ms - envelope.payload.ms });
    case 'slot_awaited':
      return marked(next, id, { ahead: envelope.payload.ahead });
    case 'run_interrupted':
    case 'run_parked':
    case 'run_finished':
      return { ...next, drafts: draftsOfOthers(next.drafts, id) };
    default:
      return next;
  }
}

export function marksOf(state: ProjectState, run: RunId): Marks {
  return state.marks[run] ?? NO_MARKS;
}

function marked(state: ProjectState, run: RunId, change: Partial<Marks>): ProjectState {
  return { ...state, marks: { ...state.marks, [run]: { ...marksOf(state, run), ...change } } };
}

/** The lines follow the runs that changed, copied once for a whole batch. */
function relined(before: ProjectState, after: ProjectState): ProjectState {
  if (before.runs === after.runs) return after;
  const lines = new Map(after.lines);
  for (const view of Object.values(after.runs)) if (before.runs[view.id] !== view) lines.set(view.id, summaryOf(view));
  return { ...after, lines };
}

/** Whether a turn may still grow: it is open, or its run is not read yet. */
function awaits(state: ProjectState, id: RunId, call: CallId): boolean {
  const run = state.runs[id];
  if (run === undefined) return state.lines.has(id);
  for (const step of run.steps.toReversed()) {
    const turn = step.items.findLast((item) => item.item === 'turn' && item.call === call);
    if (turn?.item === 'turn') return turn.state === 'open';
  }
  return false;
}

function without(drafts: ProjectState['drafts'], call: CallId): ProjectState['drafts'] {
  if (!(call in drafts)) return drafts;
  return Object.fromEntries(Object.entries(drafts).filter(([id]) => id !== call));
}

function draftsOfOthers(drafts: ProjectState['drafts'], run: RunId): ProjectState['drafts'] {
  return Object.fromEntries(Object.entries(drafts).filter(([, draft]) => draft.run !== run));
}

/** The runs, newest first. */
export function runsOf(state: ProjectState): RunSummary[] {
  return [...state.lines.values()].sort((a, b) => b.started_at_ms - a.started_at_ms || (a.id < b.id ? 1 : -1));
}

/** Whether a process works on the run or goes on by itself as soon as it has what it waits for. */
export function isActive(state: RunState): boolean {
  return !STATES[state].final && !STATES[state].rests;
}

/** Whether the run has come to its end. */
export function isOver(state: RunState): boolean {
  return STATES[state].final;
}

/** Whether another run can stand on it: it changed something, and that may still come to the branch. */
export function carries(run: RunView): boolean {
  const lost = run.state === 'failed' || run.state === 'cancelled';
  return run.parent === null && run.checkpoint !== null && run.disposition.disposition === 'pending' && !lost;
}

/** Whether only the user can bring the run on: by an answer, or by mending something and resuming. */
export function needsUser(state: RunState): boolean {
  return STATES[state].waits_for_user || STATES[state].rests;
}

/** The runs whose state differs between two states of the project, for those who listen instead of look. */
export function changedRuns(before: ProjectState, after: ProjectState): RunSummary[] {
  if (before.lines === after.lines) return [];
  return runsOf(after).filter((run) => {
    const old = before.lines.get(run.id);
    return old !== run && (old?.state !== run.state || old.disposition.disposition !== run.disposition.disposition);
  });
}
