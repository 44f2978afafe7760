// How full the model's context was at the last turn of a run.
//
// Rule: only what the server said counts; what it did not say is null, never an estimate.

import type { ContextMismatch, RunView, StepView } from '../ipc/bindings';

export interface ContextMeter {
  model: string;
  local: boolean;
  /** Prompt and answer tokens of the last finished turn. */
  used: number | null;
  /** The context length asked for. */
  size: number | null;
  /** What does not agree between the server's context and this side's, in the last turn. */
  mismatch: ContextMismatch | null;
}

/** The meter of a run; null while no model was asked. */
export function contextOf(run: RunView): ContextMeter | null {
  for (const step of run.steps.toReversed()) {
    for (const item of step.items.toReversed()) {
      if (item.item !== 'turn') continue;
      const { route, usage } = item;
      const mismatch = mismatchOf(step, item.call);
      if (usage === null && item.state === 'open') {
        const before = run.steps.flatMap((one) => one.items).findLast((one) => one.item === 'turn' && one.usage !== null && one.role === item.role);
        return { model: route.model, local: route.local, used: before?.item === 'turn' ? both(before.usage) : null, size: route.context, mismatch };
      }
      return { model: route.model, local: route.local, used: both(usage), size: route.context, mismatch };
    }
  }
  return null;
}

function mismatchOf(step: StepView, call: string): ContextMismatch | null {
  const found = step.items.find((item) => item.item === 'mismatched' && item.call === call);
  return found?.item === 'mismatched' ? found.mismatch : null;
}

function both(usage: { prompt_tokens: number | null; output_tokens: number | null } | null): number | null {
  if (usage === null || usage.prompt_tokens === null || usage.output_tokens === null) return null;
  return usage.prompt_tokens + usage.output_tokens;
}
