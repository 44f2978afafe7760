// The page's fold of a run is the same as the other one's, event by event.

import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { STATES, type Envelope, type RunState, type RunView } from '../src/ipc/bindings';
import { apply, mayBecome, reduce, start, summaryOf } from '../src/state/reduce';
import { FIXTURES, recording, recordingNames } from './bench';

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
    'handed_over', 'run_accepted', 'run_discarded', 'noticed', 'slot_awaited', 'child_started', 'child_ended', 'stall_noticed',
    'compensation_started', 'step_undone',
  ];
  expect(ofRuns.filter((kind) => !seen.has(kind))).toEqual([]);
});

interface Walk {
  events: Envelope[];
  view: RunView;
}

/** Walks over every kind of event, made with their views by the other fold's own test. */
const walks = JSON.parse(readFileSync(resolve(FIXTURES, '../fold/walks.json'), 'utf8')) as Walk[];

it.each(walks.map((walk, index) => [index, walk] as const))('walk %i folds to the view that the other fold made', (_index, walk) => {
  expect(Object.values(foldAll(walk.events))).toEqual([walk.view]);
});

it('the walks meet every kind of event of a run, and with the recordings every state', () => {
  const kinds = new Set(walks.flatMap((walk) => walk.events.map((event) => event.kind)));
  expect(kinds.size).toBe(40);
  const states = new Set<RunState>();
  for (const { events } of [...walks, ...names.map(recording)]) {
    const views: Record<string, RunView> = {};
    for (const event of events) {
      const view = event.run === null ? null : reduce(views[event.run] ?? null, event);
      if (view !== null) states.add((views[view.id] = view).state);
    }
  }
  expect([...states].sort()).toEqual(Object.keys(STATES).sort());
});

describe('a transition', () => {
  const all = Object.keys(STATES) as RunState[];

  it('out of an end does not happen, and every other state can be cancelled', () => {
    for (const from of all) {
      const ends = STATES[from].final;
      expect(all.filter((next) => mayBecome(from, next)).includes('cancelled')).toBe(!ends);
      expect(mayBecome(from, from)).toBe(!ends);
    }
  });

  it('that the table does not allow is ignored', () => {
    const done = { ...begun(), state: 'done' as const };
    const resumed = apply(done, { ...first, kind: 'run_resumed', payload: { by: 'user', epoch: 2 } });
    expect([resumed.state, mayBecome('compensating', 'running'), mayBecome('parked', 'interrupted')]).toEqual(['done', false, false]);
  });
});

const events = recording('wrap-job').events.filter((event) => event.run !== null);
const first = events[0] as Envelope;
const begun = (): RunView => start(first) as RunView;

it('a line of the list says the same as the run', () => {
  const tape = recording('family');
  for (const view of Object.values(foldAll(tape.events))) {
    const line = summaryOf(view);
    expect([line.state, line.last_seq, line.parent, line.stalled]).toEqual([view.state, view.last_seq, view.parent?.run ?? null, view.stalled !== null]);
    expect(line.questions > 0).toBe(STATES[view.state].waits_for_user);
  }
});

describe('a run', () => {
  it('has no view before it began', () => {
    expect(reduce(null, events[1] as Envelope)).toBeNull();
  });

  it('keeps its place when an event of an unknown kind comes from a newer owner', () => {
    const odd = { ...first, seq: 99, at_ms: 5, kind: 'from_the_future', payload: {} } as unknown as Envelope;
    expect(apply(begun(), odd)).toEqual({ ...begun(), last_seq: 99, updated_at_ms: 5 });
  });

  it('ignores what belongs to a step that never began', () => {
    const lost = events.find((event) => event.kind === 'call_started') as Envelope;
    const view = apply(begun(), { ...lost, step: 'nowhere.1' });
    expect(view.steps).toEqual([]);
    expect(view.cost.calls).toBe(1);
  });

  it('says that tokens are unknown as soon as one server did not say', () => {
    const call = events.find((event) => event.kind === 'call_finished') as Extract<Envelope, { kind: 'call_finished' }>;
    const unsaid = apply(begun(), { ...call, payload: { ...call.payload, usage: { ...call.payload.usage, prompt_tokens: null } } });
    expect(apply(unsaid, call).cost).toMatchObject({ prompt_tokens: null, output_tokens: 2 * (call.payload.usage.output_tokens ?? 0) });
  });

  it('keeps waiting after a resume while a question is open', () => {
    const asked = events.find((event) => event.kind === 'approval_requested') as Envelope;
    const interrupted = apply(apply(begun(), asked), { ...first, kind: 'run_interrupted', payload: { epoch: 2 } });
    const resumed = apply(interrupted, { ...first, kind: 'run_resumed', payload: { by: 'user', epoch: 2 } });
    expect([interrupted.state, resumed.state]).toEqual(['interrupted', 'waits_for_approval']);
  });
});
