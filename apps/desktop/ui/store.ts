// State of the app: the executions and plans of the engine, the selected one, and the input of those
// that were started here, so that they can be run again.

import {
  Execution,
  list,
  listPlans,
  Plan,
  watch,
  type ExecutionId,
  type ExecutionOptions,
  type ExecutionSummary,
  type LaunchRequest,
  type PlanOptions,
  type PlanRequest,
  type PlanSummary,
} from "tauri-plugin-execution-engine-api";

import type { Form } from "./form.ts";
import * as format from "./format.ts";
import { History } from "./history.ts";
import { withId, type Step } from "./plan-text.ts";

/** Input of an execution, from the run bar. */
export interface ExecutionInput {
  request: LaunchRequest;
  options: ExecutionOptions;
  /** Content of the run bar that it was made from. */
  form: Form;
}

/** Input of a plan, with its steps as they were typed. */
export interface PlanInput {
  plan: PlanRequest;
  options: PlanOptions;
  steps: Step[];
  form: Form;
}

type Listener = () => void;

const REFRESH_MS = 150;
const MAX_INPUTS = 200;
const EXECUTIONS = "executions";
const PLANS = "plans";
const SELECTED = "selected";

export class Store {
  executions: ExecutionSummary[] = [];
  plans: PlanSummary[] = [];
  selected: ExecutionId | undefined = sessionStorage.getItem(SELECTED) ?? undefined;
  /** Executions that were paused here. The engine has no status for that. */
  readonly paused = new Set<ExecutionId>();
  /** Runs of this and earlier sessions. */
  readonly history = new History(localStorage);
  #inputs = new SessionMap<ExecutionInput>(EXECUTIONS);
  #planInputs = new SessionMap<PlanInput>(PLANS);
  #listeners = new Set<Listener>();
  #refresh: Promise<void> | undefined;
  #again = false;

  /** Refreshes the list after each event of the engine, as long as the page is open. */
  async follow(): Promise<void> {
    const events = await watch("progress");
    await this.refresh();
    if (!this.current && !this.currentPlan) this.select(this.executions.at(-1)?.id);
    for await (const _ of events) void this.refresh();
  }

  /** The selected execution. */
  get current(): ExecutionSummary | undefined {
    return this.executions.find(({ id }) => id === this.selected);
  }

  /** The selected plan. */
  get currentPlan(): PlanSummary | undefined {
    return this.plans.find(({ id }) => id === this.selected);
  }

  onChange(listener: Listener): void {
    this.#listeners.add(listener);
  }

  select(id: ExecutionId | undefined): void {
    if (id === this.selected) return;
    this.selected = id;
    if (id) sessionStorage.setItem(SELECTED, id);
    else sessionStorage.removeItem(SELECTED);
    this.changed();
  }

  async start(input: ExecutionInput): Promise<ExecutionId> {
    const { id } = await Execution.start(input.request, input.options);
    this.#inputs.set(id, input);
    await this.#started(id, input.form);
    return id;
  }

  async startPlan(input: PlanInput): Promise<string> {
    const { id } = await Plan.start(withId(input, crypto.randomUUID()), input.options);
    this.#planInputs.set(id, input);
    await this.#started(id, input.form);
    return id;
  }

  async #started(id: string, form: Form): Promise<void> {
    await this.refresh();
    const execution = this.executions.find((entry) => entry.id === id);
    const plan = this.plans.find((entry) => entry.id === id);
    const title = execution?.command ?? plan?.description ?? form.text.trim();
    const started_at = (execution ?? plan)?.started_at ?? new Date().toISOString();
    this.history.add({ id, form, title, started_at });
    this.#noteEndings();
    this.select(id);
  }

  /** Content of the run bar of all runs in the history, oldest first; of this session with all values. */
  forms(): Form[] {
    return this.history.runs.map(({ id, form }) => this.form(id) ?? form);
  }

  /** Content of the run bar that a run was made from. */
  form(id: string): Form | undefined {
    const input = this.#inputs.get(id) ?? this.#planInputs.get(id);
    return input?.form ?? this.history.get(id)?.form;
  }

  #noteEndings(): void {
    for (const entry of [...this.executions, ...this.plans]) {
      if (format.isLive(entry)) continue;
      const ending = "ending" in entry && entry.ending ? format.ending(entry.ending) : format.status(entry.status).toLowerCase();
      this.history.ended(entry.id, entry.status, ending, entry.duration_ms);
    }
  }

  /** Returns the steps of a plan that was started here. */
  stepsOf(id: string): Step[] {
    return this.#planInputs.get(id)?.steps ?? [];
  }

  planInput(id: string): PlanInput | undefined {
    return this.#planInputs.get(id);
  }

  input(id: ExecutionId): ExecutionInput | undefined {
    return this.#inputs.get(id);
  }

  async pause(id: ExecutionId): Promise<void> {
    await Execution.attach(id).pause();
    this.paused.add(id);
    this.changed();
  }

  async resume(id: ExecutionId): Promise<void> {
    await Execution.attach(id).resume();
    this.paused.delete(id);
    this.changed();
  }

  /** Reads the list again. Calls within a short time are combined. */
  refresh(): Promise<void> {
    if (this.#refresh) {
      this.#again = true;
      return this.#refresh;
    }
    this.#refresh = (async () => {
      do {
        this.#again = false;
        [this.executions, this.plans] = await Promise.all([list(), listPlans()]);
        for (const { id, ending } of this.executions) if (ending) this.paused.delete(id);
        this.#noteEndings();
        this.changed();
        await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
      } while (this.#again);
    })().finally(() => (this.#refresh = undefined));
    return this.#refresh;
  }

  /** Calls all listeners. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Map by id in the session storage, so that it survives a reload of the page. */
class SessionMap<T> {
  #key: string;
  #all: Map<string, T>;

  constructor(key: string) {
    this.#key = key;
    this.#all = new Map(JSON.parse(sessionStorage.getItem(key) ?? "[]") as [string, T][]);
  }

  get(id: string): T | undefined {
    return this.#all.get(id);
  }

  set(id: string, value: T): void {
    this.#all.set(id, value);
    const kept = [...this.#all].slice(-MAX_INPUTS);
    this.#all = new Map(kept);
    sessionStorage.setItem(this.#key, JSON.stringify(kept));
  }
}
