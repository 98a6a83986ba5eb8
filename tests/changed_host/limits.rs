//! Hosts that lower their limits while their engine is in use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

#[test]
fn lowered_limit_of_open_files_gives_results_or_named_errors() {
    in_a_host("lowers_open_files", 9);
}

#[test]
fn lowered_limit_of_processes_gives_results_or_named_errors() {
    in_a_host("lowers_processes", 10);
}

/// Lowers a limit for as long as it runs something on an engine that is in use.
async fn answer_with(
    engine: &ExecutionEngine,
    resource: Resource,
    limit: u64,
) -> Result<ExecutionResult> {
    let before = getrlimit(resource);
    let lowered = Rlimit { current: Some(limit), ..before };
    setrlimit(resource, lowered).unwrap();
    let answer = match engine.execute(shell("echo here")).await {
        Ok(id) => Ok(ended(engine, id).await),
        Err(refused) => Err(refused),
    };
    setrlimit(resource, before).unwrap();
    answer
}

/// Counts successes and named errors for each limit, and checks that the engine works afterwards.
async fn sweep(resource: Resource, limits: impl Iterator<Item = u64>, code: &str, says: &str) {
    let (mut worked, mut named) = (0, 0);
    let levels = levels::levels_left().into_iter();
    let engines: Vec<_> = levels.map(levels::engine_at).chain([engine()]).collect();
    let limits: Vec<_> = limits.collect();
    for engine in &engines {
        assert_eq!(run(engine, shell("echo here")).await.stdout, "here\n");
        for limit in &limits {
            match answer_with(engine, resource, *limit).await {
                Ok(result) => match &result.ending {
                    Ending::Exited { code: 0 } => worked += usize::from(result.stdout == "here\n"),
                    Ending::SpawnFailed { reason, .. } if reason.contains(says) => named += 1,
                    ending => panic!("at {limit}: {ending}"),
                },
                Err(error) if error.error_code() == code => named += 1,
                Err(error) => panic!("at {limit}: {error}"),
            }
            assert_eq!(run(engine, shell("echo here")).await.stdout, "here\n", "after {limit}");
        }
    }
    assert!(worked > 0 && named > 0, "{worked} have worked, and {named} have named errors");
}

pub(crate) async fn lowers_open_files() {
    let limits = (0..64).step_by(8);
    sweep(Resource::Nofile, limits, "open_file_limit_reached", "the limit of open files").await;
}

pub(crate) async fn lowers_processes(scene: &Scene) {
    host::become_user(scene.user);
    sweep(Resource::Nproc, (0..12).step_by(3), "no_threads", "the limit of processes").await;
}
