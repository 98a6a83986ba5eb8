//! The service: what it costs that an execution is durable and outlives the client that asked for it.

mod fixture;
mod history;
mod memory;
mod others;
mod output;
mod submit;
mod throughput;

use super::Group;
use crate::args::Size;
use crate::table::Row;

pub const GROUP: Group = Group {
    name: "service",
    about: "submit, run, read and list through `exeng serve`, with a million executions by --large",
    measure,
};

const NAME: &str = GROUP.name;

fn measure(size: Size) -> Vec<Row> {
    let exeng = fixture::build();
    let mut rows = submit::measure(&exeng, size);
    rows.extend(others::measure(&exeng, size));
    rows.extend(throughput::measure(&exeng, size));
    rows.extend(output::measure(&exeng, size));
    rows.extend(memory::measure(&exeng, size));
    rows.extend(history::measure(&exeng, size));
    rows
}
