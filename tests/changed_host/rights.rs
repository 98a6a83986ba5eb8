//! Hosts that give up rights, or take them back.

use std::os::unix::fs::MetadataExt as _;

use test_support::lifeline::holding;
use test_support::seccomp::{RefusedCall, refuse};

use super::*;

#[test]
fn level_that_is_required_and_lost_is_named_with_what_has_changed() {
    in_a_host("requires_a_level", 1);
}

#[test]
fn level_returns_with_the_rights_of_the_host() {
    in_a_host("takes_rights_back", 2);
}

#[test]
fn program_with_more_rights_than_its_host_is_named_and_ended_with_the_engine() {
    in_a_host("has_a_mightier_program", 3);
}

#[test]
fn engine_of_a_host_that_has_entered_a_sandbox_names_the_refused_call() {
    in_a_host("enters_a_sandbox", 7);
}

#[test]
fn overflow_files_of_a_host_that_drops_root_are_its_new_user_s() {
    in_a_host("spills", 8);
}

/// The engine has a host guard for each level that it had.
#[tokio::test]
async fn trees_of_before_and_after_end_with_a_host_that_has_dropped_root() {
    if let Some(reason) = cannot_fall() {
        return announce(&format!("SKIPPED: {reason}"));
    }
    let home = open_home();
    let scene = Scene { user: USERS + 11, home: home.path().into() };
    let life = scene.life();
    let role = format!("is_killed {} {}", scene.user, home.path().display());
    let mut host = Host::start(HOST, &role);
    assert_eq!(host.next_line(), "it runs");
    assert!(!life.is_cut());
    host.kill();
    life.cut("when the host is killed").await;
}

pub(crate) async fn drops_root(scene: &Scene) {
    let life = scene.life();
    let [used, unused] = [engine(), engine()];
    let result = run(&used, shell("id -u")).await;
    assert_eq!(
        (result.stdout.as_str(), result.containment.level),
        ("0\n", ContainmentLevel::Cgroup)
    );
    scene.drop_root();
    assert_eq!(levels_of_many(&used).await, [ContainmentLevel::ProcessTree; 20]);
    for engine in [used, unused, engine()] {
        let line = holding(&scene.home, "id -u; setsid sleep 300 & exit 0");
        let result = run(&engine, shell(line)).await;
        assert_eq!(result.stdout, format!("{}\n", scene.user), "{result:?}");
        let receipt = &result.containment;
        assert_eq!(receipt.level, ContainmentLevel::ProcessTree, "{receipt:?}");
        assert!(receipt.stopped >= 1 && receipt.survivors.is_empty(), "{receipt:?}");
        assert!(life.is_cut(), "{receipt:?}");

        let line = holding(&scene.home, "(setsid sleep 300 &); sleep 300");
        let result = run(&engine, shell(line).timeout(Duration::from_millis(300))).await;
        assert_eq!(result.status, ExecutionStatus::Timeout, "{result:?}");
        assert!(life.is_cut(), "{result:?}");
    }
}

pub(crate) async fn requires_a_level(scene: &Scene) {
    let engines: Vec<_> = levels().into_iter().map(levels::engine_at).collect();
    assert_eq!(level_of(&engines[0]).await, ContainmentLevel::Cgroup);
    let unused = at_cgroup();
    scene.drop_root();
    for engine in [&engines[0], &unused] {
        let result = run(engine, shell("true")).await;
        let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
        assert_eq!(*os_error, Some(libc::EACCES), "{reason}");
        for says in [
            "the level cgroup that this engine requires is no longer available",
            "no group can be created in",
            &format!("the process has changed its user from 0 to {}", scene.user),
            "build an engine that requires no level",
        ] {
            assert!(reason.contains(says), "{says:?} is not in {reason}");
        }
    }
    for engine in &engines[1..] {
        assert!(level_of(engine).await < ContainmentLevel::Cgroup);
    }
    let refused = ExecutionEngine::builder().containment(ContainmentLevel::Cgroup).build();
    let error = refused.expect_err("it is not offered any more");
    assert!(error.to_string().contains("no group can be created in"), "{error}");
}

/// A server takes on the rights of a user for a moment.
pub(crate) async fn takes_rights_back(scene: &Scene) {
    let engine = engine();
    assert_eq!(level_of(&engine).await, ContainmentLevel::Cgroup);
    for _ in 0..2 {
        become_effective(scene.user);
        assert_eq!(level_of(&engine).await, ContainmentLevel::ProcessTree);
        become_effective(0);
        assert_eq!(level_of(&engine).await, ContainmentLevel::Cgroup);
    }
}

/// Only root can end a program of root, and the host guard is root's.
pub(crate) async fn has_a_mightier_program(scene: &Scene) {
    let life = scene.life();
    let engine = engine();
    let line = holding(&scene.home, "echo ready >ready; sleep 300");
    let id = engine.execute(shell(line).working_dir(&scene.home)).await.unwrap();
    when_written(&scene.home.join("ready")).await;
    scene.drop_root();
    engine.cancel(id).await.unwrap();
    let result = ended(&engine, id).await;
    let receipt = &result.containment;
    assert_eq!((&result.ending, receipt.level), (&Ending::Cancelled, ContainmentLevel::Cgroup));
    assert!(!receipt.survivors.is_empty(), "{receipt:?}");
    drop(engine);
    life.cut("when the engine is dropped").await;
}

/// A host that runs programs already may enter a sandbox that lets it follow none.
pub(crate) async fn enters_a_sandbox() {
    assert!(run(&engine(), shell("true")).await.success);
    let waits = RefusedCall { number: libc::SYS_waitid, argument: Some((0, libc::P_PIDFD)) };
    refuse(&[waits], libc::EPERM);
    let result = run(&engine(), shell("true")).await;
    let Ending::SpawnFailed { reason, .. } = &result.ending else { panic!("{result:?}") };
    assert!(reason.contains("this system refuses the call waitid"), "{reason}");
}

pub(crate) async fn spills(scene: &Scene) {
    let engine = engine_with(|config| {
        config.oversized_output_strategy = OversizedOutputStrategy::StreamToFile;
        config.max_output_size_bytes = 10;
    });
    let spilled = async || {
        let result = run(&engine, shell("seq 1 1000")).await;
        let file = result.stdout_overflow_file.clone();
        (result.success, file.and_then(|file| std::fs::metadata(file).ok()).map(|file| file.uid()))
    };
    assert_eq!(spilled().await, (true, Some(0)));
    scene.drop_root();
    assert_eq!(spilled().await, (true, Some(scene.user)));
}

pub(crate) async fn is_killed(scene: &Scene) {
    let engine = engine();
    for name in ["before", "after"] {
        let line =
            format!("echo ready >{name}; setsid sleep 300 & (setsid sleep 300 &); sleep 300");
        let line = holding(&scene.home, &line);
        engine.execute(shell(line).working_dir(&scene.home)).await.unwrap();
        when_written(&scene.home.join(name)).await;
        if name == "before" {
            scene.drop_root();
        }
    }
    host::say("it runs");
    host::listen();
}
