import assert from "node:assert/strict";
import { test } from "node:test";

import { emptyForm, type Form } from "../form.ts";
import { History, MAX_RUNS, Recall } from "../history.ts";

/** Storage in memory. */
class Memory {
  all = new Map<string, string>();
  getItem = (key: string) => this.all.get(key) ?? null;
  setItem = (key: string, value: string) => void this.all.set(key, value);
  get text(): string {
    return [...this.all.values()].join();
  }
}

const form = (text: string, more: Partial<Form> = {}): Form => ({ ...emptyForm("shell"), text, ...more });
const run = (id: string, form: Form) => ({ id, form, title: form.text, started_at: `2026-11-29T10:00:0${id}Z` });

test("runs and their endings are there after a restart", () => {
  const shelf = new Memory();
  const history = new History(shelf);
  history.add(run("1", form("make", { directory: "/src", timeout: "5", stdin: true })));
  history.ended("1", "failed", "exit 2", 1500);
  history.ended("1", "completed", "exit 0", 9);
  const [again] = new History(shelf).runs;
  assert.deepEqual([again?.status, again?.outcome, again?.duration_ms], ["failed", "exit 2", 1500]);
  assert.deepEqual(again?.form, form("make", { directory: "/src", timeout: "5", stdin: true }));
});

test("values of variables are not stored, and their names must be entered again", () => {
  const shelf = new Memory();
  new History(shelf).add(run("1", form("deploy", { environment: "TOKEN=hunter2\nMODE=hunter2" })));
  assert.doesNotMatch(shelf.text, /hunter2/);
  const [again] = new History(shelf).runs;
  assert.equal(again?.form.environment, "TOKEN=\nMODE=");
  assert.deepEqual(again?.form.missing, ["TOKEN", "MODE"]);
});

test("a command that starts with a space is not stored", () => {
  const shelf = new Memory();
  new History(shelf).add(run("1", form(" login hunter2")));
  assert.equal(shelf.text, "");
});

test("the number of runs is bounded, and unreadable storage is empty history", () => {
  const shelf = new Memory();
  const history = new History(shelf);
  for (let at = 0; at < MAX_RUNS + 5; at++) history.add({ ...run("1", form(`run ${at}`)), id: String(at) });
  assert.equal(new History(shelf).runs.length, MAX_RUNS);
  assert.equal(history.get("4"), undefined);
  for (const text of ["{", "5", '[null, {"id": 1}]']) {
    shelf.setItem("history", text);
    assert.deepEqual(new History(shelf).runs, []);
  }
});

test("a removal can be undone, in the same places", () => {
  const history = new History(new Memory());
  for (const id of ["1", "2", "3"]) history.add(run(id, form(`run ${id}`)));
  const removed = history.remove(new Set(["2", "x"]));
  assert.deepEqual(history.runs.map(({ id }) => id), ["1", "3"]);
  history.restore(removed);
  assert.deepEqual(history.runs.map(({ id }) => id), ["1", "2", "3"]);
});

test("recall walks back and forth, and returns to what was typed", () => {
  const earlier = [form("a"), form("b", { stdin: true }), form("a"), form("c")];
  const recall = new Recall(() => earlier);
  const draft = form("typed");
  assert.equal(recall.step(1, draft), undefined);
  const back = [recall.step(-1, draft), recall.step(-1, draft), recall.step(-1, draft), recall.step(-1, draft)];
  assert.deepEqual(back.map((form) => form?.text), ["c", "a", "b", undefined], "equal ones once");
  assert.equal(back[2]?.stdin, true);
  const forth = [recall.step(1, draft), recall.step(1, draft), recall.step(1, draft), recall.step(1, draft)];
  assert.deepEqual(forth.map((form) => form?.text), ["a", "c", "typed", undefined]);
});

test("recall skips what is shown already", () => {
  const recall = new Recall(() => [form("a"), form("b")]);
  assert.equal(recall.step(-1, form("b"))?.text, "a");
});
