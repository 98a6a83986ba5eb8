//! Work that was stopped before its program was started says so, everywhere.

use std::fs;

use super::*;

/// Engine with one permit, which is taken, and one execution in its queue, with a log.
struct Waiting {
    engine: ExecutionEngine,
    recorder: Arc<Recorder>,
    holder: Uuid,
    waiting: Uuid,
    logs: TempDir,
}

impl Waiting {
    async fn new() -> Self {
        let (recorder, logs) = (Recorder::new(), TempDir::new().unwrap());
        let config = ExecutionConfig {
            max_concurrent_executions: 1,
            log_dir: Some(logs.path().to_path_buf()),
            ..Default::default()
        };
        let builder = queueing(1, 9).config(config).event_handler(Arc::clone(&recorder) as Arc<_>);
        let engine = builder.build().unwrap();
        let holder = engine.execute(shell("exec sleep 60")).await.unwrap();
        running(&engine, holder).await;
        let retry = ExecutionOptions::default().retry(RetryPolicy::new(3));
        let waiting = engine.execute_with(shell("echo never"), retry).await.unwrap();
        pause(Duration::from_millis(30)).await;
        Self { engine, recorder, holder, waiting, logs }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.logs.path().join(format!("{}.log", self.waiting))).unwrap()
    }

    /// Checks what is told about the execution that waited.
    async fn never_ran(&self, text: &str) {
        let id = self.waiting;
        let events = self.recorder.all_of(id).await;
        let (from, to) = (ExecutionStatus::Pending, ExecutionStatus::Cancelled);
        let duration = Duration::ZERO;
        let expected = [
            ExecutionEvent::StatusChanged { execution_id: id, from, to },
            ExecutionEvent::Cancelled { execution_id: id, duration },
        ];
        assert_eq!(events, expected);
        let log = self.log();
        assert!(!log.contains("# started"), "{log}");
        assert!(log.contains(" s, never started\n"), "{log}");
        assert!(log.contains(&format!("# ending    {text}\n# duration  0.000 s\n")), "{log}");
    }

    fn check(&self, result: &ExecutionResult, ending: &Ending, text: &str) {
        assert_eq!(result.ending, *ending);
        assert_eq!(result.status, ExecutionStatus::Cancelled);
        assert_eq!(result.error.as_deref(), Some(text));
        assert_eq!((result.attempts, &result.earlier_attempts[..]), (0, &[][..]));
        assert_eq!((result.duration, result.usage, result.signal), (Duration::ZERO, None, None));
        assert!(result.waited >= Duration::from_millis(30));
        assert_eq!(result.completed_at, result.started_at);
        let receipt = &result.containment;
        assert_eq!((receipt.stopped, receipt.signal, receipt.proven), (0, None, true));
    }
}

const CLOSED: Ending = Ending::NotRun { reason: SkipReason::EngineClosed };
const CLOSED_TEXT: &str = "never ran: the engine was closed before";

#[tokio::test]
async fn what_waited_at_shutdown_never_ran() {
    let all = Waiting::new().await;
    let report = soon("the shutdown", all.engine.shutdown(Duration::ZERO)).await;
    let ending_of = |id| report.ended.iter().find(|one| one.id == id).unwrap().ending.clone();
    assert_eq!(ending_of(all.holder), Some(Ending::EngineClosed));
    assert_eq!(ending_of(all.waiting), Some(CLOSED));
    let result = all.engine.get_result(all.waiting).await.unwrap().unwrap();
    all.check(&result, &CLOSED, CLOSED_TEXT);
    let error = result.into_result().unwrap_err();
    assert_eq!(error, ExecutionError::NotRun(SkipReason::EngineClosed));
    assert_eq!((error.error_code(), error.is_ending()), ("not_run", true));
    all.never_ran(CLOSED_TEXT).await;
}

#[tokio::test]
async fn end_of_what_is_stopped_starts_nothing_that_waits() {
    for _ in 0..20 {
        let config = ExecutionConfig { max_concurrent_executions: 4, ..Default::default() };
        let engine = queueing(4, 99).config(config).build().unwrap();
        for _ in 0..4 {
            let holder = engine.execute(shell("exec sleep 60")).await.unwrap();
            running(&engine, holder).await;
        }
        for _ in 0..60 {
            engine.execute(shell("sleep 60")).await.unwrap();
        }
        let report = soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
        let never_ran = report.ended.iter().filter(|one| one.ending == Some(CLOSED));
        assert_eq!((report.ended.len(), never_ran.count()), (64, 60));
    }
}

#[tokio::test]
async fn what_waited_when_its_engine_was_dropped_never_ran() {
    let mut all = Waiting::new().await;
    let other = engine();
    drop(std::mem::replace(&mut all.engine, other));
    all.never_ran(CLOSED_TEXT).await;
}

#[tokio::test]
async fn what_was_cancelled_in_the_queue_has_the_same_account() {
    let all = Waiting::new().await;
    all.engine.cancel(all.waiting).await.unwrap();
    let result = ended(&all.engine, all.waiting).await;
    all.check(&result, &Ending::Cancelled, "cancelled");
    all.never_ran("cancelled").await;
    let listed = all.engine.list_executions().await;
    let listed = listed.iter().find(|one| one.id == all.waiting).unwrap();
    assert_eq!((listed.duration, listed.started_at), (Duration::ZERO, result.started_at));
    all.engine.cancel(all.holder).await.unwrap();
}

#[tokio::test]
async fn between_attempts_of_failed_starts_it_never_ran_either() {
    let dir = TempDir::new().unwrap();
    let garbage = executable(dir.path().join("garbage"), b"\x00\x01 no program\n");
    let engine = engine();
    let hour = Duration::from_secs(3600);
    let retry = RetryPolicy::new(3).initial_delay(hour).max_delay(hour);
    let options = ExecutionOptions::default().retry(retry);
    let id = engine.execute_with(exec(garbage), options).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let first = soon("the first attempt fails", records.next()).await.unwrap();
    assert!(matches!(first.event, ExecutionEvent::Retrying { attempt: 1, .. }), "{first:?}");
    soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
    let result = ended(&engine, id).await;
    assert_eq!(result.ending, CLOSED);
    assert_eq!((result.attempts, result.earlier_attempts.len()), (1, 1));
}
