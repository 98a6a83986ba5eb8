// Against a stand-in for the other side of Tauri's IPC, which keeps what it was told.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Execution, ExecutionError, watch } from "../index.js";

type Call = { command: string; args: Record<string, unknown> };
type Message = { message: unknown; index: number };

let calls: Call[];
let answers: Record<string, (args: Record<string, unknown>) => unknown>;
let callbacks: Map<number, (message: Message) => void>;
let sent: number;

beforeEach(() => {
  calls = [];
  callbacks = new Map();
  sent = 0;
  answers = { subscribe: () => 5, subscribe_all: () => 6, execute: () => "id-1" };
  const internals = {
    transformCallback(callback: (message: Message) => void) {
      callbacks.set(1, callback);
      return 1;
    },
    unregisterCallback() {},
    async invoke(command: string, args: Record<string, unknown>) {
      const name = command.replace("plugin:execution-engine|", "");
      calls.push({ command: name, args });
      return answers[name]?.(args);
    },
  };
  Object.assign(globalThis, { window: { __TAURI_INTERNALS__: internals } });
});

/** A batch from the other side. */
function arrive(lines: string[], end = false): void {
  const records = lines.map((line, at) => ({ sequence: at, event: { type: "stdout", line } }));
  callbacks.get(1)!({ message: { records, end }, index: sent++ });
}

const told = (command: string) => calls.filter((call) => call.command === command).length;
const line = (record: { event: object }) => (record.event as { line: string }).line;

test("records come in order and end with the last batch", async () => {
  const records = await Execution.attach("id-1").records({ after: 7 });
  assert.deepEqual(calls[0]!.args["after"], 7);
  arrive(["a", "b"]);
  arrive(["c"]);
  arrive([], true);
  const lines: string[] = [];
  for await (const record of records) lines.push(line(record));
  assert.deepEqual(lines, ["a", "b", "c"]);
});

test("a batch is confirmed when it has been read, and not before", async () => {
  const records = await Execution.attach("id-1").records();
  arrive(["a", "b"]);
  await records.next();
  await records.next();
  assert.equal(told("confirm"), 0);
  const third = records.next();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told("confirm"), 1);
  assert.deepEqual(calls.at(-1)!.args, { subscription: 5 });
  arrive(["c"]);
  assert.equal(line((await third).value!), "c");
});

test("leaving the loop ends the subscription once", async () => {
  const records = await watch();
  arrive(["a", "b"]);
  for await (const record of records) {
    assert.equal(line(record), "a");
    break;
  }
  await records.close();
  assert.equal(told("unsubscribe"), 1);
  arrive(["late"]);
  assert.equal((await records.next()).done, true);
});

test("one that has ended by itself is not ended again", async () => {
  const records = await watch();
  arrive(["a"], true);
  for await (const _ of records);
  await records.close();
  assert.equal(told("unsubscribe"), 0);
});

test("a reader that waits is let go when the subscription is closed", async () => {
  const records = await watch();
  const waiting = records.next();
  await records.close();
  assert.equal((await waiting).done, true);
});

test("each of several readers gets the next record, or the end", async () => {
  const records = await watch();
  const both = Promise.all([records.next(), records.next()]);
  arrive(["a"], true);
  const [first, second] = await both;
  assert.equal(line(first.value!), "a");
  assert.equal(second.done, true);
});

test("the result is asked for once", async () => {
  answers["wait"] = () => ({ success: true });
  const execution = await Execution.start({ rule: "r" });
  assert.equal(execution.result, execution.result);
  assert.equal((await execution.result).success, true);
  assert.equal(told("wait"), 1);
});

test("text is written as bytes", async () => {
  answers["write_stdin"] = (bytes) => (bytes as unknown as Uint8Array).length;
  assert.equal(await Execution.attach("id-1").write("é\n"), 3);
});

test("errors have the code of the plugin, and Tauri's refusals one of their own", async () => {
  answers["execute"] = () => {
    throw { code: "refused", message: "no rule", retryable: false };
  };
  await assert.rejects(Execution.start({ rule: "r" }), (error) => {
    assert.ok(error instanceof ExecutionError);
    assert.deepEqual([error.code, error.message, error.retryable], ["refused", "no rule", false]);
    return true;
  });
  answers["cancel"] = () => {
    throw "execution-engine.cancel not allowed";
  };
  await assert.rejects(Execution.attach("id-1").cancel(), { code: "denied" });
});
