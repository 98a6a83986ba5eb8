//! Who is told what happens: handlers, whose pace counts, and subscriptions, which hold nobody back.

mod broadcast;
mod handler;
mod handler_pool;
mod handler_queue;
mod publisher;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use broadcast::Broadcaster;
pub use handler::{EventHandler, LoggingEventHandler, MultiEventHandler, NoopEventHandler};
pub(crate) use handler_pool::{HandlerPool, forbid_user_code};
pub(crate) use publisher::{HandlerSet, Publisher};
pub(crate) use subscription::JournalLookup;
pub use subscription::{ChunkSubscription, Subscription};
