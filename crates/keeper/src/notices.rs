//! Notices that wait for a reader, at most one for each execution.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::Notice;

/// Notices that have not been read. A slow reader gets the latest of each execution.
#[derive(Debug, Default)]
pub(crate) struct NoticeQueue {
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    latest: HashMap<Uuid, Notice>,
    is_closed: bool,
}

impl NoticeQueue {
    /// Adds a notice in the place of what waits of the same execution. An ending stays.
    pub(crate) fn push(&self, notice: Notice) {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            return;
        }
        let is_progress = matches!(notice, Notice::Progress { .. });
        match waiting.latest.get_mut(&notice.id()) {
            Some(Notice::Ended { .. }) if is_progress => return,
            Some(latest) => latest.replace(notice),
            None => {
                waiting.latest.insert(notice.id(), notice);
            }
        }
        drop(waiting);
        self.added.notify_one();
    }

    /// Forgets what waits of an execution that no client asks for any more.
    pub(crate) fn remove(&self, id: Uuid) {
        self.waiting.lock().latest.remove(&id);
    }

    /// Takes nothing more. What waits can still be read.
    pub(crate) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.added.notify_one();
    }

    /// Waits for notices and takes all; `None` when it is closed and empty. Cancel safe. For one reader.
    pub(crate) async fn take(&self) -> Option<Vec<Notice>> {
        loop {
            let added = self.added.notified();
            {
                let mut waiting = self.waiting.lock();
                if !waiting.latest.is_empty() {
                    return Some(std::mem::take(&mut waiting.latest).into_values().collect());
                }
                if waiting.is_closed {
                    return None;
                }
            }
            added.await;
        }
    }

    /// Waits for one notice; `None` when it is closed and empty. Cancel safe.
    pub(crate) async fn take_one(&self) -> Option<Notice> {
        loop {
            let added = self.added.notified();
            {
                let mut waiting = self.waiting.lock();
                if let Some(id) = waiting.latest.keys().next().copied() {
                    return waiting.latest.remove(&id);
                }
                if waiting.is_closed {
                    // Another reader may wait, too.
                    self.added.notify_one();
                    return None;
                }
            }
            added.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(id: u128, end: u64) -> Notice {
        Notice::Progress { id: Uuid::from_u128(id), end, input: 0 }
    }

    fn ended(id: u128, end: u64) -> Notice {
        let id = Uuid::from_u128(id);
        Notice::Ended { id, end, result: None, journal_failed: false, missed: None }
    }

    #[tokio::test]
    async fn progress_of_output_and_of_input_are_told_together() {
        let queue = NoticeQueue::default();
        let of = |end, input| Notice::Progress { id: Uuid::nil(), end, input };
        for notice in [of(5, 0), of(3, 7), of(6, 0)] {
            queue.push(notice);
        }
        assert_eq!(queue.take_one().await, Some(of(6, 7)));
    }

    #[tokio::test]
    async fn slow_reader_gets_the_latest_of_each_execution() {
        let queue = NoticeQueue::default();
        for end in 0..100_000 {
            queue.push(progress(u128::from(end % 3), end));
        }
        queue.push(ended(1, 100_000));
        queue.push(progress(1, 100_001));
        queue.push(progress(4, 1));
        queue.remove(Uuid::from_u128(4));
        let mut taken = queue.take().await.unwrap();
        taken.sort_by_key(Notice::id);
        assert_eq!(taken, [progress(0, 99_999), ended(1, 100_000), progress(2, 99_998)]);
        queue.push(progress(1, 5));
        queue.close();
        queue.push(progress(2, 5));
        assert_eq!(queue.take_one().await, Some(progress(1, 5)));
        assert_eq!(queue.take_one().await, None);
        assert_eq!(queue.take().await, None);
    }
}
