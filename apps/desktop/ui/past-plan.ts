// Plans that the engine no longer has. The history keeps their steps, each as an execution of its own; a plan is
// put together from them and from the text that it was typed as.

import type { ExecutionStatus, ExecutionSummary, PlanSummary } from "tauri-plugin-execution-engine-api";

import type { Form } from "./form.ts";
import { isLive } from "./format.ts";
import { steps, type Step } from "./plan-text.ts";

/** What became of a plan, the first that one of its steps has. */
const WORST_FIRST: ExecutionStatus[] = ["lost", "failed", "timeout", "cancelled"];

/** Returns the plans of these executions that are not among the known ones, oldest first. */
export function pastPlans(
  executions: ExecutionSummary[],
  known: PlanSummary[],
  formOf: (plan: string) => Form | undefined,
): PlanSummary[] {
  const ids = new Set(known.map(({ id }) => id));
  const all = new Map<string, ExecutionSummary[]>();
  for (const execution of executions) {
    const plan = execution.metadata.labels?.plan;
    if (plan !== undefined && !ids.has(plan)) all.set(plan, [...(all.get(plan) ?? []), execution]);
  }
  return [...all].map(([id, ran]) => pastPlan(id, ran, stepsOf(formOf(id))));
}

/** Returns the steps of a plan as they were typed; none if that is not known. */
export function stepsOf(form: Form | undefined): Step[] {
  if (form?.kind !== "plan") return [];
  try {
    return steps(form.text);
  } catch {
    // It was valid for the version that has run it.
    return [];
  }
}

function pastPlan(id: string, ran: ExecutionSummary[], typed: Step[]): PlanSummary {
  const names = typed.length > 0 ? typed.map(({ name }) => name) : ran.map(({ metadata }) => metadata.labels?.name ?? "");
  const total = Math.max(names.length, ran.length);
  const started = ran.map(({ started_at }) => started_at).sort()[0]!;
  const ends = ran.map(({ completed_at, started_at }) => Date.parse(completed_at ?? started_at));
  return {
    id,
    status: status(ran, total),
    description: names.join(", "),
    total,
    ended: ran.filter((step) => !isLive(step)).length,
    started_at: started,
    duration_ms: Math.max(0, Math.max(...ends) - Date.parse(started)),
    metadata: {},
  };
}

function status(ran: ExecutionSummary[], total: number): ExecutionStatus {
  if (ran.some(isLive)) return "running";
  const worst = WORST_FIRST.find((status) => ran.some((step) => step.status === status));
  // A step that never ran is not in the history.
  return worst ?? (ran.length < total ? "cancelled" : "completed");
}
