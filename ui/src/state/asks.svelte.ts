// What is being asked of the owner of a project, and what it refused.
//
// Rule: the same act on the same run is asked once at a time, and a new act on a run takes the word about its last
// refusal away. What came of an act is told by the journal, not here.

import type { Op, Problem, ProjectId, Reply, RunId } from '../ipc/bindings';
import { asProblem, type Port } from '../ipc/port';

export class Asks {
  readonly #port: Port;
  readonly #project: ProjectId;
  /** Why the last act on a run was refused. */
  refusals: Readonly<Record<RunId, Problem>> = $state.raw({});
  /** Acts under way, as `act.run`. */
  #busy: readonly string[] = $state.raw([]);

  constructor(port: Port, project: ProjectId) {
    this.#port = port;
    this.#project = project;
  }

  doing(act: string, run: RunId): boolean {
    return this.#busy.includes(`${act}.${run}`);
  }

  refuse(run: RunId, problem: Problem): void {
    this.refusals = { ...this.refusals, [run]: problem };
  }

  /** Does something to a run; whether it was taken. */
  async act(act: string, run: RunId, op: Op): Promise<boolean> {
    return (await this.ask(act, run, op)) !== null;
  }

  /** The answer; null where it was refused, or the same is being asked. */
  async ask(act: string, run: RunId, op: Op, refused = (problem: Problem): void => this.refuse(run, problem)): Promise<Reply | null> {
    if (this.doing(act, run)) return null;
    const key = `${act}.${run}`;
    this.#busy = [...this.#busy, key];
    this.refusals = Object.fromEntries(Object.entries(this.refusals).filter(([id]) => id !== run));
    try {
      return await this.submit(op);
    } catch (reason) {
      refused(asProblem(reason));
      return null;
    } finally {
      this.#busy = this.#busy.filter((other) => other !== key);
    }
  }

  /** Asks for something that is only looked at. */
  submit(op: Op): Promise<Reply> {
    return this.#port.submit(this.#project, op);
  }
}
