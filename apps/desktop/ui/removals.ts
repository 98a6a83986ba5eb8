// Removal of ended runs, which can be undone for some seconds. Until then the engine and the history keep them; the
// app removes them if it ends meanwhile, or the page is loaded anew (`src-tauri/src/removals.rs`).

import { invoke } from "@tauri-apps/api/core";
import { Execution, ExecutionError, Plan } from "tauri-plugin-execution-engine-api";

import { isLive } from "./format.ts";
import type { Store } from "./store.ts";
import type { Toast } from "./toast.ts";

export class Removals {
  #store: Store;
  #toast: Toast;
  #fail: (error: unknown) => void;
  #batch: string[] = [];
  #selected: string | undefined;

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
    const all = new Set(ended.flatMap((id) => [id, ...this.#store.executionsOf(id).map((step) => step.id)]));
    for (const id of all) this.#store.hidden.add(id);
    this.#batch = [...all];
    this.#removeAtExit();
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
    for (const id of this.#batch) this.#store.hidden.delete(id);
    this.#removeAtExit();
    this.#store.select(this.#selected);
    this.#store.changed();
  }

  /** Removes what is hidden from the engine and the history. */
  async #finish(): Promise<void> {
    const removed: string[] = [];
    for (const id of this.#batch) {
      try {
        await this.#removeNow(id);
        removed.push(id);
      } catch (error) {
        this.#store.hidden.delete(id);
        this.#fail(error);
      }
    }
    await this.#store.refresh();
    this.#store.forget(removed);
    this.#removeAtExit();
  }

  async #removeNow(id: string): Promise<void> {
    try {
      if (this.#store.plans.some((plan) => plan.id === id)) await Plan.attach(id).remove();
      else await Execution.attach(id).remove();
    } catch (error) {
      // The engine may have forgotten it meanwhile, and has no plans of earlier starts of the app.
      if (!(error instanceof ExecutionError && error.code.endsWith("not_found"))) throw error;
    }
  }

  #removeAtExit(): void {
    invoke("remove_at_exit", { ids: [...this.#store.hidden] }).catch(this.#fail);
  }

  #isEnded(id: string): boolean {
    const { executions, plans } = this.#store;
    const entry = [...executions, ...plans].find((entry) => entry.id === id);
    return !entry || !isLive(entry);
  }
}
