// Where the page begins: takes the port there is, and puts the window up.
//
// Rule: the recorded port is only named inside a branch that the production build removes.

import { mount } from 'svelte';
import App from './App.svelte';
import { keepErrors } from './errors';
import type { Port } from './ipc/port';
import { Atelier, wear } from './state/atelier.svelte';
import './styles/tokens.css';
import './styles/fonts.css';
import './styles/base.css';

async function portHere(): Promise<Port | null> {
  if ('__TAURI_INTERNALS__' in window) return (await import('./ipc/tauri')).tauriPort();
  if (__RECORDED__) return (await import('./ipc/recorded')).recordedPort(new URLSearchParams(location.search));
  return null;
}

async function begin(target: HTMLElement): Promise<void> {
  keepErrors();
  wear('system');
  const port = await portHere();
  if (port === null) {
    target.textContent = 'This page is the window of Atelier. Start the program to use it.';
    return;
  }
  const atelier = new Atelier(port);
  mount(App, { target, props: { atelier } });
  await atelier.begin();
}

const target = document.getElementById('app');
if (target !== null) void begin(target);
