// A port that plays a recorded journal, so that the whole page runs in a plain browser.
//
// Rule: it answers only what the recording holds; acts of the user move the recording on where it waits for them,
// everything else is refused in words. Never part of the production bundle.
//
// Address: `/?recorded=NAME`, and optionally
//   `open=1`      opens the project at once
//   `speed=4`     plays four times as fast as it happened (0: all at once; default 1)
//   `until=SEQ`   plays no further than this event; `until=KIND` than the first event of this kind;
//                 `until=approval` than the first act that is the user's
//   `draft=PHASE` holds the last open turn in a phase (loading, reading, thinking, answering)
//   `theme=light` the look, where the recording's settings should not decide

import { reduce, summaryOf } from '../state/reduce';
import type { CommandsView, Envelope, Op, Phase, Problem, ProjectView, Reply, RunId, RunView, Settings, Theme } from './bindings';
import { Player } from './player';
import type { Port } from './port';
import { parseRecording, type Recording } from './recording';

const FILES = import.meta.glob<string>('../../../tests/fixtures/journal/*.json', { query: '?raw', import: 'default' });
const PHASES: readonly string[] = ['loading', 'reading', 'thinking', 'answering'];

/** The port for an address's parameters. */
export async function recordedPort(query: URLSearchParams): Promise<Port> {
  const name = query.get('recorded') ?? 'main-job';
  const load = FILES[`../../../tests/fixtures/journal/${name}.json`];
  if (load === undefined) throw new Error(`No recording is called ${name}.`);
  const recording = parseRecording(await load());
  const theme = query.get('theme');
  const settings = theme === null ? recording.settings : { ...recording.settings, theme: theme as Theme };
  const draft = query.get('draft');
  return play({ ...recording, settings }, {
    open: query.get('open') === '1',
    speed: Number(query.get('speed') ?? '1'),
    until: query.get('until'),
    hold: draft !== null && PHASES.includes(draft) ? (draft as Phase) : null,
  });
}

export interface PlayOptions {
  open: boolean;
  /** Times as fast as it happened; 0 plays all at once. */
  speed: number;
  /** A number or kind of event to stop at. */
  until: string | null;
  hold: Phase | null;
}

function refusal(code: Problem['code'], message: string, hint: string): Problem {
  return { code, message, hint };
}

/** What the project of a recording brings along: its checks, which have run in it. */
function brought(project: ProjectView): CommandsView {
  const commands = project.checks.map(({ name, argv, source, network }) => ({ brings: 'check' as const, name, argv, network: network ?? [], source }));
  return { hash: 'blake3:recorded', commands, allowed: true };
}

const ONLY_A_RECORDING = refusal(
  'wrong_state',
  'This page plays a recording, so that cannot be done here.',
  'Open the project in the Atelier window.',
);

/** A port that plays `recording`. */
export function play(recording: Recording, options: PlayOptions): Port {
  let settings: Settings = recording.settings;
  const player = new Player(asOfNow(recording.events, options.speed), options);
  const { project } = recording;

  const submit = (op: Op): Reply => {
    switch (op.op) {
      case 'show_settings':
        return { reply: 'settings', value: settings };
      case 'change_settings':
        settings = op.settings;
        return { reply: 'settings', value: settings };
      case 'list_permissions':
        return { reply: 'permissions', value: [] };
      case 'show_egress':
        return { reply: 'egress', value: { rows: [], totals: [] } };
      case 'show_commands':
        return { reply: 'commands', value: brought(project) };
      case 'list_models':
        return { reply: 'models', value: recording.models };
      case 'show_project':
        return { reply: 'project', value: project };
      case 'show_diff':
        return { reply: 'diff', value: recording.diffs?.[op.run] ?? recording.diff };
      case 'start_run':
        return startRun(player, recording, op.goal);
      case 'settle_approval':
        if (!player.settle(op.approval, op.answer, op.note)) {
          throw refusal('unknown_approval', 'This question is settled already.', 'Read the thread for the answer that was recorded.');
        }
        return { reply: 'done' };
      case 'resume_run':
        player.goOn(op.run, 'run_resumed');
        return { reply: 'run', value: op.run };
      case 'cancel_run':
        player.end(op.run, refusal('cancelled', 'You stopped the run.', 'Start it again with the same goal, or discard it.'));
        return { reply: 'done' };
      case 'accept_run': {
        const accepted = player.accept(op.run);
        return { reply: 'accepted', value: accepted };
      }
      case 'discard_run':
        player.discard(op.run);
        return { reply: 'done' };
      case 'search':
        return { reply: 'hits', value: searchDiff(recording, op.query) };
      case 'search_all':
        return {
          reply: 'found',
          value: op.queries.map((query) => ({ hits: searchDiff(recording, query), scanned: 0, missing: [], by: ['words' as const] })),
        };
      case 'refresh_index':
      case 'show_index': {
        const files = recording.diff.files.length;
        const nothing = { updated: 0, removed: 0, skipped: [], pending: 0, commits: 0, head: null, documents: 0, meaning: null, missing: [], watch: { how: 'off' } as const };
        return { reply: 'index', value: { ...nothing, files, ms: 4 } };
      }
      case 'list_runs':
        return { reply: 'runs', value: runsAt(player).map(summaryOf) };
      case 'show_run': {
        const view = runsAt(player, op.at ?? Infinity).find((run) => run.id === op.run);
        if (view === undefined) throw refusal('unknown_run', 'This recording has no such run.', 'Choose a run of the list.');
        return { reply: 'run_view', value: view };
      }
      case 'read_events': {
        const events = player.past.filter((event) => event.seq > op.after && (op.run === null || event.run === op.run));
        return { reply: 'events', value: events.slice(0, op.limit) };
      }
      default: // everything else is refused in words
        throw ONLY_A_RECORDING;
    }
  };

  return {
    startInfo: async () => ({ version: 'recorded', project: options.open ? project.path : null, tour: false }),
    knownProjects: async () => [{ id: project.id, path: project.path, name: project.name, shared: false }],
    openProject: async (path, init) => {
      if (path === project.path || init) return project;
      if (path.includes('plain')) {
        throw refusal('not_a_repository', `${path} is not a git repository.`, 'Choose another folder, or make this one a repository.');
      }
      throw refusal('no_folder', `${path} does not exist or cannot be read.`, `Choose a folder that exists; this recording knows ${project.path}.`);
    },
    pickFolder: async () => project.path,
    startTour: async () => project.path,
    submit: async (_project, op) => submit(op),
    subscribe: async (_project, after, onFrames) => player.subscribe(after, onFrames),
    mark: () => undefined,
  };
}

/** The runs as they were after an event. */
function runsAt(player: Player, at = Infinity): RunView[] {
  const views: Record<RunId, RunView> = {};
  for (const event of player.past) {
    if (event.run === null || event.seq > at) continue;
    const view = reduce(views[event.run] ?? null, event);
    if (view !== null) views[event.run] = view;
  }
  return Object.values(views);
}

/** The events as if they had just happened, or begin to now where they are played in time. */
function asOfNow(events: readonly Envelope[], speed: number): Envelope[] {
  const edge = speed === 0 ? events.at(-1) : events[0];
  const shift = edge === undefined ? 0 : Date.now() - edge.at_ms;
  return events.map((event) =>
    event.kind === 'approval_requested'
      ? { ...event, at_ms: event.at_ms + shift, payload: { ...event.payload, expires_at_ms: event.payload.expires_at_ms + shift } }
      : { ...event, at_ms: event.at_ms + shift },
  );
}

function startRun(player: Player, recording: Recording, goal: string): Reply {
  if (goal.trim() === '') throw refusal('empty_goal', 'The goal has no text.', 'Write what should change, then start.');
  const started = recording.events.findLast((event) => event.kind === 'run_started');
  if (started === undefined || started.run === null) throw ONLY_A_RECORDING;
  player.goOn(started.run, 'run_started');
  return { reply: 'run', value: started.run };
}

/** Hits among the lines of the recorded diff: all the text a recording has. */
function searchDiff(recording: Recording, query: string): Extract<Reply, { reply: 'hits' }>['value'] {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return recording.diff.files.flatMap((file) =>
    file.hunks
      .filter((hunk) => hunk.lines.some((line) => words.every((word) => line.text.toLowerCase().includes(word))))
      .map((hunk) => ({
        kind: 'code' as const,
        path: file.change.path,
        lines: [hunk.new_start, hunk.new_start + hunk.lines.length - 1] as [number, number],
        score: 1,
        snippet: hunk.lines.filter((line) => line.side !== 'removed').map((line) => line.text).join('\n'),
        hash: '',
        symbol: null,
      })),
  );
}

