//! The records of all executions and plans that a caller may see.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use execution_engine::{EventRecord, ExecutionEngine, ExecutionEvent, Uuid};
use futures_util::{Stream, StreamExt, stream};

use super::Visible;
use crate::owners::{Owners, PageId, is_known};

/// Returns the records of executions and plans that the caller may see.
///
/// A page may read them long after the engine has forgotten the execution, and the plugin its owner.
/// So the owner is remembered from the first record to the last.
pub(crate) fn visible_records(
    records: impl Stream<Item = EventRecord> + Send + 'static,
    visible: Visible,
    owners: Arc<Owners>,
    engine: &Arc<ExecutionEngine>,
) -> impl Stream<Item = EventRecord> + Send + Unpin + 'static {
    let engine = Arc::downgrade(engine);
    let reader =
        Reader { records: Box::pin(records), visible, owners, engine, owner_of: HashMap::new() };
    Box::pin(stream::unfold(reader, |mut reader| async move {
        let record = reader.next().await?;
        Some((record, reader))
    }))
}

struct Reader {
    records: Pin<Box<dyn Stream<Item = EventRecord> + Send>>,
    visible: Visible,
    owners: Arc<Owners>,
    /// Its subscriptions end when it is dropped, so none of them keeps it.
    engine: Weak<ExecutionEngine>,
    /// Owners of those that have begun and not ended; None is the app.
    owner_of: HashMap<Uuid, Option<Arc<PageId>>>,
}

impl Reader {
    async fn next(&mut self) -> Option<EventRecord> {
        loop {
            let record = self.records.next().await?;
            if self.shows(&record.event).await {
                return Some(record);
            }
        }
    }

    async fn shows(&mut self, event: &ExecutionEvent) -> bool {
        if let ExecutionEvent::ExecutionsMissed { .. } = event {
            // It is not known any more whose they were. Their last events will never come.
            self.owner_of.clear();
            return true;
        }
        let id = event.execution_id();
        let is_shown = self.includes(id).await;
        if event.is_terminal() {
            self.owner_of.remove(&id);
        }
        is_shown
    }

    async fn includes(&mut self, id: Uuid) -> bool {
        if let Some(page) = self.owners.owner(id).await {
            self.owner_of.insert(id, Some(page));
        } else if !self.owner_of.contains_key(&id) {
            let engine = self.engine.upgrade();
            let is_of_app = match engine {
                Some(engine) => is_known(&engine, id).await,
                None => false,
            };
            if !is_of_app {
                return self.visible.includes_everything();
            }
            self.owner_of.insert(id, None);
        }
        let owner = self.owner_of.get(&id).and_then(Option::as_deref);
        self.visible.includes_those_of(owner)
    }
}

#[cfg(test)]
mod tests {
    use execution_engine::{ExecutionConfig, ExecutionRequest};

    use super::super::tests::visible;
    use super::*;

    /// Runs a program of a window, or of the app, and reads its records as a window that may see all
    /// but `deny`. The engine and the plugin forget it after some of the records. Returns how many
    /// are seen, and how many there are.
    async fn seen(owner: Option<&str>, deny: &[&str], forgotten_after: usize) -> (usize, usize) {
        let engine = Arc::new(ExecutionEngine::new(ExecutionConfig::default()).unwrap());
        let (owners, request) = (Arc::<Owners>::default(), ExecutionRequest::program("true"));
        let id = request.id;
        owner.into_iter().for_each(|label| owners.give_execution(id, PageId::of_window(label)));
        engine.run(request).await.unwrap();
        let mut first: Vec<_> = engine.subscribe_from(id, 0).await.unwrap().collect().await;
        let all = first.len();
        let rest = first.split_off(forgotten_after);
        let forgetting = {
            let (owners, engine) = (Arc::clone(&owners), Arc::clone(&engine));
            async move {
                engine.remove_execution(id).await.unwrap();
                // So many claims that owners of what is forgotten are looked for twice.
                for _ in 0..500 {
                    let (page, id) = (PageId::of_window("main"), Uuid::new_v4());
                    owners.claim_execution(&engine, page, id).await.unwrap().accept();
                }
                assert_eq!(owners.owner(id).await, None);
                stream::iter(rest)
            }
        };
        let records = stream::iter(first).chain(stream::once(forgetting).flatten());
        let seen = visible_records(records, visible(&["all"], deny), owners, &engine);
        (seen.count().await, all)
    }

    #[tokio::test]
    async fn the_owner_is_remembered_until_the_last_event() {
        let (of_vault, all) = seen(Some("vault"), &["window:vault"], 1).await;
        assert!(all > 1, "{all} records");
        assert_eq!(of_vault, 0, "the records after the first are the vault's as well");
        assert_eq!(seen(Some("vault"), &[], 1).await, (all, all));
        assert_eq!(seen(None, &["window:vault"], 1).await, (all, all));
    }

    #[tokio::test]
    async fn what_was_forgotten_before_the_first_event_may_be_what_is_denied() {
        assert_eq!(seen(Some("vault"), &["window:vault"], 0).await.0, 0);
        let (seen, all) = seen(Some("vault"), &[], 0).await;
        assert_eq!(seen, all, "nothing is denied");
    }
}
