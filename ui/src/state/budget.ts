// Which limit on spending is nearest to a run, and how near.
//
// Rule: an amount that is not known counts as over a limit, as the engine counts it.

import type { Amount, BudgetUnit, BudgetView } from '../ipc/bindings';

export interface Nearest {
  view: BudgetView;
  unit: BudgetUnit;
  /** Used and set aside; null where it is not known. */
  used: number | null;
  limit: number;
  /** From 0; 1 is the limit. */
  part: number;
}

/** The limit of which the greatest part is used; null where none is set. */
export function nearest(nodes: readonly BudgetView[]): Nearest | null {
  const all = nodes.flatMap((view) => limits(view));
  return all.reduce<Nearest | null>((most, one) => (most === null || one.part > most.part ? one : most), null);
}

/** Whose a limit is, in words. */
export function whose(view: BudgetView): string {
  switch (view.node.node) {
    case 'project':
      return 'project';
    case 'door':
      return 'other programs';
    case 'goal':
      return 'goal';
    case 'run':
      return 'run';
    case 'step':
      return `step ${view.node.step}`;
    case 'attempt':
      return 'call';
  }
}

function limits(view: BudgetView): Nearest[] {
  const { micros, tokens, local_s } = view.limits;
  const of = (unit: BudgetUnit, limit: number | null, used: number | null): Nearest[] =>
    limit === null ? [] : [{ view, unit, used, limit, part: used === null ? 1 : limit === 0 ? 1 : used / limit }];
  const sum = (pick: (amount: Amount) => number | null): number | null => {
    const [spent, reserved] = [pick(view.spent), pick(view.reserved)];
    return spent === null || reserved === null ? null : spent + reserved;
  };
  return [
    ...of('micros', micros, sum((amount) => amount.micros)),
    ...of('tokens', tokens, sum((amount) => amount.tokens)),
    ...of('local_seconds', local_s, sum((amount) => Math.floor(amount.local_ms / 1000))),
  ];
}
