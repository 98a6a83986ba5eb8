// Rows of the list: executions, and plans with their steps; newest first.

import type { ExecutionStatus, ExecutionSummary, PlanSummary } from "tauri-plugin-execution-engine-api";

import * as format from "./format.ts";

export interface Row {
  id: string;
  kind: "execution" | "plan" | "step";
  title: string;
  status: ExecutionStatus | "paused";
  outcome: string;
  started_at: string;
  /** Milliseconds. */
  duration: number;
  /** Whether the steps below a plan are shown; undefined for a row without steps. */
  expanded?: boolean;
  /** Row of the plan that a step belongs to. */
  plan?: string;
}

export interface Entries {
  executions: ExecutionSummary[];
  plans: PlanSummary[];
  paused: ReadonlySet<string>;
  /** Plans whose steps are not shown. */
  folded: ReadonlySet<string>;
  /** Entries that are about to be removed. */
  removed: ReadonlySet<string>;
}

/** Returns the rows that match a text in title or status. A step brings its plan with it. */
export function rows(entries: Entries, filter = ""): Row[] {
  const plans = new Set(entries.plans.map(({ id }) => id));
  const kept = ({ id }: { id: string }) => !entries.removed.has(id);
  const steps = new Map<string, Row[]>();
  const top: Row[] = entries.plans.filter(kept).map((plan) => ofPlan(plan));
  for (const execution of entries.executions.filter(kept)) {
    const { plan = "", step = "" } = execution.metadata.labels ?? {};
    if (!plans.has(plan)) top.push(ofExecution(execution, entries.paused));
    else steps.set(plan, [...(steps.get(plan) ?? []), ofStep(execution, entries.paused, plan, Number(step))]);
  }
  top.sort((a, b) => b.started_at.localeCompare(a.started_at));
  const matches = matcher(filter);
  return top.flatMap((row) => {
    const all = steps.get(row.id) ?? [];
    const found = matches(row) ? all : all.filter(matches);
    if (found.length === 0 && !matches(row)) return [];
    if (all.length === 0) return [row];
    const expanded = !entries.folded.has(row.id);
    const sorted = expanded ? found.sort((a, b) => a.title.localeCompare(b.title, undefined, { numeric: true })) : [];
    return [{ ...row, expanded }, ...sorted];
  });
}

function matcher(filter: string): (row: Row) => boolean {
  const text = filter.trim().toLowerCase();
  return ({ title, status, outcome }) => [title, status, outcome].some((part) => part.toLowerCase().includes(text));
}

function ofExecution(execution: ExecutionSummary, paused: ReadonlySet<string>): Row {
  const halted = paused.has(execution.id);
  const { id, command, ending, started_at } = execution;
  return {
    id,
    kind: "execution",
    title: command,
    status: halted ? "paused" : execution.status,
    outcome: ending ? format.ending(ending) : halted ? "paused" : format.status(execution.status).toLowerCase(),
    started_at,
    duration: format.elapsed(execution),
  };
}

function ofStep(execution: ExecutionSummary, paused: ReadonlySet<string>, plan: string, number: number): Row {
  const row = ofExecution(execution, paused);
  const name = execution.metadata.labels?.name ?? row.title;
  return { ...row, kind: "step", title: `${number}. ${name}`, plan };
}

function ofPlan(plan: PlanSummary): Row {
  return {
    id: plan.id,
    kind: "plan",
    title: plan.description ?? `Plan of ${plan.total} steps`,
    status: plan.status,
    outcome: `plan, ${plan.ended} of ${plan.total} steps ended`,
    started_at: plan.started_at,
    duration: format.elapsed(plan),
  };
}
