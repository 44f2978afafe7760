// The one opening between the page and whatever runs behind it: the window's process, or a recording.
//
// Rule: the page speaks only through a Port; a rejection is always a `Problem`.

import type { Frame, KnownProject, Op, Problem, ProjectId, ProjectView, Reply, Seq } from './bindings';

/** What the program was started with. */
export interface StartInfo {
  /** The program's version. */
  version: string;
  /** A project folder to open at once. */
  project: string | null;
  /** Whether the tour was asked for. */
  tour: boolean;
}

/** The names of moments the outside may wait for or measure. */
export type Mark = 'mounted' | 'ready';

export interface Port {
  startInfo(): Promise<StartInfo>;
  knownProjects(): Promise<KnownProject[]>;
  /** Opens a folder; with `init`, makes it a repository first. */
  openProject(path: string, init: boolean): Promise<ProjectView>;
  /** The folder the user picked, or null where the dialog was closed. */
  pickFolder(): Promise<string | null>;
  /** Makes a fresh sample project with a scripted model; the answer is its path. */
  startTour(): Promise<string>;
  /** Asks the owner of a project, or of the home store where `project` is null. */
  submit(project: ProjectId | null, op: Op): Promise<Reply>;
  /** Stored events after `after`, then live ones, until the returned function is called. */
  subscribe(project: ProjectId, after: Seq, onFrames: (frames: Frame[]) => void): Promise<() => void>;
  /** Says that the page has reached a moment. */
  mark(name: Mark): void;
}

/** A rejection as a problem; what is not one already is a defect and says so. */
export function asProblem(reason: unknown): Problem {
  if (isProblem(reason)) return reason;
  const message = reason instanceof Error ? reason.message : String(reason);
  return { code: 'internal', message, hint: 'Try again. If it stays, restart Atelier; nothing recorded is lost.' };
}

function isProblem(value: unknown): value is Problem {
  return (
    typeof value === 'object' &&
    value !== null &&
    'code' in value &&
    typeof value.code === 'string' &&
    'message' in value &&
    typeof value.message === 'string' &&
    'hint' in value &&
    typeof value.hint === 'string'
  );
}

/** The value of a reply that must be of one kind; another kind is a defect of the other side. */
export function expectReply<K extends Reply['reply']>(reply: Reply, kind: K): Extract<Reply, { reply: K }> {
  if (reply.reply === kind) return reply as Extract<Reply, { reply: K }>;
  const problem: Problem = {
    code: 'internal',
    message: `The answer is of kind ${reply.reply} where ${kind} was expected.`,
    hint: 'Restart Atelier; the window and its engine may be of different versions.',
  };
  throw problem;
}
