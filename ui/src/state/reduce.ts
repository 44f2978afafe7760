// What the events of one run add up to: the page's twin of the fold in the protocol crate.
//
// Rule: pure, and equal to the other fold for every event; a new kind of event does not compile until it is
// decided here. Transitions come from the generated table. Drafts and prompts are kept elsewhere (`project.ts`).

import { STATES, type CallId, type Envelope, type Event, type Item, type Rebase, type RunState, type RunSummary, type RunView, type StepView, type Summary, type Undo, type Usage } from '../ipc/bindings';

type Payload<K extends Event['kind']> = Extract<Event, { kind: K }>['payload'];
type Turn = Extract<Item, { item: 'turn' }>;
type Tool = Extract<Item, { item: 'tool' }>;

const U32 = 0xffff_ffff;
/** The step of an event that names none. */
const NO_STEP = 'step.1';

/** The view after one more event; null while there is no run yet. */
export function reduce(view: RunView | null, envelope: Envelope): RunView | null {
  return view === null ? start(envelope) : apply(view, envelope);
}

/** The view of a run from its first event; null where that is not its start. */
export function start(first: Envelope): RunView | null {
  if (first.kind !== 'run_started' || first.run === null) return null;
  const { goal, flow, base, parent, forked, priority, on } = first.payload;
  return {
    id: first.run,
    goal,
    flow,
    base,
    parent,
    forked,
    on: on ?? null,
    priority,
    state: 'created',
    disposition: { disposition: 'pending' },
    started_at_ms: first.at_ms,
    updated_at_ms: first.at_ms,
    last_seq: first.seq,
    children: [],
    stalled: null,
    compensating: null,
    spec: null,
    steps: [],
    approvals: [],
    checks: [],
    checks_missing: false,
    reviews: [],
    checkpoint: null,
    branch: null,
    commits: [],
    cost: { calls: 0, prompt_tokens: 0, output_tokens: 0, local_ms: 0, micros: 0 },
    problem: null,
    notices: [],
    comments: [],
  };
}

/** Folds one more event of this run. */
export function apply(before: RunView, envelope: Envelope): RunView {
  const view: RunView = { ...before, updated_at_ms: envelope.at_ms, last_seq: envelope.seq };
  switch (envelope.kind) {
    case 'run_interrupted':
      return enter(view, 'interrupted');
    case 'run_parked': {
      const { problem } = envelope.payload;
      return { ...enter(view, problem.code === 'indeterminate' ? 'indeterminate' : 'parked'), problem };
    }
    case 'run_resumed':
      return push({ ...enter(view, openState(view)), problem: null }, envelope, { item: 'resumed', at_ms: envelope.at_ms });
    case 'run_finished':
      return finish(view, envelope.payload);
    case 'slot_awaited':
      return enter(view, 'waits_for_slot');
    case 'slot_given':
      return goOn(view);
    case 'stall_noticed': {
      const { turns, ms, last } = envelope.payload;
      return { ...view, stalled: { turns, ms, last } };
    }
    case 'compensation_started':
      return goOn({ ...view, compensating: envelope.payload.problem });
    case 'step_undone':
      return undone(view, envelope.payload);
    case 'child_started': {
      const { child, goal } = envelope.payload;
      const known = { run: child, step: envelope.step ?? NO_STEP, goal, outcome: null };
      return goOn(push({ ...view, children: [...view.children, known] }, envelope, { item: 'called', run: child }));
    }
    case 'child_ended':
      return childEnded(view, envelope.payload);
    case 'step_started':
      return goOn({ ...view, steps: [...view.steps, newStep(envelope, envelope.payload)] });
    case 'step_finished': {
      const { result } = envelope.payload;
      const ended = inStep(view, envelope, (step) => ({ ...step, result, ended_at_ms: envelope.at_ms }));
      return result.result === 'done' ? { ...ended, stalled: null } : ended;
    }
    case 'call_started':
      return callStarted(view, envelope, envelope.payload);
    case 'call_finished':
      return callFinished(view, envelope, envelope.payload);
    case 'call_failed': {
      const { call, partial, problem } = envelope.payload;
      return inTurn(view, envelope, call, (turn) => ({ ...turn, state: 'failed', text: partial, problem }));
    }
    case 'tool_decided': {
      const { id, verdict } = envelope.payload;
      return inTool(view, envelope, id, (tool) => ({ ...tool, verdict }));
    }
    case 'tool_returned': {
      const { id, line, ok, output } = envelope.payload;
      return inTool(view, envelope, id, (tool) => ({ ...tool, line, ok, output }));
    }
    case 'turn_corrected':
      return push(view, envelope, { item: 'corrected', message: envelope.payload.message });
    case 'call_held':
      return push(view, envelope, { item: 'held', ...envelope.payload });
    case 'prompt_compacted':
      return push(view, envelope, { item: 'compacted', ...envelope.payload });
    case 'summary_asked':
      return { ...view, cost: { ...view.cost, calls: view.cost.calls + 1 } };
    case 'memory_summarised':
      return summarised(view, envelope, envelope.payload.summary);
    case 'context_mismatched':
      return push(view, envelope, { item: 'mismatched', ...envelope.payload });
    case 'approval_requested':
      return asked(view, envelope, envelope.payload);
    case 'approval_settled':
      return settled(view, envelope.payload);
    case 'spec_written':
      return { ...view, spec: envelope.payload.spec, stalled: null };
    case 'checkpoint_made': {
      const { checkpoint } = envelope.payload;
      const same = view.checkpoint?.tree === checkpoint.tree;
      return { ...view, checkpoint, stalled: same ? view.stalled : null };
    }
    case 'check_recorded': {
      const checks = [...view.checks, envelope.payload.check];
      return push({ ...view, checks }, envelope, { item: 'checked', index: checks.length - 1 });
    }
    case 'checks_missing':
      return { ...view, checks_missing: true };
    case 'review_recorded':
      return { ...view, reviews: [...view.reviews, envelope.payload.review] };
    case 'handed_over':
      return { ...view, branch: envelope.payload.branch, commits: envelope.payload.commits };
    case 'run_accepted':
      return { ...view, disposition: { disposition: 'accepted', commit: envelope.payload.commit } };
    case 'run_discarded':
      return { ...view, disposition: { disposition: 'discarded' } };
    case 'operation_undone':
      return operationUndone(view, envelope.payload.undo);
    case 'run_rebased':
      return rebased(view, envelope.payload.rebase);
    case 'rebase_held':
      return { ...view, on: view.on === null ? null : { ...view.on, held: envelope.payload.held } };
    case 'comment_made':
      return { ...view, comments: [...view.comments, { seq: envelope.seq, comment: envelope.payload.comment, sent: false }] };
    case 'noticed':
      return { ...view, notices: [...view.notices, envelope.payload.problem] };
    case 'owner_changed':
    case 'project_opened':
    case 'settings_changed':
    case 'egress_recorded':
    case 'egress_ended':
    case 'cloud_permitted':
    case 'cloud_revoked':
    case 'project_shared':
    case 'note_kept':
    case 'note_dropped':
    case 'run_started':
    case 'route_decided':
    case 'card_measured':
    case 'pull_started':
    case 'pull_ended':
    case 'budget_set':
    case 'call_admitted':
    case 'calls_served':
    case 'cloud_paused':
    case 'cloud_resumed':
    case 'commands_allowed':
    case 'commands_forbidden':
    case 'effect_intended':
    case 'effect_settled':
    case 'message_posted':
    case 'message_dead':
    case 'dead_replayed':
    case 'barrier_opened':
    case 'vote_cast':
    case 'barrier_closed':
    case 'job_queued':
    case 'job_leased':
    case 'job_ended':
    case 'object_made':
    case 'object_changed':
    case 'object_passed':
      return view;
    default:
      return undecided(envelope, view);
  }
}

/** An event this page does not know: the compiler forbids it, a newer owner may still send one. */
function undecided(_event: never, view: RunView): RunView {
  return view;
}

/** Whether a run that is in one state may be in the other next. Staying is always allowed, except at the end. */
export function mayBecome(from: RunState, next: RunState): boolean {
  const { final, next: allowed } = STATES[from];
  return !final && (from === next || allowed.includes(next));
}

/** The run as a line of a list. */
export function summaryOf(view: RunView): RunSummary {
  return {
    id: view.id,
    goal: view.goal,
    state: view.state,
    disposition: view.disposition,
    started_at_ms: view.started_at_ms,
    updated_at_ms: view.updated_at_ms,
    last_seq: view.last_seq,
    files: view.checkpoint?.files.length ?? 0,
    parent: view.parent?.run ?? null,
    priority: view.priority,
    questions: view.approvals.filter((approval) => approval.answer === null).length,
    stalled: view.stalled !== null,
    on: view.on?.run ?? null,
    behind: view.on !== null && view.on.held !== null,
  };
}

/** It stands on another base; what it is there is told with it. */
function rebased(view: RunView, rebase: Rebase): RunView {
  return {
    ...view,
    base: { ...view.base, commit: rebase.to },
    on: view.on === null ? null : { ...view.on, paths: rebase.paths, held: null },
    checkpoint: rebase.checkpoint ?? view.checkpoint,
    commits: rebase.was === null ? view.commits : rebase.commits,
  };
}

/** Where it is when nothing holds it up. */
function workingState(view: RunView): RunState {
  const last = view.steps.at(-1);
  if (view.compensating !== null) return 'compensating';
  if (last === undefined) return 'created';
  return last.phase === 'planning' ? 'planning' : 'running';
}

/** Where it is by its open questions and children, whatever else holds it up. */
function openState(view: RunView): RunState {
  const asked = view.approvals.find((approval) => approval.answer === null);
  switch (asked?.ask.ask) {
    case 'question':
      return 'waits_for_answer';
    case 'budget':
      return 'waits_for_budget';
    case 'hand_over':
    case 'project_commands':
    case 'command':
    case 'tool':
    case 'cloud':
      return 'waits_for_approval';
    case undefined:
      return view.children.some((child) => child.outcome === null) ? 'waits_for_child' : workingState(view);
  }
}

/** Goes on from what held it up, unless it rests. */
function goOn(view: RunView): RunView {
  return STATES[view.state].rests ? view : enter(view, openState(view));
}

/** Goes where the table of transitions lets it; stays otherwise. */
function enter(view: RunView, next: RunState): RunView {
  return mayBecome(view.state, next) ? { ...view, state: next } : view;
}

function finish(view: RunView, { outcome }: Payload<'run_finished'>): RunView {
  const problem = outcome.outcome === 'done' ? null : outcome.problem;
  return mayBecome(view.state, outcome.outcome) ? { ...view, state: outcome.outcome, problem } : view;
}

function childEnded(view: RunView, { child, outcome }: Payload<'child_ended'>): RunView {
  const at = view.children.findIndex((known) => known.run === child && known.outcome === null); // an end counts for what is open
  const children = view.children.map((known, index) => (index === at ? { ...known, outcome } : known));
  return goOn({ ...view, children, stalled: outcome.outcome === 'done' ? null : view.stalled });
}

function undone(view: RunView, payload: Payload<'step_undone'>): RunView {
  const at = view.steps.findLastIndex((step) => step.id === payload.undone);
  const found = view.steps[at];
  return found === undefined ? view : { ...view, steps: view.steps.with(at, { ...found, undone: payload.how }) };
}

/** An operation of the user's was taken back, or done again. */
function operationUndone(view: RunView, { change, accepted }: Undo): RunView {
  switch (change.place) {
    case 'tree':
      return view; // the checkpoint is told by an event of its own
    case 'published':
      return { ...view, branch: change.to === null ? null : change.branch };
    case 'branch':
      return { ...view, disposition: accepted === null ? { disposition: 'pending' } : { disposition: 'accepted', commit: accepted } };
    case 'traces':
      return { ...view, disposition: change.gone ? { disposition: 'discarded' } : { disposition: 'pending' } };
  }
}

function newStep(envelope: Envelope, { role, title, brief, phase, undo }: Payload<'step_started'>): StepView {
  return {
    id: envelope.step ?? NO_STEP,
    role,
    title,
    brief,
    phase,
    undo,
    undone: null,
    result: null,
    started_at_ms: envelope.at_ms,
    ended_at_ms: null,
    items: [],
  };
}

function callStarted(view: RunView, envelope: Envelope, payload: Payload<'call_started'>): RunView {
  const turn: Turn = {
    item: 'turn',
    call: payload.call,
    role: payload.role,
    route: payload.route,
    at_ms: envelope.at_ms,
    state: 'open',
    text: '',
    thinking: '',
    usage: null,
    problem: null,
  };
  return push({ ...view, cost: { ...view.cost, calls: view.cost.calls + 1 } }, envelope, turn);
}

function callFinished(view: RunView, envelope: Envelope, payload: Payload<'call_finished'>): RunView {
  const { call, text, thinking, usage, cost, tool_calls: toolCalls } = payload;
  let local = true;
  let next = inTurn(view, envelope, call, (turn) => {
    local = turn.route.local;
    return { ...turn, state: 'done', text, thinking, usage };
  });
  next = { ...next, cost: paid(view.cost, usage, local ? 0 : (cost ?? null), local) };
  for (const toolCall of toolCalls) {
    next = push(next, envelope, { item: 'tool', call: toolCall, verdict: null, line: null, ok: null, output: null });
  }
  return next;
}

function paid(cost: RunView['cost'], usage: Usage, price: number | null, local: boolean): RunView['cost'] {
  return {
    calls: cost.calls,
    prompt_tokens: sum(cost.prompt_tokens, usage.prompt_tokens),
    output_tokens: sum(cost.output_tokens, usage.output_tokens),
    local_ms: local ? cost.local_ms + usage.total_ms : cost.local_ms,
    micros: cost.micros === null || price === null ? null : cost.micros + price,
  };
}

function summarised(view: RunView, envelope: Envelope, summary: Summary): RunView {
  const next = push(view, envelope, { item: 'summarised', summary });
  if (summary.call === null) return next;
  const { cost } = next;
  const { micros, local_ms } = summary.used;
  return {
    ...next,
    cost: {
      ...cost,
      prompt_tokens: sum(cost.prompt_tokens, summary.usage?.prompt_tokens ?? null),
      output_tokens: sum(cost.output_tokens, summary.usage?.output_tokens ?? null),
      local_ms: cost.local_ms + local_ms,
      micros: cost.micros === null || micros === null ? null : cost.micros + micros,
    },
  };
}

/** Unknown and known make unknown; sums stay within 32 bits as on the other side. */
function sum(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.min(a + b, U32);
}

function asked(view: RunView, envelope: Envelope, payload: Payload<'approval_requested'>): RunView {
  const approval = {
    id: payload.approval,
    run: view.id,
    ask: payload.ask,
    asked_at_ms: envelope.at_ms,
    expires_at_ms: payload.expires_at_ms,
    answer: null,
    note: '',
  };
  return goOn(push({ ...view, approvals: [...view.approvals, approval] }, envelope, { item: 'asked', approval: payload.approval }));
}

function settled(view: RunView, payload: Payload<'approval_settled'>): RunView {
  const at = view.approvals.findIndex((approval) => approval.id === payload.approval && approval.answer === null); // the first answer counts
  const approvals = view.approvals.map((approval, index) =>
    index === at ? { ...approval, answer: payload.answer, note: payload.note } : approval,
  );
  // A hand-over that is rejected with remarks goes back to the author with them.
  const back = payload.answer === 'reject' && view.approvals[at]?.ask.ask === 'hand_over';
  const comments = back ? view.comments.map((comment) => ({ ...comment, sent: true })) : view.comments;
  return goOn({ ...view, approvals, comments });
}

function inStep(view: RunView, envelope: Envelope, change: (step: StepView) => StepView): RunView {
  const at = envelope.step === null ? -1 : view.steps.findLastIndex((step) => step.id === envelope.step);
  const found = view.steps[at];
  if (found === undefined) return view;
  const changed = change(found);
  return changed === found ? view : { ...view, steps: view.steps.with(at, changed) };
}

function push(view: RunView, envelope: Envelope, item: Item): RunView {
  return inStep(view, envelope, (step) => ({ ...step, items: [...step.items, item] }));
}

function inTurn(view: RunView, envelope: Envelope, call: CallId, change: (turn: Turn) => Turn): RunView {
  return inStep(view, envelope, (step) => {
    const at = step.items.findLastIndex((item) => item.item === 'turn' && item.call === call);
    const found = step.items[at];
    return found?.item === 'turn' ? { ...step, items: step.items.with(at, change(found)) } : step;
  });
}

function inTool(view: RunView, envelope: Envelope, id: string, change: (tool: Tool) => Tool): RunView {
  return inStep(view, envelope, (step) => {
    const at = step.items.findLastIndex((item) => item.item === 'tool' && item.call.id === id);
    const found = step.items[at];
    return found?.item === 'tool' ? { ...step, items: step.items.with(at, change(found)) } : step;
  });
}

