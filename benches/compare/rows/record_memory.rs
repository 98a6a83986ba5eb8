//! The memory of a finished execution while it is remembered.

use super::Group;
use crate::args::Size;
use crate::contender::Contender;
use crate::host::Host;
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "record-memory", about: "memory per finished record", measure };

fn measure(size: Size) -> Vec<Row> {
    let [record, output] = Host::Records(size).ask();
    vec![
        Row::new("record-memory", "per finished record, its output aside", Unit::Bytes)
            .figure(Contender::Engine, record - output)
            .held_against("a bound", record - output, Goal::AtMost(1228.0)),
    ]
}
