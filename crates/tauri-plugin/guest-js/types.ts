// The words of the engine, as they travel in JSON. `test/samples.ts` is made by the Rust types and
// checked against these, in both directions.

/** The id of an execution: a UUID. */
export type ExecutionId = string;

/** One of the two output streams of a program. */
export type OutputStream = "stdout" | "stderr";

/** Where an execution stands. */
export type ExecutionStatus =
  | "pending"
  | "running"
  | "completed"
  | "failed"
  | "cancelled"
  | "timeout";

/** A signal to a process tree. */
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

/** What to run. */
export type Command =
  | { type: "script"; path: string; interpreter?: string | null }
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

/** Notes on an execution. */
export interface ExecutionMetadata {
  description?: string;
  tags?: string[];
  labels?: Record<string, string>;
}

/** One piece of work. Give a `command`, or a `rule` of the scope with its `args`, or both. */
export interface LaunchRequest {
  /** Yours to choose; a new one is made if it is left out. */
  id?: ExecutionId;
  /** The rule of the scope to run by. A shell line must name it. */
  rule?: string;
  /** The arguments of the rule's program, where there is no `command`. */
  args?: string[];
  command?: Command;
  /** Added to the environment of the app. */
  env?: Record<string, string>;
  working_dir?: string | null;
  timeout_ms?: number | null;
  /** A file that gets both streams as they come. */
  output_log_path?: string | null;
  metadata?: ExecutionMetadata;
}

/** What a program may use. */
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

/** Where a program reads from. */
export type StdinSource =
  | { type: "null" }
  | { type: "bytes"; data: string | number[] }
  | { type: "file"; path: string }
  | { type: "piped" };

/** How much of a pause is left to chance. */
export type Jitter = "none" | "half" | "full";

/** An ending after which there may be another attempt. */
export type RetryOn =
  | { type: "any_exit_code" }
  | { type: "exit_code"; code: number }
  | { type: "signal" }
  | { type: "timeout" }
  | { type: "spawn_failure" };

/** How often a program that has failed is started again, and after which pauses. */
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
  leftovers?: "stop" | "leave";
  limits?: Limits;
  /** Who goes first where executions wait: the higher number. */
  priority?: number;
  /** The group whose limit counts for it, too. */
  group?: string;
  stdin?: StdinSource;
  /** Whether its two streams are kept apart, or are one in exact order. */
  output?: "separate" | "merged";
  /** Whether it is tried again when it has failed. */
  retry?: RetryPolicy;
  /** After how much silence an unfinished line is told as it is. */
  partial_lines_after_ms?: number;
}

/** A limit whose breach the system tells. */
export type ResourceLimit = "cpu_time" | "file_size" | "tree_memory";

/** A step of a plan. */
export interface PlanStep {
  index: number;
  name?: string;
}

/** Why a command of a plan never ran. */
export type SkipReason =
  | { type: "dependency_failed"; step: PlanStep }
  | { type: "plan_stopped"; step: PlanStep }
  | { type: "plan_cancelled" }
  | { type: "plan_deadline" }
  | { type: "engine_closed" }
  | { type: "input"; from: PlanStep; reason: string };

/** The one thing that ended an execution. */
export type Ending =
  | { type: "exited"; code: number }
  | { type: "signaled"; signal: number; core_dumped: boolean }
  | { type: "timed_out"; timeout_ms: number }
  | { type: "cancelled" }
  | { type: "output_limit"; stream: OutputStream; limit: number }
  | { type: "output_lost"; stream: OutputStream; reason: string }
  | { type: "spawn_failed"; reason: string; os_error: number | null }
  | { type: "resource_limit"; limit: ResourceLimit }
  | { type: "status_unknown" }
  | { type: "plan_deadline"; deadline_ms: number }
  | { type: "not_run"; reason: SkipReason }
  | { type: "engine_closed" }
  | { type: "engine_failed"; reason: string };

/** How many bytes a stream had. */
export interface StreamStats {
  seen_bytes: number;
  kept_bytes: number;
}

/** What a whole process tree used. */
export interface TreeUsage {
  user_ms: number;
  system_ms: number;
  peak_memory_bytes: number | null;
}

/** What an execution used. */
export interface ResourceUsage {
  user_ms: number;
  system_ms: number;
  peak_memory_bytes: number | null;
  voluntary_switches: number;
  involuntary_switches: number;
  tree: TreeUsage | null;
}

/** A process that is still alive after its execution has ended. */
export interface Survivor {
  pid: number;
  name: string;
  reason: string;
}

/** How firmly a process tree is held. */
export type ContainmentLevel = "process_group" | "process_tree" | "cgroup";

/** What was done so that nothing outlives an execution. */
export interface ContainmentReceipt {
  level: ContainmentLevel;
  proven: boolean;
  stopped: number;
  signal: Signal | null;
  took_ms: number;
  survivors: Survivor[];
  left_running: Survivor[];
}

/** One attempt to run a program. */
export interface Attempt {
  number: number;
  ending: Ending;
  started_at: string;
  duration_ms: number;
  usage: ResourceUsage | null;
  containment: ContainmentReceipt;
}

/** What came of an execution. */
export interface ExecutionResult {
  id: ExecutionId;
  status: ExecutionStatus;
  success: boolean;
  exit_code: number;
  stdout: string;
  stderr: string;
  duration_ms: number;
  /** How long it waited in the queue before. */
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
  containment: ContainmentReceipt;
  output_error: string | null;
  lines_missed: number;
  /** The attempts that failed before, with `retry`. */
  earlier_attempts?: Attempt[];
}

/** One line of the list of executions. */
export interface ExecutionSummary {
  id: ExecutionId;
  status: ExecutionStatus;
  command: string;
  started_at: string;
  duration_ms: number;
  ending: Ending | null;
  metadata: ExecutionMetadata;
}

/** Which command of a plan may start when. */
export type ExecutionStrategy =
  | { type: "serial"; stop_on_error: boolean }
  | { type: "parallel"; max_concurrency?: number }
  | { type: "dependency_graph"; dependencies: Record<string, number[]> };

/** Many commands as one piece of work. Each must be allowed by the scope. */
export interface PlanRequest {
  id?: string;
  description?: string | null;
  strategy: ExecutionStrategy;
  commands: LaunchRequest[];
  metadata?: ExecutionMetadata;
}

/** A step, by the index of its command or by its name. */
export type StepRef = number | string;

/** What is taken off the ends of an output that is handed on. */
export type Trim = "nothing" | "line_endings" | "white_space";

/** Where the output of a step goes: standard input, or an environment variable. */
export type InputTarget = { type: "stdin" } | { type: "env"; name: string };

/** What an earlier step has printed, handed to another one. */
export interface StepInput {
  from: StepRef;
  to: InputTarget;
  trim?: Trim;
  max_bytes?: number;
}

/** What there is to say about one step of a plan. */
export interface StepOptions {
  name?: string;
  /** What it waits for, beside what the strategy says. */
  after?: StepRef[];
  inputs?: StepInput[];
  options?: ExecutionOptions;
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

/** The one thing that ended a plan. */
export type PlanEnding =
  | { type: "completed" }
  | { type: "failed"; step: PlanStep }
  | { type: "cancelled" }
  | { type: "deadline_reached"; deadline_ms: number }
  | { type: "engine_closed" }
  | { type: "engine_failed"; reason: string };

/** How many commands of a plan ended how. */
export interface PlanStats {
  total: number;
  completed: number;
  failed: number;
  cancelled: number;
  timeout: number;
  not_run: number;
}

/** What came of a plan: one result for each command, in their order. */
export interface PlanExecutionResult {
  plan_id: string;
  status: ExecutionStatus;
  results: ExecutionResult[];
  total_duration_ms: number;
  stats: PlanStats;
  ending: PlanEnding;
  started_at: string;
}

/** One line of the list of plans. */
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

/** What happens to an execution. */
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

/** An event with its place in the life of its execution. */
export interface EventRecord {
  /** Grows within an execution; resume after the last one you have. */
  sequence: number;
  timestamp: string;
  execution_id: ExecutionId;
  /** Whether a line goes on in the next record of its stream. */
  partial: boolean;
  event: ExecutionEvent;
  /** With the last event: what was done so that nothing outlives the execution. */
  containment?: ContainmentReceipt;
}
