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
  type ExecutionStatus,
  type ExecutionSummary,
  type LaunchRequest,
  type PlanOptions,
  type PlanRequest,
  type PlanSummary,
} from "tauri-plugin-execution-engine-api";

import type { Step } from "./plan-text.ts";

/** Input of an execution, from the run bar. */
export interface ExecutionInput {
  request: LaunchRequest;
  options: ExecutionOptions;
}

/** Input of a plan, with its steps as they were typed. */
export interface PlanInput {
  plan: PlanRequest;
  options: PlanOptions;
  steps: Step[];
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
    this.#changed();
  }

  async start(input: ExecutionInput): Promise<ExecutionId> {
    const { id } = await Execution.start(input.request, input.options);
    this.#inputs.set(id, input);
    await this.refresh();
    this.select(id);
    return id;
  }

  async startPlan(input: PlanInput): Promise<string> {
    const { id } = await Plan.start(input.plan, input.options);
    this.#planInputs.set(id, input);
    await this.refresh();
    this.select(id);
    return id;
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
    this.#changed();
  }

  async resume(id: ExecutionId): Promise<void> {
    await Execution.attach(id).resume();
    this.paused.delete(id);
    this.#changed();
  }

  async remove(id: ExecutionId): Promise<void> {
    await Execution.attach(id).remove();
    await this.#removed(id);
  }

  async removePlan(id: string): Promise<void> {
    await Plan.attach(id).remove();
    await this.#removed(id);
  }

  async #removed(id: string): Promise<void> {
    const all = this.all();
    const at = all.findIndex((entry) => entry.id === id);
    const next = all[at - 1] ?? all[at + 1];
    await this.refresh();
    if (this.selected === id) this.select(next?.id);
  }

  /** Returns executions and plans, oldest first. */
  all(): (ExecutionSummary | PlanSummary)[] {
    return [...this.executions, ...this.plans].sort((a, b) => a.started_at.localeCompare(b.started_at));
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
        this.#changed();
        await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
      } while (this.#again);
    })().finally(() => (this.#refresh = undefined));
    return this.#refresh;
  }

  #changed(): void {
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

/** Returns how long an execution took, or has been running so far. */
export function elapsed(entry: ExecutionSummary | PlanSummary): number {
  if (!isLive(entry)) return entry.duration_ms;
  return Math.max(entry.duration_ms, Date.now() - Date.parse(entry.started_at));
}

export function isLive({ status }: { status: ExecutionStatus }): boolean {
  return status === "pending" || status === "running";
}
