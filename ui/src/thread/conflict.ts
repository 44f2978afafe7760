// A text with conflict markers, line by line with the side that each line is of.
//
// Rule: pure; every line is there once, in order.

export interface Sided {
  line: string;
  side: 'both' | 'yours' | 'run' | 'mark';
}

const BEGIN = '<<<<<<<';
const MIDDLE = '=======';
const END = '>>>>>>>';

export function bySide(text: string): Sided[] {
  let now: 'both' | 'yours' | 'run' = 'both';
  return text.replace(/\n$/, '').split('\n').map((line): Sided => {
    const next = line.startsWith(BEGIN) && now === 'both' ? 'yours' : line.startsWith(MIDDLE) && now === 'yours' ? 'run' : line.startsWith(END) && now === 'run' ? 'both' : null;
    if (next === null) return { line, side: now };
    now = next;
    return { line, side: 'mark' };
  });
}

/** Whether conflict markers are left in it. */
export function marked(text: string): boolean {
  return bySide(text).some(({ side }) => side === 'mark');
}
