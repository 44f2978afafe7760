// The recorded port plays the whole way by the user's own acts, and the production bundle knows nothing of it.

import userEvent from '@testing-library/user-event';
import { render } from '@testing-library/svelte';
import { afterEach, expect, it, vi } from 'vitest';
import App from '../src/App.svelte';
import { play, type PlayOptions } from '../src/ipc/recorded';
import { Atelier } from '../src/state/atelier.svelte';
import { at, maybe, recording, settle, text } from './bench';

const tape = recording('wrap-job');
const still: PlayOptions = { open: true, speed: 0, until: null, hold: null };
afterEach(() => vi.useRealTimers());

async function window(options: PlayOptions): Promise<void> {
  const atelier = new Atelier(play(tape, options));
  render(App, { atelier });
  await atelier.begin();
  await settle();
}

it('plays to the end at once', async () => {
  await window(still);
  expect(at('run.disposition').dataset.disposition).toBe('accepted');
});

it('goes the whole way: start, approve, accept', async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  const user = userEvent.setup({ advanceTimers: vi.advanceTimersByTime });
  await window({ ...still, speed: 1000 });
  await vi.advanceTimersByTimeAsync(5000);
  expect(at('run.state').dataset.state).toBe('waits_for_approval');
  await user.click(at('approval.approve'));
  await vi.advanceTimersByTimeAsync(5000);
  expect(at('run.state').dataset.state).toBe('done');
  await user.click(at('run.accept'));
  await settle();
  expect(at('run.disposition').dataset.disposition).toBe('accepted');
});

it('a rejection ends the run', async () => {
  const user = userEvent.setup();
  await window({ ...still, until: 'approval' });
  await user.click(at('approval.reject'));
  await settle();
  expect(at('run.state').dataset.state).toBe('cancelled');
  expect(text('run.problem')).toContain('rejected');
});

it('holds a turn in a phase, for looking at it', async () => {
  await window({ ...still, until: 'call_started', hold: 'reading' });
  expect(text('run.thread')).toContain('reading prompt');
  expect(maybe('run.stop')).not.toBeNull();
});
