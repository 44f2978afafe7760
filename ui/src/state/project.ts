// Everything the page knows of one project from its subscription: runs, prompts, drafts, and how far it has read.
//
// Rule: pure. Frames in, next state out; an event seen before changes nothing; a draft never outlives its turn.

import {
  STATES, type CallId, type Envelope, type Frame, type Problem, type PromptRecord, type RoleId, type Route, type RunId, type RunState,
  type RunView, type Seq, type StepId, type Stop,
} from '../ipc/bindings';
import { draftNext, type DraftText } from './drafts';
import { reduce } from './reduce';

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

export interface ProjectState {
  runs: Readonly<Record<RunId, RunView>>;
  /** The calls of each run in the order they began. */
  calls: Readonly<Record<RunId, readonly CallRecord[]>>;
  /** What was looked for where no check was found. */
  lookedFor: Readonly<Record<RunId, readonly string[]>>;
  drafts: Readonly<Record<CallId, DraftText>>;
  lastSeq: Seq;
  /** Whether everything stored before the subscription has arrived. */
  caughtUp: boolean;
  /** Who owns the store now. */
  owner: { epoch: number; mine: boolean } | null;
  /** Why nothing arrives, while that is so. */
  lost: Problem | null;
}

export const NOTHING: ProjectState = {
  runs: {},
  calls: {},
  lookedFor: {},
  drafts: {},
  lastSeq: 0,
  caughtUp: false,
  owner: null,
  lost: null,
};

/** The state after a batch of frames. `now` is when they arrived, milliseconds since 1970 UTC. */
export function take(state: ProjectState, frames: readonly Frame[], now: number): ProjectState {
  return frames.reduce((before, frame) => takeOne(before, frame, now), state);
}

function takeOne(state: ProjectState, frame: Frame, now: number): ProjectState {
  switch (frame.frame) {
    case 'event':
      return frame.value.seq <= state.lastSeq ? state : takeEvent({ ...state, lastSeq: frame.value.seq }, frame.value);
    case 'draft':
      if (!isOpen(state.runs[frame.value.run], frame.value.call)) return state; // its turn is recorded already
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
  const view = reduce(state.runs[id] ?? null, envelope);
  if (view === null) return state;
  const next: ProjectState = { ...state, runs: { ...state.runs, [id]: view } };
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
    case 'run_interrupted':
    case 'run_parked':
    case 'run_finished':
      return { ...next, drafts: draftsOfOthers(next.drafts, id) };
    default:
      return next;
  }
}

function isOpen(run: RunView | undefined, call: CallId): boolean {
  if (run === undefined) return false;
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
export function runsOf(state: ProjectState): RunView[] {
  return Object.values(state.runs).sort((a, b) => b.started_at_ms - a.started_at_ms || (a.id < b.id ? 1 : -1));
}

/** Whether a process works on the run or goes on by itself as soon as it has what it waits for. */
export function isActive(state: RunState): boolean {
  return !STATES[state].final && !STATES[state].rests;
}

/** Whether the run has come to its end. */
export function isOver(state: RunState): boolean {
  return STATES[state].final;
}

/** The runs whose state differs between two states of the project, for those who listen instead of look. */
export function changedRuns(before: ProjectState, after: ProjectState): RunView[] {
  return runsOf(after).filter((run) => {
    const old = before.runs[run.id];
    return old?.state !== run.state || old.disposition.disposition !== run.disposition.disposition;
  });
}
