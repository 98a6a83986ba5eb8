//! The global engine with a custom configuration.
//!
//! The only test of this binary: a process has one such engine.

use execution_engine::*;
use test_support::*;

#[tokio::test]
async fn one_of_many_concurrent_configurations_wins() {
    let invalid = ExecutionConfig { max_concurrent_executions: 0, ..Default::default() };
    assert!(matches!(init_global(invalid), Err(ExecutionError::Validation(_))));

    let config = |limit| ExecutionConfig { max_concurrent_executions: limit, ..Default::default() };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (1..=20)
            .map(|limit| (limit, scope.spawn(move || init_global(config(limit)))))
            .collect();
        racers.into_iter().map(|(limit, racer)| (limit, racer.join().unwrap())).collect()
    });
    let (made, late): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, made)| made.is_ok());
    assert_eq!((made.len(), late.len()), (1, 19));
    let already = Err(ExecutionError::GlobalAlreadyInitialised);
    assert!(late.iter().all(|(_, answer)| *answer == already));
    assert_eq!(global().config().max_concurrent_executions, made[0].0);
    assert_eq!(global().available_permits(), made[0].0);

    let result = soon("its end", global().run(shell("exit 3"))).await.unwrap();
    assert_eq!(result.exit_code, 3);
    let elsewhere = std::thread::spawn(move || at_once(global().get_result(result.id)));
    assert!(elsewhere.join().unwrap().unwrap().is_some(), "another thread sees the same engine");
}
