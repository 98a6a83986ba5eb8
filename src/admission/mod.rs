//! Admission control: how many executions may be alive, and which queued one is next.

mod limiter;
mod queue;

pub(crate) use limiter::{
    AdmissionRequest, Admitted, ConcurrencyLimiter, GroupLimit, Permit, QueuePolicy, QueueSlot,
    Rejected, Ticket,
};
pub(crate) use queue::{AdmissionQueue, GroupId, QueueKey};
