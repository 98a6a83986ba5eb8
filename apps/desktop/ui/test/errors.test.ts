import assert from "node:assert/strict";
import { test } from "node:test";

import { ExecutionError } from "tauri-plugin-execution-engine-api";

import { explain } from "../errors.ts";

const text = (code: string, message: string) => explain(new ExecutionError(code, message, false)).text;

test("a refusal is told to the user, not to the author of the rules", () => {
  assert.match(text("refused", "command: denied by rule `no-sudo`"), /^sudo and su do not work here/);
  assert.match(text("refused", "commands[1]: command: denied by rule `no-su`"), /^Step 2: sudo and su/);
  const other = text("refused", "command.program: no rule allows it; add a rule with a matching `program`");
  assert.match(other, /rules of this app do not allow/);
  assert.doesNotMatch(other, /`program`/);
});

test("code and message stay available", () => {
  const { detail } = explain(new ExecutionError("refused", "command: denied by rule `no-sudo`", false));
  assert.equal(detail, "refused: command: denied by rule `no-sudo`");
  assert.deepEqual(explain(new Error("it broke")), { text: "it broke", detail: "" });
});

test("steps are counted from 1, and names of the interface are words", () => {
  assert.equal(
    text("plan_cycle", 'plan: the dependencies form a cycle: step 0 ("a") -> step 1 ("b"); remove one of them'),
    "The dependencies form a cycle: step 1 (a) -> step 2 (b); remove one of them.",
  );
  assert.equal(
    text("working_dir_not_found", "working_dir /x does not exist; create it or check the path"),
    "Directory /x does not exist; create it or check the path.",
  );
});
