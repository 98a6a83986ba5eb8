//! The tables of what a plan file may have: the serde form of the library, and what files alone have
//! (`matrix`, `env_from`, `stdin_from`, `files_from`). A test compares them with the library, field by field.

use super::form::Form::{
    Choice, Filled, Flag, Id, Integer, List, Map, Millis, Object as In, OneOf, Step, Tagged as Of,
    Text,
};
use super::form::{Field, Form, Key, Object, Tagged, nullable, of_files, optional, required};
use super::option_forms::OPTIONS;

pub(super) const COUNT: Form = Integer(0, U64);
const U64: i128 = u64::MAX as i128;
pub(super) const U32: i128 = u32::MAX as i128;
pub(super) const I32: Form = Integer(i32::MIN as i128, i32::MAX as i128);
/// Text, or its bytes where they are not UTF-8.
pub(super) const WORD: Form = OneOf(&[Text, List(&Integer(0, 255), 0)]);
pub(super) const WORDS: Form = List(&WORD, 0);
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
