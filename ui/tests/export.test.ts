// Taking something out: a file of the result, and a push that is shown before it is made.

import { expect, it } from 'vitest';
import type { PushView, Reply } from '../src/ipc/bindings';
import { at, bench, HandPort, maybe, problem, recording, settle, text, upTo, user } from './bench';

const tape = recording('wrap-job');
const finished = upTo(tape.events, 'run_finished');

const shown: PushView = {
  remote: 'origin',
  url: 'https://git.example.org/team/textkit.git',
  host: 'git.example.org:443',
  to: 'atelier/x',
  tip: 'a35dfcd557b5b834a69eb5b1bcc86786c95a55c4',
  commits: [{ id: 'a35dfcd557b5b834a69eb5b1bcc86786c95a55c4', subject: 'feat: wrap lines' }],
  files: [{ path: 'src/wrap.rs', old_path: null, status: 'modified', insertions: 3, deletions: 1 }],
  keys: [],
};
const answer = (value: PushView): Reply => ({ reply: 'push', value });

async function opened(port = new HandPort(tape)): Promise<HandPort> {
  const { atelier } = await bench(finished, port);
  atelier.overlay = 'export';
  await settle();
  return port;
}

it('nothing is pushed before it was shown where to, as what, and which commits', async () => {
  const port = await opened();
  port.answers.show_push = answer(shown);
  port.answers.push_run = answer(shown);
  expect(maybe('export.push.go')).toBeNull();
  await user.click(at('export.push.show'));
  await settle();
  expect(text('export.push.url')).toBe(shown.url);
  expect(text('export.push.shown')).toContain('feat: wrap lines');
  expect(text('export.push.shown')).toContain('atelier/x');
  expect(port.ops('push_run')).toHaveLength(0);
  await user.click(at('export.push.go'));
  await settle();
  expect(port.ops('push_run')).toMatchObject([{ remote: 'origin', to: null, tip: shown.tip, anyway: false }]);
  expect(text('export.push.done')).toContain(shown.url);
});

it('another remote must be shown anew, and what looks like a key needs a word of its own', async () => {
  const port = await opened();
  port.answers.show_push = answer({ ...shown, keys: ['src/a.rs:3 private key'] });
  await user.click(at('export.push.show'));
  await settle();
  expect((at('export.push.go') as HTMLButtonElement).disabled).toBe(true);
  await user.click(at('export.push.anyway'));
  expect((at('export.push.go') as HTMLButtonElement).disabled).toBe(false);
  await user.type(at('export.push.remote'), '2');
  await settle();
  expect(maybe('export.push.go')).toBeNull();
});

it('local-only mode is said beforehand, and its refusal by name', async () => {
  const port = new HandPort({ ...tape, settings: { ...tape.settings, local_only: true } });
  await opened(port);
  expect(text('export.push.local')).toContain('Local-only mode is on');
  port.answers.show_push = answer(shown);
  port.answers.push_run = problem('local_only', '`https://git.example.org` is another machine, and local-only mode is on.');
  await user.click(at('export.push.show'));
  await settle();
  await user.click(at('export.push.go'));
  await settle();
  expect(at('export.push.problem').dataset.code).toBe('local_only');
});

it('a result is written in the kind of file that is asked for', async () => {
  const port = new HandPort(tape);
  port.folder = '/home/mara/out';
  await opened(port);
  port.answers.export = { reply: 'exported', value: { path: '/home/mara/out/textkit.tar.gz', bytes: 10 } };
  await user.click(at('export.tar_gz'));
  await settle();
  expect(port.ops('export')[0]?.to).toMatch(/\.tar\.gz$/);
  expect(text('export.notice')).toContain('/home/mara/out/textkit.tar.gz');
});
