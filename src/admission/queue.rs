//! Priority queue with a limit for all entries and one per group. Pure: it neither waits nor locks.
//!
//! It is apart from the limiter, so that its order and its limits can be tested against a model,
//! and so that the steps of a plan are scheduled by the same rules.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Sort key of a waiting entry: higher priority first, the oldest first among equals.
pub(crate) type QueueKey = (Reverse<i32>, u64);

/// Group of entries with its own limit, in addition to the limit of all. [`NONE`](Self::NONE) is
/// the group of the entries without a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupId(usize);

impl GroupId {
    pub(crate) const NONE: Self = Self(0);

    /// Creates the id of the named group with this number.
    pub(crate) const fn named(number: usize) -> Self {
        Self(number + 1)
    }

    /// Returns the number among the named groups.
    pub(crate) const fn number(self) -> Option<usize> {
        self.0.checked_sub(1)
    }
}

/// Limited number of slots, and the entries that wait for one.
///
/// No entry waits while it could have a slot, as long as the owner calls [`next`](Self::next) for
/// each slot that becomes free before it calls [`take`](Self::take) again. So a new entry that
/// finds a free slot overtakes only entries whose group is full.
#[derive(Debug)]
pub(crate) struct AdmissionQueue<T> {
    limit: usize,
    taken: usize,
    groups: Box<[QueueGroup<T>]>,
    arrivals: u64,
}

#[derive(Debug)]
struct QueueGroup<T> {
    limit: usize,
    taken: usize,
    waiting: BTreeMap<QueueKey, T>,
}

impl<T> QueueGroup<T> {
    fn new(limit: usize) -> Self {
        Self { limit, taken: 0, waiting: BTreeMap::new() }
    }

    fn has_room(&self) -> bool {
        self.taken < self.limit
    }
}

impl<T> AdmissionQueue<T> {
    /// Creates a queue with limits for all entries together, for those without a group, and for
    /// each group.
    pub(crate) fn new(
        limit: usize,
        ungrouped: usize,
        groups: impl IntoIterator<Item = usize>,
    ) -> Self {
        let limits = std::iter::once(ungrouped).chain(groups);
        Self { limit, taken: 0, groups: limits.map(QueueGroup::new).collect(), arrivals: 0 }
    }

    /// Takes a slot if one is free for this group.
    pub(crate) fn take(&mut self, group: GroupId) -> bool {
        let is_free = self.has_room_for(group);
        if is_free {
            self.groups[group.0].taken += 1;
            self.taken += 1;
        }
        is_free
    }

    /// Returns a slot.
    pub(crate) fn give_back(&mut self, group: GroupId) {
        self.groups[group.0].taken -= 1;
        self.taken -= 1;
    }

    /// Adds an entry that waits for a slot.
    pub(crate) fn push(&mut self, group: GroupId, priority: i32, entry: T) -> QueueKey {
        let key = (Reverse(priority), self.arrivals);
        self.arrivals += 1;
        self.groups[group.0].waiting.insert(key, entry);
        key
    }

    /// Takes a slot for the first entry whose group has a free one, and removes the entry.
    pub(crate) fn next(&mut self) -> Option<(GroupId, T)> {
        if !self.has_room() {
            return None;
        }
        let with_room = self.groups.iter().enumerate().filter(|(_, group)| group.has_room());
        let first = |(number, group): (usize, &QueueGroup<T>)| {
            group.waiting.first_key_value().map(|(key, _)| (*key, number))
        };
        let (_, number) = with_room.filter_map(first).min()?;
        let (_, entry) = self.groups[number].waiting.pop_first()?;
        self.groups[number].taken += 1;
        self.taken += 1;
        Some((GroupId(number), entry))
    }

    /// Removes a waiting entry; None if it no longer waits.
    pub(crate) fn remove(&mut self, group: GroupId, key: QueueKey) -> Option<T> {
        self.groups[group.0].waiting.remove(&key)
    }

    /// Returns the position of a waiting entry, the first being 1; None if it no longer waits.
    pub(crate) fn position(&self, group: GroupId, key: QueueKey) -> Option<usize> {
        let waits = self.groups[group.0].waiting.contains_key(&key);
        let before = |group: &QueueGroup<T>| group.waiting.range(..key).count();
        waits.then(|| 1 + self.groups.iter().map(before).sum::<usize>())
    }

    pub(crate) fn waiting(&self) -> usize {
        self.groups.iter().map(|group| group.waiting.len()).sum()
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn has_room(&self) -> bool {
        self.taken < self.limit
    }

    /// Returns `true` if a slot is free for this group.
    pub(crate) fn has_room_for(&self, group: GroupId) -> bool {
        self.has_room() && self.groups[group.0].has_room()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Operation on a queue.
    #[derive(Debug, Clone)]
    enum Step {
        Arrive { group: usize, priority: i32 },
        GiveBack { which: usize },
        Leave { which: usize },
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..3usize, -2..3i32)
                .prop_map(|(group, priority)| Step::Arrive { group, priority }),
            2 => any::<usize>().prop_map(|which| Step::GiveBack { which }),
            1 => any::<usize>().prop_map(|which| Step::Leave { which }),
        ]
    }

    proptest! {
        #[test]
        fn limits_are_exact_and_order_is_by_priority_then_age(
            limits in (1..4usize, 1..4usize, 1..3usize, 1..3usize),
            steps in prop::collection::vec(any_step(), 0..60),
        ) {
            let (limit, ungrouped, first, second) = limits;
            let group_limits = [ungrouped, first, second];
            let mut queue = AdmissionQueue::new(limit, ungrouped, [first, second]);
            // The model: the slots that are taken, and the waiting entries in the order of arrival.
            let mut holds: Vec<GroupId> = Vec::new();
            let mut waits: Vec<(GroupId, QueueKey, i32, u32)> = Vec::new();
            for (name, step) in (0u32..).zip(steps) {
                match step {
                    Step::Arrive { group, priority } => {
                        let group = GroupId(group);
                        if queue.take(group) {
                            holds.push(group);
                        } else {
                            let rank = queue.push(group, priority, name);
                            waits.push((group, rank, priority, name));
                        }
                    }
                    Step::GiveBack { which } if !holds.is_empty() => {
                        queue.give_back(holds.swap_remove(which % holds.len()));
                        while let Some((group, name)) = queue.next() {
                            let at = waits.iter().position(|waiter| waiter.3 == name).unwrap();
                            let went = waits.remove(at);
                            prop_assert_eq!(went.0, group);
                            // No entry of its group was before it.
                            let before = waits.iter().filter(|waiter| waiter.0 == group);
                            prop_assert!(before.clone().all(|waiter| waiter.2 <= went.2));
                            prop_assert!(before
                                .filter(|waiter| waiter.2 == went.2)
                                .all(|waiter| waiter.3 > name));
                            holds.push(group);
                        }
                    }
                    Step::Leave { which } if !waits.is_empty() => {
                        let (group, rank, _, name) = waits.remove(which % waits.len());
                        prop_assert_eq!(queue.remove(group, rank), Some(name));
                        prop_assert_eq!(queue.remove(group, rank), None);
                        prop_assert_eq!(queue.position(group, rank), None);
                    }
                    _ => {}
                }
                prop_assert_eq!(queue.taken(), holds.len());
                prop_assert_eq!(queue.waiting(), waits.len());
                prop_assert!(holds.len() <= limit);
                let of = |group: usize| holds.iter().filter(|held| held.0 == group).count();
                for (group, group_limit) in group_limits.into_iter().enumerate() {
                    prop_assert!(of(group) <= group_limit);
                    let waiting = waits.iter().any(|waiter| waiter.0.0 == group);
                    let could_go = holds.len() < limit && of(group) < group_limit;
                    prop_assert!(!(waiting && could_go), "an entry waits that could have a slot");
                }
                let mut positions: Vec<_> = waits
                    .iter()
                    .map(|waiter| queue.position(waiter.0, waiter.1).unwrap())
                    .collect();
                positions.sort_unstable();
                prop_assert_eq!(positions, (1..=waits.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn priority_goes_before_age() {
        let mut queue = AdmissionQueue::new(1, 1, []);
        assert!(queue.take(GroupId::NONE));
        let old = queue.push(GroupId::NONE, 0, "old");
        let urgent = queue.push(GroupId::NONE, 5, "urgent");
        assert_eq!(queue.position(GroupId::NONE, old), Some(2));
        assert_eq!(queue.position(GroupId::NONE, urgent), Some(1));
        queue.give_back(GroupId::NONE);
        assert_eq!(queue.next(), Some((GroupId::NONE, "urgent")));
        assert_eq!(queue.next(), None, "the slot is taken");
    }

    #[test]
    fn full_group_does_not_delay_others() {
        let (gpu, none) = (GroupId::named(0), GroupId::NONE);
        let mut queue = AdmissionQueue::new(2, 2, [1]);
        assert!(queue.take(gpu) && queue.take(none));
        queue.push(gpu, 9, "second on the gpu");
        queue.push(none, 0, "anywhere");
        queue.give_back(none);
        assert_eq!(queue.next(), Some((none, "anywhere")));
    }
}
