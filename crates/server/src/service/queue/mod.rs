//! Who is next. Pure: no clock, no store, no keeper.
//!
//! An execution waits for the executions that it must follow, then for a slot. Among those that wait
//! for a slot the highest priority is first, and the oldest among equals. One that is held waits until it is let
//! go, one that starts at a moment until that has come, and one whose group has no room until it has; none of them
//! keeps a slot from others.

mod slots;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::view::{GroupView, GroupWait};
use slots::Slots;
pub(crate) use slots::{Name, Place, Setting};

/// What waits, and who has a slot.
#[derive(Debug)]
pub(crate) struct Queue {
    slots: Slots,
    /// Next place in the order of acceptance.
    next: u64,
    waiting: HashMap<Uuid, Waiting>,
    /// Who waits for an execution, by the id of that one.
    followers: HashMap<Uuid, Vec<Uuid>>,
    /// Those that wait for a moment, the earliest first.
    early: BTreeSet<(DateTime<Utc>, Uuid)>,
}

#[derive(Debug)]
struct Waiting {
    place: Place,
    group: Name,
    /// Executions that must succeed, and have not ended yet.
    after: HashSet<Uuid>,
    /// Executions that must end, however, and have not yet.
    after_ended: HashSet<Uuid>,
    /// It waits until it is let go, whatever it waits for else.
    is_held: bool,
    /// It waits for this moment, which has not come.
    until: Option<DateTime<Utc>>,
}

impl Waiting {
    /// Creates one that must follow the success of others.
    fn new(place: Place, group: Name, after: HashSet<Uuid>) -> Self {
        Self { place, group, after, after_ended: HashSet::new(), is_held: false, until: None }
    }

    /// Returns `true` if it waits for a slot alone.
    fn is_ready(&self) -> bool {
        let follows = !self.after.is_empty() || !self.after_ended.is_empty();
        !follows && !self.is_held && self.until.is_none()
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
            slots: Slots::new(slots),
            next: 0,
            waiting: HashMap::new(),
            followers: HashMap::new(),
            early: BTreeSet::new(),
        }
    }

    /// Sets how many of a group run at a time, and whether it starts any; None takes the setting away.
    pub(crate) fn set_group(&mut self, name: &str, setting: Option<Setting>) {
        self.slots.set(name, setting);
    }

    /// Takes a slot for a new execution if one is free for its group and no other execution waits for it.
    pub(crate) fn try_take(&mut self, id: Uuid, group: Option<&str>) -> bool {
        self.slots.try_take(id, &group.map(Into::into))
    }

    /// Takes a slot for one that runs already, also beyond all limits.
    pub(crate) fn take(&mut self, id: Uuid, group: Option<&str>) {
        self.slots.take(id, group.map(Into::into));
    }

    /// Returns the slot of an execution. Returns `false` if it has none.
    pub(crate) fn give_back(&mut self, id: Uuid) -> bool {
        self.slots.give_back(id)
    }

    /// Adds an execution behind all of its priority. `after` are those that must succeed first and that have not
    /// ended.
    pub(crate) fn push(
        &mut self,
        id: Uuid,
        priority: i32,
        group: Option<&str>,
        after: impl IntoIterator<Item = Uuid>,
    ) {
        let place = (Reverse(priority), self.next);
        self.next += 1;
        let after: HashSet<Uuid> = after.into_iter().collect();
        for other in &after {
            self.followers.entry(*other).or_default().push(id);
        }
        let group: Name = group.map(Into::into);
        self.slots.arrive(&group);
        self.waiting.insert(id, Waiting::new(place, group, after));
        self.make_ready(id);
    }

    /// Lets one that waits not run before others have ended, however.
    pub(crate) fn wait_for_ends(&mut self, id: Uuid, others: impl IntoIterator<Item = Uuid>) {
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        for other in others {
            if waiting.after_ended.insert(other) && !waiting.after.contains(&other) {
                self.followers.entry(other).or_default().push(id);
            }
            self.slots.make_unready(waiting.place, &waiting.group);
        }
    }

    /// Lets one that waits not run until it is let go. Returns `false` if it does not wait.
    pub(crate) fn hold(&mut self, id: Uuid) -> bool {
        let Some(waiting) = self.waiting.get_mut(&id) else { return false };
        waiting.is_held = true;
        self.slots.make_unready(waiting.place, &waiting.group);
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
        self.slots.make_unready(waiting.place, &waiting.group);
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
            self.slots.make_ready(waiting.place, id, &waiting.group);
        }
    }

    /// Returns `true` if one may run that waits.
    pub(crate) fn has_next(&self) -> bool {
        self.slots.has_next()
    }

    /// Removes the first one that may run and takes a slot for it.
    pub(crate) fn pop(&mut self) -> Option<(Place, Uuid)> {
        let (place, id) = self.slots.pop()?;
        self.waiting.remove(&id);
        Some((place, id))
    }

    /// Puts one back that was removed, and returns its slot.
    pub(crate) fn put_back(&mut self, place: Place, id: Uuid) {
        let group = self.slots.put_back(place, id);
        self.waiting.insert(id, Waiting::new(place, group, HashSet::new()));
    }

    /// Removes one that waits. Returns `false` if it does not.
    pub(crate) fn remove(&mut self, id: Uuid) -> bool {
        let Some(waiting) = self.waiting.remove(&id) else { return false };
        self.slots.make_unready(waiting.place, &waiting.group);
        self.slots.leave(&waiting.group);
        if let Some(moment) = waiting.until {
            self.early.remove(&(moment, id));
        }
        for other in waiting.after.union(&waiting.after_ended) {
            self.forget_follower(*other, id);
        }
        true
    }

    /// Tells that an execution has ended, and whether it succeeded.
    pub(crate) fn ended(&mut self, id: Uuid, success: bool) -> Released {
        let mut released = Released::default();
        for follower in self.followers.remove(&id).unwrap_or_default() {
            let Some(waiting) = self.waiting.get_mut(&follower) else { continue };
            waiting.after_ended.remove(&id);
            if waiting.after.remove(&id) && !success {
                self.remove(follower);
                released.refused.push(follower);
                continue;
            }
            if waiting.is_ready() {
                self.slots.make_ready(waiting.place, follower, &waiting.group);
                released.ready.push(follower);
            }
        }
        released
    }

    /// Returns how many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns how many have a slot.
    pub(crate) fn taken(&self) -> usize {
        self.slots.taken()
    }

    /// Returns `true` if an execution has a slot.
    pub(crate) fn has_slot(&self, id: Uuid) -> bool {
        self.slots.has(id)
    }

    /// Returns those of a group that have a slot.
    pub(crate) fn running_of(&self, group: &str) -> Vec<Uuid> {
        self.slots.running(group)
    }

    /// Returns why one that waits for a slot alone gets none, if that is its group.
    pub(crate) fn group_wait(&self, id: Uuid) -> Option<GroupWait> {
        let waiting = self.waiting.get(&id).filter(|waiting| waiting.is_ready())?;
        self.slots.closed(&waiting.group)
    }

    /// Returns a group, if it is set or has an execution that waits or runs.
    pub(crate) fn group(&self, name: &str) -> Option<GroupView> {
        self.slots.group(name)
    }

    /// Returns all groups that are set or have an execution that waits or runs, by their names.
    pub(crate) fn groups(&self) -> Vec<GroupView> {
        self.slots.groups()
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
