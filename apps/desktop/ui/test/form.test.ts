import assert from "node:assert/strict";
import { test } from "node:test";

import { changedOptions, check, emptyForm, NO_TIMEOUT_MS, shellLines, type Form, type Kind } from "../form.ts";
import type { ExecutionInput } from "../store.ts";

function input(kind: Kind, text: string, more: Partial<Form> = {}): ExecutionInput {
  const checked = check({ ...emptyForm(kind), text, ...more });
  assert.ok("input" in checked, JSON.stringify(checked));
  return checked.input as ExecutionInput;
}

function problems(form: Partial<Form>): string[] {
  const checked = check({ ...emptyForm("shell"), text: "true", ...form });
  assert.ok("problems" in checked);
  return checked.problems.map(({ field, message }) => `${field}: ${message}`);
}

test("each kind makes the command of its rule", () => {
  const { rule, command } = input("program", `git log -1 --format="%h %s"`).request;
  assert.equal(rule, "programs");
  assert.deepEqual(command, { type: "exec", program: "git", args: ["log", "-1", "--format=%h %s"] });
  assert.deepEqual(input("script", "a.py").request.command, { type: "script", path: "a.py", interpreter: "python3" });
  assert.equal(input("script", "./a", { interpreter: "" }).request.rule, "executables");
  assert.deepEqual(input("script", "a.py -v").request.command, { type: "exec", program: "python3", args: ["a.py", "-v"] });
});

test("the lines of a shell stay lines", () => {
  const form = { ...emptyForm("shell"), text: "cd /tmp\n\nls # all\nrm x\n" };
  assert.deepEqual(shellLines(form), ["cd /tmp", "ls # all", "rm x"]);
  const { command } = input("shell", form.text).request;
  assert.deepEqual(command, { type: "shell", command: "cd /tmp\n\nls # all\nrm x", shell: "/bin/sh" });
});

test("the timeout is the default, another one, or none", () => {
  assert.equal(input("shell", "true").request.timeout_ms, 300_000);
  assert.equal(input("shell", "true", { timeout: "2.5" }).request.timeout_ms, 2500);
  assert.equal(input("shell", "true", { unlimited: true, timeout: "x" }).request.timeout_ms, NO_TIMEOUT_MS);
});

test("options are part of the input", () => {
  const { request, options } = input("shell", "true", { directory: " /tmp ", environment: "A=1", stdin: true, merged: true });
  assert.equal(request.working_dir, "/tmp");
  assert.deepEqual(request.env, { A: "1" });
  assert.deepEqual(options, { stdin: { type: "piped" }, output: "merged" });
});

test("all faults are told, each at its field", () => {
  assert.deepEqual(problems({ text: " " }), ["text: Enter what to run."]);
  const all = problems({ kind: "program", text: '"a', environment: "A\nB", timeout: "soon" });
  assert.equal(all.length, 3);
  assert.match(all[0]!, /^environment: Line 1: .*\nLine 2: /);
  assert.match(all[1]!, /^timeout: /);
  assert.match(all[2]!, /^text: The quote/);
});

test("a variable whose value was not kept must be entered", () => {
  assert.match(problems({ environment: "A=\nB=", missing: ["A"] })[0]!, /Enter that of A\.$/);
  assert.deepEqual(input("shell", "true", { environment: "A=x", missing: ["A"] }).request.env, { A: "x" });
  assert.deepEqual(input("shell", "true", { environment: "A=" }).request.env, { A: "" });
});

test("options that differ from their defaults are counted", () => {
  assert.equal(changedOptions(emptyForm("script")), 0);
  assert.equal(changedOptions({ ...emptyForm("shell"), directory: "/", unlimited: true, stdin: true }), 3);
  assert.equal(changedOptions({ ...emptyForm("shell"), interpreter: "perl" }), 0, "it is not used by a shell");
});
