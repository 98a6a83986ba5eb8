// Data types of the engine in their JSON form. `test/samples.ts` is generated from the Rust types
// and checked against these, in both directions.

/** Id of an execution: a UUID. */
export type ExecutionId = string;

/** Output stream of a program. */
export type OutputStream = "stdout" | "stderr";

/** Status of an execution or a plan. */
export type ExecutionStatus =
  | "pending"
  | "running"
  | "completed"
  | "failed"
  | "cancelled"
  | "timeout"
  | "lost";

/** Signal, by name or by number. */
export type Signal =
  | "hangup"
  | "interrupt"
  | "quit"
  | "terminate"
  | "kill"
  | "stop"
  | "continue"
  | "user1"
  | "user2"
  | "cpu_limit"
  | "file_size_limit"
  | number;

/** Command of an execution. */
export type Command =
  | { type: "script"; path: string; interpreter?: string | null; args?: string[] }
  | { type: "exec"; program: string; args?: string[] }
  | { type: "shell"; command: string; shell?: string }
  | {
      type: "aws_cli";
      service: string;
      operation: string;
      args?: string[];
      profile?: string | null;
      region?: string | null;
    };

/** Notes on an execution, for the app. The engine does not interpret them. */
export interface ExecutionMetadata {
  description?: string;
  tags?: string[];
  labels?: Record<string, string>;
}

/**
 * Request to run a command. Give a `command`, or a `rule` of the scope or a `sidecar` with its
 * `args`. A rule may also be given beside the others.
 */
export interface LaunchRequest {
  /** Default: a new one. */
  id?: ExecutionId;
  /** Rule of the scope that allows it. A shell line must name one. */
  rule?: string;
  /** Program that is bundled with the app, named as in `bundle.externalBin` of `tauri.conf.json`. */
  sidecar?: string;
  /** Arguments of the program of the rule or of the sidecar, if there is no `command`. */
  args?: string[];
  command?: Command;
  /** Variables to add to the environment of the app. */
  env?: Record<string, string>;
  working_dir?: string | null;
  timeout_ms?: number | null;
  /** File to write both streams to, as they are read. */
  output_log_path?: string | null;
  metadata?: ExecutionMetadata;
}

/** Resource limits of a program. */
export interface Limits {
  cpu_seconds?: number | null;
  address_space_bytes?: number | null;
  open_files?: number | null;
  file_size_bytes?: number | null;
  processes?: number | null;
  core_bytes?: number | null;
  nice?: number | null;
  umask?: number | null;
  tree_memory_bytes?: number | null;
  tree_processes?: number | null;
}

/** Standard input of a program. */
export type StdinSource =
  | { type: "null" }
  | { type: "bytes"; data: string | number[] }
  | { type: "file"; path: string }
  | { type: "piped" }
  | { type: "inherit" };

/** How much of a retry delay is random. */
export type Jitter = "none" | "half" | "full";

/** Ending after which there may be another attempt. */
export type RetryOn =
  | { type: "any_exit_code" }
  | { type: "exit_code"; code: number }
  | { type: "signal" }
  | { type: "timeout" }
  | { type: "spawn_failure" };

/** Rule by which a program that failed is started again. */
export interface RetryPolicy {
  attempts?: number;
  initial_delay_ms?: number;
  multiplier?: number;
  max_delay_ms?: number;
  jitter?: Jitter;
  retry_on?: RetryOn[];
}

/** Settings of one execution beyond its request. */
export interface ExecutionOptions {
  stop_grace_ms?: number;
  stop_signal?: Signal;
  final_signal?: Signal;
  /** Longest time without output. Default: unlimited. */
  idle_timeout_ms?: number;
  /** Longest wait until processes that the program left behind end by themselves. Default: none. */
  leftovers_wait_ms?: number;
  leftovers?: "stop" | "leave";
  limits?: Limits;
  /** Priority in the queue: the higher number goes first. */
  priority?: number;
  /** Group whose limit applies, too. */
  group?: string;
  /**
   * Environment beside that of the request. `remove` and `set` take names that `env` of the rule
   * allows, `inherit` needs `clear_env` there.
   */
  env?: {
    inherit?: { type: "all" } | { type: "only"; names: string[] } | { type: "nothing" };
    remove?: string[];
    set?: Record<string, string>;
  };
  /** User and groups that the program runs as. No rule of the scope can allow it. */
  user?: { uid: number; gid: number; groups?: number[] };
  stdin?: StdinSource;
  /** Whether links in paths are followed. For a window it is `refuse`, whatever is asked for. */
  links?: "follow" | "refuse";
  /**
   * Whether both streams are captured separately, or merged into stdout in the order of writes. No rule of the scope can
   * allow the streams of the app.
   */
  output?: "separate" | "merged" | "inherit_stderr" | "inherit";
  /** When a failed program is started again. Default: never. */
  retry?: RetryPolicy;
  /** Silence after which an unfinished line is delivered as it is. */
  partial_lines_after_ms?: number;
  /** What it needs of the place where it runs. Only for an engine with a backend. */
  requires?: Requires;
  /** How many times it may be started because a worker was lost. More than 1 only with a backend. */
  max_attempts?: number;
  /** Longest time between acceptance and first start. Only for an engine with a backend. */
  start_by_ms?: number;
  /** Files that are placed before the start. Only for an engine with a backend. */
  inputs?: Artifact[];
  /** Patterns of files that are kept when the program has ended. Only for an engine with a backend. */
  collect?: string[];
}

/** File that a backend has, at a path below the working directory. */
export interface Artifact {
  path: string;
  /** SHA-256 and size of its content: `hash/size`. */
  digest: string;
  executable?: boolean;
}

/** What an execution needs of the place where it runs. */
export interface Requires {
  pool?: string;
  labels?: Record<string, string>;
  /** Thousandths of a core. */
  cpu_milli?: number;
  memory_bytes?: number;
  resources?: Record<string, number>;
}

/** Position in an output: bytes of each stream. */
export interface OutputCursor {
  stdout: number;
  stderr: number;
}

/** Which part of the output a page has when there is more than its `max_bytes`. */
export type OutputWindow = "head" | "tail" | "head_and_tail";

/** What to read of an output, by bytes. */
export interface OutputQuery {
  /** `next` of the page before. Default: the beginning. */
  cursor?: OutputCursor;
  /** Default: both, in the order in which they were read. */
  stream?: OutputStream;
  /** Default: 64 KiB. */
  max_bytes?: number;
  window?: OutputWindow;
  /** Longest wait for output, if there is nothing to tell yet. Default: 0. */
  wait_ms?: number;
}

/** What to read of an output, by lines. Without `from` and `after`: the last. */
export interface LinesQuery {
  /** Number of the first line, from 0. */
  from?: number | null;
  /** `next` of lines that were read before: only what follows, the last of it if that is too much. */
  after?: OutputCursor | null;
  /** Default: 1000; at most 10,000. */
  max_lines?: number;
  /** Default: 256 KiB; at most 4 MiB. */
  max_bytes?: number;
  /** Longest wait if nothing follows `after` yet. Default: 0. */
  wait_ms?: number;
}

/** Place from which a search starts. */
export interface SearchFrom {
  /** Number of the line, from 0. */
  line?: number;
  /** Characters of the line before it, as a string counts them. */
  column?: number;
}

/** Direction of a search: the first matches at or behind a place, or the last before it. */
export type SearchDirection = "forward" | "backward";

/** What to search for in an output. */
export interface SearchQuery {
  /** At most 4 KiB. */
  pattern: string;
  /** The pattern is a regular expression. Default: a text. */
  regex?: boolean;
  case_sensitive?: boolean;
  /** Default: the beginning, or the end for a search backward. */
  from?: SearchFrom | null;
  direction?: SearchDirection;
  /** Default: 1. */
  max_matches?: number;
}

/** Match of a search. */
export interface OutputMatch {
  line: number;
  /** Characters of the line before it, and of itself, as a string counts them. */
  column: number;
  length: number;
}

/** What a search has found. */
export interface OutputMatches {
  /**
   * In the order of the output. If there are none in this direction, those from the other end, unless the search is
   * incomplete.
   */
  matches: OutputMatch[];
  /** How many matches there are before the first of these. */
  index: number;
  /** How many matches there are in all. */
  total: number;
  /** After some seconds the search has ended before all was searched. `total` counts the matches up to there. */
  incomplete: boolean;
}

/** Resource limit that can end an execution. */
export type ResourceLimit = "cpu_time" | "file_size" | "tree_memory";

/** Step of a plan. */
export interface PlanStep {
  index: number;
  name?: string;
}

/** Reason why a step of a plan never ran. */
export type SkipReason =
  | { type: "dependency_failed"; step: PlanStep }
  | { type: "dependency_skipped"; step: PlanStep }
  | { type: "condition"; condition: StepCondition }
  | { type: "plan_stopped"; step: PlanStep }
  | { type: "plan_cancelled" }
  | { type: "plan_deadline" }
  | { type: "engine_closed" }
  | { type: "after_failed"; execution: string }
  | { type: "start_by"; moment_ms: number }
  | { type: "input"; from: PlanStep; reason: string };

/** Cause that ended an execution. */
export type Ending =
  | { type: "exited"; code: number }
  | { type: "signaled"; signal: number; core_dumped: boolean }
  | { type: "timed_out"; timeout_ms: number }
  | { type: "idle_timed_out"; idle_timeout_ms: number }
  | { type: "cancelled" }
  | { type: "output_limit"; stream: OutputStream; limit: number }
  | { type: "output_lost"; stream: OutputStream; reason: string }
  | { type: "spawn_failed"; reason: string; os_error: number | null }
  | { type: "resource_limit"; limit: ResourceLimit }
  | { type: "status_unknown" }
  | { type: "plan_deadline"; deadline_ms: number }
  | { type: "not_run"; reason: SkipReason }
  | { type: "engine_closed" }
  | { type: "engine_failed"; reason: string }
  | { type: "lost"; reason: string }
  | { type: "worker_lost"; worker: string; attempts: number }
  | { type: "unknown"; reason: string };

/** Number of bytes of a stream. */
export interface StreamStats {
  seen_bytes: number;
  kept_bytes: number;
}

/** Resources that a whole process tree used. */
export interface TreeUsage {
  user_ms: number;
  system_ms: number;
  peak_memory_bytes: number | null;
}

/** Resources that an execution used. */
export interface ResourceUsage {
  user_ms: number;
  system_ms: number;
  peak_memory_bytes: number | null;
  voluntary_switches: number;
  involuntary_switches: number;
  tree: TreeUsage | null;
}

/** Process that is still alive after its execution has ended. */
export interface Survivor {
  pid: number;
  name: string;
  reason: string;
}

/** Strength of a containment, weakest first. */
export type ContainmentLevel = "process_group" | "process_tree" | "cgroup";

/** Receipt of a containment: what was done so that no process outlives the execution. */
export interface ContainmentReceipt {
  level: ContainmentLevel;
  proven: boolean;
  stopped: number;
  signal: Signal | null;
  took_ms: number;
  survivors: Survivor[];
  left_running: Survivor[];
}

/** Attempt to run a program that was followed by another one. */
export interface Attempt {
  number: number;
  ending: Ending;
  started_at: string;
  duration_ms: number;
  usage: ResourceUsage | null;
  containment: ContainmentReceipt;
  /** The last 4 KiB of its standard output. */
  stdout: string;
  stderr: string;
  stdout_stats: StreamStats;
  stderr_stats: StreamStats;
}

/** Result of an execution. */
export interface ExecutionResult {
  id: ExecutionId;
  status: ExecutionStatus;
  success: boolean;
  exit_code: number;
  stdout: string;
  stderr: string;
  duration_ms: number;
  /** Time in the queue before the start. */
  waited_ms: number;
  started_at: string;
  completed_at: string;
  error: string | null;
  stdout_overflow_file: string | null;
  stderr_overflow_file: string | null;
  ending: Ending;
  signal: number | null;
  usage: ResourceUsage | null;
  stdout_stats: StreamStats;
  stderr_stats: StreamStats;
  /** Whether `stdout` or `stderr` does not have all of its stream. */
  truncated: boolean;
  containment: ContainmentReceipt;
  output_error: string | null;
  lines_missed: number;
  /** Number of attempts to run the program; 0 if it was stopped before its first start. */
  attempts: number;
  /** Earlier attempts that failed, with `retry`: all, or the first ten and the last ten. */
  earlier_attempts?: Attempt[];
  /** Where it ran, if not in the app. */
  place?: Place;
  /** Files that were collected. */
  artifacts?: Artifact[];
  /** What was to be collected and was not, with the reason. */
  collect_errors?: string[];
}

/** Place where an execution ran, and what is known of it there. */
export interface Place {
  worker: string;
  attempt: number;
  /** Grows with each attempt. */
  fence: number;
  /** Whether no other attempt ran at the same time. */
  exclusive: "proven" | "assumed";
  /** What the acceptance of the execution survives. */
  durability: "power" | "process" | "unknown";
}

/** Entry of the list of executions. */
export interface ExecutionSummary {
  id: ExecutionId;
  status: ExecutionStatus;
  command: string;
  /** Process id of the main program, in its last attempt; null if it was never started. */
  pid: number | null;
  started_at: string;
  /** Null while it has not ended. */
  completed_at: string | null;
  waited_ms: number;
  duration_ms: number;
  attempts: number;
  stdout_stats: StreamStats;
  stderr_stats: StreamStats;
  truncated: boolean;
  ending: Ending | null;
  metadata: ExecutionMetadata;
}

/** Request as the history has it: without the values of variables. */
export interface ExecutionRequest {
  id: ExecutionId;
  command: Command;
  env: Record<string, string>;
  working_dir: string | null;
  timeout_ms: number | null;
  output_log_path: string | null;
  metadata: ExecutionMetadata;
}

/** Execution as the history has it. */
export interface HistoryEntry {
  /** What `list` says of it; of one that has not ended, when it was accepted. */
  summary: ExecutionSummary;
  accepted_at: string;
  request: ExecutionRequest;
  options: ExecutionOptions;
  /** Names of the variables that the request has set. */
  env_names: string[];
  /** Without texts; null if it has not ended. */
  result: ExecutionResult | null;
}

/** What to list of the history: that for which all of this is true. */
export interface HistoryQuery {
  /** It has one of these. Default: any. */
  status?: ExecutionStatus[];
  /** It has all of these. */
  tags?: string[];
  labels?: Record<string, string>;
  /** It was accepted then or later. */
  since?: string | null;
  /** It was accepted before. */
  until?: string | null;
  /** Its command contains this, in upper or lower case. */
  text?: string | null;
  /** Most entries of a page, 1 to 1000. Default: 100. */
  limit?: number;
  /** `next` of the page before. */
  cursor?: string | null;
}

/** Page of the history, the one that was accepted last first. */
export interface HistoryPage {
  entries: HistoryEntry[];
  /** Cursor of the next page, or null after the last one. */
  next: string | null;
}

/** Whether executions are kept for the next start of the app. */
export interface HistoryState {
  kept: boolean;
  /** Why the history could not be opened, in words. Null also if the app wants none. */
  reason: string | null;
  /** Calls that wait to be made. */
  waiting: number;
  /** Calls that have failed. What they were to store is not kept. */
  failed: number;
  /** Why the last one has failed. */
  last_error: string | null;
}

/** Order in which the commands of a plan may start. */
export type ExecutionStrategy =
  | { type: "serial"; stop_on_error: boolean }
  | { type: "parallel"; max_concurrency?: number }
  | { type: "dependency_graph"; dependencies: Record<string, number[]> };

/** Plan: several commands as one piece of work. The scope must allow each of them. */
export interface PlanRequest {
  id?: string;
  description?: string | null;
  strategy: ExecutionStrategy;
  commands: LaunchRequest[];
  metadata?: ExecutionMetadata;
}

/** Reference to a step: the index of its command, or its name. */
export type StepRef = number | string;

/** Part that is removed from the ends of an output. */
export type Trim = "nothing" | "line_endings" | "white_space";

/** Target of the output of another step. */
export type InputTarget =
  | { type: "stdin" }
  | { type: "env"; name: string }
  | { type: "files"; pattern: string; directory?: string };

/** Standard output of one step, or files that it has collected, as an input of another. The plugin denies files. */
export interface StepInput {
  from: StepRef;
  to: InputTarget;
  trim?: Trim;
  max_bytes?: number;
}

/** Condition on earlier steps under which a step runs. */
export type StepCondition =
  | { type: "succeeded"; step: StepRef }
  | { type: "failed"; step: StepRef }
  | { type: "exit_code"; step: StepRef; codes: number[] }
  | { type: "skipped"; step: StepRef }
  | { type: "any_failed" }
  | { type: "none_failed" };

/** Settings of one step of a plan. */
export interface StepOptions {
  name?: string;
  /** Steps it waits for, in addition to those of the strategy. */
  after?: StepRef[];
  inputs?: StepInput[];
  options?: ExecutionOptions;
  /** Its failure does not fail the plan, and its dependents run. */
  allow_failure?: boolean;
  /** It runs whatever came of the steps that it waits for, also after a cancel. */
  always?: boolean;
  /** It runs only if all of these are met. */
  only_if?: StepCondition[];
}

/** What happens to the other steps when one has failed. */
export type FailurePolicy =
  | "stop_at_first_error"
  | "cancel_at_first_error"
  | "finish_independent"
  | "continue";

/** Settings of a plan beyond its request. */
export interface PlanOptions {
  steps?: StepOptions[];
  failure_policy?: FailurePolicy;
  max_concurrency?: number;
  deadline_ms?: number;
  env?: Record<string, string>;
  working_dir?: string;
  defaults?: ExecutionOptions;
}

/** Cause that ended a plan. */
export type PlanEnding =
  | { type: "completed" }
  | { type: "failed"; step: PlanStep }
  | { type: "cancelled" }
  | { type: "deadline_reached"; deadline_ms: number }
  | { type: "engine_closed" }
  | { type: "engine_failed"; reason: string };

/** Number of commands of a plan, by ending. */
export interface PlanStats {
  total: number;
  completed: number;
  failed: number;
  allowed_failures: number;
  cancelled: number;
  timeout: number;
  not_run: number;
}

/** What a plan knows of one of its steps beyond the result of its execution. */
export interface StepReport {
  name?: string;
  /** It failed, and that was allowed. */
  failure_allowed?: boolean;
}

/** Result of a plan, with one result and one report for each command, in their order. */
export interface PlanExecutionResult {
  plan_id: string;
  status: ExecutionStatus;
  results: ExecutionResult[];
  steps: StepReport[];
  total_duration_ms: number;
  stats: PlanStats;
  ending: PlanEnding;
  started_at: string;
}

/** Entry of the list of plans. */
export interface PlanSummary {
  id: string;
  status: ExecutionStatus;
  description: string | null;
  total: number;
  ended: number;
  started_at: string;
  duration_ms: number;
  metadata: ExecutionMetadata;
}

interface Event<Type extends string> {
  type: Type;
  execution_id: ExecutionId;
}

/** Event of an execution or a plan. */
export type ExecutionEvent =
  | (Event<"started"> & { command: string; pid: number })
  | (Event<"stdout"> & { line: string })
  | (Event<"stderr"> & { line: string })
  | (Event<"status_changed"> & { from: ExecutionStatus; to: ExecutionStatus })
  | (Event<"retrying"> & { attempt: number; ending: Ending; delay_ms: number })
  | (Event<"lines_missed"> & { count: number })
  | (Event<"output_missed"> & { bytes: number })
  | { type: "executions_missed"; count: number }
  | {
      type: "progress";
      plan_id: string;
      completed: number;
      total: number;
      step: PlanStep;
      execution_id: ExecutionId;
      status: ExecutionStatus;
      current_command: string;
    }
  | { type: "plan_ended"; plan_id: string; status: ExecutionStatus; duration_ms: number }
  | (Event<"completed"> & { success: boolean; exit_code: number; duration_ms: number })
  | (Event<"failed"> & { error: string; duration_ms: number })
  | (Event<"cancelled"> & { duration_ms: number })
  | (Event<"timeout"> & { timeout_ms: number; duration_ms: number });

/** Event with its position in the sequence of its execution. */
export interface EventRecord {
  /** Grows within an execution. To resume, pass the last one that you have as `after`. */
  sequence: number;
  timestamp: string;
  execution_id: ExecutionId;
  /** `true` if the line continues in the next record of its stream. */
  partial: boolean;
  event: ExecutionEvent;
  /** Receipt of the containment, with the last event of an execution. */
  containment?: ContainmentReceipt;
}
