//! 20,000 executions, 64 at a time: what grows?

use super::Group;
use crate::args::Size;
use crate::contender::Contender;
use crate::host::Host;
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group = Group {
    name: "soak",
    about: "20,000 executions, 64 in flight: memory and descriptors",
    measure,
};

fn measure(size: Size) -> Vec<Row> {
    let [first_memory, last_memory, first_fds, last_fds] = Host::Soak(size).ask();
    let row = |name, unit, first: f64, last: f64, goal| {
        Row::new("soak", name, unit)
            .figure(Contender::Engine, last)
            .figure(Contender::Reference, first)
            .held_against("after the first thousand", last / first, Goal::AtMost(goal))
    };
    vec![
        // Pages come and go; a leak of 100 bytes for each execution would be 2 MB.
        row("memory after the last", Unit::Bytes, first_memory, last_memory, 1.05),
        row("descriptors after the last", Unit::Count, first_fds, last_fds, 1.0),
    ]
}
