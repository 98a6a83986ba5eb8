//! Keepers that die, and keepers of another build.

use std::fs;
use std::time::{Duration, Instant};

use execution_engine::*;
use execution_engine_keeper::{KeeperInfo, keepers};
use execution_engine_server::*;
use test_support::{is_alive, pids, until, when_written};

use crate::support::*;

/// Returns a program that says its process ids in a file, writes lines, and stays.
fn tree(home: &Home, name: &str) -> NewExecution {
    let file = home.file(name);
    shell(format!("sleep 600 & echo $$ $! > {}; seq 1 1000; echo last; wait", file.display()))
}

#[tokio::test]
async fn death_of_a_keeper_loses_its_executions_and_no_other() {
    let home = Home::new();
    let service = home.open().await;
    let lost = submit(&service, tree(&home, "lost")).await;
    let large = submit(&service, shell("seq 1 100000; echo last; sleep 600")).await;
    let mut follower = service.events(lost, 0).await.unwrap();
    for id in [lost, large] {
        let mut events = service.events(id, 0).await.unwrap();
        let mut seen = Vec::new();
        while !bytes_of(&seen, OutputStream::Stdout).ends_with(b"last\n") {
            seen.push(events.next().await.unwrap().unwrap());
        }
    }
    let its_pids = pids(&when_written(&home.file("lost")).await);
    let keeper = home.keeper().await;
    kill_keeper(&keeper).await;
    let killed = Instant::now();
    until("its trees are gone", || its_pids.iter().all(|pid| !is_alive(*pid))).await;
    let view = ended(&service, lost).await;
    assert_eq!(view.status, ExecutionStatus::Lost);
    let Some(Ending::Lost { reason, .. }) = &view.ending else { panic!("{view:?}") };
    assert!(reason.contains(&keeper.pid.to_string()), "{reason}");
    assert_eq!(view.exit_code, None);
    let numbers: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    assert!(
        output(&service, lost, Some(OutputStream::Stdout)).await
            == format!("{numbers}last\n").as_bytes()
    );
    let view = ended(&service, large).await;
    assert_eq!(view.status, ExecutionStatus::Lost);
    assert!(output(&service, large, None).await.ends_with(b"100000\nlast\n"));
    println!("stored {:?} after the death", killed.elapsed());

    let mut live = Vec::new();
    while let Some(event) = follower.next().await {
        live.push(event.unwrap());
    }
    assert!(matches!(live.last().unwrap().kind, EventKind::Ended { .. }));
    assert!(events_after(&service, lost, 0).await == live);

    // New work gets a new keeper, and the directory of the dead one is cleared away.
    let next = submit(&service, shell("echo next")).await;
    assert_eq!(ended(&service, next).await.status, ExecutionStatus::Completed);
    until("its directory is removed", || !keeper.dir.exists()).await;
    assert_ne!(home.keeper().await.dir, keeper.dir);
    assert!(output(&service, large, None).await.ends_with(b"100000\nlast\n"));
    service.close().await;
}

#[tokio::test]
async fn keeper_that_dies_without_a_service_is_found_dead() {
    let home = Home::new();
    let service = home.open().await;
    let lost = submit(&service, shell("echo lost; sleep 600")).await;
    let done = submit(&service, shell("echo done")).await;
    let mut events = service.events(lost, 0).await.unwrap();
    while !matches!(events.next().await.unwrap().unwrap().kind, EventKind::Output { .. }) {}
    ended(&service, done).await;
    let keeper = home.keeper().await;
    service.close().await;
    kill_keeper(&keeper).await;

    let service = home.open().await;
    assert_eq!(ended(&service, lost).await.status, ExecutionStatus::Lost);
    assert_eq!(output(&service, lost, None).await, b"lost\n");
    assert_eq!(service.get(done).await.unwrap().status, ExecutionStatus::Completed);
    until("its directory is removed", || !keeper.dir.exists()).await;
    service.close().await;
}

#[tokio::test]
async fn keeper_of_an_earlier_boot_is_lost_with_that_reason() {
    let home = Home::new();
    let service = home.open().await;
    let lost = submit(&service, shell("echo lost; sleep 600")).await;
    let mut events = service.events(lost, 0).await.unwrap();
    while !matches!(events.next().await.unwrap().unwrap().kind, EventKind::Output { .. }) {}
    let keeper = home.keeper().await;
    service.close().await;
    kill_keeper(&keeper).await;
    // As after a restart of the system: its boot is another one, and the last record is torn.
    let lock = keeper.dir.join("lock");
    let text = fs::read_to_string(&lock).unwrap();
    let other = text.replace(keeper.boot_id.as_deref().unwrap(), "another-boot");
    assert_ne!(text, other);
    fs::write(lock, other).unwrap();
    let journal = keeper.dir.join("journals").join(lost.to_string());
    let mut bytes = fs::read(&journal).unwrap();
    bytes.extend_from_slice(&[0; 4096]);
    fs::write(journal, bytes).unwrap();

    let service = home.open().await;
    let view = ended(&service, lost).await;
    let Some(Ending::Lost { reason, .. }) = view.ending else { panic!("{view:?}") };
    assert!(reason.contains("restarted"), "{reason}");
    assert_eq!(output(&service, lost, None).await, b"lost\n");
    service.close().await;
}

#[tokio::test]
async fn keeper_whose_directory_is_gone_is_lost() {
    let home = Home::new();
    let service = home.open().await;
    let lost = submit(&service, shell("sleep 600")).await;
    started(&service, lost).await;
    let keeper = home.keeper().await;
    service.close().await;
    kill_keeper(&keeper).await;
    fs::remove_dir_all(&keeper.dir).unwrap();
    let service = home.open().await;
    let view = ended(&service, lost).await;
    assert_eq!(view.status, ExecutionStatus::Lost);
    assert!(view.error.unwrap().contains(keeper.dir.to_str().unwrap()));
    assert_eq!(events_after(&service, lost, 0).await.len(), 1);
    service.close().await;
}

#[tokio::test]
async fn keeper_of_another_build_drains_while_the_new_one_takes_work() {
    let mut home = Home::new();
    home.config.max_running = 2;
    let service = home.open().await;
    let go = home.file("go");
    let old = submit(
        &service,
        shell(format!("until [ -e {} ]; do sleep 0.01; done; echo old", go.display())),
    )
    .await;
    started(&service, old).await;
    let keeper = home.keeper().await;
    service.close().await;
    // Nothing else tells builds apart.
    let lock = keeper.dir.join("lock");
    let text = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, text.replace(&keeper.build, "0.0.1-before")).unwrap();

    let service = home.open().await;
    let new = submit(&service, shell("echo new")).await;
    assert_eq!(ended(&service, new).await.status, ExecutionStatus::Completed);
    let views = service.status().await.keepers;
    let of_old = views.iter().find(|view| view.pid == keeper.pid).unwrap();
    assert!(of_old.draining && of_old.connected && of_old.running == 1, "{views:?}");
    let of_new = views.iter().find(|view| view.pid != keeper.pid).unwrap();
    assert!(!of_new.draining, "{views:?}");

    // The death of one leaves the other alone.
    let lost = submit(&service, shell("sleep 600")).await;
    started(&service, lost).await;
    let is_new = |other: &KeeperInfo| other.pid == of_new.pid;
    kill_keeper(&home.keepers().into_iter().find(is_new).unwrap()).await;
    assert_eq!(ended(&service, lost).await.status, ExecutionStatus::Lost);
    assert_eq!(service.get(old).await.unwrap().status, ExecutionStatus::Running);
    fs::write(go, "").unwrap();
    assert_eq!(ended(&service, old).await.status, ExecutionStatus::Completed);
    assert_eq!(output(&service, old, None).await, b"old\n");
    until("the old keeper has ended", || !is_alive(keeper.pid)).await;
    until("its directory is gone", || !keeper.dir.exists()).await;
    let next = submit(&service, shell("true")).await;
    assert_eq!(ended(&service, next).await.status, ExecutionStatus::Completed);
    until("one keeper is left", || keepers(&home.state()).unwrap().len() == 1).await;
    service.close().await;
}

#[tokio::test]
async fn keeper_that_cannot_be_started_lets_executions_wait() {
    let home = Home::new();
    let mut options = home.options();
    options.keeper =
        KeeperProgram { program: "/nonexistent/keeper".into(), args: Vec::new(), scope: None };
    let service = Service::open(options).await.unwrap();
    let id = submit(&service, shell("echo x")).await;
    let view = service.wait(id, Some(Duration::from_millis(200))).await.unwrap();
    assert_eq!(view.status, ExecutionStatus::Pending);
    service.close().await;
    let service = home.open().await;
    assert_eq!(ended(&service, id).await.status, ExecutionStatus::Completed);
    service.close().await;
}

#[tokio::test]
async fn start_of_a_keeper_that_is_not_waited_for_goes_on_and_is_the_only_one() {
    let home = Home::new();
    let (starts, go) = (home.file("starts"), home.file("go"));
    let mut options = home.options();
    // The first, for which no request waits, fails. The others take longer than an answer about limits.
    options.keeper.args[1] = format!(
        "echo >>'{starts}'; [ $(wc -l <'{starts}') -gt 1 ] || exit 1; \
         until [ -e '{go}' ]; do sleep 0.01; done; {}",
        options.keeper.args[1],
        starts = starts.display(),
        go = go.display(),
    );
    let service = Service::open(options).await.unwrap();
    let started = || fs::read_to_string(&starts).unwrap_or_default().lines().count();
    until("the first is tried", || started() >= 1).await;
    let mut limited = shell("echo x");
    limited.options.limits = Limits::default().core_bytes(0);
    let id = submit(&service, limited).await;
    until("the second is starting", || started() == 2).await;
    // The one that is accepted needs a keeper, too.
    let next = submit(&service, shell("true")).await;
    fs::write(&go, "").unwrap();
    for id in [id, next] {
        assert_eq!(ended(&service, id).await.status, ExecutionStatus::Completed);
    }
    assert_eq!((started(), home.keepers().len()), (2, 1));
    service.close().await;
}
