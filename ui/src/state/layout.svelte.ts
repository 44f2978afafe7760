// Sizes and places that are remembered on this machine: panes, scroll, the unfinished goal.
//
// Rule: a convenience only. Storage that is missing, full or spoilt changes nothing else.

const KEY = 'atelier.panes';
const NARROW = '(max-width: 720px)';

export const RAIL = { least: 168, most: 420, usual: 248 } as const;
export const SIDE = { least: 280, most: 900, usual: 440 } as const;

/** A remembered text, or null. */
export function recall(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage is off
  }
}

export function remember(key: string, text: string): void {
  try {
    if (text === '') localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // storage is off or full: it is forgotten with the window
  }
}

function within(value: unknown, range: { least: number; most: number; usual: number }): number {
  return typeof value === 'number' && Number.isFinite(value)
    ? Math.round(Math.min(range.most, Math.max(range.least, value)))
    : range.usual;
}

function stored(): { rail: unknown; side: unknown } {
  try {
    const value: unknown = JSON.parse(recall(KEY) ?? '{}');
    if (typeof value === 'object' && value !== null) {
      return { rail: 'rail' in value ? value.rail : null, side: 'side' in value ? value.side : null };
    }
  } catch {
    // not ours, or cut short
  }
  return { rail: null, side: null };
}

class Layout {
  rail = $state(RAIL.usual as number);
  side = $state(SIDE.usual as number);
  /** Whether the window is too narrow for panes side by side. */
  narrow = $state(false);

  constructor() {
    const { rail, side } = stored();
    this.rail = within(rail, RAIL);
    this.side = within(side, SIDE);
    const query = typeof matchMedia === 'function' ? matchMedia(NARROW) : null;
    this.narrow = query?.matches ?? false;
    query?.addEventListener('change', (event) => (this.narrow = event.matches));
  }

  resize(pane: 'rail' | 'side', width: number): void {
    if (pane === 'rail') this.rail = within(width, RAIL);
    else this.side = within(width, SIDE);
    remember(KEY, JSON.stringify({ rail: this.rail, side: this.side }));
  }
}

export const layout = new Layout();
