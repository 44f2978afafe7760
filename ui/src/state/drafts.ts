// Streamed text of a turn that is not recorded yet.
//
// Rule: a draft only grows, and it is never shown as done; the recorded turn replaces it.

import type { Draft, Phase, RunId, StepId } from '../ipc/bindings';

export interface DraftText {
  run: RunId;
  step: StepId;
  phase: Phase;
  /** When this phase began here, milliseconds since 1970 UTC. */
  since: number;
  thinking: string;
  answer: string;
}

/** The draft after one more piece. */
export function draftNext(before: DraftText | undefined, piece: Draft, now: number): DraftText {
  const base = before ?? { run: piece.run, step: piece.step, phase: piece.phase, since: now, thinking: '', answer: '' };
  return {
    ...base,
    phase: piece.phase,
    since: base.phase === piece.phase ? base.since : now,
    thinking: piece.phase === 'thinking' ? base.thinking + piece.text : base.thinking,
    answer: piece.phase === 'answering' ? base.answer + piece.text : base.answer,
  };
}
