// What the app knows: the executions of the engine, the one that is looked at, and the requests
// that were made here, so that they can be made again.

import {
  Execution,
  list,
  watch,
  type ExecutionId,
  type ExecutionOptions,
  type ExecutionSummary,
  type LaunchRequest,
} from "tauri-plugin-execution-engine-api";

/** What was asked for, as the run bar shows it. */
export interface Asked {
  request: LaunchRequest;
  options: ExecutionOptions;
}

type Listener = () => void;

const REFRESH_MS = 150;
const REMEMBERED = 200;
const ASKED = "asked";
const CHOSEN = "chosen";

export class Store {
  executions: ExecutionSummary[] = [];
  chosen: ExecutionId | undefined = sessionStorage.getItem(CHOSEN) ?? undefined;
  /** Paused from here; the engine has no status for it. */
  readonly paused = new Set<ExecutionId>();
  #asked = new Map<ExecutionId, Asked>(
    JSON.parse(sessionStorage.getItem(ASKED) ?? "[]") as [ExecutionId, Asked][],
  );
  #listeners = new Set<Listener>();
  #refresh: Promise<void> | undefined;
  #again = false;

  /** Follows the engine for as long as the page lives. */
  async follow(): Promise<void> {
    const events = await watch("progress");
    await this.refresh();
    if (!this.current) this.choose(this.executions.at(-1)?.id);
    for await (const { event } of events) {
      if (event.type === "executions_missed" || "execution_id" in event) void this.refresh();
    }
  }

  /** The execution that is looked at. */
  get current(): ExecutionSummary | undefined {
    return this.executions.find(({ id }) => id === this.chosen);
  }

  onChange(listener: Listener): void {
    this.#listeners.add(listener);
  }

  choose(id: ExecutionId | undefined): void {
    if (id === this.chosen) return;
    this.chosen = id;
    if (id) sessionStorage.setItem(CHOSEN, id);
    else sessionStorage.removeItem(CHOSEN);
    this.#changed();
  }

  async start(asked: Asked): Promise<ExecutionId> {
    const { id } = await Execution.start(asked.request, asked.options);
    this.#asked.set(id, asked);
    const kept = [...this.#asked].slice(-REMEMBERED);
    this.#asked = new Map(kept);
    sessionStorage.setItem(ASKED, JSON.stringify(kept));
    await this.refresh();
    this.choose(id);
    return id;
  }

  asked(id: ExecutionId): Asked | undefined {
    return this.#asked.get(id);
  }

  async pause(id: ExecutionId): Promise<void> {
    await Execution.attach(id).pause();
    this.paused.add(id);
    this.#changed();
  }

  async resume(id: ExecutionId): Promise<void> {
    await Execution.attach(id).resume();
    this.paused.delete(id);
    this.#changed();
  }

  async remove(id: ExecutionId): Promise<void> {
    await Execution.attach(id).remove();
    const at = this.executions.findIndex((execution) => execution.id === id);
    const next = this.executions[at - 1] ?? this.executions[at + 1];
    await this.refresh();
    if (this.chosen === id) this.choose(next?.id);
  }

  /** Asks for the list; many wishes within a moment are one question. */
  refresh(): Promise<void> {
    if (this.#refresh) {
      this.#again = true;
      return this.#refresh;
    }
    this.#refresh = (async () => {
      do {
        this.#again = false;
        this.executions = await list();
        for (const { id, ending } of this.executions) if (ending) this.paused.delete(id);
        this.#changed();
        await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
      } while (this.#again);
    })().finally(() => (this.#refresh = undefined));
    return this.#refresh;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** How long an execution took, or has been running by now. */
export function elapsed(execution: ExecutionSummary): number {
  if (execution.ending) return execution.duration_ms;
  return Math.max(execution.duration_ms, Date.now() - Date.parse(execution.started_at));
}
