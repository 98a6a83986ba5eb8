//! Who may go next: places, groups of places, and those who wait for one. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The place of somebody in the line: higher priority first, the oldest first among equals.
pub(crate) type QueueKey = (Reverse<i32>, u64);

/// A group of those who share a limit of their own, beside the limit of all. The first is that of
/// those who named none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupId(usize);

impl GroupId {
    pub(crate) const NONE: Self = Self(0);

    /// The group with this number among those that have a name.
    pub(crate) const fn named(number: usize) -> Self {
        Self(number + 1)
    }

    /// The number among those that have a name.
    pub(crate) const fn number(self) -> Option<usize> {
        self.0.checked_sub(1)
    }
}

/// As many places as may be taken, and who waits for one.
///
/// Nobody who could go waits: each place that becomes free is offered to [`next`](Self::next)
/// before anybody else may take it. So a newcomer that finds a place overtakes nobody but those
/// whose group is full.
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
    /// With limits for all together, for those without a group, and for each group.
    pub(crate) fn new(
        limit: usize,
        ungrouped: usize,
        groups: impl IntoIterator<Item = usize>,
    ) -> Self {
        let limits = std::iter::once(ungrouped).chain(groups);
        Self { limit, taken: 0, groups: limits.map(QueueGroup::new).collect(), arrivals: 0 }
    }

    /// Takes a place if there is one.
    pub(crate) fn take(&mut self, group: GroupId) -> bool {
        let all = self.has_room();
        let group = &mut self.groups[group.0];
        let free = all && group.has_room();
        if free {
            group.taken += 1;
            self.taken += 1;
        }
        free
    }

    /// Gives a place back.
    pub(crate) fn give_back(&mut self, group: GroupId) {
        self.groups[group.0].taken -= 1;
        self.taken -= 1;
    }

    /// Joins the line.
    pub(crate) fn wait(&mut self, group: GroupId, priority: i32, who: T) -> QueueKey {
        let rank = (Reverse(priority), self.arrivals);
        self.arrivals += 1;
        self.groups[group.0].waiting.insert(rank, who);
        rank
    }

    /// Takes a place for the first in line for whom there is one.
    pub(crate) fn next(&mut self) -> Option<(GroupId, T)> {
        if !self.has_room() {
            return None;
        }
        let with_room = self.groups.iter().enumerate().filter(|(_, group)| group.has_room());
        let first = |(number, group): (usize, &QueueGroup<T>)| {
            group.waiting.first_key_value().map(|(rank, _)| (*rank, number))
        };
        let (_, number) = with_room.filter_map(first).min()?;
        let (_, who) = self.groups[number].waiting.pop_first()?;
        self.groups[number].taken += 1;
        self.taken += 1;
        Some((GroupId(number), who))
    }

    /// Leaves the line; None if it is not in it any more.
    pub(crate) fn leave(&mut self, group: GroupId, rank: QueueKey) -> Option<T> {
        self.groups[group.0].waiting.remove(&rank)
    }

    /// Where somebody stands, the first being 1; None if it is not in the line any more.
    pub(crate) fn position(&self, group: GroupId, rank: QueueKey) -> Option<usize> {
        let waits = self.groups[group.0].waiting.contains_key(&rank);
        let before = |group: &QueueGroup<T>| group.waiting.range(..rank).count();
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Something that happens to a line.
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
        fn exact_limits_and_the_right_order(
            limits in (1..4usize, 1..4usize, 1..3usize, 1..3usize),
            steps in prop::collection::vec(any_step(), 0..60),
        ) {
            let (limit, ungrouped, first, second) = limits;
            let group_limits = [ungrouped, first, second];
            let mut line = AdmissionQueue::new(limit, ungrouped, [first, second]);
            // The model: who holds a place, and who waits, in the order of arrival.
            let mut holds: Vec<GroupId> = Vec::new();
            let mut waits: Vec<(GroupId, QueueKey, i32, u32)> = Vec::new();
            for (name, step) in (0u32..).zip(steps) {
                match step {
                    Step::Arrive { group, priority } => {
                        let group = GroupId(group);
                        if line.take(group) {
                            holds.push(group);
                        } else {
                            let rank = line.wait(group, priority, name);
                            waits.push((group, rank, priority, name));
                        }
                    }
                    Step::GiveBack { which } if !holds.is_empty() => {
                        line.give_back(holds.swap_remove(which % holds.len()));
                        while let Some((group, name)) = line.next() {
                            let at = waits.iter().position(|waiter| waiter.3 == name).unwrap();
                            let went = waits.remove(at);
                            prop_assert_eq!(went.0, group);
                            // Nobody of the same group was before it.
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
                        prop_assert_eq!(line.leave(group, rank), Some(name));
                        prop_assert_eq!(line.leave(group, rank), None);
                        prop_assert_eq!(line.position(group, rank), None);
                    }
                    _ => {}
                }
                prop_assert_eq!(line.taken(), holds.len());
                prop_assert_eq!(line.waiting(), waits.len());
                prop_assert!(holds.len() <= limit);
                let of = |group: usize| holds.iter().filter(|held| held.0 == group).count();
                for (group, group_limit) in group_limits.into_iter().enumerate() {
                    prop_assert!(of(group) <= group_limit);
                    let waiting = waits.iter().any(|waiter| waiter.0.0 == group);
                    let could_go = holds.len() < limit && of(group) < group_limit;
                    prop_assert!(!(waiting && could_go), "somebody waits who could go");
                }
                let mut positions: Vec<_> = waits
                    .iter()
                    .map(|waiter| line.position(waiter.0, waiter.1).unwrap())
                    .collect();
                positions.sort_unstable();
                prop_assert_eq!(positions, (1..=waits.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn priority_goes_before_age() {
        let mut line = AdmissionQueue::new(1, 1, []);
        assert!(line.take(GroupId::NONE));
        let old = line.wait(GroupId::NONE, 0, "old");
        let urgent = line.wait(GroupId::NONE, 5, "urgent");
        assert_eq!(line.position(GroupId::NONE, old), Some(2));
        assert_eq!(line.position(GroupId::NONE, urgent), Some(1));
        line.give_back(GroupId::NONE);
        assert_eq!(line.next(), Some((GroupId::NONE, "urgent")));
        assert_eq!(line.next(), None, "the place is taken");
    }

    #[test]
    fn a_full_group_holds_up_nobody_else() {
        let (gpu, none) = (GroupId::named(0), GroupId::NONE);
        let mut line = AdmissionQueue::new(2, 2, [1]);
        assert!(line.take(gpu) && line.take(none));
        line.wait(gpu, 9, "second on the gpu");
        line.wait(none, 0, "anywhere");
        line.give_back(none);
        assert_eq!(line.next(), Some((none, "anywhere")));
    }
}
