//! Event handlers of a history: fast, slow, blocking and panicking ones, which remember what they
//! were given.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use async_trait::async_trait;
use execution_engine::*;

use crate::history::HandlerKind;
use crate::world::lock;

/// How much longer than the stall limit a blocking handler blocks.
const BEYOND_THE_LIMIT: Duration = Duration::from_millis(100);

/// Handler that remembers the events of each execution and plan.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) kind: HandlerKind,
    stall_limit: Duration,
    heard: Mutex<HashMap<Uuid, Vec<Heard>>>,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) event: ExecutionEvent,
    /// How long the call has blocked its thread.
    pub(crate) blocked: Duration,
}

impl Witness {
    pub(crate) fn new(kind: HandlerKind, stall_limit: Duration) -> Arc<Self> {
        Arc::new(Self { kind, stall_limit, heard: Mutex::default() })
    }

    /// Returns what it was told of one id.
    pub(crate) fn heard(&self, id: Uuid) -> Vec<Heard> {
        lock(&self.heard).get(&id).cloned().unwrap_or_default()
    }

    /// Returns the number of terminal events of one id.
    pub(crate) fn terminal_events(&self, id: Uuid) -> usize {
        let heard = lock(&self.heard);
        heard.get(&id).into_iter().flatten().filter(|heard| heard.event.is_terminal()).count()
    }

    #[expect(clippy::disallowed_methods, reason = "a handler that blocks its thread")]
    fn block(&self, id: Uuid) {
        let begun = Instant::now();
        std::thread::sleep(self.stall_limit + BEYOND_THE_LIMIT);
        if let Some(last) = lock(&self.heard).get_mut(&id).and_then(|heard| heard.last_mut()) {
            last.blocked = begun.elapsed();
        }
    }
}

#[async_trait]
impl EventHandler for Witness {
    async fn handle_event(&self, event: ExecutionEvent) {
        let id = event.execution_id();
        let number = {
            let mut heard = lock(&self.heard);
            let heard = heard.entry(id).or_default();
            heard.push(Heard { event, blocked: Duration::ZERO });
            heard.len()
        };
        match self.kind {
            HandlerKind::Fast => {}
            HandlerKind::Slow => test_support::pause(Duration::from_millis(1)).await,
            HandlerKind::Blocks if number == 2 => self.block(id),
            HandlerKind::Blocks => {}
            // Like a panic, but without a message for each of them.
            HandlerKind::Panics if number % 3 == 0 => {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            HandlerKind::Panics => {}
        }
    }
}
