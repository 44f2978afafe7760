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
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index];
    const last = folds.at(-1);
    if (item === undefined) break;
    const again = silent(item) ? items[index + 1] : item;
    const alone = item === again || items[index + 2]?.item !== 'tool'; // a turn that asked for more is a new thought
    if (last !== undefined && again !== undefined && alone && same(last.item, again)) {
      folds[folds.length - 1] = { ...last, times: last.times + 1 };
      if (item !== again) index += 1;
    } else {
      folds.push({ key: keyOf(item, index), item, times: 1 });
    }
  }
  return folds;
}

/** A turn that says nothing itself and only asks for tools. */
function silent(item: Item): boolean {
  return item.item === 'turn' && item.state === 'done' && item.text === '' && item.thinking === '';
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
    case 'called':
      return `called.${item.run}`;
    case 'mismatched':
      return `mismatched.${item.call}`;
    case 'corrected':
    case 'resumed':
    case 'held':
    case 'compacted':
    case 'summarised':
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
