// State of the app: the executions and plans of the engine and of its history, the selected one, and the input of
// those that were started since the app was, so that they can be run again with the values of their variables.

import {
  Execution,
  historyState,
  list,
  listHistory,
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
import { isLive } from "./format.ts";
import { History } from "./history.ts";
import { pastPlans, stepsOf } from "./past-plan.ts";
import { withId, type Step } from "./plan-text.ts";
import { SessionMap } from "./session-map.ts";
import { formOf, isPrivate, metadata } from "./typed.ts";

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
const INPUTS = "inputs";
const SELECTED = "selected";

export class Store {
  /** Executions of the history and of the engine, oldest first. */
  executions: ExecutionSummary[] = [];
  /** Plans of the engine, and those that their steps in the history tell of, oldest first. */
  plans: PlanSummary[] = [];
  selected: ExecutionId | undefined = sessionStorage.getItem(SELECTED) ?? undefined;
  /** Executions that were paused here. The engine has no status for that. */
  readonly paused = new Set<ExecutionId>();
  /** Ids of what is about to be removed, and not shown any more. */
  readonly hidden = new Set<string>();
  /** Runs that the engine no longer has. */
  readonly history = new History({ list: listHistory, state: historyState });
  #ofEngine: ExecutionSummary[] = [];
  #plansOfEngine: PlanSummary[] = [];
  #inputs = new SessionMap<ExecutionInput | PlanInput>(INPUTS);
  #listeners = new Set<Listener>();
  #refresh: Promise<void> | undefined;
  #again = false;

  /** Refreshes the list after each event of the engine, as long as the page is open. */
  async follow(): Promise<void> {
    const events = await watch("progress");
    await this.history.read();
    await this.#read();
    // In the same step as the first rows: whatever is selected later is the user's choice.
    if (!this.current && !this.currentPlan) this.select(this.#ofEngine.at(-1)?.id);
    this.changed();
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
    return this.#started(id, input);
  }

  async startPlan(input: PlanInput): Promise<string> {
    const { id } = await Plan.start(withId(input, crypto.randomUUID(), metadata(input.form)), input.options);
    return this.#started(id, input);
  }

  async #started(id: string, input: ExecutionInput | PlanInput): Promise<string> {
    this.#inputs.set(id, input);
    await this.refresh();
    this.select(id);
    return id;
  }

  /** Content of the run bar of all runs that are kept, oldest first; of this session with all values. */
  forms(): Form[] {
    const forms = new Map<string, Form>();
    for (const entry of this.history.entries) {
      const { id, metadata } = entry.summary;
      const form = formOf(entry);
      if (form) forms.set(metadata.labels?.plan ?? id, form);
    }
    for (const [id, { form }] of this.#inputs.entries()) if (!isPrivate(form)) forms.set(id, form);
    return [...forms].filter(([id]) => !this.hidden.has(id)).map(([, form]) => form);
  }

  /** Content of the run bar that an execution or a plan was started from. */
  form(id: string): Form | undefined {
    const input = this.#inputs.get(id);
    if (input) return input.form;
    const entry = this.history.get(id) ?? this.history.ofPlan(id);
    return entry && formOf(entry);
  }

  /** Returns the steps of a plan that was started from the run bar. */
  stepsOf(id: string): Step[] {
    return stepsOf(this.form(id));
  }

  /** Returns the executions of the steps of a plan. */
  executionsOf(plan: string): ExecutionSummary[] {
    return this.executions.filter(({ metadata }) => metadata.labels?.plan === plan);
  }

  /** Returns whether the engine no longer has a plan. */
  isPastPlan(id: string): boolean {
    return !this.#plansOfEngine.some((plan) => plan.id === id);
  }

  planInput(id: string): PlanInput | undefined {
    const input = this.#inputs.get(id);
    return input && "plan" in input ? input : undefined;
  }

  input(id: ExecutionId): ExecutionInput | undefined {
    const input = this.#inputs.get(id);
    return input && "request" in input ? input : undefined;
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

  /** Forgets what was removed. */
  forget(ids: string[]): void {
    this.history.forget(ids);
    for (const id of ids) {
      this.#inputs.delete(id);
      this.hidden.delete(id);
    }
    this.#merge();
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
        await this.#read();
        this.changed();
        await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
      } while (this.#again);
    })().finally(() => (this.#refresh = undefined));
    return this.#refresh;
  }

  /** Reads the lists of the engine, and from the history what it has forgotten. */
  async #read(): Promise<void> {
    const [executions, plans] = await Promise.all([list(), listPlans()]);
    const listed = new Set(executions.map(({ id }) => id));
    const forgotten = this.#ofEngine.filter(({ id }) => !listed.has(id) && !this.hidden.has(id)).map(({ id }) => id);
    if (forgotten.length > 0) await this.history.find(forgotten);
    const ended = new Set(this.#ofEngine.filter((entry) => !isLive(entry)).map(({ id }) => id));
    const hasNew = executions.some((entry) => !isLive(entry) && !ended.has(entry.id));
    if (hasNew || this.history.isWriting) await this.history.check();
    // Nothing tells when an ending is stored, or could not be.
    if (this.history.isWriting) this.#again = true;
    [this.#ofEngine, this.#plansOfEngine] = [executions, plans];
    for (const { id, ending } of executions) if (ending) this.paused.delete(id);
    this.#merge();
  }

  /** Puts together what the engine has and what only the history has. */
  #merge(): void {
    const listed = new Set(this.#ofEngine.map(({ id }) => id));
    const past = this.history.entries.map(({ summary }) => summary).filter(({ id }) => !listed.has(id));
    this.executions = [...past, ...this.#ofEngine];
    this.plans = [...pastPlans(this.executions, this.#plansOfEngine, (id) => this.form(id)), ...this.#plansOfEngine];
  }

  /** Calls all listeners. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
