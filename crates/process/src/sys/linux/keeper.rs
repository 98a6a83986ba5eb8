//! What keeps the children of one containment from outliving the host where there is no control
//! group: the list of them, and the sentinel that reads it.

use std::io;

use super::mark::Marks;
use super::roster::Roster;
use super::sentinel::Sentinel;
use crate::sys::common;

#[derive(Debug)]
pub(super) struct Keeper {
    roster: Roster,
    marks: Marks,
    _sentinel: Option<Sentinel>,
}

impl Keeper {
    pub(super) fn new() -> io::Result<Self> {
        let (roster, marks) = (Roster::new()?, Marks::new());
        let sentinel = Sentinel::of_roster(roster.fd(), &marks.bound());
        Ok(Self { roster, marks, _sentinel: common::or_warn(sentinel)? })
    }

    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }
}
