use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Pace;

/// A batch that is being filled.
pub(crate) trait Batch {
    /// What goes into it.
    type Item;
    /// What is sent.
    type Parcel;
    /// Takes one more.
    fn push(&mut self, item: Self::Item);
    /// How many records and bytes are in it.
    fn size(&self) -> Size;
    /// Makes a parcel of it and is empty then.
    fn pack(&mut self, end: End) -> Self::Parcel;
}

/// How full a batch is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Whether something follows a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    More,
    Last,
}

/// The window is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Brings all records of a source to a window, until the source ends or the window is gone.
pub(crate) async fn pump<B: Batch>(
    mut source: impl Stream<Item = B::Item> + Unpin,
    mut batch: B,
    pace: Pace,
    credit: &Semaphore,
    mut send: impl FnMut(B::Parcel) -> Result<(), Gone>,
) {
    let mut next_at = Instant::now();
    loop {
        // Taken for good; the window gives it back.
        let Ok(one) = credit.acquire().await else { return };
        one.forget();
        let mut end = End::More;
        match source.next().await {
            Some(first) => batch.push(first),
            None => end = End::Last,
        }
        while end == End::More && !pace.is_full(batch.size()) {
            let more = match source.next().now_or_never() {
                Some(more) => more,
                None => match timeout_at(next_at, source.next()).await {
                    Ok(more) => more,
                    Err(_) => break,
                },
            };
            match more {
                Some(item) => batch.push(item),
                None => end = End::Last,
            }
        }
        sleep_until(next_at).await;
        if send(batch.pack(end)) == Err(Gone) || end == End::Last {
            return;
        }
        next_at = Instant::now() + pace.every;
    }
}

impl Pace {
    fn is_full(&self, size: Size) -> bool {
        size.records >= self.records || size.bytes >= self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    const PACE: Pace =
        Pace { every: Duration::from_millis(16), bytes: 1000, records: 10, in_flight: 4 };

    #[derive(Default)]
    struct Numbers(Vec<u64>);

    impl Batch for Numbers {
        type Item = u64;
        type Parcel = (Vec<u64>, End);

        fn push(&mut self, item: u64) {
            self.0.push(item);
        }

        fn size(&self) -> Size {
            Size { records: self.0.len(), bytes: self.0.iter().sum::<u64>() as usize }
        }

        fn pack(&mut self, end: End) -> Self::Parcel {
            (std::mem::take(&mut self.0), end)
        }
    }

    async fn collect(
        source: impl Stream<Item = u64> + Unpin,
        credit: &Semaphore,
        answer: impl Fn() -> Result<(), Gone>,
    ) -> Vec<(Instant, Vec<u64>, End)> {
        let got = RefCell::new(Vec::new());
        let send = |(numbers, end)| {
            got.borrow_mut().push((Instant::now(), numbers, end));
            answer()
        };
        pump(source, Numbers::default(), PACE, credit, send).await;
        got.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn all_arrives_in_order_in_batches_of_bounded_size_at_the_pace() {
        let credit = Semaphore::new(1000);
        let got = collect(stream::iter(0..95), &credit, || Ok(())).await;
        let all: Vec<_> = got.iter().flat_map(|(_, numbers, _)| numbers.clone()).collect();
        assert_eq!(all, (0..95).collect::<Vec<_>>());
        assert!(got.iter().all(|(_, numbers, _)| numbers.len() <= PACE.records));
        for pair in got.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= PACE.every, "two batches within one frame");
        }
        let ends: Vec<_> = got.iter().map(|(.., end)| *end).collect();
        assert_eq!(ends.iter().filter(|end| **end == End::Last).count(), 1);
        assert_eq!(ends.last(), Some(&End::Last));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_closed_by_its_bytes_too() {
        let credit = Semaphore::new(1000);
        let got = collect(stream::iter([600, 600, 600]), &credit, || Ok(())).await;
        let sizes: Vec<_> = got.iter().map(|(_, numbers, _)| numbers.len()).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the clock is paused; no time passes")]
    async fn a_record_after_silence_goes_at_once() {
        let credit = Semaphore::new(1000);
        let begun = Instant::now();
        let source = stream::once(tokio::time::sleep(Duration::from_secs(5)).map(|()| 1));
        let got =
            collect(Box::pin(source.chain(stream::pending())).take(1), &credit, || Ok(())).await;
        assert_eq!(got[0].1, [1]);
        assert!(got[0].0 - begun < Duration::from_millis(5_002));
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_confirms_nothing_gets_no_more_than_its_credit() {
        let credit = Semaphore::new(PACE.in_flight);
        let taken = RefCell::new(0);
        let source = stream::iter(0..1000).inspect(|_| *taken.borrow_mut() += 1);
        let sent = RefCell::new(0);
        let send = |_| {
            *sent.borrow_mut() += 1;
            Ok(())
        };
        let stuck = pump(Box::pin(source), Numbers::default(), PACE, &credit, send);
        assert!(tokio::time::timeout(Duration::from_secs(3600), stuck).await.is_err());
        assert_eq!(*sent.borrow(), PACE.in_flight);
        assert!(*taken.borrow() <= PACE.in_flight * PACE.records, "the rest stays at its source");
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_is_gone_ends_it() {
        let credit = Semaphore::new(1000);
        let got = collect(stream::iter(0..1000), &credit, || Err(Gone)).await;
        assert_eq!(got.len(), 1);
    }
}
