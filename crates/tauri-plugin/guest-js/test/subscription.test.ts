// Subscriptions and calls, against a stand-in for Tauri's IPC that records all calls.

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

/** Delivers a batch. */
function deliver(lines: string[], end = false): void {
  const records = lines.map((line, at) => ({ sequence: at, event: { type: "stdout", line } }));
  callbacks.get(1)!({ message: { records, end }, index: sent++ });
}

const count = (command: string) => calls.filter((call) => call.command === command).length;
const line = (record: { event: object }) => (record.event as { line: string }).line;

test("records are delivered in order up to the last batch", async () => {
  const records = await Execution.attach("id-1").records({ after: 7 });
  assert.deepEqual(calls[0]!.args["after"], 7);
  deliver(["a", "b"]);
  deliver(["c"]);
  deliver([], true);
  const lines: string[] = [];
  for await (const record of records) lines.push(line(record));
  assert.deepEqual(lines, ["a", "b", "c"]);
});

test("a batch is acknowledged when it has been read, and not before", async () => {
  const records = await Execution.attach("id-1").records();
  deliver(["a", "b"]);
  await records.next();
  await records.next();
  assert.equal(count("ack"), 0);
  const third = records.next();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(count("ack"), 1);
  assert.deepEqual(calls.at(-1)!.args, { subscription: 5 });
  deliver(["c"]);
  assert.equal(line((await third).value!), "c");
});

test("leaving the loop closes the subscription once", async () => {
  const records = await watch();
  deliver(["a", "b"]);
  for await (const record of records) {
    assert.equal(line(record), "a");
    break;
  }
  await records.close();
  assert.equal(count("unsubscribe"), 1);
  deliver(["late"]);
  assert.equal((await records.next()).done, true);
});

test("closing a subscription that has ended sends nothing", async () => {
  const records = await watch();
  deliver(["a"], true);
  for await (const _ of records);
  await records.close();
  assert.equal(count("unsubscribe"), 0);
});

test("closing a subscription ends a pending read", async () => {
  const records = await watch();
  const waiting = records.next();
  await records.close();
  assert.equal((await waiting).done, true);
});

test("each of several readers receives the next record, or the end", async () => {
  const records = await watch();
  const both = Promise.all([records.next(), records.next()]);
  deliver(["a"], true);
  const [first, second] = await both;
  assert.equal(line(first.value!), "a");
  assert.equal(second.done, true);
});

test("the result is requested once", async () => {
  answers["wait"] = () => ({ success: true });
  const execution = await Execution.start({ rule: "r" });
  assert.equal(execution.result, execution.result);
  assert.equal((await execution.result).success, true);
  assert.equal(count("wait"), 1);
});

test("text is written as bytes", async () => {
  answers["write_stdin"] = (bytes) => (bytes as unknown as Uint8Array).length;
  assert.equal(await Execution.attach("id-1").write("é\n"), 3);
});

test("errors have the code of the plugin, and denials of Tauri the code `denied`", async () => {
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
