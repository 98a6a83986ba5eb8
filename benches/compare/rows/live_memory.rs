//! What a running execution costs its host in memory.

use super::Group;
use crate::args::Size;
use crate::contender::Contender;
use crate::host::Host;
use crate::table::{Goal, Row, Unit};

pub const GROUP: Group =
    Group { name: "live-memory", about: "memory of the host per sleeping child", measure };

fn measure(size: Size) -> Vec<Row> {
    let [engine] = Host::LiveEngine(size).ask();
    let [tokio] = Host::LiveTokio(size).ask();
    vec![
        Row::new("live-memory", "per live execution", Unit::Bytes)
            .figure(Contender::Tokio, tokio)
            .figure(Contender::Engine, engine)
            .held_against("a bound", engine, Goal::AtMost(4096.0)),
    ]
}
