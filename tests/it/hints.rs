//! Refusals say what was probably meant: arguments in the name of a program, what only a shell
//! replaces, commands of shells, ids of the other kind. No hint is wrong, and none shows a value of
//! `env`.

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

/// Returns the message by which a request is refused.
async fn refusal(request: ExecutionRequest) -> String {
    engine().execute(request).await.unwrap_err().to_string()
}

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

const LINE: &str = "a line for a shell (ExecutionRequest::shell)";

#[tokio::test]
async fn arguments_in_the_name_of_a_program_are_named() {
    for (name, words) in [
        ("ls -la", &["there is a program \"ls\"", "(args)", LINE][..]),
        ("/bin/ls -la /tmp", &["there is a program \"/bin/ls\"", "(args)"]),
        ("no-such-program -x", &["blanks belong to the name", "(args)", LINE]),
        ("ls | wc -l", &["if it is a line for a shell", LINE]),
        ("echo a>b", &["if it is a line for a shell", LINE]),
    ] {
        let message = refusal(exec(name)).await;
        says(&message, words);
        says(&message, &[&format!("program {name:?} was not found")]);
        assert!(!message.contains("install it"), "{message}");
    }
    let message = refusal(shell("ls").interpreter("bash -e")).await;
    says(&message, &["shell is the name of one program, without arguments"]);
    let message = refusal(ExecutionRequest::script("/bin/true").interpreter("python3 -u")).await;
    says(&message, &["interpreter is the name of one program, without arguments"]);
}

#[tokio::test]
async fn a_program_whose_name_has_a_blank_runs() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ls -la");
    std::os::unix::fs::symlink("/bin/true", &path).unwrap();
    let result = soon("the run", engine().run(exec(text(&path)))).await.unwrap();
    assert!(result.success, "{result:?}");
}

#[tokio::test]
async fn commands_of_shells_are_named() {
    for (name, words) in [
        ("source", &[LINE][..]),
        ("export A=b", &["`export` is a command of shells", "set variables in env"]),
        ("shopt", &["`shopt` is a command of shells and no program"]),
        ("unset PATH", &["env_remove"]),
    ] {
        says(&refusal(exec(name)).await, words);
    }
    // Some systems have a program of this name.
    let dir = TempDir::new().unwrap();
    let message = refusal(exec("cd").env("PATH", text(dir.path()))).await;
    says(&message, &["`cd` is a command of shells", "set working_dir"]);
}

#[tokio::test]
async fn what_only_a_shell_replaces_is_named() {
    for (request, word) in [
        (exec("~/bin/no-such-tool"), "`~`"),
        (exec("$HOME/bin/no-such-tool"), "`$`"),
        (exec("/no/such/*.sh"), "patterns"),
        (exec(r"C:\tools\x.exe"), r"`\`"),
        (ExecutionRequest::script("~/no-such.py").interpreter("sh"), "`~`"),
        (ExecutionRequest::script(r"scripts\no-such.py"), r"`\`"),
        (shell("ls").working_dir("~/no-such"), "`~`"),
        (shell("ls").working_dir("$HOME/no-such"), "`$`"),
    ] {
        let message = refusal(request).await;
        says(&message, &[word]);
    }
    let options = ExecutionOptions::default().stdin(StdinSource::file("~/no-such-input"));
    let error = engine().execute_with(shell("cat"), options).await.unwrap_err();
    says(&error.to_string(), &["stdin", "`~`"]);
    let message = refusal(shell("ls").working_dir("/no/such/place")).await;
    assert!(!message.contains("shell"), "{message}");
}

#[tokio::test]
async fn the_place_that_was_searched_is_named() {
    let dir = TempDir::new().unwrap();
    let message = refusal(exec("./tool").working_dir(dir.path())).await;
    says(&message, &["at the path", text(&dir.path().join("tool")), "working_dir"]);
    let missing = std::env::current_dir().unwrap().join("no-such-tool.py");
    let message = refusal(ExecutionRequest::script("no-such-tool.py")).await;
    says(&message, &[text(&missing)]);

    let message = refusal(exec("no-such-program")).await;
    let path = std::env::var_os("PATH").unwrap();
    let first = std::env::split_paths(&path).next().unwrap();
    says(&message, &["in the PATH of the child (", text(&first), "install it"]);

    let options = ExecutionOptions::default().env_clear();
    let error = engine().execute_with(exec("no-such-program"), options).await.unwrap_err();
    says(&error.to_string(), &["the child has no PATH"]);
}

#[tokio::test]
async fn a_path_from_env_is_not_shown() {
    let engine = engine();
    let secret = "/hunter2:/hunter2/b";
    let request = exec("no-such-program").env("PATH", secret);
    let by_request = engine.execute(request).await.unwrap_err();
    let options = ExecutionOptions::default().env("PATH", secret);
    let by_options = engine.execute_with(exec("no-such-program"), options).await.unwrap_err();
    let by_plan = {
        let plan = ExecutionPlan::serial([exec("no-such-program")]);
        let spec = PlanSpec::new(plan, PlanOptions::default().env("PATH", secret));
        let result = soon("the plan", engine.run_plan(spec)).await.unwrap();
        result.results[0].error.clone().unwrap()
    };
    for message in [by_request.to_string(), by_options.to_string(), by_plan] {
        says(&message, &["2 directories, set by its env"]);
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn an_unknown_group_names_those_that_exist() {
    let options = || ExecutionOptions::default().group("buidl");
    let error = engine().execute_with(shell("true"), options()).await.unwrap_err();
    says(&error.to_string(), &["\"buidl\"", "this engine has no groups"]);
    let grouped = ExecutionEngine::builder().group("build", 2).group("test", 1).build().unwrap();
    let error = grouped.execute_with(shell("true"), options()).await.unwrap_err();
    says(&error.to_string(), &["\"buidl\"", "the groups are \"build\", \"test\""]);
}

#[tokio::test]
async fn an_id_of_the_other_kind_is_named() {
    let engine = engine();
    let step = shell("exec sleep 1000");
    let execution = step.id;
    let plan = engine.execute_plan(ExecutionPlan::serial([step])).await.unwrap();
    let mut records = engine.subscribe_plan(plan).await.unwrap();
    while soon("the start", records.next())
        .await
        .is_some_and(|record| !matches!(record.event, ExecutionEvent::Started { .. }))
    {}

    let check = async || {
        let of_plan = Err(ExecutionError::IdOfPlan(plan));
        assert_eq!(engine.get_status(plan).await.map(drop), of_plan);
        assert_eq!(engine.wait_for_completion(plan).await.map(drop), of_plan);
        assert_eq!(engine.cancel(plan).await.map(drop), of_plan);
        assert_eq!(engine.subscribe(plan).await.map(drop), of_plan);
        assert_eq!(engine.remove_execution(plan).await.map(drop), of_plan);
        let of_execution = Err(ExecutionError::IdOfExecution(execution));
        assert_eq!(engine.get_plan_status(execution).await.map(drop), of_execution);
        assert_eq!(engine.wait_for_plan(execution).await.map(drop), of_execution);
        assert_eq!(engine.cancel_plan(execution).await.map(drop), of_execution);
        assert_eq!(engine.subscribe_plan(execution).await.map(drop), of_execution);
        assert_eq!(engine.remove_plan(execution).await.map(drop), of_execution);
    };
    check().await;
    engine.cancel_plan(plan).await.unwrap();
    soon("the end", engine.wait_for_plan(plan)).await.unwrap();
    check().await;

    let error = ExecutionError::IdOfPlan(plan);
    assert!(error.is_lookup() && error.error_code() == "not_found");
    says(&error.to_string(), &["id of a plan", "wait_for_plan", "cancel_plan"]);
    let error = ExecutionError::IdOfExecution(execution);
    assert!(error.is_lookup() && error.error_code() == "plan_not_found");
    says(&error.to_string(), &["id of an execution", "wait_for_completion", "cancel"]);
}
