// A stand-in for Tauri's IPC that records all calls.

export type Call = { command: string; args: Record<string, unknown> };

export class Ipc {
  readonly calls: Call[] = [];
  answers: Record<string, (args: Record<string, unknown>) => unknown> = {};
  #callbacks = new Map<number, (message: { message: unknown; index: number }) => void>();
  #sent = new Map<number, number>();

  constructor() {
    const internals = {
      transformCallback: (callback: (message: { message: unknown; index: number }) => void) => {
        const id = this.#callbacks.size + 1;
        this.#callbacks.set(id, callback);
        return id;
      },
      unregisterCallback() {},
      invoke: async (command: string, args: Record<string, unknown>) => {
        const name = command.replace("plugin:execution-engine|", "");
        this.calls.push({ command: name, args });
        return this.answers[name]?.(args);
      },
    };
    Object.assign(globalThis, { window: { __TAURI_INTERNALS__: internals } });
  }

  /** Delivers a message to the channel with this number, counted from 1. */
  deliver(channel: number, message: unknown): void {
    const index = this.#sent.get(channel) ?? 0;
    this.#sent.set(channel, index + 1);
    this.#callbacks.get(channel)!({ message, index });
  }

  count(command: string): number {
    return this.calls.filter((call) => call.command === command).length;
  }
}
