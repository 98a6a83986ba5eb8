// Results as text, in other encodings, and as bytes.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Execution, result, run } from "../index.js";
import { frame } from "./frame.js";
import { Ipc } from "./ipc.js";

let ipc: Ipc;

beforeEach(() => {
  ipc = new Ipc();
  const bytes = () => frame({ result: { exit_code: 0, stdout: "", stderr: "" }, stdout_bytes: 2 }, [0x93, 0xfa, 0xb1]);
  const answer = (args: Record<string, unknown>) => (args["output"] === "bytes" ? bytes() : { stdout: "text" });
  ipc.answers = { run: answer, wait: answer, result: answer, execute: () => "id-1" };
});

test("a result has text unless bytes are asked for", async () => {
  assert.equal((await run({ rule: "r" })).stdout, "text");
  assert.equal(ipc.calls[0]!.args["output"], null);
  const { stdout, stderr, exit_code } = await run({ rule: "r" }, undefined, { output: "bytes" });
  assert.deepEqual([stdout, stderr, exit_code], [Uint8Array.of(0x93, 0xfa), Uint8Array.of(0xb1), 0]);
});

test("text is decoded from the encoding of the call or of the execution", async () => {
  const { stdout, stderr } = await run({ rule: "r" }, {}, { encoding: "shift_jis" });
  assert.deepEqual([stdout, stderr], ["日", "ｱ"]);
  const execution = await Execution.start({ rule: "r" }, {}, { encoding: "shift_jis" });
  assert.equal((await execution.result).stderr, "ｱ");
  const short = await execution.wait({ output: "omit" });
  assert.equal(short.stdout, "text");
  assert.equal(ipc.calls.at(-1)!.args["output"], "omit", "nothing is decoded that is not wanted");
});

test("there may be no result yet", async () => {
  ipc.answers["result"] = () => null;
  assert.equal(await result("id-1", { output: "bytes" }), null);
  assert.equal(await result("id-1", { encoding: "shift_jis" }), null);
});

test("an unknown encoding starts nothing", async () => {
  await assert.rejects(run({ rule: "r" }, {}, { encoding: "klingon" }), { code: "malformed" });
  await assert.rejects(Execution.start({ rule: "r" }, {}, { encoding: "klingon" }), { code: "malformed" });
  assert.equal(ipc.calls.length, 0);
});

test("a sidecar is started by its name", async () => {
  await Execution.sidecar("binaries/ffmpeg", ["-version"], { stop_grace_ms: 1 });
  assert.deepEqual(ipc.calls[0]!.args, {
    request: { sidecar: "binaries/ffmpeg", args: ["-version"] },
    options: { stop_grace_ms: 1 },
  });
});

test("the process id is that of the summary", async () => {
  ipc.answers["summary"] = () => ({ pid: 7 });
  assert.equal(await Execution.attach("id-1").pid, 7);
});
