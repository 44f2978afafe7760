// The words for states, phases and answers, the same everywhere on the screen.
//
// Rule: short, present tense, the user's nouns; a tone never stands without its word.

import type {
  AcceptMode, ChecksVerdict, Check, FileStatus, ContextMismatch, Hold, Mechanism, Phase, ProjectView, RoleId, RoleView, RunState, RunView, Sensitive, StepId, StepView,
} from '../ipc/bindings';

export type Tone = 'plain' | 'muted' | 'accent' | 'ok' | 'warn' | 'bad' | 'info';
export type Sign = 'running' | 'waits' | 'queued' | 'child' | 'undoing' | 'unclear' | 'parked' | 'interrupted' | 'review' | 'accepted' | 'discarded' | 'failed' | 'cancelled';

export interface StateWord {
  word: string;
  tone: Tone;
  sign: Sign;
}

/** The state of a run, with what became of its result where it is over. What a child made is its parent's to review. */
export function runWord(run: { state: RunState; disposition: RunView['disposition']; parent: unknown }): StateWord {
  switch (run.disposition.disposition) {
    case 'accepted':
      return { word: 'accepted', tone: 'ok', sign: 'accepted' };
    case 'discarded':
      return { word: 'discarded', tone: 'muted', sign: 'discarded' };
    case 'pending':
      return run.state === 'done' && run.parent !== null ? DONE : stateWord(run.state);
  }
}

const DONE: StateWord = { word: 'done', tone: 'ok', sign: 'accepted' };

export function stateWord(state: RunState): StateWord {
  switch (state) {
    case 'created':
      return { word: 'starting', tone: 'info', sign: 'running' };
    case 'planning':
      return { word: 'planning', tone: 'info', sign: 'running' };
    case 'running':
      return { word: 'running', tone: 'info', sign: 'running' };
    case 'waits_for_approval':
      return { word: 'waits for you', tone: 'accent', sign: 'waits' };
    case 'waits_for_answer':
      return { word: 'asks you', tone: 'accent', sign: 'waits' };
    case 'waits_for_budget':
      return { word: 'asks for more budget', tone: 'accent', sign: 'waits' };
    case 'waits_for_slot':
      return { word: 'waits for its turn', tone: 'muted', sign: 'queued' };
    case 'waits_for_child':
      return { word: 'waits for a child run', tone: 'info', sign: 'child' };
    case 'indeterminate':
      return { word: 'outcome unknown', tone: 'warn', sign: 'unclear' };
    case 'compensating':
      return { word: 'undoing', tone: 'warn', sign: 'undoing' };
    case 'parked':
      return { word: 'parked', tone: 'warn', sign: 'parked' };
    case 'interrupted':
      return { word: 'interrupted', tone: 'warn', sign: 'interrupted' };
    case 'done':
      return { word: 'ready to review', tone: 'ok', sign: 'review' };
    case 'failed':
      return { word: 'failed', tone: 'bad', sign: 'failed' };
    case 'cancelled':
      return { word: 'stopped', tone: 'muted', sign: 'cancelled' };
  }
}

export function phaseWord(phase: Phase): string {
  switch (phase) {
    case 'loading':
      return 'loading model';
    case 'reading':
      return 'reading prompt';
    case 'thinking':
      return 'thinking';
    case 'answering':
      return 'answering';
  }
}

/** What a call waits for. */
export function holdWords(hold: Hold): string {
  switch (hold.hold) {
    case 'backoff':
      return `the same question is asked again (attempt ${hold.attempt})`;
    case 'retry_after':
      return `the server said how long to wait (attempt ${hold.attempt})`;
    case 'rate':
      return `the limit of ${hold.of} is reached`;
    case 'batch':
      return `${hold.model} is at work and does not fit into memory beside this one`;
  }
}

/** What does not agree about a context, and what follows from it. */
export function mismatchWords(mismatch: ContextMismatch): string {
  const { kind, asked, loaded, counted, evaluated } = mismatch;
  switch (kind) {
    case 'prompt_cut':
      return `The server read ${evaluated ?? 'an unknown number of'} tokens of a prompt that has at least ${counted}. It dropped a part of it, so this turn was not used.`;
    case 'shorter_context':
      return `The server holds a context of ${loaded ?? 'an unknown number of'} tokens, not the ${asked ?? 'wanted'} that were asked for.`;
  }
}

export function mechanismWord(mechanism: Mechanism): string {
  switch (mechanism) {
    case 'bubblewrap':
      return 'sandboxed by bubblewrap';
    case 'landlock':
      return 'sandboxed by landlock';
    case 'none':
      return 'not sandboxed';
  }
}

export function statusWord(status: FileStatus): { letter: string; word: string } {
  switch (status) {
    case 'added':
      return { letter: 'A', word: 'added' };
    case 'modified':
      return { letter: 'M', word: 'changed' };
    case 'deleted':
      return { letter: 'D', word: 'deleted' };
    case 'renamed':
      return { letter: 'R', word: 'renamed' };
  }
}

export function verdictWord(checks: ChecksVerdict): { word: string; tone: Tone } {
  switch (checks) {
    case 'passed':
      return { word: 'checks passed on this state', tone: 'ok' };
    case 'failed':
      return { word: 'checks failed on this state', tone: 'bad' };
    case 'none_declared':
      return { word: 'unchecked: no check is declared', tone: 'warn' };
  }
}

/** One thing that is masked before anything leaves. */
export function sensitiveWord(kind: Sensitive): string {
  switch (kind) {
    case 'private_key':
      return 'private key';
    case 'api_key':
      return 'key of a service';
    case 'password':
      return 'password';
    case 'token':
      return 'random text that looks like a key';
    case 'email':
      return 'e-mail address';
    case 'phone':
      return 'telephone number';
    case 'iban':
      return 'bank account';
    case 'card':
      return 'payment card';
  }
}

export function checkWord(check: Check): { word: string; tone: Tone } {
  if (check.timed_out) return { word: 'stopped at the time limit', tone: 'bad' };
  if (check.exit_code === null) return { word: 'ended by a signal', tone: 'bad' };
  if (check.exit_code === 0) return { word: 'passed', tone: 'ok' };
  if (check.compared !== undefined && check.compared.tree !== check.tree) {
    const { old, new: added } = check.compared;
    const before = `${old} ${old === 1 ? 'failure was' : 'failures were'} there before`;
    return added.length === 0 ? { word: `${before}, none is new`, tone: 'warn' } : { word: `${added.length} new; ${before}`, tone: 'bad' };
  }
  return { word: `exit code ${check.exit_code}`, tone: 'bad' };
}

/** By which prices money is counted, and how old they are at a time in milliseconds since 1970. */
export function priceWords(project: ProjectView, at: number): string {
  const lists = (project.prices ?? []).map(({ as_of, currency }) => {
    const days = Math.floor((at - Date.parse(as_of)) / 86_400_000);
    const age = days < 0 ? 'a day to come' : days === 0 ? 'today’s' : days === 1 ? '1 day old' : `${days} days old`;
    return `prices of ${as_of}, ${age} (${currency})`;
  });
  return lists.length === 0 ? 'no price list' : lists.join(', then ');
}

export function acceptWord(mode: AcceptMode): string {
  switch (mode) {
    case 'fast_forward':
      return 'by fast-forward';
    case 'merge':
      return 'by a merge';
    case 'squash':
      return 'as one commit';
    case 'back':
    case 'revert':
      return 'taken back';
  }
}

/** A role as the project knows it; a role that no longer loads keeps its id and a plain badge. */
export function roleOf(project: ProjectView, id: RoleId): RoleView {
  return (
    project.roles.find((role) => role.id === id) ?? {
      id,
      title: id.replaceAll('_', ' '),
      badge: id.slice(0, 1).toUpperCase(),
      hue: 210,
    }
  );
}

/** The round of a step, 1-based: `build.2` is the second. */
export function roundOf(step: StepId): number {
  const round = Number(step.slice(step.lastIndexOf('.') + 1));
  return Number.isInteger(round) && round > 0 ? round : 1;
}

/** The step under way, where one is. */
export function openStep(run: RunView): StepView | undefined {
  return run.steps.findLast((step) => step.result === null);
}

/** The steps that a failed run undoes, the last one first. */
export function undoing(run: RunView): StepView[] {
  return run.steps.filter((step) => step.undone !== null || (step.undo !== null && step.result?.result === 'done')).toReversed();
}

/** The latest check of each name on the last recorded tree. */
export function currentChecks(run: RunView): Check[] {
  const tree = run.checkpoint?.tree;
  const latest = new Map<string, Check>();
  for (const check of run.checks) if (check.tree === tree) latest.set(check.name, check);
  return [...latest.values()];
}

export function passed(check: Check): boolean {
  if (check.timed_out || check.exit_code === null) return false;
  const onlyOld = check.compared !== undefined && check.compared.tree !== check.tree && check.compared.new.length === 0;
  return check.exit_code === 0 || onlyOld;
}

/** What the checks of the last recorded tree say, in one line; null while nothing is recorded. */
export function checksLine(run: RunView): { word: string; tone: Tone } | null {
  const checks = currentChecks(run);
  if (checks.length === 0) return run.checks_missing ? { word: 'unchecked', tone: 'warn' } : null;
  const failed = checks.filter((check) => !passed(check)).length;
  if (failed === 0) return { word: `${count(checks.length, 'check')} passed`, tone: 'ok' };
  return { word: `${failed} of ${count(checks.length, 'check')} failed`, tone: 'bad' };
}

/** `1 file`, `2 files`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
