// What happens in a run right now, in words: who does what, on which model, since when.
//
// Rule: said from the journal and the drafts only; between two events it says what is awaited.

import type { Item, ProjectView, RunView } from '../ipc/bindings';
import type { DraftText } from './drafts';
import { firstLine } from './format';
import { holdWords, openStep, phaseWord, roleOf, undoing } from './words';

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
  const still = (what: string, since = run.updated_at_ms): Doing => ({ role: null, what, model: null, since });
  const askedAt = run.approvals.find((approval) => approval.answer === null)?.asked_at_ms;
  switch (run.state) {
    case 'waits_for_approval':
      return still('waits for your answer', askedAt);
    case 'waits_for_answer':
      return still('asks you a question', askedAt);
    case 'waits_for_budget':
      return still('has used its budget and asks for more', askedAt);
    case 'waits_for_slot':
      return still('waits until another run makes room');
    case 'waits_for_child': {
      const child = run.children.find((one) => one.outcome === null);
      return still(child === undefined ? 'waits for a child run' : `waits for its child run “${firstLine(child.goal)}”`);
    }
    case 'indeterminate':
      return still('rests: it cannot be known whether its last act happened');
    case 'parked':
      return still('is parked until something is mended');
    case 'interrupted':
      return still('was interrupted');
    case 'done':
    case 'failed':
    case 'cancelled':
      return still('is over');
    case 'created':
      return still('begins');
    case 'compensating': {
      const next = undoing(run).find((one) => one.undone === null);
      return still(next === undefined ? 'failed; everything is undone' : `failed and undoes “${next.title}”`);
    }
    case 'planning':
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
  if (last?.item === 'held') return { role, what: `waits: ${holdWords(last.hold)}`, model: null, since: run.updated_at_ms };
  return { role, what: toolOf(last) ?? (role === null ? step.title : `is at “${step.title}”`), model: null, since: last === undefined ? step.started_at_ms : run.updated_at_ms };
}

function toolOf(item: Item | undefined): string | null {
  return item?.item === 'tool' && item.line === null ? `uses ${item.call.name.replaceAll('_', ' ')}` : null;
}
