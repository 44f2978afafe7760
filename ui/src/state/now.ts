// What happens in a run right now, in words: who does what, on which model, since when.
//
// Rule: said from the journal and the drafts only; between two events it says what is awaited.

import type { Item, ProjectView, RunView } from '../ipc/bindings';
import type { DraftText } from './drafts';
import { openStep, phaseWord, roleOf } from './words';

export interface Doing {
  role: string | null;
  what: string;
  model: string | null;
  /** Milliseconds since 1970 UTC. */
  since: number;
}

export function doingNow(run: RunView, drafts: Readonly<Record<string, DraftText>>, project: ProjectView): Doing {
  const step = openStep(run);
  const role = step?.role == null ? null : roleOf(project, step.role).title;
  switch (run.state) {
    case 'waits_for_approval': {
      const asked = run.approvals.find((approval) => approval.answer === null);
      return { role: null, what: 'waits for your answer', model: null, since: asked?.asked_at_ms ?? run.updated_at_ms };
    }
    case 'parked':
      return { role: null, what: 'is parked until something is mended', model: null, since: run.updated_at_ms };
    case 'interrupted':
      return { role: null, what: 'was interrupted', model: null, since: run.updated_at_ms };
    case 'done':
    case 'failed':
    case 'cancelled':
      return { role: null, what: 'is over', model: null, since: run.updated_at_ms };
    case 'running':
      break;
  }
  if (step === undefined) return { role: null, what: 'goes to the next step', model: null, since: run.updated_at_ms };
  const last = step.items.at(-1);
  if (last?.item === 'turn' && last.state === 'open') {
    const draft = drafts[last.call];
    return {
      role,
      what: draft === undefined ? 'asks the model' : phaseWord(draft.phase),
      model: last.route.model,
      since: draft?.since ?? last.at_ms,
    };
  }
  return { role, what: toolOf(last) ?? (role === null ? step.title : `is at “${step.title}”`), model: null, since: last === undefined ? step.started_at_ms : run.updated_at_ms };
}

function toolOf(item: Item | undefined): string | null {
  return item?.item === 'tool' && item.line === null ? `uses ${item.call.name.replaceAll('_', ' ')}` : null;
}
