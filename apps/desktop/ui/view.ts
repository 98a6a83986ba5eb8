// The middle column: title, controls and output of the selected execution or plan.

import { Execution, Plan, type PlanSummary } from "tauri-plugin-execution-engine-api";

import { h, icon } from "./dom.ts";
import * as format from "./format.ts";
import { Screen, type Matches } from "./screen.ts";
import { PlanView } from "./plan-view.ts";
import { isLive, type Store } from "./store.ts";

/** Pause in typing after which a search starts. */
const TYPING_MS = 120;

export class View {
  readonly screen: Screen;
  #store: Store;
  #fail: (error: unknown) => void;
  #title = h("h1", { id: "title" });
  #chip = h("span", { id: "chip", class: "chip" });
  #buttons = h("div", { class: "tools" });
  #search: HTMLFormElement;
  #needle = h("input", { id: "needle", placeholder: "Find", "aria-label": "Find in output", spellcheck: false });
  #matches = h("output", { id: "matches" });
  #input: HTMLFormElement;
  #inputLine = h("input", { id: "stdin", placeholder: "Standard input; Enter sends the line", "aria-label": "Standard input", spellcheck: false, autocomplete: "off" });
  #plan: PlanView;
  #stage: HTMLElement;
  #shown = "";
  #following = true;

  constructor(root: HTMLElement, store: Store, fail: (error: unknown) => void) {
    this.#store = store;
    this.#fail = fail;
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
    this.#input = h("form", { class: "stdin", hidden: true },
      h("span", { "aria-hidden": "true" }, "›"),
      this.#inputLine,
      h("button", { type: "button", id: "eof", class: "quiet", title: "Close standard input (Ctrl+D)", onclick: () => this.#closeStdin() }, "Close"),
    );
    this.#plan = new PlanView(store);
    this.#stage = h("div", { class: "stage" }, box, this.#search);
    root.append(
      h("div", { class: "view-head" }, h("div", { class: "what" }, this.#title, this.#chip), this.#buttons),
      this.#stage,
      this.#plan.element,
      this.#input,
    );
    this.screen = new Screen(box);
    this.screen.onFollow = (following) => {
      this.#following = following;
      this.#draw(true);
    };
    this.screen.onMatches = (matches) => this.#showMatches(matches);
    this.#search.addEventListener("submit", (event) => event.preventDefault());
    let typed: ReturnType<typeof setTimeout> | undefined;
    this.#needle.addEventListener("input", () => {
      // A search through half a million lines is too slow to run for each letter.
      clearTimeout(typed);
      typed = setTimeout(() => this.screen.find(this.#needle.value, "next", true), TYPING_MS);
    });
    this.#needle.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#find(event.shiftKey ? "previous" : "next");
      if (event.key === "Escape") this.endSearch();
    });
    this.#input.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.#inputLine.addEventListener("keydown", (event) => {
      if (event.key === "d" && event.ctrlKey) {
        event.preventDefault();
        this.#closeStdin();
      }
    });
    store.onChange(() => this.#draw());
    this.#draw();
  }

  #draw(again = false): void {
    const execution = this.#store.current;
    const plan = this.#store.currentPlan;
    void this.screen.show(execution?.id);
    this.#plan.show(plan?.id).catch(this.#fail);
    this.#stage.hidden = plan !== undefined;
    if (plan) return this.#drawPlan(plan);
    const paused = execution !== undefined && this.#store.paused.has(execution.id);
    const key = `${execution?.id} ${execution?.status} ${paused}`;
    if (key === this.#shown && !again) return;
    this.#shown = key;
    this.#title.textContent = execution?.command ?? "No execution";
    this.#title.title = execution?.command ?? "";
    this.#chip.hidden = !execution;
    if (!execution) {
      this.#buttons.replaceChildren();
      this.#input.hidden = true;
      return;
    }
    const style = paused ? "paused" : execution.status;
    this.#chip.className = `chip ${style}`;
    this.#chip.textContent = paused ? "Paused" : format.status(execution.status);
    const live = !execution.ending;
    const input = this.#store.input(execution.id);
    this.#input.hidden = !live || input?.options.stdin?.type !== "piped";
    this.#buttons.replaceChildren(
      ...this.#controls(live, paused, input !== undefined),
      h("span", { class: "gap" }),
      this.#button("follow", "follow", "Follow the output (End)", () => this.screen.follow(true), this.#following),
      this.#button("find", "search", "Find in the output (Ctrl+F)", () => this.startSearch()),
      this.#button("copy", "copy", "Copy the selection, or all output (Ctrl+Shift+C)", () => void this.copy()),
    );
  }

  #drawPlan(plan: PlanSummary): void {
    const key = `${plan.id} ${plan.status} ${plan.ended}`;
    if (key === this.#shown) return;
    this.#shown = key;
    this.#title.textContent = this.#title.title = plan.description ?? `Plan of ${plan.total}`;
    this.#chip.hidden = false;
    this.#chip.className = `chip ${plan.status}`;
    this.#chip.textContent = format.status(plan.status);
    this.#input.hidden = true;
    const buttons = isLive(plan)
      ? [this.#button("cancel", "stop", "Cancel (Ctrl+.)", () => this.cancel(), undefined, "Cancel")]
      : [this.#button("remove", "trash", "Remove (Del)", () => this.remove())];
    if (!isLive(plan) && this.#store.planInput(plan.id)) {
      buttons.unshift(this.#button("rerun", "rerun", "Run again (Ctrl+Shift+Enter)", () => this.rerun(), undefined, "Run again"));
    }
    this.#buttons.replaceChildren(...buttons);
  }

  #controls(live: boolean, paused: boolean, canRerun: boolean): HTMLElement[] {
    if (live) {
      return [
        paused
          ? this.#button("resume", "play", "Resume (Ctrl+P)", () => this.togglePause(), undefined, "Resume")
          : this.#button("pause", "pause", "Pause (Ctrl+P)", () => this.togglePause(), undefined, "Pause"),
        this.#button("cancel", "stop", "Cancel (Ctrl+.)", () => this.cancel(), undefined, "Cancel"),
      ];
    }
    const all = [this.#button("remove", "trash", "Remove (Del)", () => this.remove())];
    if (canRerun) all.unshift(this.#button("rerun", "rerun", "Run again (Ctrl+Shift+Enter)", () => this.rerun(), undefined, "Run again"));
    return all;
  }

  #button(id: string, name: Parameters<typeof icon>[0], title: string, onclick: () => void, pressed?: boolean, label?: string): HTMLElement {
    return h("button", {
      type: "button", id, title, onclick, class: label ? "labelled" : "quiet",
      "aria-label": label ?? title,
      ...(pressed === undefined ? {} : { "aria-pressed": String(pressed) }),
    }, icon(name), label);
  }

  cancel(): void {
    const plan = this.#store.currentPlan;
    if (plan && isLive(plan)) return this.#try(Plan.attach(plan.id).cancel());
    const execution = this.#store.current;
    if (execution && !execution.ending) this.#try(Execution.attach(execution.id).cancel());
  }

  togglePause(): void {
    const execution = this.#store.current;
    if (!execution || execution.ending) return;
    const { id } = execution;
    this.#try(this.#store.paused.has(id) ? this.#store.resume(id) : this.#store.pause(id));
  }

  rerun(): void {
    const plan = this.#store.currentPlan;
    const planInput = plan && this.#store.planInput(plan.id);
    if (planInput) return this.#try(this.#store.startPlan(planInput));
    const execution = this.#store.current;
    const input = execution && this.#store.input(execution.id);
    if (input) this.#try(this.#store.start(input));
  }

  remove(): void {
    const plan = this.#store.currentPlan;
    if (plan) return this.#try(this.#store.removePlan(plan.id));
    const execution = this.#store.current;
    if (execution?.ending) this.#try(this.#store.remove(execution.id));
  }

  async copy(): Promise<void> {
    const text = this.screen.text();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyThroughSelection(text);
    }
    const button = document.getElementById("copy");
    button?.classList.add("done");
    setTimeout(() => button?.classList.remove("done"), 800);
  }

  startSearch(): void {
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

  #find(direction: "next" | "previous"): void {
    this.screen.find(this.#needle.value, direction);
  }

  #showMatches({ at, count }: Matches): void {
    if (this.#needle.value === "") this.#matches.textContent = "";
    else if (count === 0) this.#matches.textContent = "none";
    else this.#matches.textContent = at > 0 ? `${at} of ${count}` : `${count}+`;
  }

  async #send(): Promise<void> {
    const id = this.#store.current?.id;
    if (!id) return;
    const line = this.#inputLine.value;
    this.#inputLine.value = "";
    await Execution.attach(id).write(`${line}\n`).catch(this.#fail);
  }

  #closeStdin(): void {
    const id = this.#store.current?.id;
    if (id) this.#try(Execution.attach(id).closeStdin());
  }

  #try(action: Promise<unknown>): void {
    action.catch(this.#fail);
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
