// The page's fold of a run is the same as the other one's, event by event.

import { describe, expect, it } from 'vitest';
import type { Envelope, RunView } from '../src/ipc/bindings';
import { apply, reduce, start } from '../src/state/reduce';
import { recording, recordingNames } from './bench';

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

function foldAll(events: readonly Envelope[]): Record<string, RunView> {
  const views: Record<string, RunView> = {};
  for (const event of events) {
    if (event.run === null) continue;
    const view = freeze(reduce(views[event.run] ?? null, freeze(event)));
    if (view !== null) views[event.run] = view;
  }
  return views;
}

const names = recordingNames();

describe.each(names)('the recording %s', (name) => {
  const tape = recording(name);

  it('folds to a view for each run that began', () => {
    const began = tape.events.filter((event) => event.kind === 'run_started').map((event) => event.run);
    expect(Object.keys(foldAll(tape.events)).sort()).toEqual(began.sort());
  });

  it.runIf(tape.views !== undefined)('folds to exactly the views that were recorded with it', () => {
    expect(foldAll(tape.events)).toEqual(tape.views);
  });
});

it('the recordings together have every kind of event of a run, so that the comparison means something', () => {
  const seen = new Set(names.flatMap((name) => recording(name).events.map((event) => event.kind)));
  const ofRuns: Envelope['kind'][] = [
    'run_started', 'run_interrupted', 'run_parked', 'run_resumed', 'run_finished', 'step_started', 'step_finished', 'call_started',
    'call_finished', 'call_failed', 'tool_decided', 'tool_returned', 'turn_corrected', 'approval_requested', 'approval_settled',
    'effect_intended', 'effect_settled', 'spec_written', 'checkpoint_made', 'check_recorded', 'checks_missing', 'review_recorded',
    'handed_over', 'run_accepted', 'run_discarded', 'noticed',
  ];
  expect(ofRuns.filter((kind) => !seen.has(kind))).toEqual([]);
});

describe('a run', () => {
  const events = recording('wrap-job').events.filter((event) => event.run !== null);
  const first = events[0] as Envelope;
  const begun = start(first) as RunView;

  it('has no view before it began', () => {
    expect(reduce(null, events[1] as Envelope)).toBeNull();
  });

  it('keeps its place when an event of an unknown kind comes from a newer owner', () => {
    const odd = { ...first, seq: 99, at_ms: 5, kind: 'from_the_future', payload: {} } as unknown as Envelope;
    expect(apply(begun, odd)).toEqual({ ...begun, last_seq: 99, updated_at_ms: 5 });
  });

  it('ignores what belongs to a step that never began', () => {
    const lost = events.find((event) => event.kind === 'call_started') as Envelope;
    const view = apply(begun, { ...lost, step: 'nowhere.1' });
    expect(view.steps).toEqual([]);
    expect(view.cost.calls).toBe(1);
  });

  it('says that tokens are unknown as soon as one server did not say', () => {
    const call = events.find((event) => event.kind === 'call_finished') as Extract<Envelope, { kind: 'call_finished' }>;
    const unsaid = apply(begun, { ...call, payload: { ...call.payload, usage: { ...call.payload.usage, prompt_tokens: null } } });
    expect(apply(unsaid, call).cost).toMatchObject({ prompt_tokens: null, output_tokens: 2 * (call.payload.usage.output_tokens ?? 0) });
  });

  it('keeps waiting after a resume while a question is open', () => {
    const asked = events.find((event) => event.kind === 'approval_requested') as Envelope;
    const interrupted = apply(apply(begun, asked), { ...first, kind: 'run_interrupted', payload: { epoch: 2 } });
    const resumed = apply(interrupted, { ...first, kind: 'run_resumed', payload: { by: 'user', epoch: 2 } });
    expect([interrupted.state, resumed.state]).toEqual(['interrupted', 'waits_for_approval']);
  });
});
