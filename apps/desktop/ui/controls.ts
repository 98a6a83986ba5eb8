// The buttons above the output, and what they do.

import { Execution, Plan } from "tauri-plugin-execution-engine-api";

import { h, icon } from "./dom.ts";
import type { Form } from "./form.ts";
import { isLive } from "./format.ts";
import type { Store } from "./store.ts";

/** Actions of other parts of the window. */
export interface Actions {
  fail: (error: unknown) => void;
  /** Loads the run bar. */
  edit: (form: Form) => void;
  /** Removes the selected entry. */
  remove: () => void;
}

export class Controls {
  #store: Store;
  #actions: Actions;

  constructor(store: Store, actions: Actions) {
    this.#store = store;
    this.#actions = actions;
  }

  /** Returns the buttons for the selected entry. */
  buttons(): HTMLElement[] {
    const { current, currentPlan, selected } = this.#store;
    const entry = current ?? currentPlan;
    if (entry && isLive(entry)) return current ? [this.#pauseButton(current.id), ...this.#cancelButton()] : this.#cancelButton();
    const form = selected === undefined ? undefined : this.#store.form(selected);
    const isStep = current?.metadata.labels?.plan !== undefined;
    return [
      ...(this.#canRerun() ? [labelled("rerun", "rerun", "Run again", "Ctrl+Shift+Enter", () => this.rerun())] : []),
      ...(form ? [labelled("edit", "edit", "Edit", "Ctrl+E", () => this.edit())] : []),
      ...(isStep ? [] : [quiet("remove", "trash", "Remove (Del)", this.#actions.remove)]),
    ];
  }

  cancel(): void {
    const { current, currentPlan } = this.#store;
    if (currentPlan && isLive(currentPlan)) this.#try(Plan.attach(currentPlan.id).cancel());
    else if (current && isLive(current)) this.#try(Execution.attach(current.id).cancel());
  }

  togglePause(): void {
    const { current, paused } = this.#store;
    if (!current || !isLive(current)) return;
    this.#try(paused.has(current.id) ? this.#store.resume(current.id) : this.#store.pause(current.id));
  }

  /** Runs the selected entry again as it was. A run of an earlier start of the app goes to the run bar instead. */
  rerun(): void {
    const id = this.#store.selected;
    if (id === undefined) return;
    const plan = this.#store.planInput(id);
    const input = this.#store.input(id);
    if (plan) this.#try(this.#store.startPlan(plan));
    else if (input) this.#try(this.#store.start(input));
    else this.edit();
  }

  /** Loads the run bar with the selected entry and its options. */
  edit(): void {
    const id = this.#store.selected;
    const form = id === undefined ? undefined : this.#store.form(id);
    if (form) this.#actions.edit(form);
  }

  #canRerun(): boolean {
    const id = this.#store.selected;
    return id !== undefined && (this.#store.input(id) ?? this.#store.planInput(id)) !== undefined;
  }

  #pauseButton(id: string): HTMLElement {
    return this.#store.paused.has(id)
      ? labelled("resume", "play", "Resume", "Ctrl+P", () => this.togglePause())
      : labelled("pause", "pause", "Pause", "Ctrl+P", () => this.togglePause());
  }

  #cancelButton(): HTMLElement[] {
    return [labelled("cancel", "stop", "Cancel", "Ctrl+.", () => this.cancel())];
  }

  #try(action: Promise<unknown>): void {
    action.catch(this.#actions.fail);
  }
}

type IconName = Parameters<typeof icon>[0];

/** Creates a button with an icon and a label. */
function labelled(id: string, name: IconName, label: string, keys: string, onclick: () => void): HTMLElement {
  return h("button", { type: "button", id, class: "labelled", title: `${label} (${keys})`, "aria-label": label, onclick }, icon(name), h("span", {}, label));
}

/** Creates a button with an icon only. `pressed` makes it one that stays down. */
export function quiet(id: string, name: IconName, title: string, onclick: () => void, pressed?: boolean): HTMLElement {
  return h("button", {
    type: "button", id, class: "quiet", title, "aria-label": title, onclick,
    ...(pressed === undefined ? {} : { "aria-pressed": String(pressed) }),
  }, icon(name));
}
