// The port into the window's own process. The only file that knows Tauri.
//
// Rule: every batch of frames is acknowledged after the page has taken it; when a subscription is lost, it is
// taken up again after the last number seen, with growing pauses.

import { Channel, invoke } from '@tauri-apps/api/core';
import type { Frame, KnownProject, Op, ProjectId, ProjectView, Reply, Seq } from './bindings';
import { asProblem, type Port, type StartInfo } from './port';

/** Numbered frames of one message; the shell keeps at most a few unacknowledged. */
interface Batch {
  n: number;
  frames: Frame[];
}

/** Pauses before taking a lost subscription up again, in milliseconds; the last one repeats. */
const PAUSES = [200, 500, 1000, 2000, 5000];

async function call<T>(command: string, args?: Record<string, unknown>): Promise<T> {
  try {
    return await invoke<T>(command, args);
  } catch (reason) {
    throw asProblem(reason);
  }
}

export function tauriPort(): Port {
  return {
    startInfo: () => call<StartInfo>('start_info'),
    knownProjects: () => call<KnownProject[]>('known_projects'),
    openProject: (path, init) => call<ProjectView>('open_project', { path, init }),
    pickFolder: () => call<string | null>('pick_folder'),
    startTour: () => call<string>('start_tour'),
    submit: (project: ProjectId | null, op: Op) => call<Reply>('submit', { project, op }),
    subscribe: (project, after, onFrames) => follow(project, after, onFrames),
    mark: (name) => {
      void call<null>('mark', { name }).catch(() => undefined); // a mark nobody takes harms nothing
    },
  };
}

/** One subscription that outlives its channel. The first attempt's rejection is the caller's. */
async function follow(project: ProjectId, after: Seq, onFrames: (frames: Frame[]) => void): Promise<() => void> {
  let last = after;
  let closed = false;
  let close: () => void = () => undefined;

  const take = (frames: Frame[]): void => {
    for (const frame of frames) {
      if (frame.frame === 'event') last = Math.max(last, frame.value.seq);
      if (frame.frame === 'caught_up') last = Math.max(last, frame.value);
    }
    onFrames(frames);
    if (frames.some((frame) => frame.frame === 'lost')) void again(0);
  };

  const again = async (attempt: number): Promise<void> => {
    close();
    await new Promise((done) => setTimeout(done, PAUSES[Math.min(attempt, PAUSES.length - 1)]));
    if (closed) return;
    try {
      close = await open(project, last, take);
      if (closed) close();
    } catch (reason) {
      onFrames([{ frame: 'lost', value: asProblem(reason) }]);
      void again(attempt + 1);
    }
  };

  close = await open(project, after, take);
  return () => {
    closed = true;
    close();
  };
}

/** One channel. Batches may arrive before the subscription's number does; their acknowledgements wait for it. */
async function open(project: ProjectId, after: Seq, take: (frames: Frame[]) => void): Promise<() => void> {
  let subscription: number | null = null;
  let over = false;
  const waiting: number[] = [];
  const acknowledge = (n: number): void => {
    if (subscription === null) waiting.push(n);
    else void call<null>('acknowledge', { subscription, n }).catch(() => undefined); // the loss comes as a frame
  };
  const channel = new Channel<Batch>((batch) => {
    if (over) return;
    take(batch.frames);
    acknowledge(batch.n);
  });
  subscription = await call<number>('subscribe', { project, after, channel });
  waiting.splice(0).forEach(acknowledge);
  return () => {
    if (over) return;
    over = true;
    void call<null>('unsubscribe', { subscription }).catch(() => undefined); // it may be gone already
  };
}
