//! An engine in a program that another engine runs: the outer one contains all of it, at any levels.

use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host;
use test_support::levels::{engine_at, level_named, levels, name_of};
use test_support::lifeline::{Lifeline, holding};
use test_support::*;

/// Test that plays the inner hosts when it has a role.
const HOST: &str = "outer_engine_ends_trees_of_an_inner_engine";

/// Returns the request of the outer engine: this binary as a host with an engine of its own.
fn inner_host(level: ContainmentLevel, home: &Path, manner: &str) -> ExecutionRequest {
    host::request(HOST, &format!("{manner} {} {}", name_of(level), home.display()))
}

/// Starts a family that has left its group and session, and then stays or ends.
fn play(words: &[String]) {
    let home = PathBuf::from(&words[2]);
    let builder = ExecutionEngine::builder().containment(level_named(&words[1]));
    let engine = builder.stop_grace(Duration::from_secs(3600)).build().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let line =
            "trap '' TERM; (setsid sleep 300 &); setsid sleep 300 & echo ready >ready; sleep 300";
        let request = shell(holding(&home, line)).working_dir(&home);
        // It stays within the outer tree, whatever else it inherits.
        let options = ExecutionOptions::default().env_clear();
        engine.execute_with(request, options).await.unwrap();
        when_written(&home.join("ready")).await;
        if words[0] == "stays" {
            std::fs::write(home.join("inner"), "ready\n").unwrap();
            std::future::pending::<()>().await;
        }
    });
    std::process::exit(7);
}

#[test]
fn outer_engine_ends_trees_of_an_inner_engine() {
    if let Some(words) = host::role() {
        return play(&words);
    }
    tokio::runtime::Runtime::new().unwrap().block_on(stop_inner_hosts());
}

async fn stop_inner_hosts() {
    for outer in levels() {
        for inner in levels() {
            let home = TempDir::new().unwrap();
            let life = Lifeline::new(home.path());
            let engine = engine_at(outer);
            let id = engine.execute(inner_host(inner, home.path(), "stays")).await.unwrap();
            when_written(&home.path().join("inner")).await;
            engine.cancel(id).await.unwrap();
            let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
            assert_eq!(result.ending, Ending::Cancelled);
            let what = format!("{inner} inside of {outer}: {:?}", result.containment);
            if outer == ContainmentLevel::ProcessGroup {
                // Out of reach of the outer engine; the host guard of the inner one ends them.
                life.cut(&what).await;
            } else {
                assert!(life.is_cut(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn exit_of_an_inner_host_ends_its_trees() {
    for outer in levels() {
        for inner in levels() {
            let home = TempDir::new().unwrap();
            let life = Lifeline::new(home.path());
            let engine = ExecutionEngine::builder().containment(outer).build().unwrap();
            let run = engine.run(inner_host(inner, home.path(), "ends"));
            let result = soon("its end", run).await.unwrap();
            assert_eq!(result.ending, Ending::Exited { code: 7 }, "{inner} inside of {outer}");
            life.cut(&format!("{inner} inside of {outer}: {:?}", result.containment)).await;
            if outer == ContainmentLevel::Cgroup {
                assert!(result.containment.proven, "{:?}", result.containment);
            }
        }
    }
}
