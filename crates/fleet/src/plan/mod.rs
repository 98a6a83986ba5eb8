//! Plans that are handed to the fleet as a whole: one worker conducts each, and another one goes on
//! when that worker is lost.
//!
//! | module | content |
//! |---|---|
//! | `ticket` | from a plan to its ticket and back, with sealed values; ids of steps; pure |
//! | `event` | what happens to a plan, as lines of JSON; pure |
//! | `view` | a plan as its events tell it; pure |
//! | `client` | submits, follows, lists and stops plans |
//! | `conduct` | [`PlanRunner`], which conducts plans in a worker |

mod client;
mod conduct;
mod event;
mod ticket;
mod view;

pub use client::{PlanEntry, PlanFollower, StopPlan};
pub use conduct::PlanRunner;
pub use event::{PlanEvent, PlanEventKind, StepEnd, StepRun, StopCause};
pub use ticket::step_id;
pub use view::{FleetPlan, FleetStep, FleetStepState};

pub(crate) use ticket::title_of;

/// Name of the pool of plans. It has a queue for each tenant, and serves no execution.
pub const PLANS_POOL: &str = "_plans";
