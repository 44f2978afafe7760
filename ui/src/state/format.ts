// Numbers, times and command lines as text.
//
// Rule: honest. What is not known reads "unknown"; nothing is rounded into looking better than it is.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A span: `40 ms`, `0.4 s`, `12 s`, `1 min 04 s`, `2 h 05 min`. */
export function span(ms: number): string {
  if (ms < 100) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(Math.round(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${two(Math.floor((ms % MINUTE) / 1000))} s`;
  return `${Math.floor(ms / HOUR)} h ${two(Math.floor((ms % HOUR) / MINUTE))} min`;
}

/** A span in whole seconds, for a clock that ticks. */
export function ticking(ms: number): string {
  return ms < 10_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : span(ms);
}

function two(n: number): string {
  return String(n).padStart(2, '0');
}

/** How long ago, roughly: `now`, `5 min`, `3 h`, `2 days`. */
export function ago(at: number, now: number): string {
  const ms = Math.max(0, now - at);
  if (ms < MINUTE) return 'now';
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  const days = Math.floor(ms / DAY);
  return days === 1 ? '1 day' : `${days} days`;
}

/** A moment on the user's clock, with the day where it is another one. */
export function moment(at: number, now: number): string {
  const date = new Date(at);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** Tokens: `950`, `3.1k`, `unknown`. */
export function tokens(n: number | null): string {
  if (n === null) return 'unknown';
  return n < 1000 ? String(n) : `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)}k`;
}

/** Money in millionths of a currency: none is said as none, not as zero. */
export function money(micros: number | null): string {
  if (micros === null) return 'unknown';
  return micros === 0 ? 'none' : (micros / 1_000_000).toFixed(4);
}

/** Bytes: `812 B`, `14 kB`, `4.7 GB`. */
export function bytes(n: number | null): string {
  if (n === null) return 'unknown';
  if (n < 1000) return `${n} B`;
  if (n < 1_000_000) return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)} kB`;
  if (n < 1_000_000_000) return `${(n / 1_000_000).toFixed(n < 10_000_000 ? 1 : 0)} MB`;
  return `${(n / 1_000_000_000).toFixed(1)} GB`;
}

/** A commit or tree id, short. */
export function short(id: string): string {
  return id.slice(0, 8);
}

/** A command line a person can read and paste into a shell. */
export function commandLine(argv: readonly string[]): string {
  return argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}

/** The first line of a longer text. */
export function firstLine(text: string): string {
  return text.trim().split('\n', 1)[0] ?? '';
}

/** A tool's arguments in one line, before it has said itself what it did. */
export function argumentLine(value: unknown): string {
  if (typeof value !== 'object' || value === null) return '';
  const words = Object.values(value).filter((part) => typeof part === 'string' || typeof part === 'number');
  const line = words.map((word) => firstLine(String(word))).join(' ');
  return line.length > 96 ? `${line.slice(0, 95)}…` : line;
}
