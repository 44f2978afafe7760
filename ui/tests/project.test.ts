// What a project's subscription adds up to: runs, drafts, and how far the page has read.

import { describe, expect, it } from 'vitest';
import type { Draft, Envelope, Frame, Phase } from '../src/ipc/bindings';
import { changedRuns, isActive, NOTHING, runsOf, take, type ProjectState } from '../src/state/project';
import { problem, recording, upTo } from './bench';

const { events } = recording('wrap-job');
const asked = upTo(events, 'call_started');
const call = asked.at(-1) as Extract<Envelope, { kind: 'call_started' }>;
const frames = (list: readonly Envelope[]): Frame[] => list.map((value) => ({ frame: 'event', value }));
const draft = (phase: Phase, text: string): Frame => {
  const value: Draft = { run: call.run ?? '', step: call.step ?? '', call: call.payload.call, phase, text };
  return { frame: 'draft', value };
};
const open = (): ProjectState => take(NOTHING, frames(asked), 0);

describe('drafts', () => {
  it('grow by phase and know since when the phase lasts', () => {
    const state = take(take(open(), [draft('loading', ''), draft('thinking', 'First '), draft('thinking', 'this.')], 100), [draft('answering', 'Yes')], 250);
    expect(state.drafts[call.payload.call]).toMatchObject({ phase: 'answering', since: 250, thinking: 'First this.', answer: 'Yes' });
  });

  it('end with their turn, and a late one does not come back', () => {
    const finished = take(take(open(), [draft('answering', 'Yes')], 1), frames(upTo(events, 'call_finished')), 2);
    expect(finished.drafts).toEqual({});
    expect(take(finished, [draft('answering', ' and no')], 3).drafts).toEqual({});
  });

  it('of a run that nobody works on any more are gone', () => {
    const cut: Envelope = { ...call, seq: call.seq + 1, step: null, kind: 'run_interrupted', payload: { epoch: 2 } };
    const state = take(take(open(), [draft('answering', 'Yes')], 1), frames([cut]), 2);
    expect(state.drafts).toEqual({});
  });
});

describe('a subscription', () => {
  it('that sends events again changes nothing', () => {
    const once = take(NOTHING, frames(events), 0);
    expect(take(once, frames(events), 0)).toEqual(once);
  });

  it('that is lost says why until it has caught up again', () => {
    const lost = take(open(), [{ frame: 'lost', value: problem('owner_lost') }], 0);
    expect(lost.lost?.code).toBe('owner_lost');
    expect(take(lost, [{ frame: 'caught_up', value: 0 }], 0)).toMatchObject({ lost: null, caughtUp: true, lastSeq: call.seq });
  });

  it('keeps what was sent to each model, in order, and how it stopped', () => {
    const state = take(NOTHING, frames(events), 0);
    const calls = state.calls[call.run ?? ''] ?? [];
    expect(calls.map((one) => one.call)).toEqual(events.filter((event) => event.kind === 'call_started').map((event) => event.payload.call));
    expect(calls[0]).toMatchObject({ stop: 'tools', prompt: { parts: call.payload.prompt.parts } });
  });
});

it('runs are listed newest first', () => {
  const many = take(NOTHING, frames(recording('every-state').events), 0);
  const times = runsOf(many).map((run) => run.started_at_ms);
  expect(times).toEqual(times.toSorted((a, b) => b - a));
  expect(runsOf(many).filter((run) => isActive(run.state))).toHaveLength(2);
});

it('only a change of state is told, not every event', () => {
  const before = open();
  expect(changedRuns(before, take(before, frames(upTo(events, 'call_finished')), 1))).toEqual([]);
  expect(changedRuns(before, take(before, frames(upTo(events, 'approval_requested')), 1)).map((run) => run.state)).toEqual(['waits_for_approval']);
});
