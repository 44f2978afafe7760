// How full the model's context was at the last turn of a run.
//
// Rule: only what the server said counts; what it did not say is null, never an estimate.

import type { RunView } from '../ipc/bindings';

export interface ContextMeter {
  model: string;
  local: boolean;
  /** Prompt and answer tokens of the last finished turn. */
  used: number | null;
  /** The context length asked for. */
  size: number | null;
}

/** The meter of a run; null while no model was asked. */
export function contextOf(run: RunView): ContextMeter | null {
  for (const step of run.steps.toReversed()) {
    for (const item of step.items.toReversed()) {
      if (item.item !== 'turn') continue;
      const { route, usage } = item;
      if (usage === null && item.state === 'open') {
        const before = run.steps.flatMap((one) => one.items).findLast((one) => one.item === 'turn' && one.usage !== null && one.role === item.role);
        return { model: route.model, local: route.local, used: before?.item === 'turn' ? both(before.usage) : null, size: route.context };
      }
      return { model: route.model, local: route.local, used: both(usage), size: route.context };
    }
  }
  return null;
}

function both(usage: { prompt_tokens: number | null; output_tokens: number | null } | null): number | null {
  if (usage === null || usage.prompt_tokens === null || usage.output_tokens === null) return null;
  return usage.prompt_tokens + usage.output_tokens;
}
