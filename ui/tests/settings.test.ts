// The settings: saved as they are chosen, refused without losing what was.

import { describe, expect, it } from 'vitest';
import type { CommandsView, ModelWork } from '../src/ipc/bindings';
import { at, bench, HandPort, maybe, problem, recording, settle, text, user, welcome } from './bench';

const tape = recording('wrap-job');

async function open(port = new HandPort(tape)): Promise<HandPort> {
  await welcome(port);
  await user.click(at('settings.open'));
  return port;
}

it('the look is put on and saved with everything else as it was', async () => {
  const port = await open();
  await user.selectOptions(at('settings.theme'), 'light');
  expect(port.ops('change_settings')).toEqual([{ op: 'change_settings', settings: { ...tape.settings, theme: 'light' } }]);
  expect(port.asked.at(-1)?.project).toBeNull();
  expect(document.documentElement.dataset.theme).toBe('light');
  expect(text('settings.said')).toBe('Saved');
});

it('a refusal keeps the old look and says why', async () => {
  const port = await open();
  port.answers.change_settings = problem('store_failed', 'The settings cannot be written.');
  await user.selectOptions(at('settings.theme'), 'light');
  expect(document.documentElement.dataset.theme).toBe('dark');
  expect(text('settings.problem')).toContain('The settings cannot be written.');
});

it('local only is unlocked with its consequence in words', async () => {
  const port = await open();
  await user.click(at('settings.local'));
  expect(port.ops('change_settings')[0]?.settings.local_only).toBe(false);
  expect(text('settings')).toContain('every request is recorded');
});

it('a default model is chosen from those found', async () => {
  const port = await open();
  await user.selectOptions(at('settings.model'), 'ollama/granite4:3b');
  expect(port.ops('change_settings')[0]?.settings.model).toEqual({ provider: 'ollama', model: 'granite4:3b' });
  await user.selectOptions(at('settings.model'), '');
  expect(port.ops('change_settings')[1]?.settings.model).toBeNull();
});

it('what is dormant is packed after the days that are chosen, or never', async () => {
  const port = await open();
  const days = at('settings.packing') as HTMLInputElement;
  expect(days.value).toBe('60');
  const chosen = async (value: string): Promise<void> => {
    await user.clear(days);
    if (value !== '') await user.type(days, value);
    await user.tab();
  };
  await chosen('30');
  await chosen('');
  await chosen('0');
  expect(port.ops('change_settings').map((op) => op.settings.packing)).toEqual([{ after_days: 30 }, { after_days: null }]);
});

describe('servers', () => {
  it('are saved together, only when complete, without a trailing slash', async () => {
    const port = await open();
    await user.click(at('settings.provider.add'));
    expect((at('settings.provider.save') as HTMLButtonElement).disabled).toBe(true);
    await user.type(at('settings.provider.id.2'), 'office');
    await user.type(at('settings.provider.url.2'), 'https://models.example/v1/');
    expect(port.ops('change_settings')).toEqual([]);
    await user.click(at('settings.provider.save'));
    expect(port.ops('change_settings')[0]?.settings.providers).toEqual([
      ...tape.settings.providers,
      { id: 'office', kind: 'open_ai', base_url: 'https://models.example/v1' },
    ]);
    expect(maybe('settings.provider.save')).toBeNull();
  });

  it('are left as they are by undoing', async () => {
    const port = await open();
    await user.click(at('settings.provider.remove.0'));
    await user.click(at('settings.provider.undo'));
    expect((at('settings.provider.id.0') as HTMLInputElement).value).toBe('ollama');
    expect(port.ops('change_settings')).toEqual([]);
  });
});

it('Esc closes and the focus goes back to where it was', async () => {
  await open();
  await user.keyboard('{Escape}');
  expect(maybe('settings')).toBeNull();
  await Promise.resolve();
  expect(document.activeElement).toBe(at('settings.open'));
});

describe('what leaves this machine', () => {
  const host = 'api.example.org:443';
  const entry = { id: '1', purpose: 'chat', role: 'developer', run: null, project: 'p', provider: 'far', host, local: false };

  it('is listed with its end, and a permission can be taken back', async () => {
    const port = new HandPort(tape);
    port.answers.list_projects = { reply: 'projects', value: [{ id: 'p', name: 'greet', path: '/greet', shared: false }] };
    port.answers.list_permissions = { reply: 'permissions', value: [{ project: 'p', provider: 'far', host, approval: null }] };
    port.answers.show_egress = {
      reply: 'egress',
      value: {
        rows: [
          { at_ms: 1, entry: { ...entry, id: '2', refused: 'it was not permitted', bytes_out: 0 }, end: null },
          { at_ms: 0, entry: { ...entry, refused: null, bytes_out: 1200 }, end: { id: '1', status: 200, bytes_in: 34, more_out: 0, ms: 70 } },
        ],
        totals: [{ host, local: false, requests: 1, refused: 1, bytes_out: 1200, bytes_in: 34 }],
      },
    };
    port.answers.revoke_cloud = { reply: 'permissions', value: [] };
    await open(port);
    expect(text(`settings.outgoing.total.${host}`)).toContain('1 sent, 1 refused, 1.2 kB out, 34 B in');
    const rows = [...document.querySelectorAll('[data-test="settings.outgoing.row"]')].map((row) => row.textContent ?? '');
    expect(rows[0]).toContain('refused: it was not permitted');
    expect(rows[1]).toContain('200, 1.2 kB out, 34 B in, 70 ms');
    expect(text('settings.outgoing')).toContain('greet may go to far');
    await user.click(at('settings.outgoing.revoke.far'));
    expect(port.ops('revoke_cloud')).toEqual([{ op: 'revoke_cloud', project: 'p', provider: 'far', host: null }]);
    expect(text('settings.outgoing.none')).toContain('asked before the first time');
  });

  it('a host is taken back by itself, and the others of its holder stay', async () => {
    const port = new HandPort(tape);
    const held = ['a.example:443', 'b.example:443'].map((host) => ({ project: 'p', provider: 'commands', host, approval: null }));
    port.answers.list_projects = { reply: 'projects', value: [{ id: 'p', name: 'greet', path: '/greet', shared: false }] };
    port.answers.list_permissions = { reply: 'permissions', value: held };
    port.answers.revoke_cloud = { reply: 'permissions', value: held.slice(1) };
    await open(port);
    expect(text('settings.outgoing.revoke.commands')).toBe('Take all back');
    await user.click(at('settings.outgoing.revoke.commands.a.example:443'));
    expect(port.ops('revoke_cloud')).toEqual([{ op: 'revoke_cloud', project: 'p', provider: 'commands', host: 'a.example:443' }]);
    expect(text('settings.outgoing')).toContain('commands of greet may reach b.example:443');
    expect(text('settings.outgoing.revoke.commands')).toBe('Take back');
  });
});

describe('models', () => {
  const work = (state: ModelWork['state'], done = 3): ModelWork => ({
    id: 1, task: 'pull', provider: 'ollama', model: 'new:8b', done, of: 10, what: 'pulling a1b2', state,
  });

  it('a model is measured and its progress shown until it is stopped', async () => {
    const port = new HandPort(tape);
    const running: ModelWork = { ...work({ state: 'running' }), task: 'probe', model: 'granite4:3b', what: 'tool task 4 of 6' };
    await open(port);
    port.answers.probe_model = { reply: 'model_work', value: [running] };
    port.answers.list_model_work = { reply: 'model_work', value: [running] };
    expect(text('settings.models.granite4:3b')).toContain('not measured yet');
    await user.click(at('settings.models.measure.granite4:3b'));
    expect(port.ops('probe_model')).toEqual([{ op: 'probe_model', provider: 'ollama', model: 'granite4:3b', context: null }]);
    expect(text('settings.models.granite4:3b')).toContain('3 of 10 — tool task 4 of 6');
    port.answers.stop_model_work = { reply: 'model_work', value: [{ ...running, state: { state: 'stopped' } }] };
    await user.click(at('settings.models.stop'));
    expect(text('settings.models.granite4:3b')).toContain('not measured yet');
  });

  it('a pull that was left is offered to go on, and one that fails says why', async () => {
    const port = new HandPort(tape);
    port.answers.list_model_work = { reply: 'model_work', value: [work({ state: 'interrupted' })] };
    await open(port);
    expect(text('settings.models.pull.new:8b')).toContain('left before it was done');
    port.answers.pull_model = problem('model_server_error', 'The registry is not reached.');
    await user.type(at('settings.models.wanted'), 'other:1b');
    await user.click(at('settings.models.fetch'));
    expect(port.ops('pull_model')).toEqual([{ op: 'pull_model', provider: null, model: 'other:1b' }]);
    expect(text('settings.models.problem')).toContain('The registry is not reached.');
    expect((at('settings.models.wanted') as HTMLInputElement).value).toBe('other:1b');
  });

  it('a policy is chosen and taken back', async () => {
    const port = await open();
    await user.selectOptions(at('settings.policy'), 'cost');
    expect(port.ops('change_settings')[0]?.settings.routing.policy).toBe('cost');
    await user.selectOptions(at('settings.policy'), '');
    expect(port.ops('change_settings')[1]?.settings.routing.policy).toBeNull();
  });
});

describe('what the open project may run', () => {
  const brought: CommandsView = {
    hash: 'blake3:aa',
    commands: [
      { brings: 'copy', path: '.env' },
      { brings: 'check', name: 'test', argv: ['sh', 'tests/run.sh'], network: [], source: '.atelier/project.yaml' },
    ],
    allowed: true,
  };
  async function shown(port: HandPort, value: CommandsView): Promise<void> {
    port.answers.show_commands = { reply: 'commands', value };
    await bench([], port);
    await user.keyboard('{Control>}k{/Control}may run{Enter}');
    await settle();
  }

  it('is taken back and given again from the keyboard, as it was shown', async () => {
    const port = new HandPort(tape);
    await shown(port, brought);
    expect(text('settings.brought.list')).toContain('sh tests/run.sh');
    expect(text('settings.brought.standing')).toContain('until one of these changes');
    expect(document.activeElement).toBe(at('settings.brought.allow'));
    port.answers.allow_commands = { reply: 'commands', value: { ...brought, allowed: false } };
    await user.keyboard('{Enter}');
    expect(port.ops('allow_commands')).toEqual([{ op: 'allow_commands', hash: 'blake3:aa', allowed: false }]);
    expect(text('settings.brought.standing')).toContain('asks first');
    expect(document.activeElement).toBe(at('settings.brought.allow'));
    await user.keyboard('{Enter}');
    expect(port.ops('allow_commands')[1]?.allowed).toBe(true);
  });

  it('that changed under the eyes of who answers is refused in words and looked at again', async () => {
    const port = new HandPort(tape);
    await shown(port, brought);
    port.answers.allow_commands = problem('wrong_state', 'What the project brings along is something else by now.');
    await user.click(at('settings.brought.allow'));
    expect(text('settings.brought.problem')).toContain('something else by now');
    port.answers.show_commands = { reply: 'commands', value: { ...brought, allowed: false } };
    await user.click(at('settings.brought.problem').querySelector('button') as HTMLElement);
    expect(text('settings.brought.standing')).toContain('asks first');
  });

  it('is said to be nothing where that is so', async () => {
    const port = new HandPort(tape);
    await shown(port, { ...brought, commands: [] });
    expect(text('settings.brought.none')).toContain('.atelier/project.yaml');
    expect(maybe('settings.brought.allow')).toBeNull();
  });
});

it('without a project nothing is said of one', async () => {
  await open();
  expect(maybe('settings.brought')).toBeNull();
});
