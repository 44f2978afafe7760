// The shape of a recorded journal as it lies in a file.

import type { DiffView, Envelope, ProjectView, ProviderView, RunId, RunView, Settings } from './bindings';

export interface Recording {
  project: ProjectView;
  events: Envelope[];
  /** The diff of the main run. */
  diff: DiffView;
  /** Diffs of further runs. */
  diffs?: Record<RunId, DiffView>;
  settings: Settings;
  models: ProviderView[];
  /** What the runs add up to by the other fold, where it was recorded too. */
  views?: Record<RunId, RunView>;
}

/** A recording from its text. Its shape is checked against the generated types by a test, not here. */
export function parseRecording(text: string): Recording {
  return JSON.parse(text) as Recording;
}
