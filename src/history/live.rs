//! Output of an execution for the history while it is read, beside the sink of the host.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::output::{OutputChunk, OutputSink};
use crate::types::Ending;
use crate::waker::discard;

/// Sink of one execution: first that of the history, then that of the host.
///
/// What the history does not take is missing only if the host dies, so it is no error of the output.
pub(crate) struct LiveOutput {
    history: Arc<dyn OutputSink>,
    host: Option<Arc<dyn OutputSink>>,
    has_failed: AtomicBool,
}

impl LiveOutput {
    pub(crate) fn new(history: Arc<dyn OutputSink>, host: Option<Arc<dyn OutputSink>>) -> Self {
        Self { history, host, has_failed: AtomicBool::new(false) }
    }

    /// Makes a call of the history. The first failure is logged.
    async fn tell(&self, call: impl Future<Output = io::Result<()>>) {
        let mut call = pin!(call);
        let done = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
            polled.unwrap_or_else(|panic| {
                discard(panic);
                Poll::Ready(Err(io::Error::other("the history has panicked")))
            })
        });
        if let Err(error) = done.await
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "output is stored only when its execution has ended");
        }
    }
}

#[async_trait]
impl OutputSink for LiveOutput {
    async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
        let copy = chunk.clone();
        self.tell(async { self.history.write(copy).await }).await;
        match &self.host {
            Some(host) => host.write(chunk).await,
            None => Ok(()),
        }
    }

    async fn started(&self, execution_id: Uuid, attempt: u32, pid: u32) {
        self.tell(async {
            self.history.started(execution_id, attempt, pid).await;
            Ok(())
        })
        .await;
        if let Some(host) = &self.host {
            host.started(execution_id, attempt, pid).await;
        }
    }

    async fn retrying(&self, execution_id: Uuid, attempt: u32, ending: &Ending, delay: Duration) {
        self.tell(async {
            self.history.retrying(execution_id, attempt, ending, delay).await;
            Ok(())
        })
        .await;
        if let Some(host) = &self.host {
            host.retrying(execution_id, attempt, ending, delay).await;
        }
    }
}
