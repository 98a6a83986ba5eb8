import assert from "node:assert/strict";
import { test } from "node:test";

import type { HistoryEntry } from "tauri-plugin-execution-engine-api";

import { check, emptyForm, type Form, type Kind } from "../form.ts";
import type { ExecutionInput } from "../store.ts";
import { formOf, isPrivate, metadata } from "../typed.ts";
import { entry, execution } from "./samples.ts";

const form = (kind: Kind, text: string, more: Partial<Form> = {}): Form => ({ ...emptyForm(kind), text, ...more });

/** Returns what the history has of a run of this content of the run bar: all but the values of variables. */
function kept(form: Form): HistoryEntry {
  const checked = check(form);
  assert.ok("input" in checked, JSON.stringify(checked));
  const { request, options } = checked.input as ExecutionInput;
  const { command, working_dir = null, timeout_ms = null, metadata = {}, env = {} } = request;
  const known = { command: command!, working_dir: working_dir && `/real${working_dir}`, timeout_ms, metadata };
  return entry({ ...execution("1", 0), metadata }, known, options, Object.keys(env));
}

test("what was typed comes back, with all options", () => {
  const forms = [
    form("shell", "make -j2\nmake test", { directory: "/src", timeout: "2.5", stdin: true, merged: true }),
    form("program", `git log --format="%h %s"`, { unlimited: true }),
    form("script", "a.py -v", { interpreter: "perl" }),
    form("script", "./run", { interpreter: "" }),
  ];
  for (const typed of forms) assert.deepEqual(formOf(kept(typed)), typed);
});

test("values of variables are in no note, and their names must be entered again", () => {
  const typed = form("program", "deploy", { environment: "TOKEN=hunter2\n# how\nMODE=hunter2" });
  const known = kept(typed);
  assert.doesNotMatch(JSON.stringify(known), /hunter2/);
  const { environment, missing } = formOf(known)!;
  assert.deepEqual([environment, missing], ["TOKEN=\nMODE=", ["TOKEN", "MODE"]]);
});

test("a plan comes back from any of its steps", () => {
  const typed = form("plan", "build: make\ntest after build: make test", { timeout: "7" });
  const { labels } = metadata(typed);
  const step = entry(execution("s", 0, { ...labels, plan: "p", step: "1", name: "build" }), { timeout_ms: 7000 });
  assert.deepEqual(formOf(step), typed);
});

test("what was not started from the run bar has no form", () => {
  assert.equal(formOf(entry(execution("1", 0))), undefined);
  assert.equal(formOf(entry(execution("1", 0, { kind: "other" }))), undefined);
});

test("a command that starts with a space is not kept", () => {
  assert.equal(isPrivate(form("shell", " login hunter2")), true);
  assert.deepEqual(metadata(form("shell", " login hunter2")).tags, ["private"]);
  assert.equal(metadata(form("shell", "login")).tags, undefined);
});
