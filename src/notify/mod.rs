//! Who is told what happens: handlers, whose pace counts, and subscriptions, which hold nobody back.

mod handler;
mod hub;
mod publisher;
mod queue;
mod stage;
mod subscription;
#[cfg(test)]
mod tests;

pub use handler::{EventHandler, LoggingEventHandler, MultiEventHandler, NoopEventHandler};
pub(crate) use hub::Hub;
pub(crate) use publisher::{Audience, Publisher};
pub(crate) use stage::{Stage, close_to_foreign_code};
pub(crate) use subscription::Journals;
pub use subscription::{ChunkSubscription, Subscription};
