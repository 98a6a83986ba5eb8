// What the app knows: the executions of the engine, the one that is looked at, and the requests
// that were made here, so that they can be made again.

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

/** What was asked for, as the run bar shows it. */
export interface Asked {
  request: LaunchRequest;
  options: ExecutionOptions;
}

/** A plan, and its steps as they were typed. */
export interface AskedPlan {
  plan: PlanRequest;
  options: PlanOptions;
  steps: Step[];
}

type Listener = () => void;

const REFRESH_MS = 150;
const REMEMBERED = 200;
const ASKED = "asked";
const PLANS = "plans";
const CHOSEN = "chosen";

export class Store {
  executions: ExecutionSummary[] = [];
  plans: PlanSummary[] = [];
  chosen: ExecutionId | undefined = sessionStorage.getItem(CHOSEN) ?? undefined;
  /** Paused from here; the engine has no status for it. */
  readonly paused = new Set<ExecutionId>();
  #asked = new Memory<Asked>(ASKED);
  #plans = new Memory<AskedPlan>(PLANS);
  #listeners = new Set<Listener>();
  #refresh: Promise<void> | undefined;
  #again = false;

  /** Follows the engine for as long as the page lives. */
  async follow(): Promise<void> {
    const events = await watch("progress");
    await this.refresh();
    if (!this.current && !this.currentPlan) this.choose(this.executions.at(-1)?.id);
    for await (const _ of events) void this.refresh();
  }

  /** The execution that is looked at. */
  get current(): ExecutionSummary | undefined {
    return this.executions.find(({ id }) => id === this.chosen);
  }

  /** The plan that is looked at. */
  get currentPlan(): PlanSummary | undefined {
    return this.plans.find(({ id }) => id === this.chosen);
  }

  onChange(listener: Listener): void {
    this.#listeners.add(listener);
  }

  choose(id: ExecutionId | undefined): void {
    if (id === this.chosen) return;
    this.chosen = id;
    if (id) sessionStorage.setItem(CHOSEN, id);
    else sessionStorage.removeItem(CHOSEN);
    this.#changed();
  }

  async start(asked: Asked): Promise<ExecutionId> {
    const { id } = await Execution.start(asked.request, asked.options);
    this.#asked.set(id, asked);
    await this.refresh();
    this.choose(id);
    return id;
  }

  async startPlan(asked: AskedPlan): Promise<string> {
    const { id } = await Plan.start(asked.plan, asked.options);
    this.#plans.set(id, asked);
    await this.refresh();
    this.choose(id);
    return id;
  }

  /** The steps of a plan that was made here. */
  stepsOf(id: string): Step[] {
    return this.#plans.get(id)?.steps ?? [];
  }

  askedPlan(id: string): AskedPlan | undefined {
    return this.#plans.get(id);
  }

  asked(id: ExecutionId): Asked | undefined {
    return this.#asked.get(id);
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
    if (this.chosen === id) this.choose(next?.id);
  }

  /** Executions and plans, oldest first. */
  all(): (ExecutionSummary | PlanSummary)[] {
    return [...this.executions, ...this.plans].sort((a, b) => a.started_at.localeCompare(b.started_at));
  }

  /** Asks for the list; many wishes within a moment are one question. */
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

/** What was asked for, by id, for as long as the window lives. */
class Memory<T> {
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
    const kept = [...this.#all].slice(-REMEMBERED);
    this.#all = new Map(kept);
    sessionStorage.setItem(this.#key, JSON.stringify(kept));
  }
}

/** How long an execution took, or has been running by now. */
export function elapsed(entry: ExecutionSummary | PlanSummary): number {
  if (!isLive(entry)) return entry.duration_ms;
  return Math.max(entry.duration_ms, Date.now() - Date.parse(entry.started_at));
}

export function isLive({ status }: { status: ExecutionStatus }): boolean {
  return status === "pending" || status === "running";
}
