// How the items of a step are laid out: identical retries fold to one line with a count.
//
// Rule: nothing is hidden for good; a fold keeps its first item and says how many there are.

import type { Item } from '../ipc/bindings';

export interface Fold {
  /** Stable while the step grows. */
  key: string;
  item: Item;
  /** How many times in a row. */
  times: number;
}

/** The items with runs of identical tool calls folded. */
export function fold(items: readonly Item[]): Fold[] {
  const folds: Fold[] = [];
  items.forEach((item, index) => {
    const last = folds.at(-1);
    if (last !== undefined && same(last.item, item)) folds[folds.length - 1] = { ...last, times: last.times + 1 };
    else folds.push({ key: keyOf(item, index), item, times: 1 });
  });
  return folds;
}

function keyOf(item: Item, index: number): string {
  switch (item.item) {
    case 'turn':
      return `turn.${item.call}`;
    case 'tool':
      return `tool.${index}.${item.call.id}`;
    case 'asked':
      return `asked.${item.approval}`;
    case 'checked':
      return `checked.${item.index}`;
    case 'corrected':
    case 'resumed':
      return `${item.item}.${index}`;
  }
}

/** Only answered calls fold: one that is under way always has its own line. */
function same(a: Item, b: Item): boolean {
  return (
    a.item === 'tool' &&
    b.item === 'tool' &&
    a.line !== null &&
    a.line === b.line &&
    a.ok === b.ok &&
    a.call.name === b.call.name &&
    JSON.stringify(a.call.arguments) === JSON.stringify(b.call.arguments) &&
    a.output?.text === b.output?.text
  );
}
