//! Start, output, stop and forget.

use execution_engine::*;
use execution_engine_journal::{JournalEvent, Kind};
use execution_engine_keeper::*;
use test_support::{PATIENCE, soon, until, when_written};

use crate::support::*;

#[tokio::test]
async fn journal_has_output_events_and_ending_of_a_program() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let id = start(&client, "printf out; printf err >&2; exit 3").await;
    let Notice::Ended { end, result: told, journal_failed, missed, .. } = ended(&notices, id).await
    else {
        panic!("no ending")
    };
    assert_eq!((journal_failed, missed), (false, None));
    let records = keeper.records(id);
    assert_eq!(records.last().unwrap().end, end);
    assert_eq!(output(&records, Kind::Stdout), b"out");
    assert_eq!(output(&records, Kind::Stderr), b"err");
    let events = events(&records);
    assert!(matches!(events[0], JournalEvent::Started { attempt: 1, pid: Some(_) }), "{events:?}");
    assert!(records[0].event().is_some(), "nothing is before the start");
    assert_eq!(events.len(), 2);
    assert!(matches!(&events[1], JournalEvent::Ended { result } if Some(result) == told.as_ref()));
    let result = result(&records);
    assert_eq!((result.exit_code, result.ending), (3, Ending::Exited { code: 3 }));
    assert_eq!((result.stdout.as_str(), result.stderr.as_str(), result.truncated), ("", "", false));
    assert_eq!(result.stdout_stats, StreamStats { seen_bytes: 3, kept_bytes: 3 });

    let [listed] = &client.list().await.unwrap()[..] else { panic!("one is known") };
    assert_eq!((listed.id, listed.state, listed.end), (id, ListedState::Ended, end));
    assert!(listed.started && !listed.journal_failed && listed.result.is_none());
    client.forget(id).await.unwrap();
    assert_eq!(client.list().await.unwrap(), []);
    assert!(!journal_path(&keeper.dir, id).exists());
    client.forget(id).await.unwrap();
}

#[tokio::test]
async fn program_has_the_environment_of_its_start_alone() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let mut spec =
        shell("env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^EXECUTION_ENGINE_TREE= | sort");
    spec.request.env.insert("FROM_REQUEST".into(), "1".into());
    spec.options = spec.options.env("FROM_OPTIONS", "2");
    let notices = client.notices();
    start_spec(&client, &spec).await;
    ended(&notices, spec.request.id).await;
    let output = output(&keeper.records(spec.request.id), Kind::Stdout);
    let expected = "FROM_OPTIONS=2\nFROM_REQUEST=1\nPATH=/usr/local/bin:/usr/bin:/bin\n";
    assert_eq!(String::from_utf8(output).unwrap(), expected);
}

#[tokio::test]
async fn equal_starts_run_one_program() {
    let keeper = TestKeeper::start();
    let runs = keeper.state.path().join("runs");
    let spec = shell(format!("echo run >> '{}'; sleep 0.2", runs.display()));
    let clients = [keeper.connect().await, keeper.connect().await, keeper.connect().await];
    let notices = clients[0].notices();
    let starts = (0..100).map(|number| {
        let (client, spec) = (clients[number % 3].clone(), spec.clone());
        tokio::spawn(async move { client.start(&spec).await.unwrap() })
    });
    let mut started = 0;
    for start in starts.collect::<Vec<_>>() {
        match soon("an answer", start).await.unwrap() {
            StartAnswer::Started => started += 1,
            answer => assert_eq!(answer, StartAnswer::AlreadyKnown),
        }
    }
    assert_eq!(started, 1);
    // Another connection, while it runs and after its end.
    let again = keeper.connect().await;
    assert_eq!(start_spec(&again, &spec).await, StartAnswer::AlreadyKnown);
    ended(&notices, spec.request.id).await;
    assert_eq!(start_spec(&again, &spec).await, StartAnswer::AlreadyKnown);
    assert_eq!(when_written(&runs).await, "run\n");
}

#[tokio::test]
async fn stop_and_forget_may_be_repeated_by_many_at_once() {
    let keeper = TestKeeper::start();
    let clients = [keeper.connect().await, keeper.connect().await];
    let notices = clients[0].notices();
    let id = start(&clients[0], "exec sleep 600").await;
    let error = clients[0].forget(id).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::StillRunning), "{error}");
    let at_once = |firm| {
        let clients = clients.clone();
        (0..100).map(move |number| {
            let client = clients[number % 2].clone();
            tokio::spawn(async move {
                match firm {
                    Some(firm) => client.stop(id, firm).await.map(drop),
                    None => client.forget(id).await,
                }
            })
        })
    };
    for call in at_once(Some(false)).collect::<Vec<_>>() {
        soon("an answer", call).await.unwrap().unwrap();
    }
    ended(&notices, id).await;
    assert!(clients[1].stop(id, true).await.unwrap(), "it is known");
    assert_eq!(result(&keeper.records(id)).ending, Ending::Cancelled);
    for call in at_once(None).collect::<Vec<_>>() {
        soon("an answer", call).await.unwrap().unwrap();
    }
    assert!(!clients[1].stop(id, false).await.unwrap(), "it is not known");
    assert_eq!(clients[1].list().await.unwrap(), []);
}

#[tokio::test]
async fn firm_stop_does_not_wait_for_a_program_that_is_stopped_politely() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let seen = keeper.state.path().join("seen");
    let mut spec = shell(format!(
        "trap 'echo stop >> {0}' TERM; echo ready >> {0}; while :; do sleep 0.05; done",
        seen.display()
    ));
    spec.options = spec.options.stop_grace(Duration::from_secs(3600));
    start_spec(&client, &spec).await;
    until("it is ready", || std::fs::read_to_string(&seen).is_ok_and(|text| text == "ready\n"))
        .await;
    client.stop(spec.request.id, false).await.unwrap();
    until("it is asked", || std::fs::read_to_string(&seen).is_ok_and(|text| text.contains("stop")))
        .await;
    client.stop(spec.request.id, true).await.unwrap();
    ended(&notices, spec.request.id).await;
    assert_eq!(result(&keeper.records(spec.request.id)).ending, Ending::Cancelled);
}

#[tokio::test]
async fn signal_reaches_the_program() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let id = start(&client, "exec sleep 600").await;
    assert_eq!(client.signal(id, Signal::Interrupt).await.unwrap(), Some(1));
    ended(&notices, id).await;
    let ending = result(&keeper.records(id)).ending;
    assert_eq!(ending, Ending::Signaled { signal: 2, core_dumped: false });
    let error = client.signal(id, Signal::Interrupt).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ControlFailed), "{error}");
    assert_eq!(client.signal(Uuid::new_v4(), Signal::Interrupt).await.unwrap(), None);
}

#[tokio::test]
async fn pause_is_listed_until_something_ends_it() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let id = start(&client, "exec sleep 600").await;
    let is_paused = async || client.list().await.unwrap()[0].paused;
    for end in [None, Some(Signal::Continue)] {
        assert!(!is_paused().await);
        for _ in 0..2 {
            assert!(client.set_paused(id, true).await.unwrap(), "it is known");
            assert!(is_paused().await);
        }
        match end {
            None => assert!(client.set_paused(id, false).await.unwrap()),
            Some(signal) => assert_eq!(client.signal(id, signal).await.unwrap(), Some(1)),
        }
    }
    assert!(!is_paused().await);
    client.set_paused(id, true).await.unwrap();
    client.stop(id, false).await.unwrap();
    ended(&notices, id).await;
    assert!(!is_paused().await);
    let error = client.set_paused(id, true).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ControlFailed), "{error}");
    assert!(!client.set_paused(Uuid::new_v4(), true).await.unwrap(), "it is not known");
}

#[tokio::test]
async fn timeout_does_not_run_while_it_is_paused() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let start = async |timeout| {
        let mut spec = shell("exec sleep 600");
        spec.request = spec.request.timeout(timeout);
        start_spec(&client, &spec).await;
        spec.request.id
    };
    let mut timeout = Duration::from_millis(250);
    let paused = loop {
        let id = start(timeout).await;
        match client.set_paused(id, true).await {
            Ok(is_known) => {
                assert!(is_known);
                break id;
            }
            // Its time was over first.
            Err(error) => assert_eq!(error.code(), Some(ErrorCode::ControlFailed), "{error}"),
        }
        timeout *= 2;
        assert!(timeout < PATIENCE);
    };
    // The time of the first would be over before that of the second.
    let other = start(timeout).await;
    ended(&notices, other).await;
    assert!(matches!(result(&keeper.records(other)).ending, Ending::TimedOut { .. }));
    let listed = client.list().await.unwrap();
    let state = |id| listed.iter().find(|it| it.id == id).map(|it| (it.state, it.paused));
    assert_eq!(state(paused), Some((ListedState::Running, true)));
    client.set_paused(paused, false).await.unwrap();
    ended(&notices, paused).await;
    assert!(matches!(result(&keeper.records(paused)).ending, Ending::TimedOut { .. }));
}

#[tokio::test]
async fn refused_start_is_an_ending_and_is_known() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let mut spec = shell("unused");
    spec.request.command = ExecutionRequest::program("no-such-program-here").command;
    let answer = start_spec(&client, &spec).await;
    let StartAnswer::Refused { error, exit_code_class } = answer else { panic!("{answer:?}") };
    assert_eq!(exit_code_class, ExitCodeClass::NotFound);
    assert_eq!(error["code"], "program_not_found");
    ended(&notices, spec.request.id).await;
    let records = keeper.records(spec.request.id);
    assert_eq!(records.len(), 1);
    let result = result(&records);
    let Ending::SpawnFailed { os_error, .. } = &result.ending else { panic!("{result:?}") };
    assert_eq!(*os_error, Some(rustix::io::Errno::NOENT.raw_os_error()));
    assert_eq!((result.status, result.attempts), (ExecutionStatus::Failed, 0));
    assert_eq!(start_spec(&client, &spec).await, StartAnswer::AlreadyKnown);
    client.forget(spec.request.id).await.unwrap();

    let mut inherits = shell("true");
    inherits.options.output = OutputMode::Inherit;
    let answer = start_spec(&client, &inherits).await;
    let StartAnswer::Refused { error, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((&error["code"], &error["field"]), (&"invalid_option".into(), &"output".into()));
}

#[tokio::test]
async fn attempts_are_in_the_journal_in_their_order() {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let mut spec = shell("echo try; exit 1");
    spec.options.retry = Some(RetryPolicy::new(3).initial_delay(Duration::from_millis(1)));
    start_spec(&client, &spec).await;
    ended(&notices, spec.request.id).await;
    let records = keeper.records(spec.request.id);
    let shape: Vec<_> = records
        .iter()
        .map(|record| match record.event() {
            None => ("output", record.attempt),
            Some(JournalEvent::Started { attempt, .. }) => ("started", attempt),
            Some(JournalEvent::Retrying { attempt, .. }) => ("retrying", attempt),
            Some(JournalEvent::Ended { .. }) => ("ended", record.attempt),
            Some(other) => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("started", 1),
        ("output", 1),
        ("retrying", 2),
        ("started", 2),
        ("output", 2),
        ("retrying", 3),
        ("started", 3),
        ("output", 3),
        ("ended", 3),
    ];
    assert_eq!(shape, expected);
}

#[tokio::test]
async fn output_of_two_streams_is_byte_exact() {
    /// About 25 MB for each stream.
    const LAST: u32 = 3_300_000;
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let id = run_to_end(&client, format!("seq 1 {LAST} & seq 1 {LAST} >&2; wait")).await;
    let records = keeper.records(id);
    let expected = test_support::numbers(LAST).into_bytes();
    for kind in [Kind::Stdout, Kind::Stderr] {
        let output = output(&records, kind);
        assert_eq!(output.len(), expected.len(), "{kind:?}");
        assert!(output == expected, "{kind:?} differs");
    }
    let result = result(&records);
    assert_eq!(result.stdout_stats.kept_bytes, expected.len() as u64);
    assert!(!result.truncated);
}
