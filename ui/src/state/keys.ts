// Which key does what, how it is written on this machine, and whether it was pressed.
//
// Rule: a key is named here once; tooltips, the palette and the listener all read this table.

export type ActionId =
  | 'palette' | 'settings' | 'back' | 'goal' | 'start' | 'waiting' | 'approve' | 'reject' | 'stop' | 'resume' | 'accept' | 'discard' | 'again' | 'fork' | 'parent' | 'filter'
  | 'changes' | 'checks' | 'context' | 'files' | 'thread' | 'runs' | 'next_run' | 'previous_run'
  | 'next_hunk' | 'previous_hunk' | 'next_file' | 'previous_file' | 'theme' | 'latest' | 'export' | 'export_zip' | 'export_bundle'
  | 'leave_hunk' | 'undo' | 'remark' | 'stack';

/** `Mod` is Cmd on a Mac and Ctrl elsewhere. The last part is a KeyboardEvent's `code`, or the character on the key. */
export const KEYS: Readonly<Record<ActionId, string>> = {
  palette: 'Mod+K',
  settings: 'Mod+,',
  back: 'Mod+Shift+O',
  goal: 'Mod+L',
  start: 'Mod+Enter',
  waiting: 'Mod+J',
  approve: 'Mod+Shift+Y',
  reject: 'Mod+Shift+X',
  stop: 'Mod+.',
  resume: 'Mod+Shift+E',
  accept: 'Mod+Shift+A',
  discard: 'Mod+Shift+D',
  again: 'Mod+Shift+G',
  fork: 'Mod+Shift+K',
  parent: 'Alt+ArrowLeft',
  filter: 'Mod+Shift+F',
  changes: 'Mod+1',
  checks: 'Mod+2',
  context: 'Mod+3',
  files: 'Mod+4',
  thread: 'Mod+5',
  runs: 'Mod+6',
  next_run: 'Alt+ArrowDown',
  previous_run: 'Alt+ArrowUp',
  next_hunk: 'F7',
  previous_hunk: 'Shift+F7',
  next_file: 'F8',
  previous_file: 'Shift+F8',
  theme: 'Mod+Shift+L',
  latest: 'Mod+End',
  export: 'Mod+Shift+P',
  export_zip: 'Mod+Shift+S',
  export_bundle: 'Mod+Shift+B',
  leave_hunk: 'F9',
  undo: 'Mod+Shift+U',
  remark: 'F10',
  stack: 'Mod+Shift+T',
};

const CODES: Readonly<Record<string, string>> = { ',': 'Comma', '.': 'Period' };
const SIGNS: Readonly<Record<string, string>> = { ArrowDown: '↓', ArrowUp: '↑', ArrowLeft: '←' };

export const isMac = typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.userAgent);

/** Whether `event` is the pressing of `key`, no more and no fewer modifiers. */
export function pressed(event: KeyboardEvent, key: string, mac = isMac): boolean {
  const parts = key.split('+');
  const last = parts.at(-1) ?? '';
  const mod = parts.includes('Mod');
  return (
    (mac ? event.metaKey : event.ctrlKey) === mod &&
    (mac ? event.ctrlKey : event.metaKey) === false &&
    event.shiftKey === parts.includes('Shift') &&
    event.altKey === parts.includes('Alt') &&
    (event.code === codeOf(last) || event.key.toLowerCase() === last.toLowerCase())
  );
}

function codeOf(last: string): string {
  if (/^[A-Z]$/.test(last)) return `Key${last}`;
  if (/^\d$/.test(last)) return `Digit${last}`;
  return CODES[last] ?? last;
}

/** The key as it is written on this machine. */
export function keyText(key: string, mac = isMac): string {
  const parts = key.split('+').map((part) => {
    if (part === 'Mod') return mac ? '⌘' : 'Ctrl';
    if (mac && part === 'Shift') return '⇧';
    if (mac && part === 'Alt') return '⌥';
    return SIGNS[part] ?? part;
  });
  return parts.join(mac ? '' : '+');
}

/** A tooltip: what it does and its key. */
export function tip(words: string, action: ActionId): string {
  return `${words} (${keyText(KEYS[action])})`;
}
