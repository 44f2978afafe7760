// What the events of one run add up to: the page's twin of the fold in the protocol crate.
//
// Rule: pure, and equal to the other fold for every event; a new kind of event does not compile until it is
// decided here. Drafts and prompts are kept elsewhere (`project.ts`).

import type { CallId, Envelope, Event, Item, RunView, StepView, Usage } from '../ipc/bindings';

type Payload<K extends Event['kind']> = Extract<Event, { kind: K }>['payload'];
type Turn = Extract<Item, { item: 'turn' }>;
type Tool = Extract<Item, { item: 'tool' }>;

const U32 = 0xffff_ffff;

/** The view after one more event; null while there is no run yet. */
export function reduce(view: RunView | null, envelope: Envelope): RunView | null {
  return view === null ? start(envelope) : apply(view, envelope);
}

/** The view of a run from its first event; null where that is not its start. */
export function start(first: Envelope): RunView | null {
  if (first.kind !== 'run_started' || first.run === null) return null;
  const { goal, flow, base } = first.payload;
  return {
    id: first.run,
    goal,
    flow,
    base,
    state: 'running',
    disposition: { disposition: 'pending' },
    started_at_ms: first.at_ms,
    updated_at_ms: first.at_ms,
    last_seq: first.seq,
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
  };
}

/** Folds one more event of this run. */
export function apply(before: RunView, envelope: Envelope): RunView {
  const view: RunView = { ...before, updated_at_ms: envelope.at_ms, last_seq: envelope.seq };
  switch (envelope.kind) {
    case 'run_interrupted':
      return { ...view, state: 'interrupted' };
    case 'run_parked':
      return { ...view, state: 'parked', problem: envelope.payload.problem };
    case 'run_resumed':
      return push(
        { ...view, state: waits(view) ? 'waits_for_approval' : 'running', problem: null },
        envelope,
        { item: 'resumed', at_ms: envelope.at_ms },
      );
    case 'run_finished':
      return finish(view, envelope.payload);
    case 'step_started':
      return { ...view, steps: [...view.steps, newStep(envelope, envelope.payload)] };
    case 'step_finished': {
      const { result } = envelope.payload;
      return inStep(view, envelope, (step) => ({ ...step, result, ended_at_ms: envelope.at_ms }));
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
    case 'approval_requested':
      return asked(view, envelope, envelope.payload);
    case 'approval_settled':
      return settled(view, envelope.payload);
    case 'spec_written':
      return { ...view, spec: envelope.payload.spec };
    case 'checkpoint_made':
      return { ...view, checkpoint: envelope.payload.checkpoint };
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
    case 'noticed':
      return { ...view, notices: [...view.notices, envelope.payload.problem] };
    case 'owner_changed':
    case 'project_opened':
    case 'settings_changed':
    case 'egress_recorded':
    case 'run_started':
    case 'effect_intended':
    case 'effect_settled':
      return view;
    default:
      return undecided(envelope, view);
  }
}

/** An event this page does not know: the compiler forbids it, a newer owner may still send one. */
function undecided(_event: never, view: RunView): RunView {
  return view;
}

function waits(view: RunView): boolean {
  return view.approvals.some((approval) => approval.answer === null);
}

function finish(view: RunView, { outcome }: Payload<'run_finished'>): RunView {
  switch (outcome.outcome) {
    case 'done':
      return { ...view, state: 'done', problem: null };
    case 'failed':
      return { ...view, state: 'failed', problem: outcome.problem };
    case 'cancelled':
      return { ...view, state: 'cancelled', problem: outcome.problem };
  }
}

function newStep(envelope: Envelope, { role, title, brief }: Payload<'step_started'>): StepView {
  return {
    id: envelope.step ?? 'step.1',
    role,
    title,
    brief,
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
  const { call, text, thinking, usage, tool_calls: toolCalls } = payload;
  let local = true;
  let next = inTurn(view, envelope, call, (turn) => {
    local = turn.route.local;
    return { ...turn, state: 'done', text, thinking, usage };
  });
  next = { ...next, cost: paid(view.cost, usage, local) };
  for (const toolCall of toolCalls) {
    next = push(next, envelope, { item: 'tool', call: toolCall, verdict: null, line: null, ok: null, output: null });
  }
  return next;
}

function paid(cost: RunView['cost'], usage: Usage, local: boolean): RunView['cost'] {
  return {
    calls: cost.calls,
    prompt_tokens: sum(cost.prompt_tokens, usage.prompt_tokens),
    output_tokens: sum(cost.output_tokens, usage.output_tokens),
    local_ms: local ? cost.local_ms + usage.total_ms : cost.local_ms,
    micros: local ? cost.micros : null, // no price list yet, so the price is unknown
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
  return push(
    { ...view, state: 'waits_for_approval', approvals: [...view.approvals, approval] },
    envelope,
    { item: 'asked', approval: payload.approval },
  );
}

function settled(view: RunView, payload: Payload<'approval_settled'>): RunView {
  const at = view.approvals.findIndex((approval) => approval.id === payload.approval);
  const approvals = view.approvals.map((approval, index) =>
    index === at ? { ...approval, answer: payload.answer, note: payload.note } : approval,
  );
  const next = { ...view, approvals };
  return next.state === 'waits_for_approval' && !waits(next) ? { ...next, state: 'running' } : next;
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

