// The left column: executions, and plans with their steps, newest first.

import { h, icon, setText } from "./dom.ts";
import * as format from "./format.ts";
import type { Removals } from "./removals.ts";
import { rows, type Row } from "./rows.ts";
import type { Store } from "./store.ts";

const TICK_MS = 200;
/** Maximum number of rows, so that drawing stays fast. The filter searches all entries. */
const MAX_ROWS = 300;

/** Element of a row, and its parts. */
interface Known {
  element: HTMLLIElement;
  /** What they show, but for the time. */
  shown: string;
  dot: HTMLElement;
  command: HTMLElement;
  outcome: HTMLElement;
  time: HTMLElement;
  when: HTMLElement;
  fold: HTMLElement;
}

export class List {
  #store: Store;
  #removals: Removals;
  #rows: HTMLUListElement;
  #empty = h("p", { class: "empty" });
  #filter: HTMLInputElement;
  #byId = new Map<string, Known>();
  #shown: Row[] = [];
  #folded = new Set<string>();

  constructor(root: HTMLElement, store: Store, removals: Removals) {
    this.#store = store;
    this.#removals = removals;
    this.#rows = h("ul", { role: "tree", tabIndex: 0, "aria-label": "Executions and plans", class: "rows" });
    this.#filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter the list", spellcheck: false, oninput: () => this.#draw() });
    const clear = h("button", {
      type: "button",
      id: "clear",
      class: "quiet",
      title: "Remove all ended runs, also those of earlier sessions",
      "aria-label": "Remove all ended runs",
      onclick: () => this.#clear(),
    }, icon("trash"));
    root.append(h("div", { class: "list-head" }, this.#filter, clear), this.#rows, this.#empty);
    this.#rows.addEventListener("keydown", (event) => this.#key(event));
    store.onChange(() => this.#draw());
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Selects the row below (1) or above (-1). */
  step(by: 1 | -1): void {
    const at = this.#shown.findIndex(({ id }) => id === this.#store.selected);
    this.#select(this.#shown[Math.min(this.#shown.length - 1, Math.max(0, at + by))]);
  }

  focusFilter(): void {
    this.#filter.select();
  }

  focus(): void {
    this.#rows.focus();
  }

  /** Removes the selected entry if it has ended. A step goes with its plan only. */
  removeSelected(): void {
    const row = this.#shown.find(({ id }) => id === this.#store.selected);
    if (!row || row.kind === "step") return;
    const others = this.#shown.filter(({ id, plan }) => id !== row.id && plan !== row.id);
    const at = this.#shown.indexOf(row);
    const next = others.find((other) => this.#shown.indexOf(other) > at) ?? others.at(-1);
    this.#removals.remove([row.id], `“${row.title}”`, next?.id);
  }

  #clear(): void {
    const all = rows(this.#entries()).filter(({ kind, status }) => kind !== "step" && status !== "running" && status !== "pending" && status !== "paused");
    if (all.length === 0) return;
    this.#removals.remove(all.map(({ id }) => id), all.length === 1 ? "one run" : `${all.length} runs`, undefined);
  }

  #entries(): Parameters<typeof rows>[0] {
    const { executions, plans, paused, hidden } = this.#store;
    return { executions, plans, paused, folded: this.#folded, removed: hidden };
  }

  #draw(): void {
    this.#shown = rows(this.#entries(), this.#filter.value).slice(0, MAX_ROWS);
    const elements = this.#shown.map((row) => this.#row(row));
    const ids = new Set(this.#shown.map(({ id }) => id));
    for (const id of this.#byId.keys()) if (!ids.has(id)) this.#byId.delete(id);
    this.#rows.hidden = elements.length === 0;
    this.#empty.hidden = elements.length > 0;
    this.#empty.textContent = this.#filter.value.trim() === "" ? "Nothing was run yet." : "No match.";
    const selected = this.#store.selected;
    if (selected && ids.has(selected)) this.#rows.setAttribute("aria-activedescendant", elementId(selected));
    else this.#rows.removeAttribute("aria-activedescendant");
    // A row that is taken out and inserted again loses a click that has only begun, so rows in place are kept.
    const kept = new Set<Element>(elements);
    for (const row of [...this.#rows.children]) if (!kept.has(row)) row.remove();
    elements.forEach((row, at) => {
      if (this.#rows.children[at] !== row) this.#rows.insertBefore(row, this.#rows.children[at] ?? null);
    });
  }

  /** Returns the element of a row. Only what has changed of it is drawn. */
  #row(row: Row): HTMLLIElement {
    const known = this.#byId.get(row.id) ?? this.#create(row.id);
    const selected = row.id === this.#store.selected;
    setText(known.time, format.duration(row.duration));
    const shown = JSON.stringify([row.kind, row.status, row.title, row.outcome, row.expanded, selected, format.when(row.started_at)]);
    if (known.shown === shown) return known.element;
    known.shown = shown;
    const { element, dot, command, outcome, when, fold } = known;
    element.className = `row ${row.status} of-${row.kind}`;
    element.setAttribute("aria-selected", String(selected));
    element.setAttribute("aria-level", row.kind === "step" ? "2" : "1");
    dot.title = row.status === "paused" ? "Paused" : format.status(row.status);
    command.title = row.title;
    setText(command, row.title);
    setText(outcome, row.outcome);
    setText(when, format.when(row.started_at));
    fold.hidden = row.expanded === undefined;
    if (row.expanded === undefined) {
      element.removeAttribute("aria-expanded");
    } else {
      element.setAttribute("aria-expanded", String(row.expanded));
      fold.replaceChildren(icon(row.expanded ? "down" : "folded"));
    }
    return element;
  }

  #create(id: string): Known {
    const [dot, command, outcome] = [h("span", { class: "dot" }), h("span", { class: "command" }), h("span", { class: "outcome" })];
    const [time, when] = [h("span", { class: "duration" }), h("span", { class: "when" })];
    const fold = h("span", { class: "fold", onclick: () => this.#fold(id, !this.#folded.has(id)) });
    const element = h("li", { role: "treeitem", id: elementId(id), "data-id": id }, dot, command, outcome, time, when, fold);
    element.addEventListener("pointerdown", (event) => {
      if (!(event.target as Element).closest(".fold")) this.#store.select(id);
    });
    const known = { element, shown: "", dot, command, outcome, time, when, fold };
    this.#byId.set(id, known);
    return known;
  }

  #tick(): void {
    for (const entry of [...this.#store.executions, ...this.#store.plans]) {
      if (!format.isLive(entry)) continue;
      const known = this.#byId.get(entry.id);
      if (known) setText(known.time, format.duration(format.elapsed(entry)));
    }
  }

  #fold(id: string, folded: boolean): void {
    if (folded) this.#folded.add(id);
    else this.#folded.delete(id);
    this.#draw();
  }

  #select(row: Row | undefined): void {
    this.#store.select(row?.id);
    if (row) this.#byId.get(row.id)?.element.scrollIntoView({ block: "nearest" });
  }

  #key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const row = this.#shown.find(({ id }) => id === this.#store.selected);
    const actions: Record<string, () => void> = {
      ArrowDown: () => this.step(1),
      j: () => this.step(1),
      ArrowUp: () => this.step(-1),
      k: () => this.step(-1),
      Home: () => this.#select(this.#shown[0]),
      End: () => this.#select(this.#shown.at(-1)),
      ArrowLeft: () => {
        if (row?.expanded) this.#fold(row.id, true);
        else if (row?.plan) this.#store.select(row.plan);
      },
      ArrowRight: () => {
        if (row?.expanded === false) this.#fold(row.id, false);
        else if (row?.expanded) this.step(1);
      },
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }
}

function elementId(id: string): string {
  return `row-${id}`;
}
