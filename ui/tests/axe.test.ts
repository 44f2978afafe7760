// Every screen, held against the rules of axe: names, roles, states, structure. Contrast is held by the tokens' test,
// since nothing is painted here.

import axe from 'axe-core';
import { expect, it } from 'vitest';
import { at, bench, HandPort, problem, recording, runIn, settle, upTo, user, welcome } from './bench';

const tape = recording('wrap-job');
const every = recording('every-state');
const family = recording('family');

/** The rules that the page breaks, with where. A splitter stands between landmarks by its nature. */
async function broken(part: Element | Document = document): Promise<string[]> {
  const { violations } = await axe.run({ include: part, exclude: '[role=separator]' }, {
    rules: { 'color-contrast': { enabled: false } },
    resultTypes: ['violations'],
  });
  return violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id} (${rule.impact}): ${node.html.slice(0, 160)}`));
}

it('the first screen', async () => {
  const port = new HandPort(tape);
  port.known = [{ id: 'p1', path: '/home/mara/code/textkit', name: 'textkit', shared: false }];
  port.open = () => problem('not_a_repository');
  await welcome(port);
  await user.type(at('welcome.path'), '/tmp/plain{Enter}');
  expect(await broken()).toEqual([]);
});

it('a question, with everything in the thread opened', async () => {
  await bench(upTo(tape.events, 'approval_requested'), new HandPort(tape));
  for (const one of document.querySelectorAll('details')) one.open = true;
  expect(await broken()).toEqual([]);
});

it.each(['checks', 'context', 'files'] as const)('the pane of %s', async (pane) => {
  const { desk } = await bench(every.events, new HandPort(every));
  desk.select(runIn(every, (view) => view.state === 'failed').id);
  await settle();
  await user.click(at(`tab.${pane}`));
  for (const one of at(`pane.${pane}`).querySelectorAll('details')) one.open = true;
  expect(await broken()).toEqual([]);
});

it.each(['waits_for_child', 'waits_for_answer', 'waits_for_budget', 'compensating', 'indeterminate', 'failed'] as const)(
  'a run that is %s, with the question before it is continued another way',
  async (state) => {
    const { desk } = await bench(family.events, new HandPort(family));
    const run = runIn(family, (view) => view.state === state);
    desk.select(run.id);
    desk.askFork(run.id, null);
    await settle();
    expect(await broken()).toEqual([]);
  },
);

it.each(['palette', 'settings'] as const)('what floats over it: %s', async (overlay) => {
  const { atelier } = await bench(every.events.slice(0, 1), new HandPort(every));
  atelier.overlay = overlay;
  await settle();
  expect(await broken(at(overlay))).toEqual([]); // what lies below is inert, which this page does not know
});
