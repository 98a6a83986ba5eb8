//! Forwards the records of one subscription to its window. Generic over what a batch is and how it
//! is sent, so that rate and limits are tested without a window.

use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::FlowControl;

/// Batch under construction.
pub(crate) trait Batch {
    /// Type of the records.
    type Item;
    /// Encoded form that is sent.
    type Message;
    /// Adds a record.
    fn push(&mut self, item: Self::Item);
    /// Returns the current size.
    fn size(&self) -> BatchSize;
    /// Encodes the batch and empties it.
    fn take(&mut self, position: Position) -> Self::Message;
}

/// Size of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BatchSize {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Position of a batch in its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// More batches may follow.
    Middle,
    /// The source has ended.
    Last,
}

/// Error of a send to a window that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowClosed;

/// Forwards all records of a source to a window, until the source ends or the window is closed.
/// Each batch takes one permit of `credit`, which an acknowledgement gives back.
pub(crate) async fn forward<B: Batch>(
    mut source: impl Stream<Item = B::Item> + Unpin,
    mut batch: B,
    flow: FlowControl,
    credit: &Semaphore,
    mut send: impl FnMut(B::Message) -> Result<(), WindowClosed>,
) {
    let mut next_send = Instant::now();
    loop {
        // Forgotten, because the permit comes back with the acknowledgement and not with the send.
        let Ok(permit) = credit.acquire().await else { return };
        permit.forget();
        let position = fill(&mut source, &mut batch, flow, next_send).await;
        sleep_until(next_send).await;
        if send(batch.take(position)) == Err(WindowClosed) || position == Position::Last {
            return;
        }
        next_send = Instant::now() + flow.interval;
    }
}

/// Waits for a first record, then adds records until the batch is full, the source has ended, or
/// the batch is due and no record is ready. A record after a silence is therefore sent at once.
async fn fill<B: Batch>(
    source: &mut (impl Stream<Item = B::Item> + Unpin),
    batch: &mut B,
    flow: FlowControl,
    due: Instant,
) -> Position {
    let mut next = source.next().await;
    loop {
        match next {
            Some(item) => batch.push(item),
            None => return Position::Last,
        }
        if flow.is_full(batch.size()) {
            return Position::Middle;
        }
        next = match source.next().now_or_never() {
            Some(ready) => ready,
            None => match timeout_at(due, source.next()).await {
                Ok(received) => received,
                Err(_) => return Position::Middle,
            },
        };
    }
}

impl FlowControl {
    fn is_full(&self, size: BatchSize) -> bool {
        size.records >= self.max_batch_records || size.bytes >= self.max_batch_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    const FLOW: FlowControl = FlowControl {
        interval: Duration::from_millis(16),
        max_batch_bytes: 1000,
        max_batch_records: 10,
        max_unacknowledged: 4,
    };

    #[derive(Default)]
    struct Numbers(Vec<u64>);

    impl Batch for Numbers {
        type Item = u64;
        type Message = (Vec<u64>, Position);

        fn push(&mut self, item: u64) {
            self.0.push(item);
        }

        fn size(&self) -> BatchSize {
            BatchSize { records: self.0.len(), bytes: self.0.iter().sum::<u64>() as usize }
        }

        fn take(&mut self, position: Position) -> Self::Message {
            (std::mem::take(&mut self.0), position)
        }
    }

    async fn collect(
        source: impl Stream<Item = u64> + Unpin,
        credit: &Semaphore,
        answer: impl Fn() -> Result<(), WindowClosed>,
    ) -> Vec<(Instant, Vec<u64>, Position)> {
        let got = RefCell::new(Vec::new());
        let send = |(numbers, position)| {
            got.borrow_mut().push((Instant::now(), numbers, position));
            answer()
        };
        forward(source, Numbers::default(), FLOW, credit, send).await;
        got.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn records_arrive_in_order_in_bounded_batches_at_the_interval() {
        let credit = Semaphore::new(1000);
        let got = collect(stream::iter(0..95), &credit, || Ok(())).await;
        let all: Vec<_> = got.iter().flat_map(|(_, numbers, _)| numbers.clone()).collect();
        assert_eq!(all, (0..95).collect::<Vec<_>>());
        assert!(got.iter().all(|(_, numbers, _)| numbers.len() <= FLOW.max_batch_records));
        for pair in got.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= FLOW.interval, "two batches within one frame");
        }
        let positions: Vec<_> = got.iter().map(|(.., position)| *position).collect();
        assert_eq!(positions.iter().filter(|position| **position == Position::Last).count(), 1);
        assert_eq!(positions.last(), Some(&Position::Last));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_sent_when_it_reaches_the_byte_limit() {
        let credit = Semaphore::new(1000);
        let got = collect(stream::iter([600, 600, 600]), &credit, || Ok(())).await;
        let sizes: Vec<_> = got.iter().map(|(_, numbers, _)| numbers.len()).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the clock is paused; no time passes")]
    async fn a_record_after_a_silence_is_sent_at_once() {
        let credit = Semaphore::new(1000);
        let start = Instant::now();
        let source = stream::once(tokio::time::sleep(Duration::from_secs(5)).map(|()| 1));
        let got =
            collect(Box::pin(source.chain(stream::pending())).take(1), &credit, || Ok(())).await;
        assert_eq!(got[0].1, [1]);
        assert!(got[0].0 - start < Duration::from_millis(5_002));
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_without_acks_receives_no_more_than_the_limit() {
        let credit = Semaphore::new(FLOW.max_unacknowledged);
        let taken = RefCell::new(0);
        let source = stream::iter(0..1000).inspect(|_| *taken.borrow_mut() += 1);
        let sent = RefCell::new(0);
        let send = |_| {
            *sent.borrow_mut() += 1;
            Ok(())
        };
        let stuck = forward(Box::pin(source), Numbers::default(), FLOW, &credit, send);
        assert!(tokio::time::timeout(Duration::from_secs(3600), stuck).await.is_err());
        assert_eq!(*sent.borrow(), FLOW.max_unacknowledged);
        assert!(
            *taken.borrow() <= FLOW.max_unacknowledged * FLOW.max_batch_records,
            "the rest stays in the source"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_window_ends_the_forwarding() {
        let credit = Semaphore::new(1000);
        let got = collect(stream::iter(0..1000), &credit, || Err(WindowClosed)).await;
        assert_eq!(got.len(), 1);
    }
}
