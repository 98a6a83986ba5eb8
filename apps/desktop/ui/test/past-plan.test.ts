import assert from "node:assert/strict";
import { test } from "node:test";

import type { ExecutionStatus, ExecutionSummary } from "tauri-plugin-execution-engine-api";

import { emptyForm } from "../form.ts";
import { pastPlans } from "../past-plan.ts";
import { at, execution } from "./samples.ts";

const typed = { ...emptyForm("plan"), text: "build: make\ntest after build: make test\npack after test: tar" };

function step(number: number, status: ExecutionStatus = "completed"): ExecutionSummary {
  return { ...execution(`s${number}`, number, { plan: "p", step: String(number), name: `step${number}` }), status };
}

const only = (ran: ExecutionSummary[], form = true) => pastPlans([execution("a", 0), ...ran], [], () => (form ? typed : undefined))[0]!;

test("a plan is put together from its steps and its text", () => {
  const plan = only([step(1), step(2), step(3)]);
  assert.deepEqual(
    [plan.id, plan.status, plan.description, plan.total, plan.ended, plan.started_at, plan.duration_ms],
    ["p", "completed", "build, test, pack", 3, 3, at(1), 2000],
  );
});

test("a plan ended as the worst of its steps, and is cancelled if some never ran", () => {
  assert.equal(only([step(1, "cancelled"), step(2, "failed"), step(3)]).status, "failed");
  assert.equal(only([step(1, "failed"), step(2, "lost")]).status, "lost");
  const cancelled = only([step(1)]);
  assert.deepEqual([cancelled.status, cancelled.total, cancelled.ended], ["cancelled", 3, 1]);
});

test("a plan whose text is unknown has the steps that ran", () => {
  const plan = only([step(1), step(2, "running")], false);
  assert.deepEqual([plan.description, plan.total, plan.ended, plan.status], ["step1, step2", 2, 1, "running"]);
});

test("a plan that the engine has is not put together", () => {
  const known = only([step(1)]);
  assert.deepEqual(pastPlans([step(1)], [known], () => typed), []);
});
