//! A script that is not executable is run by its `#!` line exactly as the kernel runs an executable
//! one, or it is refused, and the refusal says what is wrong with the line.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use execution_engine::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;
use test_support::*;

/// Bytes that the kernel looks at.
const BOUND: usize = 256;
/// Prints its name and its arguments, each with a NUL behind it.
const SHOW: &str = "#!/bin/sh\nprintf '%s\\0' \"$0\" \"$@\"\n";

/// Creates a directory with interpreters of odd names.
fn home_with_interpreters() -> TempDir {
    let home = TempDir::new().unwrap();
    executable(home.path().join("show"), SHOW);
    for name in [&b"show\r"[..], b"s\x0bw", b"s\xffw"] {
        symlink("show", home.path().join(OsStr::from_bytes(name))).unwrap();
    }
    fs::create_dir(home.path().join("dir")).unwrap();
    fs::write(home.path().join("plain"), SHOW).unwrap();
    let nested = format!("#!{}/show of nested\n", text(home.path()));
    executable(home.path().join("nested"), nested);
    home
}

fn write_script(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a script prints; an error if it is not run.
async fn outcome(engine: &ExecutionEngine, request: ExecutionRequest) -> Result<String, String> {
    let result =
        soon("the script", engine.run(request)).await.map_err(|error| error.to_string())?;
    match result.ending {
        Ending::Exited { code: 0 } => Ok(result.stdout),
        Ending::SpawnFailed { reason, .. } => Err(reason),
        other => panic!("{other:?}: {}", result.stderr),
    }
}

/// Runs a script as an executable one, which the kernel interprets, and as one that we interpret.
async fn both_ways(
    engine: &ExecutionEngine,
    home: &Path,
    content: &[u8],
) -> [Result<String, String>; 2] {
    let path = home.join("script");
    let request = || ExecutionRequest::script(&path).working_dir(home);
    write_script(&path, content, 0o755);
    let by_kernel = outcome(engine, request()).await;
    write_script(&path, content, 0o644);
    [by_kernel, outcome(engine, request()).await]
}

struct Content(Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// First line of a script, with or without an end, and perhaps with something behind it.
fn any_script(home: String) -> impl Strategy<Value = Content> {
    let blanks = || {
        let few = proptest::collection::vec(prop::sample::select(&b" \t"[..]), 0..3);
        prop_oneof![8 => few, 1 => (230..260_usize).prop_map(|count| vec![b' '; count])]
    };
    let names = [&b"show"[..], b"show\r", b"s\x0bw", b"s\xffw", b"nested", b"dir", b"plain"];
    let name = prop::sample::select([&names[..], &[b"none", b"", b"\0"]].concat());
    // Slashes lengthen a path to about the bound, and change nothing else.
    let slashes = prop_oneof![4 => Just(1), 2 => 200..BOUND, 3 => Just(0)];
    let path = (slashes, name).prop_map(move |(slashes, name)| {
        let dir = if slashes == 0 { Vec::new() } else { home.as_bytes().to_vec() };
        [dir, vec![b'/'; slashes], name.to_vec()].concat()
    });
    let byte = prop::sample::select(&b"aab-\xff\r\x0b\0 \t\n"[..]);
    let argument = prop_oneof![
        4 => proptest::collection::vec(byte, 0..6),
        1 => (200..BOUND).prop_map(|count| vec![b'x'; count]),
    ];
    let end =
        prop::sample::select(vec![&b"\n"[..], b"", b"\r\n", b" \n", b"\n\nmore\n", b" ", b"\0\n"]);
    (blanks(), path, blanks(), argument, blanks(), end).prop_map(
        |(a, path, b, argument, c, end)| {
            Content([&b"#!"[..], &a, &path, &b, &argument, &c, end].concat())
        },
    )
}

#[test]
fn script_is_interpreted_as_by_the_kernel_or_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = home_with_interpreters();
    let engine = engine();
    let counts = std::cell::Cell::new((0, 0));
    let scripts = any_script(text(home.path()).to_string());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let checked = runner.run(&scripts, |Content(content)| {
        let [by_kernel, by_us] = runtime.block_on(both_ways(&engine, home.path(), &content));
        prop_assert_eq!(by_kernel.as_ref().ok(), by_us.as_ref().ok(), "{:?}", by_us);
        if let Err(refusal) = by_us {
            prop_assert!(refusal.contains("#! line"), "{}", refusal);
        }
        let (ran, refused) = counts.get();
        counts.set(if by_kernel.is_ok() { (ran + 1, refused) } else { (ran, refused + 1) });
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    let (ran, refused) = counts.get();
    assert!(ran > 20 && refused > 20, "{ran} ran, {refused} were refused: too few of one kind");
}

#[tokio::test]
async fn cut_interpreter_of_a_long_shebang_is_not_run() {
    let home = home_with_interpreters();
    let engine = engine();
    // What is left of the path at the bound is a program.
    let dir = format!("{}/", text(home.path()));
    let slashes = "/".repeat(BOUND - "#!".len() - dir.len() - "show".len());
    let line = format!("#!{dir}{slashes}show-this-one\n");
    assert!(line[..BOUND].ends_with("/show"));
    for outcome in both_ways(&engine, home.path(), line.as_bytes()).await {
        let refusal = outcome.unwrap_err();
        assert!(refusal.contains("does not end within the first 256 bytes"), "{refusal}");
    }
}

#[tokio::test]
async fn each_refusal_of_a_shebang_says_what_is_wrong_with_it() {
    let home = home_with_interpreters();
    let engine = engine();
    let dir = text(home.path()).to_string();
    for (line, says, code) in [
        ("#!\n", "it has a #! line that names no interpreter", "script_not_runnable"),
        ("#! \t\n", "names no interpreter", "script_not_runnable"),
        ("#!\0\n", "a NUL byte", "permission_denied"),
        ("#!DIR/none\n", "/none\", which does not exist", "program_not_found"),
        ("#!show2\n", "starts at the working directory and is not looked", "program_not_found"),
        ("#!DIR/sh\r\n", "/sh\\r\", which does not exist; the carriage ret", "program_not_found"),
        ("#!DIR/plain/x\n", "plain\" is not a directory", "program_not_found"),
        ("#!DIR/dir\n", "which is a directory", "permission_denied"),
        ("#!DIR/plain\n", "which may not be executed by this user", "permission_denied"),
        ("#!/dev/null\n", "which is not a regular file", "permission_denied"),
        (
            "#!DIR/bad\n",
            "/bad\", whose #! line names the interpreter \"/none\"",
            "program_not_found",
        ),
    ] {
        executable(home.path().join("bad"), "#!/none\n");
        let line = line.replace("DIR", &dir);
        let [by_kernel, by_us] = both_ways(&engine, home.path(), line.as_bytes()).await;
        for refusal in [by_kernel.unwrap_err(), by_us.unwrap_err()] {
            assert!(refusal.contains(says), "{line:?}: {says:?} is not in {refusal:?}");
            assert!(refusal.contains(&format!("{dir}/script")), "it says which: {refusal}");
        }
        let request = ExecutionRequest::script(home.path().join("script")).working_dir(&dir);
        assert_eq!(engine.execute(request).await.unwrap_err().error_code(), code, "{line:?}");
    }
    assert_eq!(engine.total_count().await, 11, "only the kernel's were accepted");
}

#[tokio::test]
async fn as_many_scripts_interpret_each_other_as_the_kernel_allows() {
    let home = home_with_interpreters();
    let engine = engine();
    let mut interpreter = PathBuf::from("/usr/bin/printf");
    for depth in 1..=8 {
        let line = format!("#!{} %s|\n", interpreter.display());
        let outcomes = both_ways(&engine, home.path(), line.as_bytes()).await;
        let [by_kernel, by_us] = &outcomes;
        assert_eq!(by_kernel.as_ref().ok(), by_us.as_ref().ok(), "{depth}: {outcomes:?}");
        assert_eq!(by_us.is_ok(), depth <= 5, "{depth}: {outcomes:?}");
        for refusal in outcomes.into_iter().filter_map(Result::err) {
            assert!(refusal.contains("is one more than the system follows"), "{refusal}");
        }
        interpreter = executable(home.path().join(format!("script-{depth}")), line);
    }
}

#[tokio::test]
async fn script_has_the_same_name_whether_or_not_it_is_executable() {
    let home = home_with_interpreters();
    fs::create_dir(home.path().join("sub")).unwrap();
    fs::create_dir(home.path().join("-d")).unwrap();
    let engine = engine();
    for (name, expected) in [("script", "script"), ("sub/script", "sub/script"), ("-c", "./-c")] {
        for mode in [0o755, 0o644] {
            let path = home.path().join(name);
            write_script(&path, b"#!/bin/sh\necho \"$0\"\n", mode);
            let relative = ExecutionRequest::script(name).working_dir(home.path());
            assert_eq!(outcome(&engine, relative).await.unwrap(), format!("{expected}\n"));
            let absolute = ExecutionRequest::script(&path);
            let expected = format!("{}\n", path.display());
            assert_eq!(outcome(&engine, absolute).await.unwrap(), expected);
        }
    }
}
