// What was seen stays where it was left: a thread, a diff, a search.

import { expect, it } from 'vitest';
import { stick } from '../src/parts/stick';
import { at, bench, HandPort, recording, text, upTo, user } from './bench';

const tape = recording('wrap-job');
const finished = upTo(tape.events, 'run_finished');

/** A scrolling box with heights of its own: this page has none. */
function box(client: number, whole: number): HTMLElement {
  const element = document.createElement('div');
  Object.defineProperty(element, 'clientHeight', { value: client, configurable: true });
  Object.defineProperty(element, 'scrollHeight', { value: whole, configurable: true });
  return element;
}

it('a thread that was left in the middle is found there, and one that was left at the end is at its end', () => {
  const content = document.createElement('div');
  const first = box(100, 900);
  const hold = stick(first, content, 'here', () => undefined);
  expect(first.scrollTop).toBe(900);
  first.scrollTop = 250;
  first.dispatchEvent(new Event('scroll'));
  hold.destroy();

  let atEnd = true;
  const again = box(100, 900);
  const second = stick(again, content, 'here', (end) => (atEnd = end));
  expect([again.scrollTop, atEnd]).toEqual([250, false]);
  second.toEnd();
  again.scrollTop = 800;
  again.dispatchEvent(new Event('scroll'));
  second.destroy();
  const last = box(100, 900);
  stick(last, content, 'here', () => undefined).destroy();
  expect(last.scrollTop).toBe(900);
});

it('a thread that is hidden does not forget its place', () => {
  const shown = box(100, 900);
  const hold = stick(shown, document.createElement('div'), 'there', () => undefined);
  shown.scrollTop = 300;
  shown.dispatchEvent(new Event('scroll'));
  Object.defineProperty(shown, 'clientHeight', { value: 0 });
  shown.scrollTop = 0;
  shown.dispatchEvent(new Event('scroll'));
  hold.destroy();
  const back = box(100, 900);
  stick(back, document.createElement('div'), 'there', () => undefined).destroy();
  expect(back.scrollTop).toBe(300);
});

it('a pane that was seen is only hidden by another tab, with its search and what was opened in it', async () => {
  const port = new HandPort(tape);
  port.answers.search_all = { reply: 'found', value: [{ hits: [], scanned: 0, missing: [], by: ['words'] }] };
  await bench(finished, port);
  const diff = at('changes.diff');
  await user.click(at('tab.files'));
  expect(diff.closest('[hidden]')).toBe(at('pane.changes'));
  await user.type(at('files.query'), 'wrap{Enter}');
  await user.click(at('tab.changes'));
  expect(at('changes.diff')).toBe(diff);
  expect(diff.closest('[hidden]')).toBeNull();
  await user.click(at('tab.files'));
  expect((at('files.query') as HTMLInputElement).value).toBe('wrap');
  expect(text('files.none')).toContain('Nothing found');
});

it('another run begins at the top of its own panes', async () => {
  const every = recording('every-state');
  const { desk } = await bench(every.events, new HandPort(every));
  desk.select(desk.runs[0]?.id ?? null);
  await user.click(at('tab.context'));
  const before = at('pane.context').firstElementChild;
  await user.keyboard('{Alt>}{ArrowDown}{/Alt}');
  expect(at('pane.context').firstElementChild).not.toBe(before);
});
