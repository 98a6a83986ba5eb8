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
  | "timeout";

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

/** Notes on an execution, for the app. The engine does not interpret them. */
export interface ExecutionMetadata {
  description?: string;
  tags?: string[];
  labels?: Record<string, string>;
}

/** Request to run a command. Give a `command`, or a `rule` of the scope with its `args`, or both. */
export interface LaunchRequest {
  /** Default: a new one. */
  id?: ExecutionId;
  /** Rule of the scope that allows it. A shell line must name one. */
  rule?: string;
  /** Arguments of the program of the rule, if there is no `command`. */
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
  | { type: "piped" };

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
  leftovers?: "stop" | "leave";
  limits?: Limits;
  /** Priority in the queue: the higher number goes first. */
  priority?: number;
  /** Group whose limit applies, too. */
  group?: string;
  stdin?: StdinSource;
  /** Whether both streams are captured separately, or merged into stdout in the order of writes. */
  output?: "separate" | "merged";
  /** When a failed program is started again. Default: never. */
  retry?: RetryPolicy;
  /** Silence after which an unfinished line is delivered as it is. */
  partial_lines_after_ms?: number;
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
  | { type: "plan_stopped"; step: PlanStep }
  | { type: "plan_cancelled" }
  | { type: "plan_deadline" }
  | { type: "engine_closed" }
  | { type: "input"; from: PlanStep; reason: string };

/** Cause that ended an execution. */
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
  containment: ContainmentReceipt;
  output_error: string | null;
  lines_missed: number;
  /** Earlier attempts that failed, with `retry`. */
  earlier_attempts?: Attempt[];
}

/** Entry of the list of executions. */
export interface ExecutionSummary {
  id: ExecutionId;
  status: ExecutionStatus;
  command: string;
  started_at: string;
  duration_ms: number;
  ending: Ending | null;
  metadata: ExecutionMetadata;
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
export type InputTarget = { type: "stdin" } | { type: "env"; name: string };

/** Standard output of one step as an input of another. */
export interface StepInput {
  from: StepRef;
  to: InputTarget;
  trim?: Trim;
  max_bytes?: number;
}

/** Settings of one step of a plan. */
export interface StepOptions {
  name?: string;
  /** Steps it waits for, in addition to those of the strategy. */
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
  cancelled: number;
  timeout: number;
  not_run: number;
}

/** Result of a plan, with one result for each command, in their order. */
export interface PlanExecutionResult {
  plan_id: string;
  status: ExecutionStatus;
  results: ExecutionResult[];
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
