// The approval card: it says what follows before it is pressed, and sends exactly the answer that was given.

import { describe, expect, it } from 'vitest';
import type { Ask, Envelope, ProjectCommand } from '../src/ipc/bindings';
import { at, bench, HandPort, maybe, problem, recording, runIn, settle, text, upTo, user } from './bench';

const tape = recording('wrap-job');
const asking = upTo(tape.events, 'approval_requested');
const asked = asking.at(-1) as Extract<Envelope, { kind: 'approval_requested' }>;
const { approval } = asked.payload;

describe('a question about hand-over', () => {
  it('shows files with counts, checks, review, cost and the consequence', async () => {
    await bench(asking, new HandPort(tape));
    const card = text('approval.card');
    expect(card).toContain('Hand over 4 changed files');
    expect(text('approval.file.src/wrap.rs')).toBe('A src/wrap.rs +25');
    expect(text('approval.file.README.md')).toBe('M README.md +4 −1');
    expect(text('approval.checks')).toBe('checks passed on this state');
    expect(text('approval.reviewed')).toBe('a reviewing role approves this state');
    expect(text('approval.cost')).toMatch(/^10 calls; 16k tokens read, \d+ written; 1 min 0\d s on local models; money none$/);
    expect(text('approval.consequence')).toContain(`atelier/${asked.run}`);
    expect(card).toContain('Without an answer it counts as rejected');
    expect(document.title).toMatch(/^● waits for you — textkit — Atelier$/);
  });

  it('is approved by its key and Enter, with the word that was written', async () => {
    const port = new HandPort(tape);
    await bench(asking, port);
    await user.type(at('approval.note'), ' fine by me ');
    await user.keyboard('{Control>}j{/Control}');
    await settle();
    expect(document.activeElement).toBe(at('approval.approve'));
    await user.keyboard('{Enter}');
    expect(port.ops('settle_approval')).toEqual([{ op: 'settle_approval', approval, answer: 'approve', note: 'fine by me' }]);
  });

  it('is rejected with the other button', async () => {
    const port = new HandPort(tape);
    await bench(asking, port);
    await user.click(at('approval.reject'));
    expect(port.ops('settle_approval')).toEqual([{ op: 'settle_approval', approval, answer: 'reject', note: '' }]);
    expect(port.asked.find(({ op }) => op.op === 'settle_approval')?.project).toBe(tape.project.id);
  });

  it('is sent once, however often it is pressed, and is settled only by the journal', async () => {
    const port = new HandPort(tape);
    port.answers.settle_approval = new Promise(() => undefined);
    await bench(asking, port);
    await user.click(at('approval.approve'));
    await user.click(at('approval.approve'));
    await user.click(at('approval.reject'));
    expect(port.ops('settle_approval')).toHaveLength(1);
    expect(maybe('approval.card')).not.toBeNull();
    await port.play(upTo(tape.events, 'approval_settled'));
    expect(maybe('approval.card')).toBeNull();
    expect(text(`approval.settled.${approval}`)).toContain('Approved: hand-over of 4 files');
  });

  it('says why an answer was not taken', async () => {
    const port = new HandPort(tape);
    port.answers.settle_approval = problem('unknown_approval', 'It is settled already.');
    await bench(asking, port);
    await user.click(at('approval.approve'));
    expect(text('approval.problem')).toContain('It is settled already.');
  });

  it('shows a file of it in the diff', async () => {
    const { desk } = await bench(asking, new HandPort(tape));
    await user.click(at('tab.checks'));
    await user.click(at('approval.file.src/wrap.rs'));
    await settle();
    expect(at('tab.changes').getAttribute('aria-selected')).toBe('true');
    expect(tape.diff.files[desk.review.at.file]?.change.path).toBe('src/wrap.rs');
  });
});

it('a question about a command shows the command and says that nothing confines it', async () => {
  const every = recording('every-state');
  const run = runIn(every, (view) => view.state === 'waits_for_approval');
  const { desk } = await bench(every.events, new HandPort(every));
  desk.select(run.id);
  await settle();
  expect(at('approval.card').dataset.ask).toBe('command');
  expect(text('approval.card')).toContain("cargo test --offline -- '--include ignored'");
  expect(text('approval.consequence')).toContain('nothing confines it');
});

it('a question about what the project brings along shows every line, and nothing in one can hide', async () => {
  const commands: ProjectCommand[] = [
    { brings: 'copy', path: '.env' },
    { brings: 'set_up', argv: ['npm', 'ci'], network: ['registry.npmjs.org:443'] },
    { brings: 'check', name: 'lint', argv: ['sh', '-c', 'true\r\u202E# no'], network: [], source: 'Makefile' },
  ];
  const ask: Ask = { ask: 'project_commands', hash: asked.payload_hash, commands };
  await bench([...asking.slice(0, -1), { ...asked, payload: { ...asked.payload, ask } }], new HandPort(tape));
  const lines = [...at('approval.commands').children].map((line) => line.textContent.replaceAll(/\s+/g, ' ').trim());
  expect(lines).toEqual([
    'lend a copy .env .atelier/project.yaml',
    'set up npm ci .atelier/project.yaml, asks for registry.npmjs.org:443',
    "check lint sh -c 'true\\u{d}\\u{202e}# no' Makefile",
  ]);
  expect(text('approval.consequence')).toContain('until one of them changes');
});

it('waiting is said aloud once, and typing elsewhere is not disturbed', async () => {
  const { port } = await bench(asking.slice(0, -1), new HandPort(tape));
  await user.click(at('goal.text'));
  await port.play(asking.slice(-1));
  await settle();
  expect(text('said')).toContain('waits for you');
  expect(document.activeElement).toBe(at('goal.text'));
});
