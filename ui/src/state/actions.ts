// Everything that can be done from the keyboard, as a list: what the palette shows and the keys call.
//
// Rule: an action that cannot be done now is not in the list; its key then does nothing.

import { STATES } from '../ipc/bindings';
import type { Atelier } from './atelier.svelte';
import type { Desk } from './desk.svelte';
import { firstLine } from './format';
import { KEYS, type ActionId } from './keys';
import { carries, isOver } from './project';
import { runWord } from './words';

export interface Action {
  id: string;
  title: string;
  /** Its key as in `KEYS`; null where it has none. */
  key: string | null;
  /** A word about it, such as the state of a run. */
  aside: string;
  act: () => void;
}

/** What only the screen can do. */
export interface Hands {
  focusGoal(): void;
  /** Brings the question into view with the focus on one answer; Enter then gives it. */
  focusAnswer(answer: 'approve' | 'reject'): void;
  toEnd(): void;
  focusFilter(): void;
}

export function actionsOf(atelier: Atelier, hands: Hands | null): Action[] {
  const list: Action[] = [];
  const add = (id: ActionId, title: string, act: () => void): void => {
    list.push({ id, title, key: KEYS[id], aside: '', act });
  };
  const desk = atelier.desk;
  if (desk !== null && hands !== null) {
    add('goal', 'Write a new goal', hands.focusGoal);
    if (desk.waiting.length > 0 || desk.below !== null) add('waiting', 'Go to what waits for you', () => goToWaiting(desk, hands));
    ofRun(desk, hands, add);
    add('export', desk.run === null ? 'Export the project…' : 'Export or push the result…', () => (atelier.overlay = 'export'));
    ofPanes(desk, hands, add);
    add('latest', 'Go to the end of the thread', hands.toEnd);
    add('back', 'All projects', () => atelier.leave());
  }
  add('theme', 'Switch between dark and light', () => void atelier.turnTheme());
  add('settings', 'Settings', () => (atelier.overlay = 'settings'));
  if (desk !== null) list.push({ id: 'brought', title: `Settings: what ${desk.project.name} may run`, key: null, aside: '', act: () => atelier.showBrought() });
  if (atelier.overlay !== 'palette') return list; // only there are they read, and they may be many
  for (const run of desk?.runs ?? []) {
    list.push({
      id: `run.${run.id}`,
      title: `Open run: ${firstLine(run.goal)}`,
      key: null,
      aside: runWord(run).word,
      act: () => desk?.select(run.id),
    });
  }
  return list;
}

/** Selects a run that waits, one below the selected run first, and brings its question into view. */
export function goToWaiting(desk: Desk, hands: Hands): void {
  const here = desk.waiting.some((run) => run.id === desk.selected);
  const first = desk.below ?? desk.waiting[0];
  if (!here && first !== undefined) desk.select(first.id);
  answer(desk, hands, 'approve');
}

function answer(desk: Desk, hands: Hands, which: 'approve' | 'reject'): void {
  desk.show('thread');
  hands.focusAnswer(which);
}

type Add = (id: ActionId, title: string, act: () => void) => void;

function ofRun(desk: Desk, hands: Hands, add: Add): void {
  const run = desk.run;
  if (desk.active !== null) {
    const { id } = desk.active;
    add('stop', 'Stop the run (press twice)', () => void desk.stop(id));
  }
  if (run !== null) {
    const parent = run.parent?.run;
    const pending = run.disposition.disposition === 'pending' && parent === undefined;
    if (STATES[run.state].waits_for_user) {
      add('approve', 'Go to Approve', () => answer(desk, hands, 'approve'));
      add('reject', 'Go to Reject', () => answer(desk, hands, 'reject'));
    }
    if (STATES[run.state].rests) add('resume', 'Resume the run', () => void desk.resume(run.id));
    if (run.state === 'done' && pending) add('accept', 'Accept the result', () => void desk.accept(run.id));
    if (parent === undefined) {
      add('fork', 'Continue the run another way (asks first)', () => {
        desk.show('thread');
        desk.askFork(run.id, null);
      });
    } else {
      add('parent', 'Go to the run it works for', () => desk.select(parent));
    }
    if (carries(run)) add('stack', 'Start a task on top of this run', () => desk.standOn(run.id));
    if (parent === undefined && (isOver(run.state) || STATES[run.state].rests)) {
      add('undo', 'Take the last operation back (asks first)', () => {
        desk.show('thread');
        void desk.askUndo(run.id);
      });
    }
    if (isOver(run.state) && run.state !== 'done' && pending) add('again', 'Use the goal again', () => desk.again(run));
    if (isOver(run.state) && pending) {
      add('discard', 'Discard the result (asks once more)', () => {
        desk.show('thread');
        desk.askDiscard(run.id);
      });
    }
  }
  add('export_zip', run === null ? 'Export the project as a zip' : 'Export the result as a zip', () => void desk.export(run, 'zip'));
  add('export_bundle', run === null ? 'Export the project as a git bundle' : 'Export the result as a git bundle', () => void desk.export(run, 'bundle'));
}

function ofPanes(desk: Desk, hands: Hands, add: Add): void {
  add('changes', 'Show changes', () => desk.show('changes'));
  add('checks', 'Show checks', () => desk.show('checks'));
  add('context', 'Show context', () => desk.show('context'));
  add('files', 'Search files', () => desk.show('files'));
  add('thread', 'Show the thread', () => desk.show('thread'));
  add('runs', 'Show goals', () => desk.show('runs'));
  add('filter', 'Find a goal', hands.focusFilter);
  add('next_run', 'Next run', () => desk.step(1));
  add('previous_run', 'Previous run', () => desk.step(-1));
  if (desk.run?.checkpoint != null) {
    add('next_hunk', 'Next hunk', () => desk.review.moveDiff('hunk', 1));
    add('previous_hunk', 'Previous hunk', () => desk.review.moveDiff('hunk', -1));
    if (desk.review.choosing) add('leave_hunk', 'Leave the hunk out, or take it again', () => desk.review.leaveHunk());
    if (desk.review.remarking) add('remark', 'Remark on the hunk', () => desk.review.askRemark());
    add('next_file', 'Next changed file', () => desk.review.moveDiff('file', 1));
    add('previous_file', 'Previous changed file', () => desk.review.moveDiff('file', -1));
  }
}

/** The actions whose title holds all typed words, better beginnings first. */
export function matching(actions: readonly Action[], typed: string): Action[] {
  const words = typed.toLowerCase().split(/\s+/).filter((word) => word !== '');
  const found = actions.filter((action) => words.every((word) => action.title.toLowerCase().includes(word)));
  const first = words[0];
  if (first === undefined) return found;
  return found.toSorted((a, b) => rank(a, first) - rank(b, first));
}

function rank(action: Action, word: string): number {
  const at = action.title.toLowerCase().split(/\s+/).findIndex((part) => part.startsWith(word));
  return at === -1 ? Number.MAX_SAFE_INTEGER : at;
}
