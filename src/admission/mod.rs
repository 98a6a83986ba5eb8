//! Second phase of an execution: admission, by an exact limit of concurrent executions.
//!
//! [`ConcurrencyLimiter`] gives each execution a permit or a place in its queue; [`AdmissionQueue`]
//! is the pure part, which decides who is next.

mod descriptors;
mod limiter;
mod queue;

pub(crate) use descriptors::DescriptorBudget;
pub(crate) use limiter::{
    AdmissionRequest, Admitted, ConcurrencyLimiter, GroupLimit, Permit, QueuePlace, QueuePolicy,
};
pub(crate) use queue::{AdmissionQueue, GroupId, QueueKey};
