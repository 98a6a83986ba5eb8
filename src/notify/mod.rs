//! Who is told what happens: handlers, each behind a bounded queue of its own.

mod handler;
mod publisher;
mod queue;
mod stage;

pub use handler::{EventHandler, LoggingEventHandler, MultiEventHandler, NoopEventHandler};
pub(crate) use publisher::{Audience, Publisher};
pub(crate) use stage::Stage;
