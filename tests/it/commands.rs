//! The program that each kind of command runs, and its surroundings: arguments, environment,
//! directory, descriptors, signals.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use execution_engine::*;
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;
use test_support::host::{self, role};
use test_support::*;

/// Runs a request to exit code 0 and returns its standard output.
async fn output_of(request: ExecutionRequest) -> String {
    let result = soon("the run", engine().run(request)).await.unwrap();
    assert!(result.success, "{result:?}\n{}", result.stderr);
    assert_eq!(result.stderr, "");
    result.stdout
}

fn file(dir: &TempDir, name: &str, mode: u32, content: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn script(dir: &TempDir, content: &str) -> ExecutionRequest {
    ExecutionRequest::script(file(dir, "script", 0o644, content))
}

/// Creates a program that prints its name.
fn tool(dir: &TempDir, name: &str, says: &str) -> PathBuf {
    file(dir, name, 0o755, &format!("#!/bin/sh\necho {says}\n"))
}

// -------------------------------------------------------------------------------------------- scripts

#[tokio::test]
async fn script_runs_with_the_named_interpreter() {
    let dir = TempDir::new().unwrap();
    // Its shebang names another one, and it is executable: neither matters.
    let path = file(&dir, "job", 0o755, "#!/bin/false\nprint('by python')\n");
    let request = ExecutionRequest::script(path).interpreter("python3");
    assert_eq!(output_of(request).await, "by python\n");
}

#[tokio::test]
async fn executable_script_runs_directly() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "job", 0o755, "#!/bin/sh\necho \"$0 $#\"\n");
    let expected = format!("{} 0\n", path.display());
    assert_eq!(output_of(ExecutionRequest::script(path)).await, expected);
}

#[tokio::test]
async fn script_without_execute_permission_runs_through_its_shebang() {
    let dir = TempDir::new().unwrap();
    let python = "import sys; print('args', len(sys.argv), 'unbuffered', sys.stdout.write_through)";
    let cases = [
        ("#!/bin/sh\necho \"args $#\"\n".to_string(), "args 0\n"),
        ("#!/bin/sh -u\necho \"flags $-\"\n".to_string(), "flags u\n"),
        ("#!  /bin/sh   -u  \necho \"flags $-\"\n".to_string(), "flags u\n"),
        (format!("#!/usr/bin/env python3\n{python}\n"), "args 1 unbuffered False\n"),
        (format!("#!/usr/bin/env -S python3 -u\n{python}\n"), "args 1 unbuffered True\n"),
        // Without a line ending, the whole file is the first line.
        ("#!/bin/echo".to_string(), "SCRIPT\n"),
    ];
    for (content, expected) in cases {
        let request = script(&dir, &content).env("PYTHONUNBUFFERED", "");
        let expected = expected.replace("SCRIPT", text(&dir.path().join("script")));
        assert_eq!(output_of(request).await, expected, "{content:?}");
    }
}

#[tokio::test]
async fn shebang_has_one_argument_with_blanks() {
    let dir = TempDir::new().unwrap();
    let show = file(&dir, "show", 0o755, "#!/bin/sh\nprintf '[%s]' \"$@\"\n");
    let line = format!("#!{} one two  three\n", show.display());
    let path = dir.path().join("script");
    let expected = format!("[one two  three][{}]", path.display());
    assert_eq!(output_of(script(&dir, &line)).await, expected);
    // The kernel does the same for an executable script.
    let path = file(&dir, "executable", 0o755, "#!/usr/bin/printf [%s][%%s %s]\n");
    let by_kernel = output_of(ExecutionRequest::script(&path)).await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(output_of(ExecutionRequest::script(&path)).await, by_kernel);
}

#[tokio::test]
async fn relative_script_path_starts_at_the_working_directory() {
    let dir = TempDir::new().unwrap();
    file(&dir, "sub/plain", 0o644, "#!/bin/sh\necho \"$0 $(pwd -P)\"\n");
    file(&dir, "sub/executable", 0o755, "#!/bin/sh\necho \"$0 $(pwd -P)\"\n");
    let home = dir.path().canonicalize().unwrap();
    let home = text(&home);

    let plain = ExecutionRequest::script("sub/plain").working_dir(home);
    assert_eq!(output_of(plain.clone()).await, format!("sub/plain {home}\n"));
    let interpreted = plain.interpreter("sh");
    assert_eq!(output_of(interpreted).await, format!("sub/plain {home}\n"));
    let executable = ExecutionRequest::script("sub/executable").working_dir(home);
    assert_eq!(output_of(executable).await, format!("sub/executable {home}\n"));
}

#[tokio::test]
async fn script_path_may_have_spaces_quotes_and_leading_dashes() {
    let dir = TempDir::new().unwrap();
    for name in ["my job.sh", "it's \"quoted\" $HOME *.sh", "gr\u{fc}n.sh", "-c"] {
        let path = file(&dir, name, 0o644, "#!/bin/sh\necho ran\n");
        let absolute = ExecutionRequest::script(path);
        let relative = ExecutionRequest::script(name).working_dir(dir.path());
        for request in [absolute, relative] {
            assert_eq!(output_of(request.clone()).await, "ran\n", "{name}");
            assert_eq!(output_of(request.interpreter("sh")).await, "ran\n", "{name}");
        }
    }
}

// ------------------------------------------------------------------------------------------- programs

#[tokio::test]
async fn arguments_arrive_unchanged() {
    let args = [
        "",
        " ",
        "two words",
        "\"double\"",
        "it's",
        "$HOME",
        "`id`",
        "$(id)",
        "*",
        "~",
        "a;b|c&d",
        "\\n",
        "\n",
        "-n",
        "--",
        "caf\u{e9} \u{1f980}",
        "",
    ];
    let show = ["-c", "printf '%s\\0' \"$@\"", "sh"];
    let request = ExecutionRequest::exec("/bin/sh", show.into_iter().chain(args));
    let output = output_of(request).await;
    let arrived: Vec<_> = output.strip_suffix('\0').unwrap().split('\0').collect();
    assert_eq!(arrived, args);
}

#[tokio::test]
async fn argv0_is_the_name_of_the_request() {
    let dir = TempDir::new().unwrap();
    std::os::unix::fs::symlink("/bin/sh", dir.path().join("other-name")).unwrap();
    let request = ExecutionRequest::exec("other-name", ["-c", "echo $0"]);
    let output = output_of(request.env("PATH", text(dir.path()))).await;
    assert_eq!(output, "other-name\n");
}

#[tokio::test]
async fn program_is_looked_up_in_the_path_of_the_request() {
    let dir = TempDir::new().unwrap();
    // A name that this process would find elsewhere.
    tool(&dir, "cat", "the fake cat");
    let request = exec("cat").env("PATH", text(dir.path()));
    assert_eq!(output_of(request).await, "the fake cat\n");
}

#[tokio::test]
async fn first_executable_match_in_path_wins() {
    let dir = TempDir::new().unwrap();
    file(&dir, "a/tool", 0o644, "not executable");
    fs::create_dir_all(dir.path().join("b/tool")).unwrap();
    tool(&dir, "c/tool", "third");
    tool(&dir, "d/tool", "fourth");
    let home = text(dir.path());
    let path = format!("/no/such/dir:/bin/sh:{home}/a:{home}/b:{home}/c:{home}/d");
    assert_eq!(output_of(exec("tool").env("PATH", path)).await, "third\n");
}

#[tokio::test]
async fn empty_and_relative_path_entries_start_at_the_working_directory() {
    let dir = TempDir::new().unwrap();
    tool(&dir, "here", "from here");
    tool(&dir, "sub/below", "from below");
    for path in ["", ":/no/such/dir", "/no/such/dir:", "/no/such/dir::sub", "."] {
        let request = exec("here").working_dir(dir.path()).env("PATH", path);
        assert_eq!(output_of(request).await, "from here\n", "{path:?}");
    }
    for path in ["sub", "/no/such/dir:sub", "./sub:."] {
        let request = exec("below").working_dir(dir.path()).env("PATH", path);
        assert_eq!(output_of(request).await, "from below\n", "{path:?}");
    }
}

#[tokio::test]
async fn relative_program_path_starts_at_the_working_directory() {
    let dir = TempDir::new().unwrap();
    tool(&dir, "here", "from here");
    tool(&dir, "sub/below", "from below");
    for (program, expected) in [("./here", "from here\n"), ("sub/below", "from below\n")] {
        // PATH is not used for a name with a slash.
        let request = exec(program).working_dir(dir.path()).env("PATH", "/no/such/dir");
        assert_eq!(output_of(request).await, expected);
    }
}

#[tokio::test]
async fn spawn_retries_while_the_program_file_is_open_for_writing() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("copy");
    fs::copy("/bin/true", &program).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);

    // The first attempt is part of this call, and must fail.
    let id = engine.execute(exec(text(&program))).await.unwrap();
    drop(writer);

    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    let events = recorder.all_of(id).await;
    assert!(matches!(events[0], ExecutionEvent::Started { .. }), "{events:?}");
}

#[tokio::test]
async fn spawn_fails_with_the_reason_if_the_file_stays_open_for_writing() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("copy");
    fs::copy("/bin/true", &program).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let result = soon("the end", engine().run(exec(text(&program)))).await.unwrap();
    drop(writer);
    let Ending::SpawnFailed { reason, os_error: Some(26) } = &result.ending else {
        panic!("it ended otherwise: {result:?}");
    };
    assert!(reason.contains("still being written"), "{reason}");
    assert!(result.into_result().unwrap_err().is_retryable());
}

// ---------------------------------------------------------------------------------------- shell lines

#[tokio::test]
async fn shell_line_supports_pipes_quotes_and_redirections() {
    let cases = [
        ("printf 'b\\na\\n' | sort | tr '\\n' ' '", "a b "),
        ("echo \"it's\" 'a \"b\"' $((6 * 7))", "it's a \"b\" 42\n"),
        ("false || echo or; true && echo and", "or\nand\n"),
        ("echo one\necho two # a remark", "one\ntwo\n"),
        ("(echo err >&2) 2>&1", "err\n"),
        ("  echo   blanks", "blanks\n"),
        ("cat <<END\n$((1+1))\nEND\n", "2\n"),
    ];
    for (line, expected) in cases {
        assert_eq!(output_of(shell(line)).await, expected, "{line}");
    }
}

#[tokio::test]
async fn named_shell_runs_the_line() {
    let line = "echo ${BASH_VERSION:+bash} {1..3}";
    for name in ["/bin/bash", "bash"] {
        assert_eq!(output_of(shell(line).interpreter(name)).await, "bash 1 2 3\n");
    }
}

#[tokio::test]
async fn shell_is_looked_up_in_the_path_of_the_request() {
    let dir = TempDir::new().unwrap();
    file(&dir, "bash", 0o755, "#!/bin/sh\nprintf '[%s]' \"$@\"\n");
    let request = shell("a  line").interpreter("bash").env("PATH", text(dir.path()));
    assert_eq!(output_of(request).await, "[-c][a  line]");
}

// ------------------------------------------------------------------------------------------------ AWS

#[tokio::test]
async fn aws_command_runs_the_aws_cli() {
    let dir = TempDir::new().unwrap();
    file(&dir, "aws", 0o755, "#!/bin/sh\nprintf '[%s]' \"$@\"\n");
    let cases = [
        (
            Some("work"),
            Some("eu-west-1"),
            "[s3api][list-objects][--profile][work][--region][eu-west-1]\
             [--bucket][my bucket $HOME][][--output][json]",
        ),
        (None, None, "[s3api][list-objects][--bucket][my bucket $HOME][][--output][json]"),
    ];
    for (profile, region, expected) in cases {
        let command = Command::AwsCli {
            service: "s3api".to_string(),
            operation: "list-objects".to_string(),
            args: ["--bucket", "my bucket $HOME", ""].map(str::to_string).to_vec(),
            profile: profile.map(str::to_string),
            region: region.map(str::to_string),
        };
        let request = ExecutionRequest::new(command).env("PATH", text(dir.path()));
        assert_eq!(output_of(request).await, expected);
    }
}

// ---------------------------------------------------------------------------------------- environment

/// Returns the environment of a child.
async fn environment_of(request: ExecutionRequest) -> BTreeMap<String, String> {
    let output = output_of(request).await;
    let pairs = output.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
    // Without a control group, this variable marks the processes of a tree.
    let pairs = pairs.filter(|(name, _)| *name != "EXECUTION_ENGINE_TREE");
    pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn show_environment() -> ExecutionRequest {
    ExecutionRequest::exec("/usr/bin/env", ["-0"])
}

#[tokio::test]
async fn request_environment_overrides_the_inherited_one() {
    let mut own: BTreeMap<_, _> = std::env::vars().collect();
    own.remove("EXECUTION_ENGINE_TREE");
    // Which directory that is has tests of its own.
    own.insert("PWD".to_string(), pwd_of(show_pwd()).await);
    assert!(own.contains_key("PATH"));
    // assert_eq would print values that may be secret.
    assert!(environment_of(show_environment()).await == own);

    let value = "caf\u{e9} = \"$HOME\"\nsecond line ";
    let request =
        show_environment().env("BRAND_NEW", value).env("EMPTY", "").env("PATH", "another");
    let mut expected = own;
    expected.insert("BRAND_NEW".to_string(), value.to_string());
    expected.insert("EMPTY".to_string(), String::new());
    expected.insert("PATH".to_string(), "another".to_string());
    assert!(environment_of(request).await == expected);
}

#[tokio::test]
async fn overridden_variable_is_set_once() {
    let request = show_environment().env("PATH", "/usr/bin:/bin");
    let output = output_of(request).await;
    let paths: Vec<_> = output.split('\0').filter(|pair| pair.starts_with("PATH=")).collect();
    assert_eq!(paths, ["PATH=/usr/bin:/bin"]);
}

// ------------------------------------------------------------------------------------------- directory

#[tokio::test]
async fn program_starts_in_its_working_directory() {
    let dir = TempDir::new().unwrap();
    let home = dir.path().canonicalize().unwrap();
    fs::create_dir(home.join("a b")).unwrap();
    for place in [home.clone(), home.join("a b"), home.join("a b/..")] {
        let expected = format!("{}\n", place.canonicalize().unwrap().display());
        let request = ExecutionRequest::exec("/bin/pwd", ["-P"]).working_dir(place);
        assert_eq!(output_of(request).await, expected);
    }
}

#[tokio::test]
async fn working_directory_defaults_to_the_hosts() {
    let own = std::env::current_dir().unwrap().canonicalize().unwrap();
    let expected = format!("{}\n", own.display());
    assert_eq!(output_of(ExecutionRequest::exec("/bin/pwd", ["-P"])).await, expected);
    let relative = ExecutionRequest::exec("/bin/pwd", ["-P"]).working_dir("tests");
    assert_eq!(output_of(relative).await, format!("{}/tests\n", own.display()));
}

/// Returns the `PWD` of a program without a shell.
async fn pwd_of(request: ExecutionRequest) -> String {
    let output = output_of(request).await;
    output.strip_suffix('\n').unwrap().to_string()
}

fn show_pwd() -> ExecutionRequest {
    ExecutionRequest::exec("/usr/bin/printenv", ["PWD"])
}

#[tokio::test]
async fn pwd_is_the_working_directory_by_the_path_of_the_request() {
    let dir = TempDir::new().unwrap();
    let home = dir.path().canonicalize().unwrap();
    fs::create_dir_all(home.join("place/below")).unwrap();
    std::os::unix::fs::symlink("place/below", home.join("link")).unwrap();
    let place = home.join("place");
    for (given, expected) in [
        (place.clone(), place.clone()),
        (home.join("place//below/./"), home.join("place/below")),
        // A shell follows links when it is asked for the path without them.
        (home.join("link"), home.join("link")),
        // The directory above a link is not the one before it in the path.
        (home.join("link/.."), place.clone()),
        (PathBuf::from("/"), PathBuf::from("/")),
    ] {
        let expected = text(&expected);
        assert_eq!(pwd_of(show_pwd().working_dir(&given)).await, expected, "{given:?}");
        assert_eq!(pwd_of(shell("pwd").working_dir(&given)).await, expected, "{given:?}");
        let real = given.canonicalize().unwrap();
        assert_eq!(pwd_of(shell("pwd -P").working_dir(&given)).await, text(&real), "{given:?}");
        let script = script(&dir, "#!/usr/bin/env -S sh -c 'printenv PWD'\n").working_dir(&given);
        assert_eq!(pwd_of(script).await, expected, "{given:?}");
    }
    let tests = std::env::current_dir().unwrap().join("tests");
    assert_eq!(pwd_of(show_pwd().working_dir("tests")).await, text(&tests));
}

#[tokio::test]
async fn pwd_of_the_request_or_the_plan_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let request = || show_pwd().working_dir(dir.path());
    assert_eq!(pwd_of(request().env("PWD", "of the request")).await, "of the request");
    assert_eq!(pwd_of(request().env("PWD", "")).await, "");
    let plan = ExecutionPlan::serial([
        show_pwd(),
        show_pwd().env("PWD", "of the step"),
        show_pwd().working_dir("below"),
    ]);
    let home = dir.path().canonicalize().unwrap();
    fs::create_dir(home.join("below")).unwrap();
    let shared = || PlanOptions::default().working_dir(&home);
    for (options, expected) in [
        (shared(), [text(&home), "of the step", text(&home.join("below"))]),
        (shared().env("PWD", "of the plan"), ["of the plan", "of the step", "of the plan"]),
    ] {
        let plan = PlanSpec::new(plan.clone(), options);
        let result = soon("the plan", engine().run_plan(plan)).await.unwrap();
        let printed = result.results.iter().map(|step| step.stdout.trim_end());
        assert!(printed.eq(expected), "{result:?}");
    }
}

/// Without a directory of its own, a program has that of its host, whose `PWD` may be an old one.
#[tokio::test]
async fn pwd_without_a_working_directory_is_that_of_the_host() {
    let dir = TempDir::new().unwrap();
    let home = dir.path().canonicalize().unwrap();
    let link = home.join("link");
    if role().is_some() {
        return pwd_of_a_host_that_moves().await;
    }
    for (name, pwd) in [("plain", "nonsense"), ("kept", "LINK"), ("dots", "LINK/../real/.")] {
        let real = home.join(name).join("real");
        fs::create_dir_all(&real).unwrap();
        let _replaced = fs::remove_file(&link);
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let expected = if name == "kept" { &link } else { &real };
        let request = host::request(test_name!(), text(expected));
        let request = request.working_dir(&link).env("PWD", pwd.replace("LINK", text(&link)));
        host::assert_passed(&soon("the host", engine().run(request)).await);
    }
}

async fn pwd_of_a_host_that_moves() {
    let expected = role().unwrap().remove(0);
    assert_eq!(pwd_of(show_pwd()).await, expected);
    assert_eq!(pwd_of(shell("printenv PWD")).await, expected);
    std::env::set_current_dir("/usr").unwrap();
    assert_eq!(pwd_of(show_pwd()).await, "/usr");
    let lost = TempDir::new().unwrap();
    std::env::set_current_dir(lost.path()).unwrap();
    drop(lost);
    // A directory without a path has no name that could be true.
    let result = soon("the run", engine().run(show_pwd())).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.exit_code), ("", 1));
}

// ----------------------------------------------------------------------- descriptors, group, signals

#[tokio::test]
async fn stdin_is_empty_by_default() {
    assert_eq!(output_of(exec("cat")).await, "");
    let place = ExecutionRequest::exec("readlink", ["/proc/self/fd/0"]);
    assert_eq!(output_of(place).await, "/dev/null\n");
}

#[tokio::test]
async fn program_has_exactly_three_descriptors() {
    // This descriptor has no close-on-exec flag, so it would be inherited.
    let leaky = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty()).unwrap();
    assert!(rustix::io::fcntl_getfd(&leaky).unwrap().is_empty());
    // 3 is the directory that ls itself reads.
    let listed = output_of(ExecutionRequest::exec("ls", ["/proc/self/fd"])).await;
    assert_eq!(listed, "0\n1\n2\n3\n");
    drop(leaky);
}

#[tokio::test]
async fn stdout_and_stderr_are_separate_pipes() {
    let request = ExecutionRequest::exec("readlink", ["/proc/self/fd/1", "/proc/self/fd/2"]);
    let output = output_of(request).await;
    let places: Vec<_> = output.lines().collect();
    assert!(places.len() == 2 && places.iter().all(|at| at.starts_with("pipe:")), "{output}");
    assert_ne!(places[0], places[1]);
}

#[tokio::test]
async fn program_leads_its_own_process_group() {
    let stat = output_of(ExecutionRequest::exec("cat", ["/proc/self/stat"])).await;
    let (pid, rest) = stat.split_once(" (cat) ").unwrap();
    let group = rest.split_whitespace().nth(2).unwrap();
    assert_eq!(group, pid);
}

/// The signals of a set that `/proc/PID/status` shows, one bit each.
fn signals(status: &str, set: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

#[tokio::test]
async fn signal_dispositions_are_reset() {
    let sigpipe = 1 << (13 - 1);
    let own = fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(signals(&own, "SigIgn:") & sigpipe, sigpipe, "as in every Rust program");
    let status = output_of(ExecutionRequest::exec("cat", ["/proc/self/status"])).await;
    assert_eq!((signals(&status, "SigIgn:"), signals(&status, "SigBlk:")), (0, 0));
}

#[tokio::test]
async fn sigpipe_ends_a_pipeline_without_a_reader() {
    let line = "yes | head -n 1; echo \"${PIPESTATUS[*]}\"";
    // 141 is SIGPIPE; a program that ignores it would complain and give 1.
    assert_eq!(output_of(shell(line).interpreter("/bin/bash")).await, "y\n141 0\n");
}
