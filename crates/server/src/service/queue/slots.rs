//! Slots, and those that wait for nothing but one, by group. Pure.
//!
//! Each group has its own order. Of each that has room the first one is kept in one more order, so whatever waits in
//! groups without room holds up no other execution and costs no time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use crate::view::{GroupView, GroupWait};

/// Place in the queue: priority, then order of acceptance. No two executions have the same.
pub(crate) type Place = (Reverse<i32>, u64);

/// Name of a group; None is the group of those that have none.
pub(crate) type Name = Option<Arc<str>>;

/// What a client has set for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    /// How many of it run at a time; None is as many as there are slots.
    pub(crate) max_running: Option<u32>,
    /// Whether it starts nothing.
    pub(crate) paused: bool,
}

/// Slots, and who waits for one.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    /// Who has a slot, with its group.
    taken: HashMap<Uuid, Name>,
    /// Those that are set, or have an execution.
    groups: HashMap<Name, Group>,
    /// The first one of each group that has room.
    first: BTreeMap<Place, Name>,
}

#[derive(Debug, Default)]
struct Group {
    setting: Option<Setting>,
    /// How many of it have a slot.
    running: usize,
    /// How many of it wait, whatever for.
    waiting: usize,
    ready: BTreeMap<Place, Uuid>,
}

impl Group {
    /// Returns why nothing of it may start, if that is so.
    fn closed(&self) -> Option<GroupWait> {
        let setting = self.setting?;
        let is_full =
            setting.max_running.is_some_and(|limit| self.running as u64 >= u64::from(limit));
        match setting.paused {
            true => Some(GroupWait::Paused),
            false => is_full.then_some(GroupWait::Full),
        }
    }

    /// Returns the place of its first one, if that may start.
    fn first(&self) -> Option<Place> {
        let first = self.ready.first_key_value().map(|(place, _)| *place);
        first.filter(|_| self.closed().is_none())
    }

    fn is_forgotten(&self) -> bool {
        self.setting.is_none() && self.running == 0 && self.waiting == 0
    }

    fn view(&self, name: &str) -> GroupView {
        GroupView {
            name: name.to_string(),
            max_running: self.setting.and_then(|setting| setting.max_running),
            paused: self.setting.is_some_and(|setting| setting.paused),
            set: self.setting.is_some(),
            waiting: self.waiting,
            running: self.running,
        }
    }
}

impl Slots {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, taken: HashMap::new(), groups: HashMap::new(), first: BTreeMap::new() }
    }

    /// Changes a group, and notes who of it is the first then.
    fn change<T>(&mut self, name: &Name, change: impl FnOnce(&mut Group) -> T) -> T {
        let group = self.groups.entry(name.clone()).or_default();
        let before = group.first();
        let result = change(group);
        let (after, is_forgotten) = (group.first(), group.is_forgotten());
        if before != after {
            before.map(|place| self.first.remove(&place));
            after.map(|place| self.first.insert(place, name.clone()));
        }
        if is_forgotten {
            self.groups.remove(name);
        }
        result
    }

    /// Sets a group; None takes the setting away.
    pub(super) fn set(&mut self, name: &str, setting: Option<Setting>) {
        self.change(&Some(name.into()), |group| group.setting = setting);
    }

    /// Counts one that waits.
    pub(super) fn arrive(&mut self, name: &Name) {
        self.change(name, |group| group.waiting += 1);
    }

    /// Counts one that waits no longer, and will not run.
    pub(super) fn leave(&mut self, name: &Name) {
        self.change(name, |group| group.waiting -= 1);
    }

    /// Lets one that waits have the next slot that is its own.
    pub(super) fn make_ready(&mut self, place: Place, id: Uuid, name: &Name) {
        self.change(name, |group| group.ready.insert(place, id));
    }

    /// Lets one that waits have no slot for now.
    pub(super) fn make_unready(&mut self, place: Place, name: &Name) {
        self.change(name, |group| group.ready.remove(&place));
    }

    /// Takes a slot for one that does not wait, if one is free, its group has room, and no other one waits for it.
    pub(super) fn try_take(&mut self, id: Uuid, name: &Name) -> bool {
        let is_open = self.groups.get(name).is_none_or(|group| group.closed().is_none());
        let is_free = is_open && self.first.is_empty() && self.has_room();
        if is_free {
            self.take(id, name.clone());
        }
        is_free
    }

    /// Takes a slot for one that runs already, also beyond all limits.
    pub(super) fn take(&mut self, id: Uuid, name: Name) {
        self.change(&name, |group| group.running += 1);
        self.taken.insert(id, name);
    }

    /// Returns the slot of an execution. Returns `false` if it has none.
    pub(super) fn give_back(&mut self, id: Uuid) -> bool {
        let Some(name) = self.taken.remove(&id) else { return false };
        self.change(&name, |group| group.running -= 1);
        true
    }

    /// Returns `true` if one may run that waits.
    pub(super) fn has_next(&self) -> bool {
        self.has_room() && !self.first.is_empty()
    }

    /// Takes a slot for the first one that may run.
    pub(super) fn pop(&mut self) -> Option<(Place, Uuid)> {
        let (place, name) = self.first.first_key_value().filter(|_| self.has_room())?;
        let (place, name) = (*place, name.clone());
        let id = self.change(&name, |group| {
            group.waiting -= 1;
            group.running += 1;
            group.ready.remove(&place)
        })?;
        self.taken.insert(id, name);
        Some((place, id))
    }

    /// Lets one that [`pop`](Self::pop) has returned wait again, and returns its group.
    pub(super) fn put_back(&mut self, place: Place, id: Uuid) -> Name {
        let name = self.taken.remove(&id).flatten();
        self.change(&name, |group| {
            group.running -= 1;
            group.waiting += 1;
            group.ready.insert(place, id);
        });
        name
    }

    /// Returns how many have a slot.
    pub(super) fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Returns `true` if an execution has a slot.
    pub(super) fn has(&self, id: Uuid) -> bool {
        self.taken.contains_key(&id)
    }

    /// Returns those of a group that have a slot.
    pub(super) fn running(&self, name: &str) -> Vec<Uuid> {
        let is_of = |of: &Name| of.as_deref() == Some(name);
        self.taken.iter().filter(|(_, of)| is_of(of)).map(|(id, _)| *id).collect()
    }

    /// Returns why nothing of a group may start, if that is so.
    pub(super) fn closed(&self, name: &Name) -> Option<GroupWait> {
        self.groups.get(name)?.closed()
    }

    /// Returns a group, if it is set or has an execution.
    pub(super) fn group(&self, name: &str) -> Option<GroupView> {
        Some(self.groups.get(&Some(name.into()))?.view(name))
    }

    /// Returns all groups that are set or have an execution, by their names.
    pub(super) fn groups(&self) -> Vec<GroupView> {
        let named = self.groups.iter().filter_map(|(name, group)| Some((name.as_deref()?, group)));
        let mut all: Vec<_> = named.map(|(name, group)| group.view(name)).collect();
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }

    fn has_room(&self) -> bool {
        self.taken.len() < self.limit
    }
}
