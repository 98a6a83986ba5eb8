//! The memory that a running execution costs its host.

use super::Group;
use crate::args::Size;
use crate::contender::Contender;
use crate::host::Host;
use crate::table::{Goal, Row, Unit};

/// Of these, some 1.6 KB are three registrations with tokio's reactor and one timer, and what the
/// allocator loses to their alignment. A reactor of our own took less, and was not worth its code.
const MAX_BYTES: f64 = 6144.0;

pub const GROUP: Group =
    Group { name: "live-memory", about: "memory of the host per sleeping child", measure };

fn measure(size: Size) -> Vec<Row> {
    let [engine] = Host::LiveEngine(size).ask();
    let [tokio] = Host::LiveTokio(size).ask();
    vec![
        Row::new("live-memory", "per live execution", Unit::Bytes)
            .figure(Contender::Tokio, tokio)
            .figure(Contender::Engine, engine)
            .held_against("a bound", engine, Goal::AtMost(MAX_BYTES)),
    ]
}
