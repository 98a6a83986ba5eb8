//! Plans as JSON and as a Mermaid graph.

use execution_engine_mermaid::diagram_after;

use super::*;

#[tokio::test]
async fn plans_round_trip_as_json() {
    let text = r#"{
        "description": "a diamond",
        "strategy": {"type": "dependency_graph", "dependencies": {"3": [1, 2], "1": [0], "2": [0]}},
        "commands": [
            {"command": {"type": "shell", "command": "echo 0"}},
            {"command": {"type": "shell", "command": "echo 1"}},
            {"command": {"type": "exec", "program": "echo", "args": ["2"]}},
            {"command": {"type": "shell", "command": "echo 3"}}
        ]
    }"#;
    let plan: ExecutionPlan = serde_json::from_str(text).unwrap();
    let again = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<ExecutionPlan>(&again).unwrap(), plan);
    let dependencies = r#""dependencies":{"1":[0],"2":[0],"3":[1,2]}"#;
    assert!(again.contains(dependencies), "in order: {again}");

    let options = r#"{
        "steps": [
            {"name": "top"},
            {"name": "left", "options": {"priority": 2}, "allow_failure": true},
            {"name": "right", "inputs": [{"from": "top", "to": {"type": "env", "name": "TOP"}, "trim": "nothing"}]},
            {"after": ["left", 2], "always": true, "only_if": [
                {"type": "succeeded", "step": "top"},
                {"type": "exit_code", "step": 2, "codes": [0, 3]},
                {"type": "none_failed"}
            ]}
        ],
        "failure_policy": "cancel_at_first_error",
        "deadline_ms": 60000,
        "env": {"A": "b"}
    }"#;
    let options: PlanOptions = serde_json::from_str(options).unwrap();
    let again = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<PlanOptions>(&again).unwrap(), options);

    let result = run_plan(&engine(), PlanSpec::new(plan, options)).await;
    assert_eq!(result.stats.completed, 4);
    let text = serde_json::to_string(&result).unwrap();
    let mut read: PlanExecutionResult = serde_json::from_str(&text).unwrap();
    assert_eq!(endings(&read), endings(&result));
    assert_eq!(read.total_duration.as_millis(), result.total_duration.as_millis());
    read.total_duration = result.total_duration;
    read.results.clone_from(&result.results);
    assert_eq!(read, result);

    for (strategy, text) in [
        (
            ExecutionStrategy::Serial { stop_on_error: true },
            r#"{"type":"serial","stop_on_error":true}"#,
        ),
        (
            ExecutionStrategy::Parallel { max_concurrency: Some(3) },
            r#"{"type":"parallel","max_concurrency":3}"#,
        ),
        (ExecutionStrategy::Parallel { max_concurrency: None }, r#"{"type":"parallel"}"#),
    ] {
        assert_eq!(serde_json::to_string(&strategy).unwrap(), text);
        assert_eq!(serde_json::from_str::<ExecutionStrategy>(text).unwrap(), strategy);
    }
    let wrong = r#"{"type":"dependency_graph","dependencies":{"one":[0]}}"#;
    let error = serde_json::from_str::<ExecutionStrategy>(wrong).unwrap_err();
    assert!(error.to_string().contains("\"one\" is no index"), "{error}");
}

#[tokio::test]
async fn plan_in_one_list_of_steps_is_that_of_two_lists() {
    let one = r#"{
        "id": "00000000-0000-0000-0000-000000000001",
        "description": "one list",
        "metadata": {"tags": ["nightly"]},
        "steps": [
            {"id": "00000000-0000-0000-0000-000000000002", "name": "version", "command": "echo 1.2"},
            {"id": "00000000-0000-0000-0000-000000000003", "command": ["sh", "-c", "echo $A-$V; exit 1"],
             "env": {"A": "a"}, "timeout_ms": 60000, "options": {"priority": 2}, "allow_failure": true,
             "inputs": [{"from": "version", "to": {"type": "env", "name": "V"}}]},
            {"id": "00000000-0000-0000-0000-000000000004", "command": "pwd", "after": [1],
             "only_if": [{"type": "failed", "step": 1}]}
        ],
        "working_dir": "/",
        "failure_policy": "continue",
        "max_concurrency": 2,
        "deadline_ms": 600000,
        "env": {"B": "b"},
        "defaults": {"retry": 2}
    }"#;
    let one: PlanSpec = serde_json::from_str(one).unwrap();
    let again = serde_json::to_string(&one).unwrap();
    assert!(again.contains(r#""commands":["#), "{again}");
    assert_eq!(serde_json::from_str::<PlanSpec>(&again).unwrap(), one);
    let result = run_plan(&engine(), one).await;
    let outputs: Vec<_> = result.results.iter().map(|it| it.stdout.as_str()).collect();
    assert_eq!(outputs, ["1.2\n", "a-1.2\n", "/\n"]);
    assert_eq!((result.stats.completed, result.stats.allowed_failures), (2, 1));
}

/// Returns the message for a JSON text that is no `T`.
fn refusal<T: serde::de::DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
    serde_json::from_str::<T>(json).unwrap_err().to_string()
}

#[test]
fn json_of_another_form_is_refused_with_the_form_that_is_expected() {
    let tagged = "expected an object with a `type`";
    for (error, expected) in [
        (refusal::<RetryPolicy>(r#"{"retry_on": [5]}"#), tagged),
        (refusal::<StepInput>(r#"{"from": 0, "to": ["stdin"]}"#), tagged),
        (refusal::<ExecutionOptions>(r#"{"stdin": "text"}"#), "expected one of `null`"),
        (refusal::<Admission>(r#""queue""#), "missing field `max_waiting`"),
        (refusal::<ExecutionRequest>(r#"{"command": 5}"#), tagged),
        (
            refusal::<PlanSpec>(r#"{"plan": {"strategy": "serial", "commands": []}}"#),
            "missing field `stop_on_error`",
        ),
        (
            refusal::<PlanSpec>(r#"{"steps": [], "options": {}}"#),
            "either a `plan` and its `options`, or `steps`",
        ),
        (
            refusal::<PlanSpec>(r#"{"steps": [{"command": "true", "afer": [0]}]}"#),
            "unknown field `afer`",
        ),
        (refusal::<PlanSpec>(r#"{"description": "x"}"#), "either a `plan`"),
        (refusal::<StepOptions>(r#"{"after": [-1]}"#), "the index or the name of a step"),
        (refusal::<StepOptions>(r#"{"only_if": ["build"]}"#), "unknown variant `build`"),
        (
            refusal::<StepCondition>(r#"{"type": "any_failed", "step": "x"}"#),
            "unknown field `step`",
        ),
        (
            refusal::<ExecutionOptions>(r#"{"stdin": {"type": "bytes", "data": [256]}}"#),
            "a string, or a list of numbers from 0 to 255",
        ),
    ] {
        assert!(error.contains(expected) && !error.contains("enum"), "{error}");
    }
}

#[tokio::test]
async fn mermaid_graph_after_a_run_shows_states_and_durations() {
    let plan = ExecutionPlan::builder()
        .step("good", shell("true"))
        .step("bad", shell("exit 3"))
        .after("good")
        .step("never", shell("true"))
        .after("bad")
        .step("lint", shell("exit 1"))
        .allow_failure()
        .build()
        .unwrap();
    let result = run_plan(&engine(), plan.clone()).await;
    let picture = diagram_after(&plan, &result);
    for words in [
        "s0[\"good<br/>true<br/>completed, ",
        "s1[\"bad<br/>exit 3<br/>exit code 3, ",
        "s2[\"never<br/>true<br/>never ran\"]",
        "s0 --> s1",
        "s1 --> s2",
        "class s0 completed",
        "class s1 failed",
        "class s2 not_run",
        " (allowed)\"]",
        "class s3 allowed",
    ] {
        assert!(picture.contains(words), "{words}:\n{picture}");
    }
}

#[tokio::test]
async fn plan_environment_is_shown_nowhere() {
    const SECRET: &str = "hunter2";
    let options = PlanOptions::default().env("TOKEN", SECRET);
    assert!(!format!("{options:?}").contains(SECRET));
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    let plan = ExecutionPlan::serial([shell("test -n \"$TOKEN\""), shell("exit 1")]);
    let id = plan.id;
    let result = run_plan(&engine, PlanSpec::new(plan, options)).await;
    assert_eq!(result.stats.completed, 1);
    assert!(!format!("{result:?}").contains(SECRET));
    let events = recorder.all_of(id).await;
    assert!(!format!("{events:?}").contains(SECRET));
}
