// The left column: executions and plans, newest first.

import type { ExecutionSummary, PlanSummary } from "tauri-plugin-execution-engine-api";

import { h } from "./dom.ts";
import * as format from "./format.ts";
import { elapsed, isLive, type Store } from "./store.ts";

const TICK_MS = 200;
/** Maximum number of rows, so that drawing stays fast. The filter searches all entries. */
const MAX_ROWS = 300;

type Entry = ExecutionSummary | PlanSummary;

export class List {
  #store: Store;
  #rows = h("ul", { role: "listbox", tabIndex: 0, "aria-label": "Executions", class: "rows" });
  #filter = h("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter executions",
    spellcheck: false,
    oninput: () => this.#draw(),
  });
  #byId = new Map<string, { row: HTMLLIElement; shown: string; time: HTMLElement }>();

  constructor(root: HTMLElement, store: Store) {
    this.#store = store;
    root.append(h("div", { class: "list-head" }, this.#filter), this.#rows);
    this.#rows.addEventListener("keydown", (event) => this.#key(event));
    store.onChange(() => this.#draw());
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Selects the entry below (1) or above (-1). */
  step(by: 1 | -1): void {
    const shown = this.#shown();
    const at = shown.findIndex(({ id }) => id === this.#store.selected);
    const next = shown[Math.min(shown.length - 1, Math.max(0, at + by))];
    this.#store.select(next?.id);
    if (next) this.#byId.get(next.id)?.row.scrollIntoView({ block: "nearest" });
  }

  focusFilter(): void {
    this.#filter.select();
  }

  #shown(): Entry[] {
    const text = this.#filter.value.trim().toLowerCase();
    const matches = (entry: Entry) =>
      title(entry).toLowerCase().includes(text) || entry.status.includes(text);
    return this.#store.all().filter(matches).slice(-MAX_ROWS).reverse();
  }

  #draw(): void {
    const shown = this.#shown();
    const rows = shown.map((execution) => this.#row(execution));
    const ids = new Set(shown.map(({ id }) => id));
    for (const id of this.#byId.keys()) if (!ids.has(id)) this.#byId.delete(id);
    if (rows.length === 0) {
      const empty = this.#store.all().length === 0 ? "No executions yet." : "No match.";
      this.#rows.replaceChildren(h("li", { class: "empty" }, empty));
      return;
    }
    // A row that is inserted again loses a click that has only begun, so rows in place are kept.
    rows.forEach((row, at) => {
      if (this.#rows.children[at] !== row) this.#rows.insertBefore(row, this.#rows.children[at] ?? null);
    });
    while (this.#rows.children.length > rows.length) this.#rows.lastElementChild?.remove();
  }

  #row(execution: Entry): HTMLLIElement {
    const selected = execution.id === this.#store.selected;
    const paused = this.#store.paused.has(execution.id);
    const style = paused ? "paused" : execution.status;
    const text = outcome(execution, paused);
    const shown = `${style} ${selected} ${title(execution)} ${text}`;
    let known = this.#byId.get(execution.id);
    if (!known) {
      const row = h("li", { role: "option", "data-id": execution.id });
      row.addEventListener("pointerdown", () => this.#store.select(execution.id));
      known = { row, shown: "", time: h("span", { class: "duration" }) };
      this.#byId.set(execution.id, known);
    }
    known.time.textContent = format.duration(elapsed(execution));
    if (known.shown === shown) return known.row;
    known.shown = shown;
    known.row.className = `row ${style}${"command" in execution ? "" : " of-plan"}`;
    known.row.setAttribute("aria-selected", String(selected));
    known.row.replaceChildren(
      h("span", { class: "dot", title: format.status(execution.status) }),
      h("span", { class: "command", title: title(execution) }, title(execution)),
      h("span", { class: "outcome" }, text),
      known.time,
      h("span", { class: "when" }, format.time(execution.started_at)),
    );
    return known.row;
  }

  #tick(): void {
    for (const execution of this.#store.all()) {
      if (!isLive(execution)) continue;
      const known = this.#byId.get(execution.id);
      if (known) known.time.textContent = format.duration(elapsed(execution));
    }
  }

  #key(event: KeyboardEvent): void {
    const down = event.key === "ArrowDown" || event.key === "j";
    if (!down && event.key !== "ArrowUp" && event.key !== "k") return;
    event.preventDefault();
    this.step(down ? 1 : -1);
  }
}

function title(entry: Entry): string {
  return "command" in entry ? entry.command : (entry.description ?? `Plan of ${entry.total}`);
}

/** Returns the ending of an entry, or its status if it has not ended. */
function outcome(entry: Entry, paused: boolean): string {
  if (!("command" in entry)) return `plan, ${entry.ended} of ${entry.total}`;
  if (entry.ending) return format.ending(entry.ending);
  return paused ? "paused" : format.status(entry.status).toLowerCase();
}
