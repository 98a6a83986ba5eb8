import assert from "node:assert/strict";
import { test } from "node:test";

import type { ExecutionSummary, PlanSummary } from "tauri-plugin-execution-engine-api";

import { emptyForm } from "../form.ts";
import { rows, type Entries } from "../rows.ts";

const at = (second: number) => `2026-11-29T10:00:${String(second).padStart(2, "0")}Z`;

function execution(id: string, second: number, labels?: Record<string, string>): ExecutionSummary {
  const stats = { seen_bytes: 0, kept_bytes: 0 };
  return {
    id, status: "completed", command: `command ${id}`, pid: 1, started_at: at(second), completed_at: at(second), waited_ms: 0,
    duration_ms: 5, attempts: 1, stdout_stats: stats, stderr_stats: stats, truncated: false,
    ending: { type: "exited", code: 0 }, metadata: labels ? { labels } : {},
  };
}

const plan: PlanSummary = {
  id: "p", status: "running", description: "build, test", total: 2, ended: 1, started_at: at(2), duration_ms: 5, metadata: {},
};

function entries(more: Partial<Entries> = {}): Entries {
  const step = (number: number, name: string) => ({ plan: "p", step: String(number), name });
  return {
    executions: [execution("a", 1), execution("s2", 4, step(2, "test")), execution("s10", 3, step(10, "pack")), execution("s1", 2, step(1, "build"))],
    plans: [plan],
    past: [{ id: "old", form: emptyForm("shell"), title: "old one", started_at: at(0), status: "failed", outcome: "exit 3", duration_ms: 7 }],
    paused: new Set(), folded: new Set(), removed: new Set(),
    ...more,
  };
}

const shown = (entries: Entries, filter = "") => rows(entries, filter).map(({ kind, title }) => `${kind} ${title}`);

test("steps are below their plan, in their order, numbered from 1", () => {
  assert.deepEqual(shown(entries()), [
    "plan build, test", "step 1. build", "step 2. test", "step 10. pack", "execution command a", "past old one",
  ]);
});

test("a plan that is folded hides its steps", () => {
  assert.deepEqual(shown(entries({ folded: new Set(["p"]) })), ["plan build, test", "execution command a", "past old one"]);
  assert.equal(rows(entries())[0]?.expanded, true);
});

test("a step that matches the filter brings its plan with it", () => {
  assert.deepEqual(shown(entries(), "PACK"), ["plan build, test", "step 10. pack"]);
  assert.deepEqual(shown(entries(), "exit 3"), ["past old one"]);
  assert.deepEqual(shown(entries(), "nothing"), []);
});

test("what is being removed is not shown, and a past run not beside its execution", () => {
  const past = [{ id: "a", form: emptyForm("shell"), title: "again", started_at: at(1) }];
  assert.deepEqual(shown(entries({ past, removed: new Set(["p", "s1", "s2", "s10"]) })), ["execution command a"]);
});

test("a run that the app did not see end is told as stopped", () => {
  const past = [{ id: "x", form: emptyForm("shell"), title: "cut", started_at: at(1) }];
  const [row] = rows(entries({ executions: [], plans: [], past }));
  assert.deepEqual([row?.outcome, row?.status, row?.duration], ["stopped with the app", "cancelled", undefined]);
});
