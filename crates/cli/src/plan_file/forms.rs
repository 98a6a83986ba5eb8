//! The tables of what a plan file may have: the serde form of the library, and what files alone have
//! (`matrix`, `env_from`, `stdin_from`, `files_from`). A test compares them with the library, field by field.

use super::form::Form::{
    Choice, Digest, Filled, Flag, Id, Integer, List, Map, Millis, Object as In, OneOf, Step,
    Tagged as Of, Text,
};
use super::form::{Field, Form, Key, Object, Tagged, nullable, of_files, optional, required};

const COUNT: Form = Integer(0, U64);
const U64: i128 = u64::MAX as i128;
const U32: i128 = u32::MAX as i128;
const I32: Form = Integer(i32::MIN as i128, i32::MAX as i128);
/// Text, or its bytes where they are not UTF-8.
const WORD: Form = OneOf(&[Text, List(&Integer(0, 255), 0)]);
const WORDS: Form = List(&WORD, 0);
const VARIABLES: Form = Map(Key::Variable, &Text);

/// A plan as one list of steps.
pub(super) static STEPS_PLAN: Object = Object {
    name: "plan_of_steps",
    fields: &[
        required("steps", List(&In(&STEP), 1), "The steps, in any order"),
        nullable("id", Id, "Id of the plan; a new one each time without it"),
        nullable("description", Text, "Description for people"),
        nullable(
            "strategy",
            STRATEGY,
            "Order of the steps; without it each starts after those it names",
        ),
        nullable("metadata", In(&METADATA), "Notes on the plan"),
        nullable(
            "failure_policy",
            FAILURE_POLICY,
            "What happens to the other steps after a failure",
        ),
        nullable("max_concurrency", Integer(1, U64), "Most steps that are active at a time"),
        nullable("deadline_ms", Millis(1), "Time limit of the whole plan"),
        nullable("env", VARIABLES, "Environment variables of all steps"),
        nullable("working_dir", Filled, "Directory of the steps; their own ones start there"),
        nullable("defaults", In(&OPTIONS), "Options of the steps that have none of their own"),
    ],
};

/// A plan and its options, as the library writes them.
pub(super) static PLAN_AND_OPTIONS: Object = Object {
    name: "plan_and_options",
    fields: &[
        required("plan", In(&PLAN), "The commands and their order"),
        nullable("options", In(&PLAN_OPTIONS), "Names, limits and what the steps share"),
    ],
};

pub(super) static STEP: Object = Object {
    name: "step",
    fields: &[
        nullable("name", Filled, "Name, unique within the plan, by which other steps refer to it"),
        required(
            "command",
            COMMAND,
            "What to run: a line for the shell, or a list of a program and its arguments",
        ),
        optional("after", List(&Step, 0), "Steps that it waits for"),
        of_files(
            "matrix",
            Map(Key::Text, &List(&MATRIX_VALUE, 1)),
            "Axes with their values: one step for each combination",
        ),
        of_files(
            "env_from",
            Map(Key::Variable, &Step),
            "Environment variables that receive the output of other steps",
        ),
        of_files("stdin_from", Step, "Step whose output is the standard input"),
        of_files(
            "files_from",
            OneOf(&[Filled, List(&Filled, 1), Map(Key::Text, &FILES)]),
            "Files that other steps have collected, as step:pattern; or such by the directory they go to",
        ),
        optional("env", VARIABLES, "Environment variables"),
        nullable("working_dir", Filled, "Directory"),
        nullable("timeout_ms", Millis(1), "Longest time from the start of the program"),
        optional(
            "inputs",
            List(&In(&INPUT), 0),
            "Outputs and files of other steps that it receives",
        ),
        optional("only_if", List(&Of(&CONDITION), 0), "Conditions, all of which must be met"),
        optional("allow_failure", Flag, "Whether the plan succeeds although this step fails"),
        optional("always", Flag, "Whether it runs whatever came of the steps before"),
        nullable("options", In(&OPTIONS), "Limits, retry, priority and more"),
        optional("metadata", In(&METADATA), "Notes on the step"),
        nullable("output_log_path", Filled, "File that receives the output"),
        optional("id", Id, "Id of the execution; a new one each time without it"),
    ],
};

/// Files of steps, each as step:pattern.
const FILES: Form = OneOf(&[Filled, List(&Filled, 1)]);

/// An axis has texts; `exclude` and `include` have tables. Which of the two, `matrix` checks.
const MATRIX_VALUE: Form = OneOf(&[Text, Map(Key::Text, &Text)]);

static PLAN: Object = Object {
    name: "plan",
    fields: &[
        optional("id", Id, "Id of the plan; a new one each time without it"),
        nullable("description", Text, "Description for people"),
        required("strategy", STRATEGY, "Order of the commands"),
        required("commands", List(&In(&REQUEST), 1), "The commands; each is a step"),
        optional("metadata", In(&METADATA), "Notes on the plan"),
    ],
};

static REQUEST: Object = Object {
    name: "request",
    fields: &[
        optional("id", Id, "Id of the execution; a new one each time without it"),
        required("command", COMMAND, "What to run"),
        optional("env", VARIABLES, "Environment variables"),
        nullable("working_dir", Filled, "Directory"),
        nullable("timeout_ms", Millis(1), "Longest time from the start of the program"),
        nullable("output_log_path", Filled, "File that receives the output"),
        optional("metadata", In(&METADATA), "Notes"),
    ],
};

static METADATA: Object = Object {
    name: "metadata",
    fields: &[
        nullable("description", Text, "Description for people"),
        optional("tags", List(&Text, 0), "Words to find it by"),
        optional("labels", Map(Key::Text, &Text), "Named values"),
    ],
};

static PLAN_OPTIONS: Object = Object {
    name: "plan_options",
    fields: &[
        optional(
            "steps",
            List(&In(&STEP_OPTIONS), 0),
            "Options of the steps, in the order of the commands",
        ),
        nullable(
            "failure_policy",
            FAILURE_POLICY,
            "What happens to the other steps after a failure",
        ),
        nullable("max_concurrency", Integer(1, U64), "Most steps that are active at a time"),
        nullable("deadline_ms", Millis(1), "Time limit of the whole plan"),
        optional("env", VARIABLES, "Environment variables of all steps"),
        nullable("working_dir", Filled, "Directory of the steps; their own ones start there"),
        optional("defaults", In(&OPTIONS), "Options of the steps that have none of their own"),
    ],
};

static STEP_OPTIONS: Object = Object {
    name: "step_options",
    fields: &[
        nullable("name", Filled, "Name, unique within the plan, by which other steps refer to it"),
        optional("after", List(&Step, 0), "Steps that it waits for"),
        optional(
            "inputs",
            List(&In(&INPUT), 0),
            "Outputs and files of other steps that it receives",
        ),
        nullable("options", In(&OPTIONS), "Limits, retry, priority and more"),
        optional("allow_failure", Flag, "Whether the plan succeeds although this step fails"),
        optional("always", Flag, "Whether it runs whatever came of the steps before"),
        optional("only_if", List(&Of(&CONDITION), 0), "Conditions, all of which must be met"),
    ],
};

static INPUT: Object = Object {
    name: "input",
    fields: &[
        required("from", Step, "The step whose output or files it is"),
        required("to", Of(&INPUT_TARGET), "Where it goes"),
        nullable(
            "trim",
            Choice(&["nothing", "line_endings", "white_space"]),
            "What is removed from its ends",
        ),
        nullable("max_bytes", COUNT, "Maximum size; a larger output fails the step"),
    ],
};

static INPUT_TARGET: Tagged = Tagged {
    name: "input_target",
    types: &[
        ("stdin", &[]),
        ("env", &[required("name", Filled, "Name of the variable")]),
        (
            "files",
            &[
                required("pattern", Filled, "Which of the files that the step has collected"),
                nullable("directory", Filled, "Directory that they go to"),
            ],
        ),
    ],
    has_words: true,
};

static CONDITION: Tagged = Tagged {
    name: "condition",
    types: &[
        ("succeeded", &[OTHER]),
        ("failed", &[OTHER]),
        ("exit_code", &[OTHER, required("codes", List(&I32, 1), "The codes")]),
        ("skipped", &[OTHER]),
        ("any_failed", &[]),
        ("none_failed", &[]),
    ],
    has_words: true,
};
const OTHER: Field = required("step", Step, "The step");

const FAILURE_POLICY: Form =
    Choice(&["stop_at_first_error", "cancel_at_first_error", "finish_independent", "continue"]);

const STRATEGY: Form = Of(&STRATEGIES);
static STRATEGIES: Tagged = Tagged {
    name: "strategy",
    types: &[
        ("serial", &[required("stop_on_error", Flag, "Whether a failure is the end")]),
        ("parallel", &[nullable("max_concurrency", Integer(1, U64), "Most commands at a time")]),
        (
            "dependency_graph",
            &[required(
                "dependencies",
                Map(Key::Index, &List(&COUNT, 0)),
                "Indices that a command waits for, by its own",
            )],
        ),
    ],
    has_words: true,
};

const COMMAND: Form = OneOf(&[Filled, List(&WORD, 1), Of(&COMMANDS)]);
static COMMANDS: Tagged = Tagged {
    name: "command",
    types: &[
        (
            "script",
            &[
                required("path", WORD, "The file"),
                nullable("interpreter", Filled, "The program that runs it"),
                optional("args", WORDS, "The arguments"),
            ],
        ),
        (
            "exec",
            &[
                required("program", WORD, "A name that is looked up in PATH, or a path"),
                optional("args", WORDS, "The arguments"),
            ],
        ),
        (
            "shell",
            &[
                required("command", Filled, "The line"),
                optional("shell", Filled, "The shell, if not that of the platform"),
            ],
        ),
        (
            "aws_cli",
            &[
                required("service", Filled, "The service"),
                required("operation", Filled, "The operation"),
                optional("args", List(&Text, 0), "Further arguments"),
                nullable("profile", Filled, "The profile"),
                nullable("region", Filled, "The region"),
            ],
        ),
    ],
    has_words: false,
};

static OPTIONS: Object = Object {
    name: "options",
    fields: &[
        nullable(
            "stop_grace_ms",
            Millis(0),
            "Time between the first and the final signal of a stop",
        ),
        nullable("stop_signal", SIGNAL, "First signal of a stop"),
        nullable("final_signal", SIGNAL, "Final signal of a stop"),
        nullable("idle_timeout_ms", Millis(1), "Longest time without output"),
        nullable(
            "leftovers_wait_ms",
            Millis(0),
            "Longest wait for processes that the program has left",
        ),
        optional(
            "leftovers",
            Choice(&["stop", "leave"]),
            "What becomes of processes that the program has left",
        ),
        optional("limits", In(&LIMITS), "Resource limits"),
        optional("priority", I32, "The higher number starts first"),
        nullable("group", Filled, "Group whose limit applies, too"),
        optional("env", In(&ENV), "Environment beside the variables of the step"),
        optional("stdin", Of(&STDIN), "Standard input"),
        optional("links", Choice(&["follow", "refuse"]), "Whether links in its paths are followed"),
        optional(
            "output",
            Choice(&["separate", "merged", "inherit_stderr", "inherit"]),
            "How the streams are captured",
        ),
        nullable("user", In(&USER), "User and groups that the program runs as"),
        nullable(
            "partial_lines_after_ms",
            Millis(0),
            "Silence after which an unfinished line is delivered",
        ),
        nullable("retry", RETRY, "Number of attempts, or a policy"),
        nullable("requires", In(&REQUIRES), "What the place must have; only with a backend"),
        nullable(
            "max_attempts",
            Integer(1, U32),
            "Most starts if workers are lost; more than one only with a backend",
        ),
        nullable(
            "start_by_ms",
            Millis(1),
            "Longest time from the acceptance to the first start; only with a backend",
        ),
        optional("inputs", List(&In(&ARTIFACT), 0), "Files that are placed; only with a backend"),
        optional("collect", List(&Filled, 0), "Files that are kept; only with a backend"),
    ],
};

static ARTIFACT: Object = Object {
    name: "artifact",
    fields: &[
        required("path", Filled, "Path below the working directory"),
        required("digest", Digest, "SHA-256 and size of the content, as hash/size"),
        optional("executable", Flag, "Whether it may be executed"),
    ],
};

static REQUIRES: Object = Object {
    name: "requires",
    fields: &[
        nullable("pool", Filled, "Pool of workers"),
        optional("labels", Map(Key::Text, &Text), "Labels of the worker"),
        nullable("cpu_milli", COUNT, "CPU time in thousandths of a core"),
        nullable("memory_bytes", COUNT, "Memory"),
        optional("resources", Map(Key::Text, &COUNT), "Amounts of other resources"),
    ],
};

const SIGNAL: Form = OneOf(&[
    Choice(&[
        "hangup",
        "interrupt",
        "quit",
        "terminate",
        "kill",
        "stop",
        "continue",
        "user1",
        "user2",
        "cpu_limit",
        "file_size_limit",
    ]),
    Integer(1, 64),
]);

static LIMITS: Object = Object {
    name: "limits",
    fields: &[
        nullable("cpu_seconds", COUNT, "CPU time of a process"),
        nullable("address_space_bytes", COUNT, "Address space of a process"),
        nullable("open_files", COUNT, "Open files of a process"),
        nullable("file_size_bytes", COUNT, "Size of a file that a process writes"),
        nullable("processes", COUNT, "Processes that the user may have"),
        nullable("core_bytes", COUNT, "Size of a core file"),
        nullable("nice", I32, "Nice value"),
        nullable("umask", Integer(0, U32), "Mode bits that new files do not get"),
        nullable("tree_memory_bytes", COUNT, "Memory of the whole tree"),
        nullable("tree_processes", COUNT, "Processes and threads of the whole tree"),
    ],
};

static ENV: Object = Object {
    name: "env",
    fields: &[
        optional("inherit", OneOf(&[Of(&INHERIT), WORDS]), "Variables that the program inherits"),
        optional("remove", WORDS, "Variables that the program does not have"),
        optional("set", Map(Key::Variable, &WORD), "Variables that the program has in any case"),
    ],
};

static INHERIT: Tagged = Tagged {
    name: "inherit",
    types: &[("all", &[]), ("only", &[required("names", WORDS, "The names")]), ("nothing", &[])],
    has_words: true,
};

static STDIN: Tagged = Tagged {
    name: "stdin",
    types: &[
        ("null", &[]),
        ("bytes", &[required("data", WORD, "The bytes")]),
        ("file", &[required("path", Filled, "The file")]),
        ("piped", &[]),
        ("inherit", &[]),
    ],
    has_words: true,
};

static USER: Object = Object {
    name: "user",
    fields: &[
        required("uid", Integer(0, U32), "The user"),
        required("gid", Integer(0, U32), "The group"),
        optional("groups", List(&Integer(0, U32), 0), "Further groups"),
    ],
};

const RETRY: Form = OneOf(&[Integer(1, U32), In(&RETRY_POLICY)]);
static RETRY_POLICY: Object = Object {
    name: "retry",
    fields: &[
        optional("attempts", Integer(1, U32), "Most attempts, the first included"),
        optional("initial_delay_ms", Millis(0), "Delay after the first attempt"),
        optional("multiplier", Integer(1, U32), "Factor by which each further delay grows"),
        optional("max_delay_ms", Millis(0), "Longest delay"),
        optional("jitter", Choice(&["none", "half", "full"]), "How much of each delay is random"),
        optional(
            "retry_on",
            List(&Of(&RETRY_ON), 0),
            "Endings after which there is another attempt",
        ),
    ],
};

static RETRY_ON: Tagged = Tagged {
    name: "retry_on",
    types: &[
        ("any_exit_code", &[]),
        ("exit_code", &[required("code", I32, "The code")]),
        ("signal", &[]),
        ("timeout", &[]),
        ("spawn_failure", &[]),
    ],
    has_words: true,
};
