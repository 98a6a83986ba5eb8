/** Why a call failed. */
export class ExecutionError extends Error {
  override readonly name = "ExecutionError";

  constructor(
    /** A stable name: `refused`, `not_found`, `concurrency_limit_reached` .. */
    readonly code: string,
    message: string,
    /** Whether the same call may succeed later without any change. */
    readonly retryable: boolean,
  ) {
    super(message);
  }
}

/** An error of the plugin as an {@link ExecutionError}; Tauri's own refusals have the code `denied`. */
export function failure(error: unknown): ExecutionError {
  if (error instanceof ExecutionError) return error;
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    const { code, message } = error as { code: unknown; message: unknown };
    const retryable = "retryable" in error && error.retryable === true;
    return new ExecutionError(String(code), String(message), retryable);
  }
  return new ExecutionError("denied", String(error), false);
}
