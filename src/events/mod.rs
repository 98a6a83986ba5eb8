//! Delivery of events and lines: to handlers, which slow an execution down rather than lose a line,
//! and to subscriptions, which never do and learn what they have missed. Both read the journals of
//! [`output`](crate::output); nothing is copied for a reader that does not come.

mod activity;
mod all_executions;
mod broadcast;
mod handler;
mod handler_pool;
mod handler_queue;
mod handler_state;
mod publisher;
mod records;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use all_executions::JournalLookup;
pub(crate) use broadcast::Broadcaster;
pub use handler::{EventHandler, LoggingEventHandler, MultiEventHandler, NoopEventHandler};
pub(crate) use handler_pool::HandlerPool;
pub(crate) use publisher::{HandlerSet, Publisher};
pub(crate) use subscription::record_stream;
pub use subscription::{ChunkSubscription, Subscription};
