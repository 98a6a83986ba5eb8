import assert from "node:assert/strict";
import { test } from "node:test";

import type { PlanSummary } from "tauri-plugin-execution-engine-api";

import { rows, type Entries } from "../rows.ts";
import { at, execution } from "./samples.ts";

const plan: PlanSummary = {
  id: "p", status: "running", description: "build, test", total: 2, ended: 1, started_at: at(2), duration_ms: 5, metadata: {},
};

function entries(more: Partial<Entries> = {}): Entries {
  const step = (number: number, name: string) => ({ plan: "p", step: String(number), name });
  return {
    executions: [{ ...execution("old", 0), status: "failed", ending: { type: "exited", code: 3 } }, execution("a", 1), execution("s2", 4, step(2, "test")), execution("s10", 3, step(10, "pack")), execution("s1", 2, step(1, "build"))],
    plans: [plan],
    paused: new Set(), folded: new Set(), removed: new Set(),
    ...more,
  };
}

const shown = (entries: Entries, filter = "") => rows(entries, filter).map(({ kind, title }) => `${kind} ${title}`);

test("steps are below their plan, in their order, numbered from 1", () => {
  assert.deepEqual(shown(entries()), [
    "plan build, test", "step 1. build", "step 2. test", "step 10. pack", "execution command a", "execution command old",
  ]);
});

test("a plan that is folded hides its steps", () => {
  assert.deepEqual(shown(entries({ folded: new Set(["p"]) })), ["plan build, test", "execution command a", "execution command old"]);
  assert.equal(rows(entries())[0]?.expanded, true);
});

test("a step that matches the filter brings its plan with it", () => {
  assert.deepEqual(shown(entries(), "PACK"), ["plan build, test", "step 10. pack"]);
  assert.deepEqual(shown(entries(), "exit 3"), ["execution command old"]);
  assert.deepEqual(shown(entries(), "nothing"), []);
});

test("what is being removed is not shown", () => {
  assert.deepEqual(shown(entries({ removed: new Set(["p", "s1", "s2", "s10", "old"]) })), ["execution command a"]);
});

test("a run that was under way when the app was killed is told as lost", () => {
  const lost = { ...execution("x", 1), status: "lost" as const, ending: { type: "lost" as const, reason: "the program that ran it ended" } };
  const [row] = rows(entries({ executions: [lost], plans: [] }));
  assert.deepEqual([row?.outcome, row?.status], ["lost", "lost"]);
});
