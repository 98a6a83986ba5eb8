import assert from "node:assert/strict";
import { test } from "node:test";

import { request, rows, steps, withId } from "../plan-text.ts";

const TEXT = `
# what a release needs
version: git describe
build after version: make
lint: make lint
package after build, lint: tar cf out.tar: build
`;

test("a plan has one step per line", () => {
  assert.deepEqual(steps(TEXT), [
    { name: "version", line: "git describe", after: [] },
    { name: "build", line: "make", after: [0] },
    { name: "lint", line: "make lint", after: [] },
    { name: "package", line: "tar cf out.tar: build", after: [1, 2] },
  ]);
});

test("an invalid plan is reported with the reason", () => {
  assert.throws(() => steps("# nothing"), /at least one step/);
  assert.throws(() => steps("make"), /“make” is not a step/);
  assert.throws(() => steps("a: x\na: y"), /Two steps are called a/);
  assert.throws(() => steps("a after b: x"), /Step a waits for b/);
});

test("a step is below all steps that it waits for, and close to those that wait for it", () => {
  assert.deepEqual(rows(steps(TEXT)), [0, 1, 1, 2]);
  assert.deepEqual(rows(steps("a: x\nb: y")), [0, 0]);
  assert.equal(rows(steps("a after b: x\nb after a: y")).length, 2);
});

test("the request has the names and dependencies of the steps", () => {
  const { plan, options } = request(steps(TEXT), "shells", { timeout_ms: 5 });
  assert.deepEqual(plan.strategy, {
    type: "dependency_graph",
    dependencies: { 0: [], 1: [0], 2: [], 3: [1, 2] },
  });
  assert.deepEqual(plan.commands[1], {
    timeout_ms: 5,
    rule: "shells",
    command: { type: "shell", command: "make", shell: "/bin/sh" },
  });
  assert.deepEqual(options.steps?.[3], { name: "package" });
});

test("each step of a started plan has the id of the plan, its number from 1 and its name", () => {
  const all = steps("build: make\ntest after build: make test");
  const plan = withId({ ...request(all, "shells", {}), steps: all }, "an-id", { labels: { kind: "plan" }, tags: ["private"] });
  assert.equal(plan.id, "an-id");
  assert.deepEqual(plan.commands.map(({ metadata }) => metadata), [
    { labels: { kind: "plan", plan: "an-id", step: "1", name: "build" }, tags: ["private"] },
    { labels: { kind: "plan", plan: "an-id", step: "2", name: "test" }, tags: ["private"] },
  ]);
});
