// The port into the window's process: the exact commands, every batch acknowledged, a lost subscription taken up again.

import { clearMocks, mockIPC } from '@tauri-apps/api/mocks';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Frame } from '../src/ipc/bindings';
import { tauriPort } from '../src/ipc/tauri';
import { problem, recording } from './bench';

interface Line {
  send(n: number, frames: Frame[]): void;
}
const { events } = recording('wrap-job');
let calls: [string, Record<string, unknown>][] = [];
let lines: Line[] = [];
let answer: (command: string) => unknown;

beforeEach(() => {
  calls = [];
  lines = [];
  answer = (command) => (command === 'subscribe' ? lines.length : null);
  mockIPC((command, payload) => {
    const { channel, ...rest } = (payload ?? {}) as Record<string, unknown>;
    calls.push([command, rest]);
    if (command === 'subscribe') {
      let index = 0;
      const { id } = channel as { id: number };
      const internals = (window as unknown as { __TAURI_INTERNALS__: { runCallback(id: number, value: unknown): void } }).__TAURI_INTERNALS__;
      lines.push({ send: (n, frames) => internals.runCallback(id, { index: index++, message: { n, frames } }) });
    }
    return answer(command);
  });
});
afterEach(() => {
  vi.useRealTimers();
  clearMocks();
});

const event = (at: number): Frame => {
  const value = events[at];
  if (value === undefined) throw new Error('the recording changed');
  return { frame: 'event', value };
};
const flush = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

it('speaks the commands of the shell', async () => {
  const port = tauriPort();
  await port.startInfo();
  await port.knownProjects();
  await port.openProject('/a', true);
  await port.pickFolder();
  await port.startTour();
  await port.submit('p1', { op: 'list_runs', states: [], limit: null });
  port.mark('ready');
  await flush();
  expect(calls).toEqual([
    ['start_info', {}],
    ['known_projects', {}],
    ['open_project', { path: '/a', init: true }],
    ['pick_folder', {}],
    ['start_tour', {}],
    ['submit', { project: 'p1', op: { op: 'list_runs', states: [], limit: null } }],
    ['mark', { name: 'ready' }],
  ]);
});

it('rejects with the problem that the shell gave, and makes one of anything else', async () => {
  answer = () => Promise.reject(problem('no_folder', 'There is no such folder.'));
  await expect(tauriPort().openProject('/x', false)).rejects.toEqual(problem('no_folder', 'There is no such folder.'));
  answer = () => Promise.reject(new Error('command not found'));
  await expect(tauriPort().knownProjects()).rejects.toMatchObject({ code: 'internal', message: 'command not found' });
});

it('hands frames on in order and acknowledges each batch, early ones once the number is known', async () => {
  let number: (value: number) => void = () => undefined;
  answer = (command) => (command === 'subscribe' ? new Promise<number>((done) => (number = done)) : null);
  const seen: Frame[][] = [];
  const open = tauriPort().subscribe('p1', 0, (frames) => seen.push(frames));
  lines[0]?.send(1, [event(0)]);
  lines[0]?.send(2, [event(1), { frame: 'caught_up', value: 2 }]);
  expect(calls.filter(([command]) => command === 'acknowledge')).toEqual([]);
  number(7);
  const close = await open;
  lines[0]?.send(3, [event(2)]);
  close();
  await flush();
  expect(seen.map((frames) => frames.length)).toEqual([1, 2, 1]);
  expect(calls).toEqual([
    ['subscribe', { project: 'p1', after: 0 }],
    ['acknowledge', { subscription: 7, n: 1 }],
    ['acknowledge', { subscription: 7, n: 2 }],
    ['acknowledge', { subscription: 7, n: 3 }],
    ['unsubscribe', { subscription: 7 }],
  ]);
});

it('takes a lost subscription up again after the last number it saw, and goes on trying', async () => {
  vi.useFakeTimers();
  const seen: Frame[] = [];
  await tauriPort().subscribe('p1', 0, (frames) => seen.push(...frames));
  lines[0]?.send(1, [event(0), event(1)]);
  answer = (command) => (command === 'subscribe' ? Promise.reject(problem('owner_lost')) : null);
  lines[0]?.send(2, [{ frame: 'lost', value: problem('owner_lost') }]);
  await vi.advanceTimersByTimeAsync(200);
  answer = (command) => (command === 'subscribe' ? 2 : null);
  await vi.advanceTimersByTimeAsync(500);
  expect(calls.filter(([command]) => command === 'subscribe').map(([, args]) => args)).toEqual([
    { project: 'p1', after: 0 },
    { project: 'p1', after: 2 },
    { project: 'p1', after: 2 },
  ]);
  lines.at(-1)?.send(1, [event(2)]);
  lines[0]?.send(3, [event(3)]); // the old line is dead
  expect(seen.filter((frame) => frame.frame === 'event')).toHaveLength(3);
});
