//! Answers requests about executions that run here, and to the worker itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Core, Phase};
use crate::cluster::ExecutionName;
use crate::control::{ControlAnswer, ControlRequest, WorkerRequest, from_bytes, to_bytes};
use crate::pause::pause;
use crate::reader::decisions;

/// Pause after the servers could not be asked.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl Core {
    /// Answers requests for as long as this is polled.
    pub(super) async fn keep_answering(self: Arc<Self>) {
        let tenants: Vec<_> = self.options.verifiers.keys().cloned().collect();
        let mut answers = JoinSet::new();
        loop {
            while answers.try_join_next().is_some() {}
            match self.cluster.next_call(&self.options.id, &tenants).await {
                Ok(call) => {
                    let core = Arc::clone(&self);
                    answers.spawn(async move {
                        let answer = core.answer(call.about.as_ref(), &call.bytes).await;
                        let drains = call.about.is_none() && answer.is_ok();
                        (call.answer)(to_bytes(&answer)).await;
                        if drains {
                            // Behind the answer: a worker without executions ends at once.
                            core.set_phase(Phase::Draining);
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "no requests are received; trying again");
                    pause(AFTER_FAILURE).await;
                }
            }
        }
    }

    async fn answer(&self, about: Option<&ExecutionName>, request: &Bytes) -> ControlAnswer {
        let Some(ExecutionName { tenant, id }) = about else {
            let WorkerRequest::Drain = from_bytes(request)?;
            return Ok(u32::try_from(self.running.lock().len()).unwrap_or(u32::MAX));
        };
        let request: ControlRequest = from_bytes(request)?;
        // By the tenant, too: another one may have an execution with this id.
        let running = self.running.lock().get(&decisions(tenant, *id)).cloned();
        match running.filter(|running| running.fence == request.fence) {
            Some(running) => running.program.control(request.action).await,
            None => Err("it does not run here any more".to_owned()),
        }
    }
}
