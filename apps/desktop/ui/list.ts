// The executions, newest first.

import type { ExecutionSummary, PlanSummary } from "tauri-plugin-execution-engine-api";

import { h } from "./dom.ts";
import * as format from "./format.ts";
import { elapsed, isLive, type Store } from "./store.ts";

const TICK_MS = 200;
/** More rows than anybody reads would only cost time; the filter finds the others. */
const SHOWN = 300;

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

  /** Chooses the one above or below. */
  step(by: 1 | -1): void {
    const shown = this.#shown();
    const at = shown.findIndex(({ id }) => id === this.#store.chosen);
    const next = shown[Math.min(shown.length - 1, Math.max(0, at + by))];
    this.#store.choose(next?.id);
    if (next) this.#byId.get(next.id)?.row.scrollIntoView({ block: "nearest" });
  }

  focusFilter(): void {
    this.#filter.select();
  }

  #shown(): Entry[] {
    const wanted = this.#filter.value.trim().toLowerCase();
    const fits = (entry: Entry) =>
      title(entry).toLowerCase().includes(wanted) || entry.status.includes(wanted);
    return this.#store.all().filter(fits).slice(-SHOWN).reverse();
  }

  #draw(): void {
    const shown = this.#shown();
    const rows = shown.map((execution) => this.#row(execution));
    const ids = new Set(shown.map(({ id }) => id));
    for (const id of this.#byId.keys()) if (!ids.has(id)) this.#byId.delete(id);
    if (rows.length === 0) {
      const empty = this.#store.all().length === 0 ? "Nothing has run yet." : "No match.";
      this.#rows.replaceChildren(h("li", { class: "empty" }, empty));
      return;
    }
    // Rows that stay where they are are left alone, so that a click on one is never lost.
    rows.forEach((row, at) => {
      if (this.#rows.children[at] !== row) this.#rows.insertBefore(row, this.#rows.children[at] ?? null);
    });
    while (this.#rows.children.length > rows.length) this.#rows.lastElementChild?.remove();
  }

  #row(execution: Entry): HTMLLIElement {
    const chosen = execution.id === this.#store.chosen;
    const paused = this.#store.paused.has(execution.id);
    const look = paused ? "paused" : execution.status;
    const words = outcome(execution, paused);
    const shown = `${look} ${chosen} ${title(execution)} ${words}`;
    let known = this.#byId.get(execution.id);
    if (!known) {
      const row = h("li", { role: "option", "data-id": execution.id });
      row.addEventListener("pointerdown", () => this.#store.choose(execution.id));
      known = { row, shown: "", time: h("span", { class: "duration" }) };
      this.#byId.set(execution.id, known);
    }
    known.time.textContent = format.duration(elapsed(execution));
    if (known.shown === shown) return known.row;
    known.shown = shown;
    known.row.className = `row ${look}${"command" in execution ? "" : " of-plan"}`;
    known.row.setAttribute("aria-selected", String(chosen));
    known.row.replaceChildren(
      h("span", { class: "dot", title: format.status(execution.status) }),
      h("span", { class: "command", title: title(execution) }, title(execution)),
      h("span", { class: "outcome" }, words),
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

/** How it stands, or how it has ended. */
function outcome(entry: Entry, paused: boolean): string {
  if (!("command" in entry)) return `plan, ${entry.ended} of ${entry.total}`;
  if (entry.ending) return format.ending(entry.ending);
  return paused ? "paused" : format.status(entry.status).toLowerCase();
}
