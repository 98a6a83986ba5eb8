//! What the library and the service call by their own names, by the names of the options.

/// Limits by the names of their fields.
const LIMITS: [(&str, &str); 11] = [
    ("options: limits:", "limits:"),
    ("tree_memory_bytes", "--limit memory"),
    ("tree_processes", "--limit processes"),
    ("cpu_seconds", "--limit cpu"),
    ("address_space_bytes", "--limit address-space"),
    ("open_files", "--limit open-files"),
    ("file_size_bytes", "--limit file-size"),
    ("core_bytes", "--limit core"),
    ("limits: processes", "--limit user-processes"),
    ("limits: nice", "--limit nice"),
    ("limits: umask", "--limit umask"),
];

/// Other texts, and what they are on a command line.
const OTHERS: [(&str, &str); 17] = [
    ("limits: --limit", "--limit"),
    ("use a line for a shell (ExecutionRequest::shell)", "give the line to a shell (--shell LINE)"),
    ("raise it in ExecutionOptions::limits", "raise it with --limit"),
    ("start the host in one that does", "start exeng in one that does"),
    ("start it with StdinSource::Piped", "submit it with --stdin pipe"),
    ("set PATH in env", "set PATH with --env"),
    ("set variables in env", "set variables with --env"),
    (
        "remove variables in the options (env_remove)",
        "choose its variables with --clear-env and --env",
    ),
    ("set the limits of the options", "set them with --limit"),
    ("set by its env", "from its environment"),
    ("separately (args)", "separately"),
    ("or use None", "or leave it out"),
    ("name a file or use Null", "name a file, or null"),
    ("working_dir", "--cwd"),
    ("idle_timeout_ms", "--idle-timeout"),
    ("options: inputs:", "--input:"),
    ("options: collect:", "--collect:"),
];

/// Returns a text of the library with the names of the command line. A name within a path or a longer word stays.
pub(crate) fn of_command_line(text: &str) -> String {
    let mut text = text.to_string();
    for (theirs, ours) in LIMITS.iter().chain(&OTHERS) {
        text = replaced(&text, theirs, ours);
    }
    text
}

/// Replaces a name where it is a word of its own.
fn replaced(text: &str, name: &str, by: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let goes_on = after.starts_with(is_of_word) && name.ends_with(is_of_word);
        let is_word = !goes_on && !before.ends_with(is_of_word);
        result.push_str(before);
        result.push_str(if is_word { by } else { name });
        rest = after;
    }
    result + rest
}

/// Returns `true` for what stands within a word, a path or a quotation.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || "_-./\"=".contains(c)
}

#[cfg(test)]
mod tests {
    use execution_engine::{
        ExecutionConfig, ExecutionEngine, ExecutionOptions, ExecutionRequest, Limits,
    };

    use super::*;

    #[test]
    fn names_of_the_library_become_options() {
        for (theirs, ours) in [
            (
                "options: limits: tree_memory_bytes: it needs a cgroup",
                "--limit memory: it needs a cgroup",
            ),
            (
                "options: limits: processes: the system does not limit the processes of root; use tree_processes",
                "--limit user-processes: the system does not limit the processes of root; use --limit processes",
            ),
            (
                "limits: nice: must be between -20 and 19",
                "--limit nice: must be between -20 and 19",
            ),
            (
                "reached its limit of memory (tree_memory_bytes)",
                "reached its limit of memory (--limit memory)",
            ),
            ("working_dir /x does not exist", "--cwd /x does not exist"),
        ] {
            assert_eq!(of_command_line(theirs), ours);
        }
        for same in [
            "/srv/working_dir/x is no file",
            "\"open_files\" was not found",
            "my_tree_processes",
            "limits",
        ] {
            assert_eq!(of_command_line(same), same);
        }
    }

    #[test]
    fn refusals_of_the_engine_name_nothing_that_a_command_line_does_not_have() {
        let engine = ExecutionEngine::new(ExecutionConfig::default()).unwrap();
        let none = Limits::default;
        let refused = [
            ("--limit nice", none().nice(99)),
            ("--limit umask", none().umask(0o1000)),
            ("--limit cpu", none().cpu_seconds(0)),
            ("--limit open-files", none().open_files(1)),
        ];
        let with_limits = |limits| {
            (ExecutionRequest::program("true"), ExecutionOptions::default().limits(limits))
        };
        let mut cases: Vec<_> =
            refused.into_iter().map(|(option, limits)| (option, with_limits(limits))).collect();
        for (option, request) in [
            ("--shell LINE", ExecutionRequest::program("cd")),
            ("--shell LINE", ExecutionRequest::program("echo hello")),
            ("--env", ExecutionRequest::program("export")),
            ("--limit", ExecutionRequest::program("ulimit")),
            ("--cwd", ExecutionRequest::program("true").working_dir("/no/such")),
            ("--env", ExecutionRequest::program("no-such-program-here")),
        ] {
            cases.push((option, (request, ExecutionOptions::default())));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (option, (request, options)) in cases {
            let error = runtime.block_on(engine.execute_with(request, options)).unwrap_err();
            let said = of_command_line(&error.to_string());
            assert!(said.contains(option), "{error}: {said}");
            for theirs in
                ["::", "options:", "working_dir", "limits:", "None", "(args)", "_bytes", " env"]
            {
                assert!(!said.contains(theirs), "{said}");
            }
        }
    }
}
