// Plays recorded events over time: as fast as they happened or faster, with the drafts that led to each turn.
//
// Rule: it halts where the user was asked and goes on with what the user answers; what the recording does not hold
// is made up only to end a run (a rejection, a stop, an accept), never to invent work.

import type { AcceptMode, Answer, ApprovalId, Envelope, Event, Frame, Phase, Problem, RunId, Seq } from './bindings';

interface Pace {
  speed: number;
  until: string | null;
  hold: Phase | null;
}

/** No pause between two events is played longer than this, in milliseconds. */
const LONGEST = 4000;
const PIECE = 24;

export class Player {
  /** What is still to come, and what has been said. */
  #rest: Envelope[];
  #past: Envelope[] = [];
  #listeners = new Set<(frames: Frame[]) => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #halted = false;
  readonly #pace: Pace;

  constructor(events: readonly Envelope[], pace: Pace) {
    this.#pace = pace;
    this.#rest = [...events];
    if (pace.speed === 0) this.#skip();
  }

  /** What has been said so far. */
  get past(): readonly Envelope[] {
    return this.#past;
  }

  subscribe(after: Seq, onFrames: (frames: Frame[]) => void): () => void {
    this.#listeners.add(onFrames);
    const stored = this.#past.filter((event) => event.seq > after);
    onFrames([
      ...stored.map((value): Frame => ({ frame: 'event', value })),
      { frame: 'caught_up', value: this.#past.at(-1)?.seq ?? 0 },
    ]);
    this.#holdDraft();
    this.#next();
    return () => {
      this.#listeners.delete(onFrames);
      if (this.#listeners.size === 0) clearTimeout(this.#timer);
    };
  }

  /** Goes on with a run whose next event is of a kind; without one, nothing comes. */
  goOn(run: RunId, kind: Event['kind']): void {
    if (this.#rest.some((event) => event.run === run && event.kind === kind)) this.#release();
  }

  /** Answers a recorded question; false where it is settled. */
  settle(approval: ApprovalId, answer: Answer, note: string): boolean {
    const asked = this.#past.findLast((event) => event.kind === 'approval_requested' && event.payload.approval === approval);
    const settled = this.#past.some((event) => event.kind === 'approval_settled' && event.payload.approval === approval);
    if (asked === undefined || asked.run === null || settled) return false;
    const recorded = this.#rest.find((event) => event.kind === 'approval_settled' && event.payload.approval === approval);
    if (recorded?.kind === 'approval_settled' && recorded.payload.answer === answer) {
      this.#rest = this.#rest.map((event) =>
        event.kind === 'approval_settled' && event === recorded ? { ...event, payload: { ...event.payload, note } } : event,
      );
      this.#release();
      return true;
    }
    this.#say(asked.run, { kind: 'approval_settled', payload: { approval, answer, by: 'user', note } }, asked.step);
    if (answer === 'reject') {
      this.end(asked.run, { code: 'rejected', message: 'The hand-over was rejected.', hint: 'Discard the run, or give the goal again.' });
    }
    return true;
  }

  end(run: RunId, problem: Problem): void {
    this.#rest = this.#rest.filter((event) => event.run !== run);
    this.#say(run, { kind: 'run_finished', payload: { outcome: { outcome: 'cancelled', problem } } }, null);
    this.#release();
  }

  accept(run: RunId): { branch: string; commit: string; mode: AcceptMode } {
    const recorded = this.#rest.find((event) => event.run === run && event.kind === 'run_accepted');
    const over = this.#past.findLast((event) => event.run === run && event.kind === 'handed_over');
    const commit = over?.kind === 'handed_over' ? (over.payload.commits.at(-1)?.id ?? '') : '';
    const payload = recorded?.kind === 'run_accepted' ? recorded.payload : { branch: 'main', commit, mode: 'fast_forward' as const };
    this.#rest = this.#rest.filter((event) => event.run !== run);
    this.#say(run, { kind: 'run_accepted', payload }, null);
    this.#release();
    return payload;
  }

  discard(run: RunId): void {
    this.#rest = this.#rest.filter((event) => event.run !== run);
    this.#say(run, { kind: 'run_discarded', payload: {} }, null);
    this.#release();
  }

  #release(): void {
    this.#halted = false;
    this.#next();
  }

  /** Whether the event is one that only an act of the user may bring. */
  #waitsFor(event: Envelope): boolean {
    if (this.#reached(event)) return true;
    return isOfUser(event);
  }

  /** Whether what was played last is where the address says to stop. */
  #reached(next: Envelope): boolean {
    const { until } = this.#pace;
    return until !== null && (String(next.seq - 1) === until || this.#past.at(-1)?.kind === until);
  }

  #next(): void {
    clearTimeout(this.#timer);
    const event = this.#rest[0];
    if (event === undefined || this.#halted || this.#listeners.size === 0) return;
    const before = this.#past.at(-1);
    const { speed } = this.#pace;
    const pause = before === undefined || speed === 0 ? 0 : Math.min(LONGEST, event.at_ms - before.at_ms) / speed;
    if (event.kind === 'call_finished') this.#drafts(event, event.payload, pause);
    this.#timer = setTimeout(() => this.#play(event), pause);
  }

  #play(event: Envelope): void {
    this.#pass(event);
    const next = this.#rest[0];
    if (next !== undefined && this.#waitsFor(next)) this.#halted = true;
    this.#next();
  }

  #pass(event: Envelope): void {
    this.#rest.shift();
    this.#past.push(event);
    this.#tell([{ frame: 'event', value: event }]);
  }

  /** Plays everything up to the end or the first halt, before anybody listens. */
  #skip(): void {
    for (let event = this.#rest[0]; event !== undefined; event = this.#rest[0]) {
      const { until } = this.#pace;
      if (until === 'approval' ? isOfUser(event) : until !== null && this.#past.length > 0 && this.#reached(event)) break;
      this.#rest.shift();
      this.#past.push(event);
    }
    this.#halted = true;
  }

  /** The phases of a turn, spread over the time it took. */
  #drafts(event: Envelope, turn: Extract<Event, { kind: 'call_finished' }>['payload'], pause: number): void {
    if (event.run === null || event.step === null || pause < 50) return;
    const { run, step } = event;
    const pieces = piecesOf(turn.thinking, turn.text);
    pieces.forEach(([phase, text], index) => {
      const at = (pause * (index + 1)) / (pieces.length + 1);
      setTimeout(() => {
        if (this.#rest[0] === event) this.#tell([{ frame: 'draft', value: { run, step, call: turn.call, phase, text } }]);
      }, at);
    });
  }

  /** Holds the last open turn in a phase, for looking at it. */
  #holdDraft(): void {
    const { hold } = this.#pace;
    const last = this.#past.findLast((event) => event.kind === 'call_started');
    if (hold === null || last?.kind !== 'call_started' || last.run === null || last.step === null) return;
    const answer = this.#rest.find((event) => event.kind === 'call_finished' && event.payload.call === last.payload.call);
    if (answer?.kind !== 'call_finished') return;
    const { run, step } = last;
    const all = piecesOf(answer.payload.thinking, answer.payload.text);
    const shown = all.slice(0, all.findLastIndex(([phase]) => phase === hold) + 1);
    const value = shown.length > 0 ? shown : [[hold, ''] as const];
    this.#tell(value.map(([phase, text]) => ({ frame: 'draft', value: { run, step, call: last.payload.call, phase, text } })));
  }

  #say(run: RunId, event: Event, step: string | null): void {
    const last = this.#past.at(-1);
    const envelope: Envelope = {
      seq: (last?.seq ?? 0) + 1,
      store: last?.store ?? '',
      at_ms: Date.now(),
      v: 1,
      run,
      step,
      cause: null,
      trace: null,
      payload_hash: '',
      prev_hash: '',
      ...event,
    };
    this.#rest = this.#rest.map((later) => ({ ...later, seq: later.seq + 1 }));
    this.#past.push(envelope);
    this.#tell([{ frame: 'event', value: envelope }]);
  }

  #tell(frames: Frame[]): void {
    for (const listener of this.#listeners) listener(frames);
  }
}

/** An answer, an accept or a discard, or the effect that is the first sign of one. */
function isOfUser(event: Envelope): boolean {
  switch (event.kind) {
    case 'approval_settled':
      return event.payload.by === 'user';
    case 'effect_intended':
      return ['accept', 'discard', 'undo'].includes(event.payload.effect.effect);
    case 'run_accepted':
    case 'run_discarded':
    case 'operation_undone':
    case 'comment_made':
      return true;
    default:
      return false;
  }
}

function piecesOf(thinking: string, text: string): [Phase, string][] {
  return [['loading', ''], ['reading', ''], ...split('thinking', thinking), ...split('answering', text)];
}

function split(phase: Phase, text: string): [Phase, string][] {
  const pieces: [Phase, string][] = [];
  for (let at = 0; at < text.length; at += PIECE) pieces.push([phase, text.slice(at, at + PIECE)]);
  return pieces;
}
