import { call, readRecords, type About, type Texts } from "./call.js";
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
 * One plan.
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

  private constructor(
    /** Its id. */
    readonly id: string,
  ) {}

  /** Starts one. Each of its commands must be allowed by the scope of `execute_plan`. */
  static async start(plan: PlanRequest, options?: PlanOptions): Promise<Plan> {
    return new Plan(await call<string>("execute_plan", { plan, options }));
  }

  /** One that exists already. */
  static attach(id: string): Plan {
    return new Plan(id);
  }

  /** What comes of it, whichever way it ends. */
  get result(): Promise<PlanExecutionResult> {
    this.#result ??= this.wait();
    return this.#result;
  }

  /** The same, asked anew, and without the text of its output if that is not needed. */
  wait(texts: Texts = {}): Promise<PlanExecutionResult> {
    return call("wait_for_plan", { id: this.id, ...texts });
  }

  /** Its progress and the events of its executions, from the beginning on, up to its end. */
  records(about: About = "everything"): Promise<Subscription<EventRecord>> {
    return Subscription.open("subscribe_plan", { id: this.id, about }, readRecords);
  }

  /** Where it stands. */
  status(): Promise<ExecutionStatus> {
    return call("plan_status", { id: this.id });
  }

  /** Stops it: nothing new is started, and what runs is cancelled. */
  cancel(): Promise<void> {
    return call("cancel_plan", { id: this.id });
  }

  /** Forgets it, once it has ended. */
  remove(): Promise<void> {
    return call("remove_plan", { id: this.id });
  }
}

/** All plans that are running or remembered, oldest first. */
export function listPlans(): Promise<PlanSummary[]> {
  return call("list_plans", {});
}

/** The result of a plan, or null while it runs. */
export function planResult(id: string, texts: Texts = {}): Promise<PlanExecutionResult | null> {
  return call("plan_result", { id, ...texts });
}
