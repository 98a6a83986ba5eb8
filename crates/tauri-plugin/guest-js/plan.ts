// One plan, and calls about all of them.

import { call, readRecords, type EventFilter, type PlanResultOptions } from "./call.js";
import { Subscription } from "./subscription.js";
import type {
  EventRecord,
  ExecutionStatus,
  PlanExecutionResult,
  PlanOptions,
  PlanRequest,
  PlanSummary,
} from "./types.js";

/**
 * Handle of a plan: several commands as one piece of work.
 *
 * ```ts
 * const plan = await Plan.start({
 *   strategy: { type: "dependency_graph", dependencies: { "1": [0] } },
 *   commands: [{ rule: "build" }, { rule: "test" }],
 * });
 * const { status, stats } = await plan.result;
 * ```
 */
export class Plan {
  #result: Promise<PlanExecutionResult> | undefined;

  private constructor(readonly id: string) {}

  /** Starts a plan. A rule of the scope must allow each of its commands. */
  static async start(plan: PlanRequest, options?: PlanOptions): Promise<Plan> {
    return new Plan(await call<string>("execute_plan", { plan, options }));
  }

  /** Returns a handle of an existing plan. */
  static attach(id: string): Plan {
    return new Plan(id);
  }

  /** The result, as soon as the plan has ended, in whatever way. */
  get result(): Promise<PlanExecutionResult> {
    this.#result ??= this.wait();
    return this.#result;
  }

  /** Waits for the result. Unlike {@link result}, each call asks the engine again. */
  wait(options: PlanResultOptions = {}): Promise<PlanExecutionResult> {
    return call("wait_for_plan", { id: this.id, ...options });
  }

  /** Subscribes to its progress and to the events of its executions, from beginning to end. */
  records(filter: EventFilter = "everything"): Promise<Subscription<EventRecord>> {
    return Subscription.open("subscribe_plan", { id: this.id, filter }, readRecords);
  }

  /** Returns the current status. */
  status(): Promise<ExecutionStatus> {
    return call("plan_status", { id: this.id });
  }

  /** Cancels the plan: starts no further command and cancels those that run. */
  cancel(): Promise<void> {
    return call("cancel_plan", { id: this.id });
  }

  /** Removes its record. It must have ended. */
  remove(): Promise<void> {
    return call("remove_plan", { id: this.id });
  }
}

/** Returns all plans that are active or remembered, oldest first. */
export function listPlans(): Promise<PlanSummary[]> {
  return call("list_plans", {});
}

/** Returns the result of a plan, or null if it has not ended. */
export function planResult(id: string, options: PlanResultOptions = {}): Promise<PlanExecutionResult | null> {
  return call("plan_result", { id, ...options });
}
