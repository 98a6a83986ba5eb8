//! Which queue a worker asks next; pure.
//!
//! Stride scheduling: each queue has a place, the one with the lowest is asked, and each ticket moves
//! it on by a step that is smaller for a larger share. A queue that had nothing gets the place of the
//! others when it is asked, so it saves no turns.

use crate::place::{LAST_PRIORITY, QueueName};

/// How much larger the share of a priority is than that of the next lower one.
const PRIORITY_FACTOR: u64 = 4;

/// Step of a queue with a share of one.
const STEP: u64 = 1 << 32;

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<'a> {
    /// The queue.
    pub queue: &'a QueueName,
    /// Most tickets to take at once: the share of the queue in a round. The worker takes no more
    /// than it has room for.
    pub most: usize,
}

/// The turns of the queues that a worker asks.
///
/// Tenants get tickets in proportion to their weights, and a priority four times as many as the next
/// lower one. In each [round](Self::round) each queue is asked at least once, so none starves.
///
/// ```
/// use execution_engine_fleet::{QueueName, Turns};
///
/// let queue = |tenant: &str, priority| {
///     let (pool, class) = ("linux".into(), "small".into());
///     QueueName { tenant: tenant.into(), pool, class, priority }
/// };
/// let mut turns = Turns::new([(queue("a", 0), 1), (queue("b", 0), 3)]);
/// let mut asked = String::new();
/// for _ in 0..8 {
///     asked.push_str(&turns.next().unwrap().queue.tenant);
///     turns.answered(1);
/// }
/// assert_eq!(asked.matches('b').count(), 6);
/// assert!(!turns.is_idle());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Turns {
    queues: Vec<Queue>,
    /// Counts answers.
    answers: u64,
}

#[derive(Debug, Clone)]
struct Queue {
    name: QueueName,
    /// Its part of a round, at least 1.
    share: u64,
    /// Its place: lower is sooner.
    place: u64,
    /// Since which answer it has been empty.
    empty_since: Option<u64>,
    /// Number of its last answer.
    asked: u64,
}

impl Queue {
    fn step(&self) -> u64 {
        STEP / self.share
    }

    /// What is asked first: of equal places the higher priority.
    fn order(&self) -> (u64, u8, &QueueName) {
        (self.place, self.name.priority, &self.name)
    }
}

impl Turns {
    /// Creates the turns of these queues with the weights of their tenants. A weight of 0 counts as 1.
    pub fn new(queues: impl IntoIterator<Item = (QueueName, u32)>) -> Self {
        let queues = queues.into_iter().map(|(name, weight)| {
            let lower = LAST_PRIORITY.saturating_sub(name.priority);
            let share = u64::from(weight.max(1)) * PRIORITY_FACTOR.pow(u32::from(lower));
            Queue { name, share, place: 0, empty_since: None, asked: 0 }
        });
        let mut queues: Vec<Queue> = queues.collect();
        let least = queues.iter().map(|queue| queue.share).min().unwrap_or(1);
        queues.iter_mut().for_each(|queue| queue.share /= least);
        Self { queues, answers: 0 }
    }

    /// Returns the queue to ask next; `None` if there are none. The answer goes to
    /// [`answered`](Self::answered).
    pub fn next(&self) -> Option<Turn<'_>> {
        let queue = self.queues.iter().min_by_key(|queue| queue.order())?;
        let most = usize::try_from(queue.share).unwrap_or(usize::MAX);
        Some(Turn { queue: &queue.name, most })
    }

    /// Takes how many tickets the [next](Self::next) queue had.
    pub fn answered(&mut self, tickets: usize) {
        let asked = (0..self.queues.len()).min_by_key(|at| self.queues[*at].order());
        asked.into_iter().for_each(|asked| self.take_answer(asked, tickets));
    }

    /// Takes how many tickets a queue had that was asked beside the turns, by waiting for it.
    pub fn answered_by(&mut self, queue: &QueueName, tickets: usize) {
        let asked = self.queues.iter().position(|known| known.name == *queue);
        asked.into_iter().for_each(|asked| self.take_answer(asked, tickets));
    }

    fn take_answer(&mut self, asked: usize, tickets: usize) {
        self.answers += 1;
        // Places of the others that have tickets, as far as is known.
        let full = self
            .queues
            .iter()
            .enumerate()
            .filter(|(at, queue)| *at != asked && queue.empty_since.is_none());
        let now = full.map(|(_, queue)| queue.place).min().unwrap_or(0);
        let (answers, queue) = (self.answers, &mut self.queues[asked]);
        queue.asked = answers;
        if tickets == 0 {
            queue.empty_since.get_or_insert(answers);
            queue.place = queue.place.max(now) + queue.step();
            return;
        }
        let saved = queue.empty_since.take().is_some();
        let place = if saved { queue.place.max(now) } else { queue.place };
        let tickets = u64::try_from(tickets).unwrap_or(u64::MAX).clamp(1, queue.share);
        queue.place = place + queue.step() * tickets;
    }

    /// Returns `true` if each queue was empty when it was asked last: time to wait.
    pub fn is_idle(&self) -> bool {
        self.queues.iter().all(|queue| queue.empty_since.is_some())
    }

    /// Returns the empty queue that was not asked for the longest time, of those that are not waited for
    /// already: the one to wait for. So a worker with fewer slots than queues comes to each.
    pub fn longest_empty(&self, is_waited_for: impl Fn(&QueueName) -> bool) -> Option<&QueueName> {
        let empty = self.queues.iter().filter(|queue| queue.empty_since.is_some());
        let empty = empty.map(|queue| (queue.asked, &queue.name));
        empty.filter(|(_, name)| !is_waited_for(name)).min().map(|(_, name)| name)
    }

    /// Returns the length of a round: in so many turns each queue is asked at least once.
    pub fn round(&self) -> u64 {
        self.queues.iter().map(|queue| 2 * (queue.share + 1)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_empty_queue_is_waited_for_in_turn() {
        let queues: Vec<_> = (0..3).map(|priority| (queue("blue", priority), 1)).collect();
        let mut turns = Turns::new(queues.clone());
        queues.iter().for_each(|(queue, _)| turns.answered_by(queue, 0));
        let mut waited = Vec::new();
        for _ in 0..queues.len() {
            let next = turns.longest_empty(|_| false).unwrap().clone();
            turns.answered_by(&next, 0);
            waited.push((next, 1));
        }
        assert_eq!(waited, queues);
    }

    fn queue(tenant: &str, priority: u8) -> QueueName {
        let (pool, class) = ("p".to_owned(), "c".to_owned());
        QueueName { tenant: tenant.to_owned(), pool, class, priority }
    }

    /// Takes turns with queues that are never empty and room for one, and returns their tickets.
    fn tickets(turns: &mut Turns, count: usize) -> BTreeMap<QueueName, usize> {
        let mut tickets = BTreeMap::new();
        for _ in 0..count {
            *tickets.entry(turns.next().unwrap().queue.clone()).or_default() += 1;
            turns.answered(1);
        }
        tickets
    }

    #[test]
    fn tickets_follow_weights_and_priorities() {
        let mut turns = Turns::new([
            (queue("a", 0), 1),
            (queue("a", 1), 1),
            (queue("a", 2), 1),
            (queue("b", 2), 3),
        ]);
        let got = tickets(&mut turns, 24 * 100);
        for (name, share) in
            [(queue("a", 0), 16), (queue("a", 1), 4), (queue("a", 2), 1), (queue("b", 2), 3)]
        {
            assert!(got[&name].abs_diff(share * 100) <= 1, "{got:?}");
        }
    }

    #[test]
    fn a_queue_that_was_empty_gets_no_more_than_its_share() {
        let mut turns = Turns::new([(queue("a", 1), 1), (queue("b", 1), 1)]);
        for _ in 0..1000 {
            let has = usize::from(turns.next().unwrap().queue.tenant == "a");
            turns.answered(has);
        }
        assert_eq!(turns.longest_empty(|_| false), Some(&queue("b", 1)));
        let got = tickets(&mut turns, 100);
        assert!(got[&queue("a", 1)].abs_diff(50) <= 1, "{got:?}");
        assert_eq!(turns.longest_empty(|_| false), None);
    }

    #[test]
    fn a_worker_is_idle_when_all_queues_are_empty() {
        let mut turns = Turns::new([(queue("a", 0), 1), (queue("b", 2), 1)]);
        let mut answers = 0;
        while !turns.is_idle() {
            assert!(answers < turns.round());
            turns.answered(0);
            answers += 1;
        }
        assert_eq!(turns.longest_empty(|_| false), Some(&queue("a", 0)));
        assert!(Turns::new([]).next().is_none());
    }

    proptest! {
        #[test]
        fn each_queue_is_asked_in_each_round(
            weights in prop::collection::vec((1_u32..=100, 0_u8..=2), 1..6),
            answers in prop::collection::vec((0_usize..3, 1_usize..2000), 1..50),
            lengths in prop::collection::vec(1_u64..200, 50),
        ) {
            let names = weights.iter().enumerate();
            let mut turns = Turns::new(names.map(|(at, (weight, priority))| {
                (queue(&format!("t{at}"), *priority), *weight)
            }));
            let round = turns.round();
            let mut last: BTreeMap<QueueName, u64> = BTreeMap::new();
            let mut now = 0_u64;
            for ((kind, got), length) in answers.iter().zip(&lengths) {
                for step in 0..*length {
                    now += 1;
                    let turn = turns.next().unwrap();
                    last.insert(turn.queue.clone(), now);
                    let has = match kind {
                        0 => 0,
                        1 => *got,
                        // Some queues have tickets, and others have none.
                        _ => got * usize::from(turn.queue.tenant.as_bytes()[1] as u64 % 2 == step % 2),
                    };
                    turns.answered(has.min(turn.most));
                    for (at, (_, priority)) in weights.iter().enumerate() {
                        let name = queue(&format!("t{at}"), *priority);
                        let asked = last.get(&name).copied().unwrap_or(0);
                        prop_assert!(now - asked <= round, "{name:?} at {now} of {round}");
                    }
                }
            }
        }
    }
}
