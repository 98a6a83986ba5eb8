//! Nothing outlives an execution, and the receipt is true: a table of processes that try to escape,
//! at each level and by each way of ending.

mod escapees;

use escapees::{Case, End, Expected, expected};
use execution_engine::*;
use test_support::host::{self, Host};
use test_support::levels::{announce, level_named, levels, name_of};
use test_support::*;

/// Creates the engine of one round. A long grace shows where it should not apply.
fn engine_at(level: ContainmentLevel, grace: Duration) -> ExecutionEngine {
    let config = ExecutionConfig {
        max_output_size_bytes: 64 * 1024,
        oversized_output_strategy: OversizedOutputStrategy::FailExecution,
        ..ExecutionConfig::default()
    };
    let builder = ExecutionEngine::builder().config(config).containment(level);
    builder.stop_grace(grace).build().unwrap()
}

/// Test that plays the host of this binary when it has a role.
const HOST: &str = "tested_levels_are_announced";

const SHORT: Duration = Duration::from_millis(300);
const ENDLESS: Duration = Duration::from_secs(3600);

/// Lets all escapees try at once to outlive a way of ending.
async fn round(level: ContainmentLevel, end: End) {
    let engine = engine_at(level, SHORT);
    let mut cases = Case::all();
    for case in &cases {
        engine.execute(case.request(end)).await.unwrap();
    }
    all_ready(&engine, &cases).await;
    if end == End::Cancel {
        for case in &cases {
            engine.cancel(case.id()).await.unwrap();
        }
    }
    for case in &mut cases {
        let result = soon(case.part.kind, engine.wait_for_completion(case.id())).await.unwrap();
        assert_eq!(End::of(&result.ending), Some(end), "{}: {result:?}", case.part.kind);
        check(case, level, end, &result.containment).await;
    }
}

/// Waits until each escapee has started what is to outlive its program.
async fn all_ready(engine: &ExecutionEngine, cases: &[Case]) {
    for case in cases {
        let ready = case.ready();
        let ended = engine.wait_for_completion(case.id());
        tokio::select! {
            biased;
            _ = when_written(&ready) => {}
            result = ended => {
                // It may have made the file right before its end.
                assert!(ready.exists(), "{}: {result:?}", case.part.kind);
            }
        }
    }
}

/// Checks the receipt against the processes that are left.
async fn check(case: &Case, level: ContainmentLevel, end: End, receipt: &ContainmentReceipt) {
    let what = format!("{} at {level} by {end:?}: {receipt:?}", case.part.kind);
    assert_eq!(receipt.level, level, "{what}");
    let is_gone = case.life.is_cut();
    match expected(case.part, level, end) {
        Expected::Ends => assert!(is_gone, "{what}, left: {:?}", case.life.holders()),
        Expected::Escapes => assert!(!is_gone, "the table says that it escapes: {what}"),
        Expected::MayEscape => {}
    }
    if level == ContainmentLevel::Cgroup {
        assert!(receipt.proven, "{what}");
    } else {
        assert!(!receipt.proven, "{what}");
    }
    if is_gone {
        assert!(receipt.survivors.is_empty(), "{what}");
        assert!(end == End::Exit || receipt.stopped > 0 && receipt.signal.is_some(), "{what}");
    }
    case.clean_up().await;
}

macro_rules! rounds {
    ($($name:ident: $end:expr,)*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            for level in levels() {
                round(level, $end).await;
            }
        }
    )* };
}

rounds! {
    no_escapee_outlives_an_exit: End::Exit,
    no_escapee_outlives_a_cancel: End::Cancel,
    no_escapee_outlives_an_output_limit: End::Limit,
}

/// The timeout must not come before all are ready, so it grows until it is long enough.
#[tokio::test(flavor = "multi_thread")]
async fn no_escapee_outlives_a_timeout() {
    for level in levels() {
        let mut seconds = 2;
        while !timed_round(level, Duration::from_secs(seconds)).await {
            seconds *= 4;
            assert!(seconds < 1000, "they never get ready");
        }
    }
}

async fn timed_round(level: ContainmentLevel, time: Duration) -> bool {
    let engine = engine_at(level, SHORT);
    let cases = Case::all();
    for case in &cases {
        engine.execute(case.request(End::Timeout).timeout(time)).await.unwrap();
    }
    let mut all_were_ready = true;
    for case in &cases {
        let result = soon(case.part.kind, engine.wait_for_completion(case.id())).await.unwrap();
        assert_eq!(End::of(&result.ending), Some(End::Timeout), "{result:?}");
        if case.ready().exists() {
            check(case, level, End::Timeout, &result.containment).await;
        } else {
            all_were_ready = false;
            case.clean_up().await;
        }
    }
    all_were_ready
}

#[tokio::test(flavor = "multi_thread")]
async fn no_escapee_outlives_a_dropped_engine() {
    for level in levels() {
        // A dropped engine cannot wait for a long grace.
        let engine = engine_at(level, ENDLESS);
        let cases = Case::all();
        for case in &cases {
            engine.execute(case.request(End::Drop)).await.unwrap();
        }
        all_ready(&engine, &cases).await;
        // One is in its stop sequence already, with that grace.
        engine.cancel(cases[0].id()).await.unwrap();
        drop(engine);
        outcome_without_receipt(&cases, level, End::Drop).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_escapee_outlives_a_killed_host() {
    for level in levels() {
        let cases = Case::all();
        let homes: Vec<_> = cases.iter().map(Case::spelled).collect();
        let mut host = Host::start(HOST, &format!("{} {}", name_of(level), homes.join(" ")));
        assert_eq!(host.next_line(), "they run");
        for case in &cases {
            when_written(&case.ready()).await;
        }
        host.kill();
        outcome_without_receipt(&cases, level, End::HostKilled).await;
    }
}

async fn outcome_without_receipt(cases: &[Case], level: ContainmentLevel, end: End) {
    for case in cases {
        let what = format!("{} at {level} by {end:?}", case.part.kind);
        match expected(case.part, level, end) {
            Expected::Ends => case.life.cut(&what).await,
            Expected::Escapes | Expected::MayEscape => {}
        }
    }
    // By now the escaped ones have had as long as the others took to end.
    for case in cases {
        if expected(case.part, level, end) == Expected::Escapes {
            assert!(!case.life.is_cut(), "the table says that {} escapes", case.part.kind);
        }
        case.clean_up().await;
    }
}

/// Plays the host of [`no_escapee_outlives_a_killed_host`].
fn play(words: &[String]) {
    let engine = engine_at(level_named(&words[0]), ENDLESS);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        for home in &words[1..] {
            engine.execute(escapees::request(home, End::HostKilled)).await.unwrap();
        }
    });
    host::say("they run");
    host::listen();
}

#[test]
fn tested_levels_are_announced() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    let names: Vec<_> = levels().into_iter().map(name_of).collect();
    assert!(names.contains(&"process_group".to_string()), "every Unix has it");
    announce(&format!("containment levels tested here: {}", names.join(", ")));
}
