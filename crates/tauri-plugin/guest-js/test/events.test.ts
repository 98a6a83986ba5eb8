// Listeners.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Execution, type ExecutionError } from "../index.js";
import { Ipc } from "./ipc.js";

let ipc: Ipc;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const line = (type: string, text: string, sequence: number) => ({ sequence, event: { type, line: text } });

beforeEach(() => {
  ipc = new Ipc();
  ipc.answers = { subscribe: () => 5, wait: () => ({ exit_code: 3 }) };
});

test("listeners that are added together share a subscription and one order", async () => {
  const told: unknown[] = [];
  const closed = new Promise<void>((resolve) => {
    Execution.attach("id-1")
      .on("stdout", (text) => told.push(`out ${text}`))
      .on("stderr", (text) => told.push(`err ${text}`))
      .on("event", ({ event }) => told.push(event.type))
      .on("close", ({ exit_code }) => {
        told.push(exit_code);
        resolve();
      });
  });
  await turn();
  assert.equal(ipc.count("subscribe"), 1);
  const records = [{ sequence: 1, event: { type: "started" } }, line("stdout", "a", 2), line("stderr", "b", 3), line("stdout", "c", 4)];
  ipc.deliver(1, { records, end: true });
  await closed;
  assert.deepEqual(told, ["started", "out a", "err b", "out c", 3]);
});

test("a listener that is added later is told from the beginning", async () => {
  const execution = Execution.attach("id-1").on("stdout", () => {});
  await turn();
  const told: string[] = [];
  execution.on("stdout", (text) => told.push(text));
  await turn();
  assert.equal(ipc.count("subscribe"), 2);
  assert.equal(ipc.calls.at(-1)!.args["after"], null);
  ipc.deliver(2, { records: [line("stdout", "a", 1)], end: true });
  await turn();
  assert.deepEqual(told, ["a"]);
});

test("removing the last listener ends the subscription", async () => {
  const told: string[] = [];
  const listener = (text: string) => {
    told.push(text);
    execution.off("stdout", listener);
  };
  const execution = Execution.attach("id-1").on("stdout", listener);
  await turn();
  ipc.deliver(1, { records: [line("stdout", "a", 1), line("stdout", "b", 2)], end: false });
  await turn();
  assert.deepEqual(told, ["a"]);
  assert.equal(ipc.count("unsubscribe"), 1);
});

test("a listener for the close alone opens no subscription", async () => {
  const closed = new Promise((resolve) => Execution.attach("id-1").on("close", resolve));
  assert.deepEqual(await closed, { exit_code: 3 });
  assert.equal(ipc.count("subscribe"), 0);
});

test("a call that fails is reported as an error", async () => {
  ipc.answers["subscribe"] = () => {
    throw "execution-engine.subscribe not allowed";
  };
  const failed = new Promise<ExecutionError>((resolve) => {
    Execution.attach("id-1").on("stdout", () => {}).on("error", resolve);
  });
  assert.equal((await failed).code, "denied");
});
