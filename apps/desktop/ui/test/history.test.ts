import assert from "node:assert/strict";
import { test } from "node:test";

import type { HistoryEntry, HistoryQuery, HistoryState } from "tauri-plugin-execution-engine-api";

import { History, problem } from "../history.ts";
import { entry, execution } from "./samples.ts";

const KEPT: HistoryState = { kept: true, reason: null, waiting: 0, failed: 0, last_error: null };

/** A history of the plugin, with pages of two entries. */
class Plugin {
  entries: HistoryEntry[] = [];
  state: HistoryState = KEPT;
  queries = 0;
  broken: Error | undefined;

  constructor(...ids: string[]) {
    this.add(...ids);
  }

  add(...ids: string[]): void {
    for (const id of ids) this.entries.unshift(entry(execution(id, this.entries.length)));
  }

  get source() {
    return {
      state: async () => this.state,
      list: async ({ cursor }: HistoryQuery) => {
        this.queries++;
        if (this.broken) throw this.broken;
        const from = Number(cursor ?? 0);
        const next = from + 2 < this.entries.length ? String(from + 2) : null;
        return { entries: this.entries.slice(from, from + 2), next };
      },
    };
  }
}

const ids = (history: History) => history.entries.map(({ summary }) => summary.id);

test("all pages are read, oldest first", async () => {
  const plugin = new Plugin("1", "2", "3", "4", "5");
  const history = new History(plugin.source);
  await history.read();
  assert.deepEqual(ids(history), ["1", "2", "3", "4", "5"]);
  assert.equal(history.get("3")?.summary.command, "command 3");
  assert.equal(history.problem, undefined);
});

test("what the engine has forgotten is found without reading all again", async () => {
  const plugin = new Plugin("1", "2", "3", "4", "5");
  const history = new History(plugin.source);
  await history.read();
  plugin.add("6", "7", "8");
  plugin.queries = 0;
  await history.find(["7"]);
  assert.equal(plugin.queries, 1);
  assert.deepEqual(ids(history), ["1", "2", "3", "4", "5", "7", "8"]);
  await history.find(["6", "7"]);
  assert.deepEqual(ids(history), ["1", "2", "3", "4", "5", "6", "7", "8"]);
  plugin.queries = 0;
  await history.find(["6", "7"]);
  assert.equal(plugin.queries, 0, "they are known");
  await history.find(["not kept"]);
  assert.equal(plugin.queries, 4);
});

test("an entry that was running when it was read is read again", async () => {
  const plugin = new Plugin("1");
  plugin.entries[0]!.result = null;
  const history = new History(plugin.source);
  await history.read();
  plugin.entries = [entry(execution("1", 0))];
  await history.find(["1"]);
  assert.notEqual(history.get("1")?.result, null);
});

test("what was removed is forgotten", async () => {
  const plugin = new Plugin("1", "2");
  const history = new History(plugin.source);
  await history.read();
  history.forget(["1"]);
  assert.deepEqual(ids(history), ["2"]);
});

test("without a history nothing is asked for, and the reason is told", async () => {
  const plugin = new Plugin("1");
  plugin.state = { ...KEPT, kept: false, reason: "/data/history/exeng.db is damaged: page 3; move it away to begin anew" };
  const history = new History(plugin.source);
  await history.read();
  await history.find(["1"]);
  assert.equal(plugin.queries, 0);
  assert.match(history.problem ?? "", /exeng\.db is damaged.*move it away to begin anew\. Then start the app again\..*works/);
});

test("a second instance is told as one", () => {
  const reason = "/data/history is in use by another process; end it, or use a directory of your own";
  const text = problem({ ...KEPT, kept: false, reason }) ?? "";
  assert.match(text, /^Another instance of this app is open/);
  assert.doesNotMatch(text, /directory of your own/);
});

test("what could not be stored is told", () => {
  const last_error = "the disk of the store is full (28: No space left); free some space, then try again";
  const text = problem({ ...KEPT, failed: 2, last_error }) ?? "";
  assert.match(text, /^Some runs .* could not be kept .* disk of the store is full .* free some space/);
});

test("a history that cannot be read is told, until it can", async () => {
  const plugin = new Plugin("1");
  plugin.broken = new Error("the database disk image is malformed");
  const history = new History(plugin.source);
  await history.read();
  assert.match(history.problem ?? "", /Earlier runs cannot be listed: the database disk image is malformed\./);
  plugin.broken = undefined;
  await history.find(["1"]);
  assert.equal(history.problem, undefined);
});
