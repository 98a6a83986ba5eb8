//! Who is next. Pure: no clock, no store, no keeper.
//!
//! An execution waits for the executions that it must follow, then for a slot. Among those that wait
//! for a slot the highest priority is first, and the oldest among equals. One that is held waits until it is let
//! go, and one that starts at a moment until that has come.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Place in the queue: priority, then order of acceptance.
pub(crate) type Place = (Reverse<i32>, u64);

/// What waits, and how many slots are taken.
#[derive(Debug)]
pub(crate) struct Queue {
    slots: usize,
    taken: usize,
    /// Next place in the order of acceptance.
    next: u64,
    ready: BTreeSet<(Place, Uuid)>,
    waiting: HashMap<Uuid, Waiting>,
    /// Who waits for an execution, by the id of that one.
    followers: HashMap<Uuid, Vec<Uuid>>,
    /// Those that wait for a moment, the earliest first.
    early: BTreeSet<(DateTime<Utc>, Uuid)>,
}

#[derive(Debug)]
struct Waiting {
    place: Place,
    /// Executions that have not ended yet.
    after: HashSet<Uuid>,
    /// It waits until it is let go, whatever it waits for else.
    is_held: bool,
    /// It waits for this moment, which has not come.
    until: Option<DateTime<Utc>>,
}

impl Waiting {
    /// Returns `true` if it waits for a slot alone.
    fn is_ready(&self) -> bool {
        self.after.is_empty() && !self.is_held && self.until.is_none()
    }
}

/// What the end of an execution means for those that wait for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Released {
    /// No longer waits for any other; it is in the queue for a slot.
    pub(crate) ready: Vec<Uuid>,
    /// Left the queue: it will never run.
    pub(crate) refused: Vec<Uuid>,
}

impl Queue {
    /// Creates an empty queue in front of a number of slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots,
            taken: 0,
            next: 0,
            ready: BTreeSet::new(),
            waiting: HashMap::new(),
            followers: HashMap::new(),
            early: BTreeSet::new(),
        }
    }

    /// Takes a slot if one is free and nobody waits for it.
    pub(crate) fn try_take(&mut self) -> bool {
        let free = self.ready.is_empty() && self.taken < self.slots;
        self.taken += usize::from(free);
        free
    }

    /// Takes a slot for one that runs already, also beyond the number of slots.
    pub(crate) fn take(&mut self) {
        self.taken += 1;
    }

    /// Returns a slot.
    pub(crate) fn give_back(&mut self) {
        self.taken -= 1;
    }

    /// Adds an execution behind all of its priority. `after` are those that it must follow and that
    /// have not ended.
    pub(crate) fn push(&mut self, id: Uuid, priority: i32, after: impl IntoIterator<Item = Uuid>) {
        let place = (Reverse(priority), self.next);
        self.next += 1;
        let after: HashSet<Uuid> = after.into_iter().collect();
        for other in &after {
            self.followers.entry(*other).or_default().push(id);
        }
        if after.is_empty() {
            self.ready.insert((place, id));
        }
        self.waiting.insert(id, Waiting { place, after, is_held: false, until: None });
    }

    /// Lets one that waits not run until it is let go. Returns `false` if it does not wait.
    pub(crate) fn hold(&mut self, id: Uuid) -> bool {
        let Some(waiting) = self.waiting.get_mut(&id) else { return false };
        waiting.is_held = true;
        self.ready.remove(&(waiting.place, id));
        true
    }

    /// Lets one go that is held. Returns `false` if it does not wait.
    pub(crate) fn let_go(&mut self, id: Uuid) -> bool {
        let Some(waiting) = self.waiting.get_mut(&id) else { return false };
        waiting.is_held = false;
        self.make_ready(id);
        true
    }

    /// Lets one that waits not run before a moment.
    pub(crate) fn wait_until(&mut self, id: Uuid, moment: DateTime<Utc>) {
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        waiting.until = Some(moment);
        self.ready.remove(&(waiting.place, id));
        self.early.insert((moment, id));
    }

    /// Lets those go whose moment has come, and returns the next moment.
    pub(crate) fn let_go_until(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        while let Some((moment, id)) = self.early.first().copied() {
            if moment > now {
                return Some(moment);
            }
            self.early.pop_first();
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.until = None;
            }
            self.make_ready(id);
        }
        None
    }

    /// Lets one wait for a slot alone, if there is nothing else that it waits for.
    fn make_ready(&mut self, id: Uuid) {
        if let Some(waiting) = self.waiting.get(&id).filter(|waiting| waiting.is_ready()) {
            self.ready.insert((waiting.place, id));
        }
    }

    /// Returns `true` if one may run that waits.
    pub(crate) fn has_next(&self) -> bool {
        self.taken < self.slots && !self.ready.is_empty()
    }

    /// Removes the first one that may run and takes a slot for it.
    pub(crate) fn pop(&mut self) -> Option<(Place, Uuid)> {
        if self.taken >= self.slots {
            return None;
        }
        let (place, id) = self.ready.pop_first()?;
        self.waiting.remove(&id);
        self.taken += 1;
        Some((place, id))
    }

    /// Puts one back that was removed, and returns its slot.
    pub(crate) fn put_back(&mut self, place: Place, id: Uuid) {
        self.taken -= 1;
        self.ready.insert((place, id));
        self.waiting
            .insert(id, Waiting { place, after: HashSet::new(), is_held: false, until: None });
    }

    /// Removes one that waits. Returns `false` if it does not.
    pub(crate) fn remove(&mut self, id: Uuid) -> bool {
        let Some(waiting) = self.waiting.remove(&id) else { return false };
        self.ready.remove(&(waiting.place, id));
        if let Some(moment) = waiting.until {
            self.early.remove(&(moment, id));
        }
        for other in waiting.after {
            self.forget_follower(other, id);
        }
        true
    }

    /// Tells that an execution has ended, and whether it succeeded.
    pub(crate) fn ended(&mut self, id: Uuid, success: bool) -> Released {
        let mut released = Released::default();
        for follower in self.followers.remove(&id).unwrap_or_default() {
            if !success {
                self.remove(follower);
                released.refused.push(follower);
                continue;
            }
            let Some(waiting) = self.waiting.get_mut(&follower) else { continue };
            waiting.after.remove(&id);
            if waiting.is_ready() {
                self.ready.insert((waiting.place, follower));
                released.ready.push(follower);
            }
        }
        released
    }

    /// Returns how many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn forget_follower(&mut self, of: Uuid, id: Uuid) {
        if let Some(followers) = self.followers.get_mut(&of) {
            followers.retain(|follower| *follower != id);
            if followers.is_empty() {
                self.followers.remove(&of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn the_highest_priority_goes_first_and_the_oldest_among_equals() {
        let mut queue = Queue::new(4);
        for (number, priority) in [(1, 0), (2, 5), (3, 0), (4, 5), (5, -1)] {
            queue.push(id(number), priority, []);
        }
        let order: Vec<_> = std::iter::from_fn(|| Some(queue.pop()?.1)).collect();
        assert_eq!(order, [2, 4, 1, 3].map(id));
        queue.give_back();
        assert_eq!(queue.pop().map(|(_, id)| id), Some(id(5)));
        assert_eq!((queue.pop(), queue.len()), (None, 0));
    }

    #[test]
    fn nobody_overtakes_those_that_wait() {
        let mut queue = Queue::new(1);
        assert!(queue.try_take());
        queue.push(id(1), 0, []);
        queue.give_back();
        assert!(!queue.try_take(), "the slot belongs to the one in the queue");
        assert_eq!(queue.pop().map(|(_, id)| id), Some(id(1)));
        queue.give_back();
        assert!(queue.try_take());
    }

    #[test]
    fn what_is_put_back_has_its_place_again() {
        let mut queue = Queue::new(1);
        queue.push(id(1), 0, []);
        queue.push(id(2), 0, []);
        let (place, first) = queue.pop().unwrap();
        assert!(!queue.has_next(), "there is one slot");
        queue.put_back(place, first);
        assert!(queue.has_next());
        assert_eq!(queue.pop().map(|(_, id)| id), Some(id(1)));
    }

    #[test]
    fn one_that_follows_keeps_no_slot_from_others() {
        let mut queue = Queue::new(2);
        queue.push(id(1), 9, [id(7), id(8)]);
        assert!(queue.try_take());
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.ended(id(7), true), Released::default());
        let ready = Released { ready: vec![id(1)], refused: vec![] };
        assert_eq!(queue.ended(id(8), true), ready);
        assert_eq!(queue.pop().map(|(_, id)| id), Some(id(1)));
    }

    #[test]
    fn a_failure_takes_its_followers_out_of_the_queue() {
        let mut queue = Queue::new(2);
        queue.push(id(1), 0, [id(7), id(8)]);
        queue.push(id(2), 0, [id(1)]);
        let refused = Released { ready: vec![], refused: vec![id(1)] };
        assert_eq!(queue.ended(id(7), false), refused);
        assert_eq!(queue.ended(id(8), true), Released::default());
        let refused = Released { ready: vec![], refused: vec![id(2)] };
        assert_eq!(queue.ended(id(1), false), refused);
        assert_eq!((queue.len(), queue.followers.len(), queue.pop()), (0, 0, None));
    }

    #[test]
    fn one_that_is_held_keeps_its_place_and_no_slot_from_others() {
        let mut queue = Queue::new(1);
        queue.push(id(1), 0, []);
        queue.push(id(2), 0, [id(7)]);
        queue.push(id(3), 0, []);
        assert!(queue.hold(id(1)) && queue.hold(id(2)) && queue.hold(id(1)));
        assert_eq!(queue.ended(id(7), true), Released::default());
        assert_eq!(queue.pop().map(|(_, id)| id), Some(id(3)));
        queue.give_back();
        assert_eq!((queue.pop(), queue.len()), (None, 2));
        assert!(queue.let_go(id(2)) && queue.let_go(id(1)) && queue.let_go(id(1)));
        let order: Vec<_> = (0..2)
            .map(|_| {
                let next = queue.pop().map(|(_, id)| id);
                queue.give_back();
                next
            })
            .collect();
        assert_eq!(order, [Some(id(1)), Some(id(2))]);
        assert!(!queue.hold(id(1)) && !queue.let_go(id(1)), "it does not wait any more");
        queue.push(id(4), 0, []);
        queue.hold(id(4));
        assert!(queue.remove(id(4)) && !queue.let_go(id(4)));
    }

    #[test]
    fn one_waits_for_its_moment_and_for_all_else() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let mut queue = Queue::new(9);
        assert_eq!(queue.let_go_until(at(1)), None);
        for (number, after) in [(1, None), (2, Some(id(7))), (3, None), (4, None)] {
            queue.push(id(number), 0, after);
        }
        for (number, moment) in [(1, 20), (2, 10), (3, 10), (4, 30)] {
            queue.wait_until(id(number), at(moment));
        }
        queue.hold(id(3));
        assert_eq!((queue.let_go_until(at(9)), queue.pop()), (Some(at(10)), None));
        // One that follows another and one that is held wait further on.
        assert_eq!((queue.let_go_until(at(10)), queue.pop()), (Some(at(20)), None));
        assert_eq!(queue.ended(id(7), true).ready, [id(2)]);
        assert!(queue.let_go(id(3)));
        assert_eq!(queue.let_go_until(at(25)), Some(at(30)));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, id)| id).collect();
        assert_eq!(order, [id(1), id(2), id(3)]);
        // Another one may get the id of one that was stopped, and has a moment of its own.
        assert!(queue.remove(id(4)));
        queue.push(id(4), 0, None);
        queue.wait_until(id(4), at(50));
        assert_eq!((queue.let_go_until(at(40)), queue.pop()), (Some(at(50)), None));
        queue.let_go(id(4));
        assert_eq!(queue.pop(), None, "nobody held it");
    }

    #[test]
    fn a_removed_one_is_told_of_nothing() {
        let mut queue = Queue::new(1);
        queue.push(id(1), 0, [id(7)]);
        queue.push(id(2), 0, []);
        assert!(queue.remove(id(1)) && queue.remove(id(2)) && !queue.remove(id(2)));
        assert_eq!(queue.ended(id(7), true), Released::default());
        assert_eq!((queue.pop(), queue.followers.len()), (None, 0));
    }
}
