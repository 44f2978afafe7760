// The nearest limit: the one of which the greatest part is used, and what is not known is over.
import { expect, test } from 'vitest';
import type { BudgetView } from '../src/ipc/bindings';
import { nearest, whose } from '../src/state/budget';

function view(limits: Partial<BudgetView['limits']>, spent: Partial<BudgetView['spent']>, node: BudgetView['node'] = { node: 'project' }): BudgetView {
  const none = { micros: 0, tokens: 0, local_ms: 0 };
  return { node, limits: { micros: null, tokens: null, local_s: null, ...limits }, spent: { ...none, ...spent }, reserved: none, calls: 1 };
}

test('without a limit there is none to show', () => {
  expect(nearest([view({}, { tokens: 9000 })])).toBeNull();
});

test('the limit of which most is used is shown, whosever it is', () => {
  const door: BudgetView['node'] = { node: 'door' };
  const found = nearest([view({ tokens: 10_000 }, { tokens: 4000 }), view({ tokens: 1000, local_s: 100 }, { tokens: 850, local_ms: 20_000 }, door)]);
  expect(found).toMatchObject({ unit: 'tokens', used: 850, limit: 1000, part: 0.85 });
  expect(found === null ? '' : whose(found.view)).toBe('other programs');
});

test('money that is not known counts as over its limit', () => {
  expect(nearest([view({ micros: 5_000_000 }, { micros: null })])).toMatchObject({ unit: 'micros', used: null, part: 1 });
});
