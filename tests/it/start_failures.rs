//! A program that cannot be started: the text names the step, the program or the directory, and the
//! true cause. The cases are the rows of the table in `docs/errors.md`.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

/// Row of the table: number, cause, what is in the text.
type Row = [String; 3];

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once("\n## When a program cannot be started\n").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| E"));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim_ascii()));
    cells
        .map(|cells| <Row>::try_from(cells.map(str::to_string).collect::<Vec<_>>()).unwrap())
        .collect()
}

/// Rows whose test needs a process, a user or a place of its own: where that test is.
const ELSEWHERE: [(&str, &str, &str); 11] = [
    (
        "the host has closed a stream that is to be inherited",
        "crates/process/tests/it/hosts.rs",
        "host_without_standard_streams_gives_its_children_theirs",
    ),
    (
        "the host may not change the user",
        "tests/permissions.rs",
        "host_without_the_right_cannot_change_the_user",
    ),
    (
        "the file system of the interpreter forbids it",
        "tests/faults.rs",
        "program_on_a_noexec_mount_is_named_as_such",
    ),
    (
        "a directory on the way may not be searched",
        "tests/permissions.rs",
        "failed_start_names_what_this_user_may_not_do",
    ),
    (
        "the working directory may no longer be entered",
        "tests/permissions.rs",
        "failed_start_names_what_this_user_may_not_do",
    ),
    (
        "the program has file capabilities that the host has given up",
        "tests/faults.rs",
        "program_with_capabilities_out_of_reach_is_named_as_such",
    ),
    (
        "a part of a path was replaced by a link, with `Links::Refuse`",
        "tests/it/links.rs",
        "link_that_appears_before_a_later_start_is_refused",
    ),
    ("the host has no `/dev/null`", "tests/faults.rs", "missing_null_device_is_named"),
    (
        "a limit of processes is reached, for half a second",
        "tests/faults.rs",
        "spawn_beyond_the_process_limit_names_the_limit",
    ),
    (
        "the host has as many files open as it may, for half a second",
        "tests/faults.rs",
        "spawn_without_descriptors_names_the_limit",
    ),
    (
        "the system has as many files open as it may, for half a second",
        "crates/process/src/start_failure.rs",
        "each_step_names_the_program_or_the_directory",
    ),
];

/// Start that fails. It is prepared in a directory, and happens after a last change there, because
/// much of it would be refused at once.
struct Case {
    cause: &'static str,
    request: fn(&Path) -> ExecutionRequest,
    change: fn(&Path) -> Option<File>,
}

fn case(
    cause: &'static str,
    request: fn(&Path) -> ExecutionRequest,
    change: fn(&Path) -> Option<File>,
) -> Case {
    Case { cause, request, change }
}

/// Program that fails without a change.
fn is(cause: &'static str, request: fn(&Path) -> ExecutionRequest) -> Case {
    case(cause, request, |_| None)
}

/// Creates a program that is a copy.
fn copied(home: &Path) -> ExecutionRequest {
    fs::copy("/bin/true", home.join("program")).unwrap();
    exec(home.join("program"))
}

fn file(home: &Path, content: impl AsRef<[u8]>) -> ExecutionRequest {
    exec(executable(home.join("program"), content))
}

fn by(home: &Path, interpreter: &str) -> ExecutionRequest {
    file(home, format!("#!{}/{interpreter}\n", home.display()))
}

/// Creates a program for this machine, or for the one with a number, that needs a loader.
fn needs(home: &Path, loader: &str, machine: Option<u16>) -> ExecutionRequest {
    file(home, elf(loader, machine))
}

fn elf(loader: &str, machine: Option<u16>) -> Vec<u8> {
    let own = fs::read("/proc/self/exe").unwrap();
    let machine = machine.unwrap_or(u16::from_le_bytes([own[18], own[19]]));
    let mut program = own[..64].to_vec();
    program[16] = 2;
    program[18..20].copy_from_slice(&machine.to_le_bytes());
    program[32..40].copy_from_slice(&64_u64.to_le_bytes());
    program[56..58].copy_from_slice(&1_u16.to_le_bytes());
    let length = loader.len() as u64 + 1;
    let entry = [3 | 4 << 32, 120, 0, 0, length, length, 1_u64];
    program.extend(entry.iter().flat_map(|field| field.to_le_bytes()));
    program.extend(loader.bytes().chain([0]));
    program
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn circle(place: &Path) {
    symlink("circle", place.with_file_name("circle")).unwrap();
    symlink("circle", place).unwrap();
}

fn writer(path: &Path) -> Option<File> {
    Some(OpenOptions::new().append(true).open(path).unwrap())
}

fn in_a_directory(home: &Path) -> ExecutionRequest {
    fs::create_dir(home.join("place")).unwrap();
    shell("true").working_dir(home.join("place"))
}

/// Programs that are not there, or not to be executed.
fn cases_of_paths() -> Vec<Case> {
    vec![
        case("the program was removed after the check", copied, |home| {
            fs::remove_file(home.join("program")).unwrap();
            None
        }),
        case("the program was replaced by a link to nothing", copied, |home| {
            fs::remove_file(home.join("program")).unwrap();
            symlink("none", home.join("program")).unwrap();
            None
        }),
        case(
            "a part of the path is a file",
            |home| {
                fs::create_dir(home.join("dir")).unwrap();
                copied(&home.join("dir"))
            },
            |home| {
                fs::remove_dir_all(home.join("dir")).unwrap();
                fs::write(home.join("dir"), "").unwrap();
                None
            },
        ),
        case("the program lost its execute permission after the check", copied, |home| {
            set_mode(&home.join("program"), 0o644);
            None
        }),
        case("symbolic links lead in a circle", copied, |home| {
            fs::remove_file(home.join("program")).unwrap();
            circle(&home.join("program"));
            None
        }),
        is("a link has too long a name", |home| {
            symlink(long(300), home.join("link")).unwrap();
            by(home, "link")
        }),
        case("the program is open for writing, for half a second", copied, |home| {
            writer(&home.join("program"))
        }),
        case("the working directory was removed after the check", in_a_directory, |home| {
            fs::remove_dir(home.join("place")).unwrap();
            None
        }),
        case("the working directory was replaced by a file", in_a_directory, |home| {
            fs::remove_dir(home.join("place")).unwrap();
            fs::write(home.join("place"), "").unwrap();
            None
        }),
        case("the working directory was replaced by links in a circle", in_a_directory, |home| {
            fs::remove_dir(home.join("place")).unwrap();
            circle(&home.join("place"));
            None
        }),
    ]
}

fn cases_of_scripts() -> Vec<Case> {
    vec![
        is("the interpreter of a script is missing", |home| by(home, "none")),
        is("the `#!` line ends as on Windows", |home| file(home, "#!/bin/sh\r\necho\r\n")),
        is("the interpreter has no slash, so it is not where one may think", |home| {
            file(home, "#!sh\n")
        }),
        is("the interpreter of an interpreter is missing", |home| {
            executable(home.join("inner"), "#!/no/such/interpreter\n");
            by(home, "inner")
        }),
        is("the interpreter has no execute permission", |home| {
            fs::write(home.join("plain"), "").unwrap();
            by(home, "plain")
        }),
        is("the interpreter is a directory", |home| {
            fs::create_dir(home.join("dir")).unwrap();
            by(home, "dir")
        }),
        is("the interpreter is a device or the like", |home| file(home, "#!/dev/null\n")),
        is("a script without a `#!` line, or another format", |home| file(home, "echo hello\n")),
        is("the file is empty", |home| file(home, "")),
        is("the `#!` line has only blanks", |home| file(home, "#! \t\n")),
        is("the `#!` line is longer than the system reads", |home| {
            file(home, format!("#!/{}\n", long(256)))
        }),
        is("six scripts in a row are interpreters", |home| by(home, "program")),
        case(
            "the interpreter or the loader is open for writing",
            |home| {
                fs::copy("/bin/true", home.join("interpreter")).unwrap();
                by(home, "interpreter")
            },
            |home| writer(&home.join("interpreter")),
        ),
    ]
}

fn cases_of_programs() -> Vec<Case> {
    vec![
        is("the loader of a program is missing: it was built for another C library", |home| {
            needs(home, "/lib/ld-no-such-1.so", None)
        }),
        is("the loader has no execute permission", |home| {
            fs::write(home.join("loader"), "").unwrap();
            needs(home, text(&home.join("loader")), None)
        }),
        is("the loader is no program", |home| {
            executable(home.join("loader"), "no program\n".repeat(10));
            needs(home, text(&home.join("loader")), None)
        }),
        is("the loader is one for another machine", |home| {
            executable(home.join("loader"), elf("/none", Some(8)));
            needs(home, text(&home.join("loader")), None)
        }),
        is("the loader is cut off", |home| {
            executable(home.join("loader"), &elf("/none", None)[..40]);
            needs(home, text(&home.join("loader")), None)
        }),
        is("a program for another machine", |home| needs(home, "/none", Some(8))),
        is("a program that is cut off", |home| file(home, &elf("/none", None)[..100])),
        is("a program for Windows", |home| file(home, "MZ\u{90}\0")),
        is("one argument is too long (128 KiB)", |_| {
            ExecutionRequest::exec("/bin/true", [long(200_000)])
        }),
        is("one variable is too long (128 KiB)", |_| exec("/bin/true").env("LONG", long(200_000))),
        is("arguments and environment are too long together", |_| {
            ExecutionRequest::exec("/bin/true", vec![long(100_000); 100])
        }),
    ]
}

/// Creates an engine whose one permit an execution has, and returns the id of that.
async fn occupied_engine() -> (ExecutionEngine, Uuid) {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..ExecutionConfig::default() })
        .admission(Admission::Queue { max_waiting: 1 })
        .build()
        .unwrap();
    let holder = engine.execute(shell("sleep 300")).await.unwrap();
    (engine, holder)
}

/// Starts a program when everything else has been prepared, and returns why that failed.
async fn failure(case: &Case, home: &Path) -> (Option<i32>, String) {
    let (engine, holder) = occupied_engine().await;
    let id = engine.execute((case.request)(home)).await.unwrap();
    let _open = (case.change)(home);
    engine.cancel(holder).await.unwrap();
    let result = ended(&engine, id).await;
    let Ending::SpawnFailed { reason, os_error } = result.ending else {
        panic!("{}: {:?}", case.cause, result.ending)
    };
    (os_error, reason)
}

fn number(name: &str) -> i32 {
    match name {
        "ENOENT" => libc::ENOENT,
        "EIO" => libc::EIO,
        "E2BIG" => libc::E2BIG,
        "ENOEXEC" => libc::ENOEXEC,
        "EACCES" => libc::EACCES,
        "ENOTDIR" => libc::ENOTDIR,
        "ETXTBSY" => libc::ETXTBSY,
        "ENAMETOOLONG" => libc::ENAMETOOLONG,
        "ELOOP" => libc::ELOOP,
        "ELIBBAD" => libc::ELIBBAD,
        other => panic!("{other} is not known here"),
    }
}

/// Checks that a text has all that its row names.
fn check(row: &Row, (os_error, reason): &(Option<i32>, String), home: &Path) {
    assert_eq!(*os_error, Some(number(&row[0])), "{row:?}: {reason}");
    for phrase in row[2].split('`').skip(1).step_by(2) {
        assert!(reason.contains(phrase), "{phrase:?} is not in {reason:?}");
    }
    let names = [text(home), "/bin/true"].iter().any(|name| reason.contains(name));
    assert!(names && !reason.contains(" it:"), "it names no program and no directory: {reason}");
}

#[tokio::test]
async fn each_failed_start_names_its_true_cause() {
    let rows = rows();
    let mut left: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    let mut cases = cases_of_paths();
    cases.extend(cases_of_scripts());
    cases.extend(cases_of_programs());
    for case in cases {
        let row = rows.iter().find(|row| row[1] == case.cause);
        let row = row.unwrap_or_else(|| panic!("{:?} is not in docs/errors.md", case.cause));
        let home = TempDir::new().unwrap();
        check(row, &failure(&case, home.path()).await, home.path());
        left.retain(|cause| *cause != case.cause);
    }
    let home = TempDir::new().unwrap();
    let row = rows.iter().find(|row| row[2].contains("`stdin: `")).unwrap();
    check(row, &failure_of_stdin(home.path()).await, home.path());
    left.retain(|cause| *cause != row[1]);

    for (cause, file, test) in ELSEWHERE {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(source).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "there is no {test} in {file}");
        assert!(left.contains(&cause), "{cause:?} is not in docs/errors.md, or tested here");
        left.retain(|other| *other != cause);
    }
    assert!(left.is_empty(), "no test has {left:#?}");
}

async fn failure_of_stdin(home: &Path) -> (Option<i32>, String) {
    let (engine, holder) = occupied_engine().await;
    let file = home.join("input");
    fs::write(&file, "").unwrap();
    let options = ExecutionOptions::default().stdin(StdinSource::file(&file));
    let id = engine.execute_with(exec("/bin/cat"), options).await.unwrap();
    fs::remove_file(&file).unwrap();
    engine.cancel(holder).await.unwrap();
    match ended(&engine, id).await.ending {
        Ending::SpawnFailed { reason, os_error } => (os_error, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refusal_of_a_special_file_as_program_says_what_it_is() {
    let home = TempDir::new().unwrap();
    let socket = home.path().join("tool");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    set_mode(&socket, 0o755);
    let refused = engine().execute(exec(&socket)).await.unwrap_err();
    assert!(refused.to_string().contains("it is not a regular file"), "{refused}");
    assert_eq!(refused.error_code(), "permission_denied");
    // It hides no program of that name further on.
    let second = home.path().join("second");
    fs::create_dir(&second).unwrap();
    executable(second.join("tool"), "#!/bin/sh\necho ran\n");
    let path = format!("{}:{}", home.path().display(), second.display());
    let result = run(&engine(), exec("tool").env("PATH", path)).await;
    assert_eq!(result.stdout, "ran\n", "{result:?}");
}
