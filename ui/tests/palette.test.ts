// The palette and the keys: everything can be done without a mouse.

import { describe, expect, it } from 'vitest';
import type { Desk } from '../src/state/desk.svelte';
import { layout } from '../src/state/layout.svelte';
import { at, bench, HandPort, maybe, recording, settle, text, upTo, user, welcome } from './bench';

const tape = recording('wrap-job');
const finished = upTo(tape.events, 'run_finished');

/** The runs as the list shows them, from top to bottom. */
const order = (desk: Desk): string[] => desk.rows.flatMap((row) => (row.row === 'run' ? [row.run.id] : []));

describe('the palette', () => {
  it('opens by key, finds by words, acts on Enter and gives the focus back', async () => {
    await bench(finished, new HandPort(tape));
    await user.click(at('goal.text'));
    await user.keyboard('{Control>}k{/Control}');
    expect(document.activeElement).toBe(at('palette.text'));
    await user.keyboard('show che');
    expect(at('palette.action.checks').getAttribute('aria-selected')).toBe('true');
    expect(text('palette.action.checks')).toContain('Ctrl+2');
    await user.keyboard('{Enter}');
    await settle();
    expect(maybe('palette')).toBeNull();
    expect(at('tab.checks').getAttribute('aria-selected')).toBe('true');
    expect(document.activeElement).toBe(at('goal.text'));
  });

  it('is walked with the arrows, round the ends', async () => {
    await bench(finished, new HandPort(tape));
    await user.keyboard('{Control>}k{/Control}');
    const options = [...at('palette').querySelectorAll('[role="option"]')];
    const chosen = (): number => options.findIndex((option) => option.getAttribute('aria-selected') === 'true');
    await user.keyboard('{ArrowDown}{ArrowDown}');
    expect(chosen()).toBe(2);
    await user.keyboard('{ArrowUp}{ArrowUp}{ArrowUp}');
    expect(chosen()).toBe(options.length - 1);
    expect(at('palette.text').getAttribute('aria-activedescendant')).toBe(options.at(-1)?.id);
  });

  it('closes on Esc, on its key, and on a press outside', async () => {
    await bench(finished, new HandPort(tape));
    for (const close of ['{Escape}', '{Control>}k{/Control}']) {
      await user.keyboard('{Control>}k{/Control}');
      expect(maybe('palette')).not.toBeNull();
      await user.keyboard(close);
      expect(maybe('palette')).toBeNull();
    }
    await user.click(at('palette.open'));
    await user.click(document.querySelector('.outside') as HTMLElement);
    expect(maybe('palette')).toBeNull();
  });

  it('says so when nothing has the words, and Enter then does nothing', async () => {
    await welcome();
    await user.keyboard('{Control>}k{/Control}zzz');
    expect(text('palette')).toContain('No action has these words.');
    await user.keyboard('{Enter}');
    expect(maybe('palette')).not.toBeNull();
  });

  it('offers only what can be done now', async () => {
    await welcome();
    await user.keyboard('{Control>}k{/Control}');
    expect(maybe('palette.action.accept')).toBeNull();
    expect(maybe('palette.action.settings')).not.toBeNull();
  });

  it('keeps the focus inside while it is open', async () => {
    await bench(finished, new HandPort(tape));
    await user.keyboard('{Control>}k{/Control}{Tab}{Tab}');
    expect(at('palette').contains(document.activeElement)).toBe(true);
  });
});

describe('keys', () => {
  it('act without the palette: accept, discard in two acts, panes', async () => {
    const port = new HandPort(tape);
    await bench(finished, port);
    await user.keyboard('{Control>}{Shift>}a{/Shift}{/Control}');
    expect(port.ops('accept_run')).toHaveLength(1);
    await user.keyboard('{Control>}{Shift>}d{/Shift}{/Control}');
    expect(port.ops('discard_run')).toEqual([]);
    expect(maybe('run.discard.confirm')).not.toBeNull();
    await user.keyboard('{Control>}3{/Control}');
    expect(at('tab.context').getAttribute('aria-selected')).toBe('true');
  });

  it('move between runs', async () => {
    const every = recording('every-state');
    const { desk } = await bench(every.events, new HandPort(every));
    const before = order(desk).indexOf(desk.selected ?? '');
    await user.keyboard('{Alt>}{ArrowDown}{/Alt}');
    expect(order(desk).indexOf(desk.selected ?? '')).toBe(before + 1);
  });

  it('do nothing under a dialog', async () => {
    const port = new HandPort(tape);
    await bench(finished, port);
    await user.click(at('settings.open'));
    await user.keyboard('{Control>}{Shift>}a{/Shift}{/Control}');
    expect(port.ops('accept_run')).toEqual([]);
  });
});

describe('tabs', () => {
  it('are moved along with the arrow keys', async () => {
    await bench(finished, new HandPort(tape));
    at('tab.changes').focus();
    await user.keyboard('{ArrowRight}');
    expect(document.activeElement).toBe(at('tab.checks'));
    expect(maybe('pane.checks')).not.toBeNull();
  });

  it('hold all panes in a narrow window, and following a run shows its thread', async () => {
    layout.narrow = true;
    try {
      const { desk } = await bench(finished, new HandPort(tape));
      expect(maybe('run.thread')).not.toBeNull();
      expect(at('rail').closest('[hidden]')).not.toBeNull();
      await user.click(at('tab.runs'));
      await user.click(at(`rail.run.${desk.selected}`));
      expect(maybe('run.thread')).not.toBeNull();
      await user.click(at('tab.changes'));
      expect(maybe('changes.diff')).not.toBeNull();
    } finally {
      layout.narrow = false;
    }
  });
});

it('a pane is resized by key and its size is remembered', async () => {
  await bench(finished, new HandPort(tape));
  const before = layout.side;
  at('split.side').focus();
  await user.keyboard('{ArrowLeft}');
  expect(layout.side).toBe(before + 16);
  expect(JSON.parse(localStorage.getItem('atelier.panes') ?? '{}')).toMatchObject({ side: before + 16 });
});
