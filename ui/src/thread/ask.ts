// The words of a question: its title, and what follows from each answer.
//
// Rule: the consequence is said before the answer is given, and never sounds smaller than it is.

import type { Ask, ProjectView, RunView } from '../ipc/bindings';
import { tokens } from '../state/format';
import { count, roleOf } from '../state/words';

export interface AskWords {
  title: string;
  /** The same, for one line of a list. */
  short: string;
  /** Code in it stands between back-ticks. */
  approve: string;
  reject: string;
}

export function askWords(ask: Ask, run: RunView, project: ProjectView): AskWords {
  switch (ask.ask) {
    case 'hand_over':
      return {
        title: `Hand over ${count(ask.files.length, 'changed file')}`,
        short: `hand-over of ${count(ask.files.length, 'file')}`,
        approve: `Approve puts the commits on branch \`${run.branch ?? `atelier/${run.id}`}\`. Your checkout and your files stay as they are until you accept.`,
        reject: 'Reject stops the run; nothing reaches your repository.',
      };
    case 'command':
      return {
        title: `Run “${ask.name}” without a sandbox`,
        short: `command ${ask.name}`,
        approve: 'Approve runs it once on the run’s private copy, with your own rights: nothing confines it.',
        reject: 'Reject leaves it out; what it would have proved stays unproved.',
      };
    case 'tool':
      return {
        title: `Let ${roleOf(project, ask.role).title} use ${ask.call.name}`,
        short: `${ask.call.name} for ${roleOf(project, ask.role).title}`,
        approve: 'Approve allows this one call.',
        reject: 'Reject tells the role that it is not allowed.',
      };
    case 'question':
      return {
        title: ask.question,
        short: ask.question,
        approve: 'Your answer goes to the team as you write it.',
        reject: `Skipping takes the default: ${ask.default}`,
      };
    case 'budget':
      return {
        title: `Go on with ${tokens(ask.more)} more tokens`,
        short: `${tokens(ask.more)} more tokens`,
        approve: `Approve lets the run use ${tokens(ask.limit + ask.more)} tokens in all. Then it asks again.`,
        reject: 'Reject stops the run here; what it made so far is kept until you discard it.',
      };
  }
}
