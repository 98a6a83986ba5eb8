//! The tables of the options of an execution in a plan file.

use super::form::Form::{
    Choice, Digest, Filled, Flag, Integer, List, Map, Millis, Object as In, OneOf, Tagged as Of,
    Text,
};
use super::form::{Form, Key, Object, Tagged, nullable, optional, required};
use super::forms::{COUNT, I32, U32, WORD, WORDS};

pub(super) static OPTIONS: Object = Object {
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
