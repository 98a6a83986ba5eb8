//! Progress events and subscriptions of plans.

use super::*;

#[tokio::test]
async fn progress_reports_each_step_in_order() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    let plan = ExecutionPlan::builder()
        .step("good", shell("echo good"))
        .step("bad", shell("exit 1"))
        .after("good")
        .step("never", shell("true"))
        .after("bad")
        .build()
        .unwrap();
    let (id, first) = (plan.plan.id, plan.plan.commands[0].id);
    engine.execute_plan(plan).await.unwrap();
    let events = recorder.all_of(id).await;
    let mut told = Vec::new();
    for event in &events {
        if let ExecutionEvent::Progress {
            completed, total, step, status, current_command, ..
        } = event
        {
            assert_eq!(*total, 3);
            told.push((step.index, *status, *completed, current_command.as_str()));
        }
    }
    use ExecutionStatus::{Cancelled, Completed, Failed, Running};
    let expected = [
        (0, Running, 0, "echo good"),
        (0, Completed, 1, "echo good"),
        (1, Running, 1, "exit 1"),
        (1, Failed, 3, "exit 1"),
        (2, Cancelled, 3, "true"),
    ];
    assert_eq!(told, expected);
    assert_eq!(events.len(), expected.len() + 1, "and the end of the plan: {events:?}");
    // The executions publish their own events as always.
    let own = recorder.all_of(first).await;
    assert_eq!(lines_of(&own, OutputStream::Stdout), ["good"]);
}

/// Returns all records of a plan.
async fn all_records(mut records: PlanSubscription) -> Vec<EventRecord> {
    soon("the last record", async {
        let mut all = Vec::new();
        while let Some(record) = records.next().await {
            all.push(record);
        }
        all
    })
    .await
}

/// Checks the records of a plan of two steps that print "one" and "two".
fn check_plan_records(records: &[EventRecord], plan: Uuid, steps: &[Uuid]) {
    let (last, _) = records.split_last().unwrap();
    assert!(matches!(last.event, ExecutionEvent::PlanEnded { plan_id, .. } if plan_id == plan));
    for (id, line) in steps.iter().zip(["one", "two"]) {
        let own: Vec<_> = records.iter().filter(|record| record.execution_id == *id).collect();
        assert!(matches!(own[0].event, ExecutionEvent::Started { .. }), "{own:?}");
        assert!(own.last().unwrap().event.is_terminal());
        assert!(own.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
        let events: Vec<_> = own.iter().map(|record| record.event.clone()).collect();
        assert_eq!(lines_of(&events, OutputStream::Stdout), [line]);
        let first = records.iter().position(|record| record.execution_id == *id).unwrap();
        let says_started = |record: &EventRecord| matches!(&record.event, ExecutionEvent::Progress { execution_id, .. } if execution_id == id);
        assert!(records.iter().position(says_started).unwrap() < first);
    }
}

#[tokio::test]
async fn plan_subscription_has_plan_and_execution_records() {
    let engine = engine();
    let dir = TempDir::new().unwrap();
    let go = dir.path().join("go");
    let plan = ExecutionPlan::serial([
        shell(format!("echo one; while [ ! -e {} ]; do sleep 0.01; done", go.display())),
        shell("echo two"),
    ]);
    let (id, steps) = (plan.id, [plan.commands[0].id, plan.commands[1].id]);
    engine.execute_plan(plan).await.unwrap();
    let early = engine.subscribe_plan(id).await.unwrap();
    has_status(&engine, id, steps[0], ExecutionStatus::Running).await;
    let midway = engine.subscribe_plan(id).await.unwrap();
    fs::write(go, "").unwrap();
    let (early, midway) = tokio::join!(all_records(early), all_records(midway));
    let late = all_records(engine.subscribe_plan(id).await.unwrap()).await;
    for records in [early, midway, late] {
        check_plan_records(&records, id, &steps);
    }
    let unknown = Uuid::new_v4();
    let refused = engine.subscribe_plan(unknown).await;
    assert_eq!(refused.err(), Some(ExecutionError::PlanNotFound(unknown)));
}

#[tokio::test]
async fn unread_plan_subscription_delays_nothing() {
    let engine = engine();
    let plan = ExecutionPlan::parallel((0..20).map(|_| shell("yes | head -c 20000")));
    let id = engine.execute_plan(plan).await.unwrap();
    let idle = engine.subscribe_plan(id).await.unwrap();
    assert_eq!(plan_ended(&engine, id).await.stats.completed, 20);
    let records = all_records(idle).await;
    let ends = records.iter().filter(|record| record.event.is_terminal()).count();
    assert_eq!(ends, 21, "each of its executions, and the plan");
}

#[tokio::test]
async fn plan_subscription_has_the_records_of_steps_that_were_forgotten() {
    let engine = engine_with(|config| config.max_in_memory_executions = 1);
    let plan = ExecutionPlan::serial((0..5).map(|step| shell(format!("echo {step}"))));
    let (id, steps) = (plan.id, plan.commands.iter().map(|step| step.id).collect::<Vec<_>>());
    engine.execute_plan(plan).await.unwrap();
    let unread = engine.subscribe_plan(id).await.unwrap();
    assert_eq!(plan_ended(&engine, id).await.stats.completed, 5);
    let forgotten = engine.get_status(steps[0]).await;
    assert_eq!(forgotten, Err(ExecutionError::NotFound(steps[0])));
    // Another execution may have the id by now.
    engine.run(shell("echo other").id(steps[0])).await.unwrap();
    let late = engine.subscribe_plan(id).await.unwrap();
    engine.remove_plan(id).await.unwrap();
    for records in [all_records(unread).await, all_records(late).await] {
        for (step, id) in steps.iter().enumerate() {
            let own = records.iter().filter(|record| record.execution_id == *id);
            let events: Vec<_> = own.map(|record| record.event.clone()).collect();
            assert_eq!(lines_of(&events, OutputStream::Stdout), [step.to_string()], "{events:?}");
            assert!(events.last().unwrap().is_terminal());
        }
    }
}

#[tokio::test]
async fn plan_subscription_that_reads_while_steps_are_forgotten_has_them_all() {
    let engine = engine_with(|config| config.max_in_memory_executions = 1);
    let dir = TempDir::new().unwrap();
    let go = dir.path().join("go");
    let mut commands: Vec<_> = (0..4).map(|step| shell(format!("echo {step}"))).collect();
    commands.push(shell(format!("while [ ! -e {} ]; do sleep 0.01; done; echo 4", go.display())));
    let plan = ExecutionPlan::serial(commands);
    let (id, last) = (plan.id, plan.commands[4].id);
    engine.execute_plan(plan).await.unwrap();
    has_status(&engine, id, last, ExecutionStatus::Running).await;
    let live = engine.subscribe_plan(id).await.unwrap();
    fs::write(go, "").unwrap();
    let events: Vec<_> = all_records(live).await.into_iter().map(|record| record.event).collect();
    assert_eq!(lines_of(&events, OutputStream::Stdout), ["0", "1", "2", "3", "4"], "{events:?}");
}

#[tokio::test]
async fn subscribe_all_includes_plan_events() {
    let engine = engine();
    let mut all = engine.subscribe_all().await;
    let id = engine.execute_plan(ExecutionPlan::serial([shell("echo one")])).await.unwrap();
    let mut progress = Vec::new();
    soon("the end of the plan", async {
        while let Some(record) = all.next().await {
            match record.event {
                ExecutionEvent::Progress { plan_id, completed, .. } => {
                    assert_eq!(plan_id, id);
                    progress.push(completed);
                }
                ExecutionEvent::PlanEnded { .. } => break,
                ExecutionEvent::ExecutionsMissed { .. } => panic!("{record:?}"),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(progress, [0, 1]);
}

#[tokio::test]
async fn plan_event_round_trips_as_json() {
    let event = ExecutionEvent::Progress {
        plan_id: Uuid::new_v4(),
        completed: 1,
        total: 2,
        step: PlanStep { index: 0, name: Some("build".to_string()) },
        execution_id: Uuid::new_v4(),
        status: ExecutionStatus::Completed,
        current_command: "make".to_string(),
    };
    let text = serde_json::to_string(&event).unwrap();
    assert!(text.contains(r#""type":"progress""#), "{text}");
    assert_eq!(serde_json::from_str::<ExecutionEvent>(&text).unwrap(), event);
}
