// The error of all calls.

/** Error of a call. */
export class ExecutionError extends Error {
  override readonly name = "ExecutionError";

  constructor(
    /** Stable name to compare: `refused`, `not_found`, `concurrency_limit_reached`, ... */
    readonly code: string,
    message: string,
    /** `true` if the same call may succeed later without any change. */
    readonly retryable: boolean,
  ) {
    super(message);
  }
}

/** Converts an error of `invoke`. A call that Tauri itself denies gets the code `denied`. */
export function toExecutionError(error: unknown): ExecutionError {
  if (error instanceof ExecutionError) return error;
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    const { code, message } = error as { code: unknown; message: unknown };
    const retryable = "retryable" in error && error.retryable === true;
    return new ExecutionError(String(code), String(message), retryable);
  }
  return new ExecutionError("denied", String(error), false);
}
