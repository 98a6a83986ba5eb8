// Removal of ended runs, which can be undone for some seconds. Until then the engine keeps them.

import { Execution, ExecutionError, Plan } from "tauri-plugin-execution-engine-api";

import { isLive } from "./format.ts";
import type { PastRun } from "./history.ts";
import type { Store } from "./store.ts";
import type { Toast } from "./toast.ts";

export class Removals {
  /** Ids of what is hidden, and will be removed unless it is undone. */
  readonly ids = new Set<string>();
  #store: Store;
  #toast: Toast;
  #fail: (error: unknown) => void;
  #batch: string[] = [];
  #selected: string | undefined;
  #forgotten: PastRun[] = [];

  constructor(store: Store, toast: Toast, fail: (error: unknown) => void) {
    this.#store = store;
    this.#toast = toast;
    this.#fail = fail;
  }

  /** Removes ended entries, plans with their steps, and selects another entry if need be. */
  remove(ids: string[], what: string, next: string | undefined): void {
    const ended = ids.filter((id) => this.#isEnded(id));
    if (ended.length === 0) return;
    // This removes what was hidden before.
    this.#toast.dismiss();
    const all = new Set(ended.flatMap((id) => [id, ...this.#stepsOf(id)]));
    for (const id of all) this.ids.add(id);
    this.#batch = [...all];
    this.#forgotten = this.#store.history.remove(all);
    this.#selected = this.#store.selected;
    if (this.#selected && all.has(this.#selected)) this.#store.select(next);
    this.#store.changed();
    this.#toast.show(`Removed ${what}.`, "Undo", () => this.#undo(), () => void this.#finish());
  }

  /** Undoes the last removal, if it still can be. */
  undo(): void {
    document.getElementById("undo")?.click();
  }

  #undo(): void {
    for (const id of this.#batch) this.ids.delete(id);
    this.#store.history.restore(this.#forgotten);
    this.#store.select(this.#selected);
    this.#store.changed();
  }

  /** Removes what is hidden from the engine. */
  async #finish(): Promise<void> {
    const { executions, plans } = this.#store;
    const ids = this.#batch;
    const known = (all: { id: string }[], id: string) => all.some((entry) => entry.id === id);
    for (const id of ids) {
      try {
        if (known(plans, id)) await Plan.attach(id).remove();
        else if (known(executions, id)) await Execution.attach(id).remove();
      } catch (error) {
        // The engine may have forgotten it meanwhile.
        if (!(error instanceof ExecutionError && error.code.endsWith("not_found"))) this.#fail(error);
      }
    }
    await this.#store.refresh();
    for (const id of ids) this.ids.delete(id);
    this.#store.changed();
  }

  #isEnded(id: string): boolean {
    const { executions, plans } = this.#store;
    const entry = [...executions, ...plans].find((entry) => entry.id === id);
    return !entry || !isLive(entry);
  }

  #stepsOf(plan: string): string[] {
    return this.#store.executions.filter(({ metadata }) => metadata.labels?.plan === plan).map(({ id }) => id);
  }
}
