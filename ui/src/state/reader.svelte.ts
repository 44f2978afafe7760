// Reads runs whole: all events of a run, from the first on.
//
// Rule: a run is read once; the one asked for last comes first, and a few are read side by side.

import type { Envelope, Op, Problem, RunId } from '../ipc/bindings';
import { asProblem, expectReply } from '../ipc/port';
import type { Asks } from './asks.svelte';

/** Events asked for at once, and how many runs are read side by side. */
const PAGE = 10_000;
const READERS = 4;

export class Reader {
  readonly #asks: Asks;
  readonly #read: (run: RunId, events: Envelope[]) => void;
  /** Why a run could not be read. */
  unread: Readonly<Record<RunId, Problem>> = $state.raw({});
  /** Runs to be read, the next one last, and those under way. */
  #toRead: RunId[] = [];
  #reading: readonly RunId[] = [];
  #closed = false;

  constructor(asks: Asks, read: (run: RunId, events: Envelope[]) => void) {
    this.#asks = asks;
    this.#read = read;
  }

  close(): void {
    this.#closed = true;
  }

  read(run: RunId): void {
    if (this.#reading.includes(run) || run in this.unread) return;
    this.#toRead = [...this.#toRead.filter((other) => other !== run), run];
    void this.#next();
  }

  /** Tries once more to read a run. */
  again(run: RunId): void {
    this.unread = Object.fromEntries(Object.entries(this.unread).filter(([id]) => id !== run));
    this.read(run);
  }

  async #next(): Promise<void> {
    const run = this.#reading.length < READERS ? this.#toRead.pop() : undefined;
    if (run === undefined || this.#closed) return;
    this.#reading = [...this.#reading, run];
    try {
      const events: Envelope[] = [];
      for (let more = true; more; ) {
        const op: Op = { op: 'read_events', run, after: events.at(-1)?.seq ?? 0, limit: PAGE };
        const page = expectReply(await this.#asks.submit(op), 'events').value;
        events.push(...page);
        more = page.length === PAGE;
      }
      this.#read(run, events);
    } catch (reason) {
      this.unread = { ...this.unread, [run]: asProblem(reason) };
    }
    this.#reading = this.#reading.filter((other) => other !== run);
    void this.#next();
  }
}
