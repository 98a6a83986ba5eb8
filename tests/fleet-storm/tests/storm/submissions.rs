//! Executions of a test, from their submission to what was told of them in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use execution_engine::{ExecutionEngine, ExecutionError, ExecutionOptions, ExecutionRequest};
use execution_engine_fleet::{FleetClient, FleetError};
use fleet_storm::{Fleet, Submitted, Work, judge, pause, read, watch};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Submissions under way at a time.
const SUBMITTING: usize = 64;
/// Longest time in which one that has ended is read.
const READING: Duration = Duration::from_secs(60);

/// Executions that are submitted, followed, and in some cases cancelled.
pub(crate) struct Submissions {
    tasks: JoinSet<Result<Submitted, Uuid>>,
    engine: ExecutionEngine,
    clients: [FleetClient; 2],
    submitting: Arc<Semaphore>,
    until: Instant,
}

impl Submissions {
    /// Creates some that must have ended at a moment.
    pub(crate) async fn new(fleet: &Fleet, until: Instant) -> Self {
        Self {
            tasks: JoinSet::new(),
            engine: fleet.engine().await,
            clients: [fleet.client().await, fleet.client().await],
            submitting: Arc::new(Semaphore::new(SUBMITTING)),
            until,
        }
    }

    /// Submits another one after a while.
    pub(crate) fn submit(
        &mut self,
        fleet: &Fleet,
        work: Work,
        begin: Duration,
        random: fastrand::Rng,
    ) {
        let one = One {
            engine: self.engine.clone(),
            clients: self.clients.clone(),
            request: fleet.request(work),
            work,
            begin,
            until: self.until,
            random,
            submitting: Arc::clone(&self.submitting),
        };
        self.tasks.spawn(one.run());
    }

    /// Waits until all have ended, and checks what was promised. Workers that have ended are started
    /// again meanwhile.
    ///
    /// # Panics
    ///
    /// If a promise was broken.
    pub(crate) async fn keep_promises(mut self, fleet: &mut Fleet, outages: &[(Instant, Instant)]) {
        let begin = Instant::now();
        let (mut submitted, mut refused) = (Vec::new(), Vec::new());
        while let Some(one) = self.next(fleet).await {
            match one {
                Ok(one) => submitted.push(one),
                Err(id) => refused.push(id),
            }
        }
        println!("all had ended {:.1?} after the faults", begin.elapsed());
        let reader = fleet.client().await;
        for one in &mut submitted {
            one.second = read(&reader, one.id, one.work, Instant::now() + READING).await;
        }
        let (seen, workers) = (fleet.register.seen(), fleet.lives());
        for id in refused {
            assert!(!seen.lives.contains_key(&id), "{id} ran, and was not accepted");
        }
        let verdict = judge(&submitted, &seen, &workers, outages);
        println!("{} workers; {verdict}", workers.len());
        let problems = verdict.problems();
        if !problems.is_empty() || std::env::var_os("EXENG_LOG").is_some() {
            println!("{}", fleet.logs());
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert!(verdict.executions > 0 && verdict.starts > 0, "nothing ran: {verdict}");
    }

    /// Waits for the next one, and starts workers that have ended meanwhile.
    async fn next(&mut self, fleet: &mut Fleet) -> Option<Result<Submitted, Uuid>> {
        loop {
            tokio::select! {
                one = self.tasks.join_next() => return one.map(|one| one.unwrap()),
                () = pause(Duration::from_millis(200)) => {}
            }
            for worker in &mut fleet.workers {
                if worker.look() {
                    worker.start();
                }
            }
        }
    }
}

/// One of them.
struct One {
    engine: ExecutionEngine,
    clients: [FleetClient; 2],
    request: (ExecutionRequest, ExecutionOptions),
    work: Work,
    begin: Duration,
    until: Instant,
    random: fastrand::Rng,
    submitting: Arc<Semaphore>,
}

impl One {
    /// Submits, follows, and in some cases cancels. An error is the id of one that was not accepted.
    async fn run(mut self) -> Result<Submitted, Uuid> {
        pause(self.begin).await;
        let (request, options) = self.request.clone();
        let id = request.id;
        let permit = self.submitting.clone().acquire_owned().await.unwrap();
        let started = self.engine.start_with(request, options).await;
        drop(permit);
        match started {
            Ok(_) => {}
            Err(ExecutionError::OutcomeUnknown { .. }) if self.was_taken().await => {}
            Err(error) => {
                println!("{id} was not accepted: {error}");
                return Err(id);
            }
        }
        let leaves = self.random.u32(0..4) == 0;
        let cancels = self.random.u32(0..20) == 0;
        let cancel_after = Duration::from_millis(self.random.u64(0..3000));
        let clients = if leaves { &self.clients[..] } else { &self.clients[..1] };
        let (first, is_cancelled) = tokio::join!(
            watch(clients, id, self.work, self.until, &mut self.random),
            cancel(&self.clients[0], id, cancels.then_some(cancel_after)),
        );
        Ok(Submitted { id, work: self.work, is_cancelled, first, second: None })
    }

    /// Asks until it is known whether a submission was taken.
    async fn was_taken(&self) -> bool {
        loop {
            match self.clients[0].state(self.request.0.id).await {
                Ok(_) => return true,
                Err(FleetError::NotFound(_)) => return false,
                Err(error) => assert!(Instant::now() < self.until, "{error}"),
            }
            pause(Duration::from_millis(500)).await;
        }
    }
}

/// Cancels after a while. Returns whether the cancel is the ending; `None` if that is not known.
async fn cancel(client: &FleetClient, id: Uuid, after: Option<Duration>) -> Option<bool> {
    let Some(after) = after else { return Some(false) };
    pause(after).await;
    match client.cancel(id, "the storm", None).await {
        Ok(()) => Some(true),
        Err(FleetError::AlreadyEnded { .. }) => Some(false),
        Err(_) => None,
    }
}
