// What the user reads of a run's changes and says about them: where the reader of the diff is, what is left out of
// what is accepted, remarks for the author, and how conflicts are settled.
//
// Rule: all of it is the user's alone until it is sent with an act. A diff is fetched once for each recorded state of
// a run's tree.

import { STATES, type ConflictView, type DiffView, type FileDiff, type Part, type Resolution, type RunId, type RunView, type Take } from '../ipc/bindings';
import { asProblem, expectReply } from '../ipc/port';
import type { Asks } from './asks.svelte';
import { FIRST, move, taken, type DiffPlace, type LeftOut } from './diff';
import type { Loaded } from './loaded';

export class Review {
  readonly #asks: Asks;
  readonly #selected: () => RunView | null;
  readonly #show: () => void;
  diffs: Readonly<Record<RunId, { key: string; diff: Loaded<DiffView> }>> = $state.raw({});
  /** Where the reader of the diff is. */
  at: DiffPlace = $state.raw(FIRST);
  /** Hunks that are left out of what is accepted. */
  left: Readonly<Record<RunId, readonly LeftOut[]>> = $state.raw({});
  /** Files that your branch and a run both changed, and which side is taken of each. */
  conflicts: Readonly<Record<RunId, readonly ConflictView[]>> = $state.raw({});
  taken: Readonly<Record<RunId, Readonly<Record<string, Take>>>> = $state.raw({});
  /** The hunk that a remark is being written on. */
  remarkAt: DiffPlace | null = $state.raw(null);

  /** Whether parts of the selected run's result can be left out now: it is there and nothing is decided. */
  readonly choosing: boolean = $derived.by(() => {
    const run = this.#selected();
    return run?.state === 'done' && run.disposition.disposition === 'pending' && run.parent === null && run.branch !== null;
  });
  /** Whether a remark on the selected run's changes still reaches its author. */
  readonly remarking: boolean = $derived.by(() => {
    const run = this.#selected();
    return run !== null && run.checkpoint !== null && !STATES[run.state].final;
  });

  /** `show` brings the changes before the user. */
  constructor(asks: Asks, selected: () => RunView | null, show: () => void) {
    this.#asks = asks;
    this.#selected = selected;
    this.#show = show;
  }

  /** Fetches the diff of a run, once for each recorded state of its tree. */
  async loadDiff(run: RunView, again = false): Promise<void> {
    const key = run.checkpoint?.commit ?? '';
    const known = this.diffs[run.id];
    if (key === '' || (known?.key === key && !again)) return;
    const keep = (diff: Loaded<DiffView>): void => {
      this.diffs = { ...this.diffs, [run.id]: { key, diff } };
    };
    // The diff of the state before stays readable while the next one is fetched.
    keep(known?.diff.at === 'ready' ? known.diff : { at: 'loading' });
    try {
      const reply = await this.#asks.submit({ op: 'show_diff', run: run.id });
      if (this.diffs[run.id]?.key === key) keep({ at: 'ready', value: expectReply(reply, 'diff').value });
    } catch (reason) {
      if (this.diffs[run.id]?.key === key) keep({ at: 'error', problem: asProblem(reason) });
    }
  }

  /** Goes to another hunk or file of the selected run's diff and shows it. */
  moveDiff(what: 'hunk' | 'file', by: 1 | -1): void {
    const diff = this.#diff();
    this.#show();
    if (diff !== null) this.at = move(diff, this.at, what, by);
  }

  /** Shows one file of the selected run's diff. */
  showFile(path: string): void {
    const diff = this.#diff();
    this.#show();
    if (diff !== null) this.at = { file: Math.max(0, diff.files.findIndex((file) => file.change.path === path)), hunk: 0 };
  }

  /** Leaves a hunk of the selected run's diff out of what is accepted, or takes it again; without a place, the one read now. */
  leaveHunk(place: DiffPlace = this.at): void {
    const run = this.#selected();
    const path = this.#file(place)?.change.path;
    if (run === null || !this.choosing || path === undefined) return;
    const left = this.left[run.id] ?? [];
    const isIt = (other: LeftOut): boolean => other.path === path && other.hunk === place.hunk;
    const next = left.some(isIt) ? left.filter((other) => !isIt(other)) : [...left, { path, hunk: place.hunk }];
    this.left = { ...this.left, [run.id]: next };
  }

  isLeft(path: string, hunk: number): boolean {
    return this.choosing && (this.left[this.#selected()?.id ?? ''] ?? []).some((other) => other.path === path && other.hunk === hunk);
  }

  /** What is taken of a run's result; null is all of it. */
  part(run: RunId): Part[] | null {
    const diff = this.diffs[run]?.diff;
    const left = this.left[run] ?? [];
    return left.length > 0 && diff?.at === 'ready' ? taken(diff.value, left) : null;
  }

  /** Opens the field for a remark on the hunk that is read now. */
  askRemark(place: DiffPlace = this.at): void {
    this.at = place;
    this.remarkAt = this.remarking ? place : null;
  }

  /** Remarks on the changed lines of a hunk; rejecting the hand-over sends them to the author. */
  async remark(text: string): Promise<boolean> {
    const run = this.#selected();
    const place = this.remarkAt;
    const file = place === null ? undefined : this.#file(place);
    if (run === null || place === null || file === undefined) return false;
    const lines = (file.hunks[place.hunk]?.lines ?? []).filter((line) => line.side === 'added');
    const comment = { path: file.change.path, quote: lines.map((line) => line.text), line: lines[0]?.new ?? 1, text };
    const done = await this.#asks.act('remark', run.id, { op: 'comment_run', run: run.id, comment });
    if (done) this.remarkAt = null;
    return done;
  }

  /** Fetches both sides of the files that your branch and a run changed in the same place. */
  async loadConflicts(run: RunId): Promise<void> {
    try {
      const reply = await this.#asks.submit({ op: 'show_conflicts', run });
      this.conflicts = { ...this.conflicts, [run]: expectReply(reply, 'conflicts').value };
    } catch (reason) {
      this.#asks.refuse(run, asProblem(reason));
    }
  }

  /** Settles the conflict in one file: by a side, or by a text of the user's own. */
  take(run: RunId, path: string, take: Take): void {
    this.taken = { ...this.taken, [run]: { ...this.taken[run], [path]: take } };
  }

  /** What was said about conflicts of a run. */
  resolved(run: RunId): Resolution[] {
    return Object.entries(this.taken[run] ?? {}).map(([path, take]) => ({ path, take }));
  }

  /** Nothing of a run is in conflict any more. */
  settled(run: RunId): void {
    this.conflicts = { ...this.conflicts, [run]: [] };
    this.taken = { ...this.taken, [run]: {} };
  }

  /** The diff of the selected run, where it is here. */
  #diff(): DiffView | null {
    const diff = this.diffs[this.#selected()?.id ?? '']?.diff;
    return diff?.at === 'ready' ? diff.value : null;
  }

  #file(place: DiffPlace): FileDiff | undefined {
    return this.#diff()?.files[place.file];
  }
}
