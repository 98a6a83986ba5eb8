// The middle column: title, controls and output of the selected execution or plan.

import { invoke } from "@tauri-apps/api/core";
import type { PlanSummary } from "tauri-plugin-execution-engine-api";

import { Controls, quiet, type Actions } from "./controls.ts";
import { h, icon, replace } from "./dom.ts";
import * as format from "./format.ts";
import { Screen, type Matches } from "./screen.ts";
import { PlanView } from "./plan-view.ts";
import { StandardInput } from "./stdin.ts";
import type { Store } from "./store.ts";
import { welcome } from "./welcome.ts";

/** Pause in typing after which a search starts. */
const TYPING_MS = 120;

export class View {
  readonly screen: Screen;
  #store: Store;
  #actions: Actions;
  readonly controls: Controls;
  #title = h("h1", { id: "title" });
  #chip = h("span", { id: "chip", class: "chip" });
  #buttons = h("div", { class: "tools" });
  #search: HTMLFormElement;
  #needle = h("input", { id: "needle", placeholder: "Find", "aria-label": "Find in output", spellcheck: false });
  #matches = h("output", { id: "matches" });
  #saved = h("output", { id: "saved", class: "saved", hidden: true });
  #input: StandardInput;
  #plan: PlanView;
  #stage: HTMLElement;
  /** In place of the output: examples. */
  #blank = h("div", { id: "blank", class: "stage" });
  #shown = "";
  #following = true;

  constructor(root: HTMLElement, store: Store, actions: Actions) {
    this.#store = store;
    this.#actions = actions;
    this.controls = new Controls(store, actions);
    const box = h("div", { id: "screen", class: "screen" });
    const small = (name: Parameters<typeof icon>[0], label: string, onclick: () => void) =>
      h("button", { type: "button", class: "quiet", title: label, "aria-label": label, onclick }, icon(name));
    this.#search = h("form", { class: "search", hidden: true, role: "search" },
      this.#needle,
      this.#matches,
      small("up", "Previous (Shift+Enter)", () => this.#find("previous")),
      small("down", "Next (Enter)", () => this.#find("next")),
      small("close", "Close (Esc)", () => this.endSearch()),
    );
    this.#plan = new PlanView(store);
    this.#stage = h("div", { class: "stage" }, box, this.#search);
    root.append(
      h("div", { class: "view-head" }, h("div", { class: "what" }, this.#title, this.#chip), this.#buttons),
      this.#saved,
      this.#stage,
      this.#plan.element,
      this.#blank,
    );
    this.screen = new Screen(box);
    this.#input = new StandardInput(store, actions.fail);
    root.append(this.#input.sent, this.#input.element);
    this.screen.onFollow = (following) => {
      this.#following = following;
      this.#draw(true);
    };
    this.screen.onError = actions.fail;
    this.screen.onMatches = (matches) => this.#showMatches(matches);
    this.#search.addEventListener("submit", (event) => event.preventDefault());
    let typed: ReturnType<typeof setTimeout> | undefined;
    this.#needle.addEventListener("input", () => {
      // A search through millions of lines is too slow to run for each letter.
      clearTimeout(typed);
      typed = setTimeout(() => this.#find("next", true), TYPING_MS);
    });
    this.#needle.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#find(event.shiftKey ? "previous" : "next");
      if (event.key === "Escape") this.endSearch();
    });
    store.onChange(() => this.#draw());
    this.#draw();
  }

  #draw(again = false): void {
    const execution = this.#store.current;
    const plan = this.#store.currentPlan;
    void this.screen.show(execution?.id);
    this.#plan.show(plan?.id).catch(this.#actions.fail);
    this.#stage.hidden = !execution;
    this.#blank.hidden = execution !== undefined || plan !== undefined;
    this.#input.draw();
    if (!execution) this.#saved.hidden = true;
    if (plan) return this.#drawPlan(plan);
    if (!execution) return this.#drawBlank();
    const paused = this.#store.paused.has(execution.id);
    const key = `${execution.id} ${execution.status} ${paused}`;
    if (key === this.#shown && !again) return;
    if (!this.#shown.startsWith(execution.id)) this.#saved.hidden = true;
    this.#shown = key;
    const style = paused ? "paused" : execution.status;
    this.#head(execution.command, style, paused ? "Paused" : format.status(execution.status));
    replace(
      this.#buttons,
      ...this.controls.buttons(),
      h("span", { class: "gap" }),
      quiet("follow", "follow", "Follow the output (End)", () => this.screen.follow(true), this.#following),
      quiet("find", "search", "Find in the output (Ctrl+F)", () => this.startSearch()),
      quiet("copy", "copy", "Copy the selection, or all output (Ctrl+Shift+C)", () => this.#try(this.copy())),
      quiet("save", "save", "Save all output in a file", () => this.#try(this.save())),
    );
  }

  #drawPlan(plan: PlanSummary): void {
    const key = `${plan.id} ${plan.status} ${plan.ended}`;
    if (key === this.#shown) return;
    this.#shown = key;
    this.#head(plan.description ?? `Plan of ${plan.total} steps`, plan.status, format.status(plan.status));
    replace(this.#buttons, ...this.controls.buttons());
  }

  #drawBlank(): void {
    if (this.#shown === "blank") return;
    this.#shown = "blank";
    this.#blank.replaceChildren(welcome((form) => this.#actions.edit(form)));
    this.#head("Nothing selected", "", "");
    replace(this.#buttons);
  }

  #head(title: string, style: string, status: string): void {
    this.#title.textContent = this.#title.title = title;
    this.#chip.hidden = status === "";
    this.#chip.className = `chip ${style}`;
    this.#chip.textContent = status;
  }

  /** Moves the focus to the line for standard input. */
  focusInput(): void {
    this.#input.focus();
  }

  /** Moves the focus to the output, or to what is in its place. */
  focus(): void {
    const blank = this.#blank.querySelector<HTMLElement>("button, [tabindex]");
    if (!this.#stage.hidden) this.screen.focus();
    else (this.#blank.hidden ? this.#plan.element.querySelector<HTMLElement>("button") : blank)?.focus();
  }

  /** Saves all output in a file, without passing it through this page, and tells its path. */
  async save(): Promise<void> {
    const id = this.#store.current?.id;
    if (!id) return;
    const path = await invoke<string>("save_output", { id });
    this.#saved.textContent = `Saved as ${path}`;
    this.#saved.hidden = false;
  }

  async copy(): Promise<void> {
    const selection = this.screen.selection();
    const text = selection ? Promise.resolve(selection) : this.screen.text();
    try {
      // A promise, because the clipboard may be written to only while the click is handled.
      const blob = text.then((text) => new Blob([text], { type: "text/plain" }));
      await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
    } catch {
      copyThroughSelection(await text);
    }
    const button = document.getElementById("copy");
    button?.classList.add("done");
    setTimeout(() => button?.classList.remove("done"), 800);
  }

  startSearch(): void {
    if (this.#stage.hidden) return;
    this.#search.hidden = false;
    this.#needle.focus();
    this.#needle.select();
    if (this.#needle.value) this.#find("next");
  }

  endSearch(): void {
    if (this.#search.hidden) return;
    this.#search.hidden = true;
    this.screen.endSearch();
    this.screen.focus();
  }

  #find(direction: "next" | "previous", typing = false): void {
    this.#try(this.screen.find(this.#needle.value, direction, typing));
  }

  #showMatches({ at, count, incomplete = false }: Matches): void {
    if (this.#needle.value === "") this.#matches.textContent = "";
    else if (count === 0) this.#matches.textContent = incomplete ? "none so far" : "none";
    else this.#matches.textContent = `${at} of ${count}${incomplete ? "+" : ""}`;
  }

  #try(action: Promise<unknown>): void {
    action.catch(this.#actions.fail);
  }
}

/** Copies a text in a page without access to the clipboard. */
function copyThroughSelection(text: string): void {
  const area = h("textarea", { value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
