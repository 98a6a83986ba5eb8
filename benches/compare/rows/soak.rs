//! The growth of memory and descriptors over 20,000 executions, 64 at a time.

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

const AGAINST: &str = "after the first thousand";

fn measure(size: Size) -> Vec<Row> {
    let [first_memory, last_memory, first_fds, last_fds] = Host::SoakEngine(size).ask();
    let row = |name, unit, first: f64, last: f64, goal| {
        Row::new("soak", name, unit)
            .figure(Contender::Engine, last)
            .figure(Contender::Reference, first)
            .held_against(AGAINST, last / first, Goal::AtMost(goal))
    };
    let [first_tokio, last_tokio, ..]: [f64; 4] = Host::SoakTokio(size).ask();
    vec![
        // Pages come and go; a leak of 100 bytes for each execution would be 2 MB.
        row("memory after the last", Unit::Bytes, first_memory, last_memory, 1.05),
        // It remembers nothing, so this is the allocator's share.
        Row::new("soak", "the same with raw tokio", Unit::Bytes)
            .figure(Contender::Tokio, last_tokio)
            .figure(Contender::Reference, first_tokio)
            .beside(AGAINST, last_tokio / first_tokio),
        row("descriptors after the last", Unit::Count, first_fds, last_fds, 1.0),
    ]
}
