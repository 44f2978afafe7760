// The words of a question: its title, and what follows from each answer.
//
// Rule: the consequence is said before the answer is given, and never sounds smaller than it is.

import type { Ask, BudgetUnit, ProjectCommand, ProjectView, RunView } from '../ipc/bindings';
import { commandLine, money, span, tokens } from '../state/format';
import { count, roleOf } from '../state/words';

export interface AskWords {
  title: string;
  /** The same, for one line of a list. */
  short: string;
  /** Code in it stands between back-ticks. */
  approve: string;
  reject: string;
  /** What the two buttons say. */
  yes: string;
  no: string;
}

const YES_OR_NO = { yes: 'Approve', no: 'Reject' };

/** A command: one that would reach hosts, one that nothing confines, or one of a flow that is the project's own. */
function commandWords(name: string, hosts: readonly string[], open: boolean): Pick<AskWords, 'title' | 'short' | 'approve'> {
  if (hosts.length > 0) {
    return {
      title: `Let “${name}” reach ${hosts.length === 1 ? (hosts[0] ?? '') : count(hosts.length, 'host')}`,
      short: `network for ${name}`,
      approve: 'Approve runs it in the sandbox with nothing but these hosts to reach, and keeps your yes for the commands of this project until you take it back in the settings.',
    };
  }
  return {
    title: open ? `Run “${name}” without a sandbox` : `Run “${name}”`,
    short: `command ${name}`,
    approve: open
      ? 'Approve runs it once on the run’s private copy, with your own rights: nothing confines it.'
      : 'Approve runs it on the run’s private copy, in the sandbox and without network.',
  };
}

export function askWords(ask: Ask, run: RunView, project: ProjectView): AskWords {
  const remarks = run.comments.filter((remark) => !remark.sent).length;
  switch (ask.ask) {
    case 'hand_over':
      return {
        title: `Hand over ${count(ask.files.length, 'changed file')}`,
        short: `hand-over of ${count(ask.files.length, 'file')}`,
        approve: `Approve puts the commits on branch \`${run.branch ?? `atelier/${run.id}`}\`. Your checkout and your files stay as they are until you accept.`,
        reject:
          remarks === 0
            ? 'Reject stops the run; nothing reaches your repository. Remark on a hunk first to send it back to its author instead.'
            : `Send back returns the run to its author with ${remarks === 1 ? 'your remark' : `your ${remarks} remarks`}; nothing reaches your repository.`,
        yes: 'Approve',
        no: remarks === 0 ? 'Reject' : 'Send back',
      };
    case 'project_commands':
      return {
        title: 'Let this project’s own commands run',
        short: 'the project’s own commands',
        approve: 'Approve lets them run in the sandbox, on private copies, now and from now on, until one of them changes or you take it back in the settings.',
        reject: 'Reject ends the run; nothing that the project brings along is run or lent.',
        yes: 'Let them run',
        no: 'Do not run them',
      };
    case 'command':
      return { ...commandWords(ask.name, ask.hosts ?? [], project.mechanism === 'none'), reject: 'Reject leaves it out; what it would have proved stays unproved.', ...YES_OR_NO };
    case 'tool':
      return {
        title: `Let ${roleOf(project, ask.role).title} use ${ask.call.name}`,
        short: `${ask.call.name} for ${roleOf(project, ask.role).title}`,
        approve: 'Approve allows this one call.',
        reject: 'Reject tells the role that it is not allowed.',
        ...YES_OR_NO,
      };
    case 'question':
      return {
        title: ask.question,
        short: ask.question,
        approve: 'Your answer goes to the team as you write it.',
        reject: 'Skipping takes the default.',
        yes: 'Answer',
        no: 'Take the default',
      };
    case 'cloud':
      return {
        title: `Send ${count(ask.leaving.length, 'part')} of this project to ${ask.provider}`,
        short: `sending to ${ask.provider}`,
        approve: `Approve lets this project’s material leave this machine for ${ask.host}, masked as shown, now and from now on, until you take it back in the settings.`,
        reject: 'Reject ends the run; nothing is sent.',
        yes: 'Let it leave',
        no: 'Keep it here',
      };
    case 'budget':
      return {
        title: `Go on with ${amount(ask.more, ask.unit)} more`,
        short: `${amount(ask.more, ask.unit)} more`,
        approve: `With more, the run goes on and asks again at ${amount(ask.limit + ask.more, ask.unit)} in all.`,
        reject: 'Stopping here ends the run; what it made so far is kept until you discard it.',
        yes: `Give ${amount(ask.more, ask.unit)} more`,
        no: 'Stop here',
      };
  }
}

/** One thing that a project brings along: what it is for, the line itself, and where it is said. */
export function broughtWords(one: ProjectCommand): { what: string; line: string; from: string } {
  const declared = '.atelier/project.yaml';
  const reaching = (hosts: readonly string[]): string => (hosts.length === 0 ? '' : `, asks for ${hosts.join(', ')}`);
  switch (one.brings) {
    case 'copy':
      return { what: 'lend a copy', line: readable(one.path), from: declared };
    case 'link':
      return { what: 'lend to read', line: readable(one.path), from: declared };
    case 'set_up':
      return { what: 'set up', line: readable(commandLine(one.argv)), from: declared + reaching(one.network) };
    case 'check':
      return { what: `check ${readable(one.name)}`, line: readable(commandLine(one.argv)), from: one.source + reaching(one.network) };
  }
}

/** Characters that would hide a part of a line, or turn it round, are shown as what they are. */
function readable(line: string): string {
  return line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/** An amount of what a budget counts. */
export function amount(n: number, unit: BudgetUnit): string {
  switch (unit) {
    case 'tokens':
      return `${tokens(n)} tokens`;
    case 'micros':
      return money(n);
    case 'local_seconds':
      return span(n * 1000);
  }
}
