// The graph of a plan: its steps in rows, each below those that it waits for, with their status.

import { Plan, type EventRecord, type ExecutionId, type ExecutionStatus, type ExecutionSummary, type Subscription } from "tauri-plugin-execution-engine-api";

import { h } from "./dom.ts";
import * as format from "./format.ts";
import { rows, type Step } from "./plan-text.ts";
import type { Store } from "./store.ts";

const WIDTH = 184;
const HEIGHT = 50;
const ACROSS = 28;
const DOWN = 40;
const MARGIN = 24;

interface Node {
  box: HTMLButtonElement;
  state: HTMLElement;
  execution?: ExecutionId;
}

export class PlanView {
  readonly element = h("div", { id: "plan", class: "plan", hidden: true });
  #store: Store;
  #shown: string | undefined;
  #records: Subscription<EventRecord> | undefined;
  #nodes: Node[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  async show(id: string | undefined): Promise<void> {
    this.element.hidden = id === undefined;
    if (id === this.#shown) return;
    this.#shown = id;
    const previous = this.#records;
    this.#records = undefined;
    void previous?.close();
    if (!id) return;
    this.#draw(this.#store.stepsOf(id));
    if (this.#store.isPastPlan(id)) return this.#drawPast(this.#store.executionsOf(id));
    const records = await Plan.attach(id).records("progress");
    if (this.#shown !== id) return void records.close();
    this.#records = records;
    for await (const { event } of records) {
      if (this.#shown !== id) return;
      if (event.type !== "progress") continue;
      const { index, name } = event.step;
      this.#update(index, name ?? `step ${index + 1}`, event.current_command, event.execution_id, event.status);
    }
  }

  /** Shows what became of the steps of a plan that the engine no longer has. */
  #drawPast(ran: ExecutionSummary[]): void {
    for (const { state } of this.#nodes) state.textContent = "never ran";
    for (const { id, command, status, metadata } of ran) {
      const { step = "1", name = command } = metadata.labels ?? {};
      const node = this.#nodeAt(Number(step) - 1, name, command);
      node.execution = id;
      node.box.className = `node ${status}`;
      node.state.textContent = format.status(status).toLowerCase();
    }
  }

  #draw(steps: Step[]): void {
    this.#nodes = [];
    const row = rows(steps);
    const filled: number[] = [];
    const place = steps.map((_, at) => {
      const y = row[at]!;
      const x = (filled[y] = (filled[y] ?? -1) + 1);
      return { left: MARGIN + x * (WIDTH + ACROSS), top: MARGIN + y * (HEIGHT + DOWN) };
    });
    const columns = Math.max(0, ...filled.map((last) => last + 1));
    const edges = steps.flatMap(({ after }, at) => after.map((from) => edge(place[from]!, place[at]!)));
    this.element.replaceChildren(
      picture(edges, columns * (WIDTH + ACROSS) + MARGIN, filled.length * (HEIGHT + DOWN) + MARGIN),
    );
    steps.forEach((step, at) => this.#node(at, step.name, step.line, place[at]!));
  }

  #node(at: number, name: string, line: string, place: { left: number; top: number }): Node {
    const state = h("span", { class: "state" }, "waiting");
    const box = h("button", {
      type: "button",
      class: "node waiting",
      "data-step": name,
      title: line,
      onclick: () => {
        const known = this.#nodes[at]?.execution;
        if (known) this.#store.select(known);
      },
    }, h("span", { class: "name" }, h("span", { class: "dot" }), name), state);
    box.style.left = `${place.left}px`;
    box.style.top = `${place.top}px`;
    this.element.append(box);
    return (this.#nodes[at] = { box, state });
  }

  /** Returns the node of a step. If the plan was not started from the run bar, its steps are added as they report. */
  #nodeAt(at: number, name: string, line: string): Node {
    const below = { left: MARGIN, top: MARGIN + at * (HEIGHT + DOWN) };
    return this.#nodes[at] ?? this.#node(at, name, line, below);
  }

  /** Shows the status of a step. */
  #update(at: number, name: string, line: string, execution: ExecutionId, status: ExecutionStatus): void {
    const node = this.#nodeAt(at, name, line);
    node.box.className = `node ${status}`;
    // A step that is cancelled before it reported anything else has never run.
    if (status === "cancelled" && !node.execution) {
      node.state.textContent = "never ran";
      return;
    }
    node.execution = execution;
    node.state.textContent = format.status(status).toLowerCase();
  }
}

function edge(from: { left: number; top: number }, to: { left: number; top: number }): string {
  const [x1, y1] = [from.left + WIDTH / 2, from.top + HEIGHT];
  const [x2, y2] = [to.left + WIDTH / 2, to.top];
  const bend = Math.max(DOWN / 2, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}

function picture(edges: string[], width: number, height: number): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", String(width));
  svg.setAttribute("height", String(height));
  for (const d of edges) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}
