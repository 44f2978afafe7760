// The window as a whole: which screen is shown, settings, model servers, what lies over the screen.
//
// Rule: screens ask here for what outlives a project; everything of a project is its Desk's.

import { tick } from 'svelte';
import type { KnownProject, Problem, ProviderView, Settings, Theme } from '../ipc/bindings';
import { asProblem, expectReply, type Port, type StartInfo } from '../ipc/port';
import { Desk } from './desk.svelte';
import type { Loaded } from './loaded';

export type Overlay = 'palette' | 'settings' | 'export' | null;
export type Opening = 'open' | 'init' | 'tour' | null;

export class Atelier {
  readonly port: Port;
  info: StartInfo | null = $state.raw(null);
  desk: Desk | null = $state.raw(null);
  overlay: Overlay = $state(null);
  /** The part of the settings that they were opened for. */
  part: 'brought' | null = $state(null);
  known: Loaded<KnownProject[]> = $state.raw({ at: 'loading' });
  models: Loaded<ProviderView[]> = $state.raw({ at: 'loading' });
  settings: Loaded<Settings> = $state.raw({ at: 'loading' });
  settingsProblem: Problem | null = $state.raw(null);
  /** What is being opened now. */
  opening: Opening = $state(null);
  path = $state('');
  problem: Problem | null = $state.raw(null);

  constructor(port: Port) {
    this.port = port;
  }

  /** Takes the first steps; the window is usable when this resolves. */
  async begin(): Promise<void> {
    this.port.mark('mounted');
    try {
      this.info = await this.port.startInfo();
    } catch (reason) {
      this.problem = asProblem(reason);
    }
    void this.loadSettings();
    void this.loadModels();
    void this.loadKnown();
    if (this.info?.project != null) await this.open(this.info.project, false);
    else if (this.info?.tour === true) await this.tour();
    await tick();
    this.port.mark('ready');
  }

  async open(path: string, init: boolean): Promise<void> {
    if (this.opening !== null) return;
    this.opening = init ? 'init' : 'open';
    await this.#open(path, init);
    this.opening = null;
  }

  async tour(): Promise<void> {
    if (this.opening !== null) return;
    this.opening = 'tour';
    this.problem = null;
    try {
      const path = await this.port.startTour();
      await this.#open(path, false, true);
    } catch (reason) {
      this.problem = asProblem(reason);
    }
    this.opening = null;
  }

  async browse(): Promise<void> {
    try {
      const folder = await this.port.pickFolder();
      if (folder !== null) {
        this.path = folder;
        this.problem = null;
      }
    } catch (reason) {
      this.problem = asProblem(reason);
    }
  }

  /** Back to the first screen. Runs go on; they belong to the owner, not to the page. */
  leave(): void {
    this.desk?.close();
    this.desk = null;
    this.overlay = null;
    void this.loadKnown();
    void this.loadModels();
  }

  /** Opens the settings at what the open project may run. */
  showBrought(): void {
    this.part = 'brought';
    this.overlay = 'settings';
  }

  async loadKnown(): Promise<void> {
    try {
      this.known = { at: 'ready', value: await this.port.knownProjects() };
    } catch (reason) {
      this.known = { at: 'error', problem: asProblem(reason) };
    }
  }

  /** Looks for the model servers of this machine; a project's own are its desk's. */
  async loadModels(): Promise<void> {
    if (this.models.at !== 'ready') this.models = { at: 'loading' };
    try {
      this.models = { at: 'ready', value: expectReply(await this.port.submit(null, { op: 'list_models' }), 'models').value };
    } catch (reason) {
      this.models = { at: 'error', problem: asProblem(reason) };
    }
  }

  async loadSettings(): Promise<void> {
    try {
      const reply = await this.port.submit(null, { op: 'show_settings' });
      this.#take(expectReply(reply, 'settings').value);
    } catch (reason) {
      this.settings = { at: 'error', problem: asProblem(reason) };
    }
  }

  /** Saves settings; on refusal the old ones stay in force and on screen. */
  async change(settings: Settings): Promise<boolean> {
    this.settingsProblem = null;
    try {
      const reply = await this.port.submit(null, { op: 'change_settings', settings });
      const before = this.settings;
      this.#take(reply.reply === 'settings' ? reply.value : settings);
      if (before.at !== 'ready' || before.value.providers !== settings.providers || before.value.local_only !== settings.local_only) {
        void this.loadModels();
        void this.desk?.loadModels();
      }
      return true;
    } catch (reason) {
      this.settingsProblem = asProblem(reason);
      return false;
    }
  }

  /** Light after dark, dark after light; from "as the system" to the other of what is shown. */
  async turnTheme(): Promise<void> {
    if (this.settings.at !== 'ready') return;
    const theme: Theme = document.documentElement.dataset.theme === 'light' ? 'dark' : 'light';
    await this.change({ ...this.settings.value, theme });
  }

  #take(settings: Settings): void {
    this.settings = { at: 'ready', value: settings };
    wear(settings.theme);
  }

  async #open(path: string, init: boolean, tour = false): Promise<void> {
    this.problem = null;
    this.path = path;
    try {
      const project = await this.port.openProject(path, init);
      const desk = new Desk(this.port, project, tour);
      await desk.open();
      void desk.loadModels();
      this.desk?.close();
      this.desk = desk;
      this.path = '';
      this.overlay = null;
    } catch (reason) {
      this.problem = asProblem(reason);
    }
  }
}

const system = typeof matchMedia === 'function' ? matchMedia('(prefers-color-scheme: light)') : null;
let worn: Theme = 'system';
system?.addEventListener('change', () => wear(worn));

/** Puts a look on. */
export function wear(theme: Theme): void {
  worn = theme;
  const light = theme === 'light' || (theme === 'system' && system?.matches === true);
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
}
