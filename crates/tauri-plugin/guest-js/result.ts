// Results, with output as text in any encoding, or as bytes.

import { call } from "./call.js";
import { readFrame } from "./frame.js";
import { decoder, type TextOptions } from "./text.js";
import type { ExecutionResult } from "./types.js";

/** Parts of a result, and how its text is decoded. */
export interface ResultOptions extends TextOptions {
  /** Whether the result includes the text of both streams, which may be large. Default: include. */
  output?: "include" | "omit";
}

/** Asks for the output as bytes. */
export interface BytesOptions {
  output: "bytes";
}

/** Result with the output as the program wrote it. */
export type BytesResult = Omit<ExecutionResult, "stdout" | "stderr"> & {
  stdout: Uint8Array;
  stderr: Uint8Array;
};

/** Calls a command of the plugin that returns a result. It may return null. */
export async function callForResult<Result>(
  command: string,
  args: Record<string, unknown>,
  options: ResultOptions | BytesOptions,
): Promise<Result> {
  const encoding = "encoding" in options && options.output !== "omit" ? options.encoding : undefined;
  // Before the call, which may start a program: the encoding may be unknown.
  const decoders = encoding === undefined ? undefined : ([decoder(encoding), decoder(encoding)] as const);
  const output = decoders ? "bytes" : (options.output ?? null);
  const answer = await call<unknown>(command, { ...args, output });
  if (!(answer instanceof ArrayBuffer)) return answer as Result;
  const result = readResult(answer);
  if (!decoders) return result as Result;
  const [stdout, stderr] = decoders;
  const text = { stdout: stdout.decode(result.stdout), stderr: stderr.decode(result.stderr) };
  return { ...result, ...text } as Result;
}

/** Decodes a frame with a result and the bytes of both streams. */
export function readResult(raw: ArrayBuffer): BytesResult {
  const { header, bytes } = readFrame<{ result: ExecutionResult; stdout_bytes: number }>(raw);
  const [stdout, stderr] = [bytes.subarray(0, header.stdout_bytes), bytes.subarray(header.stdout_bytes)];
  return { ...header.result, stdout, stderr };
}
