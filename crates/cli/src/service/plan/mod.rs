//! `exeng plan`: plans as objects of the service.

mod control;
#[cfg(feature = "fleet")]
pub(crate) mod elsewhere;
mod follow;
mod junit;
mod logs;
mod ls;
mod progress;
mod report;
mod run;
mod show;

pub(crate) use control::{RmPlanOptions, StopPlanOptions, WaitPlanOptions, remove, stop, wait};
pub(crate) use logs::{LogsPlanOptions, logs};
pub(crate) use ls::{LsPlanOptions, ls};
pub(crate) use run::{ResumePlanOptions, RunPlanOptions, resume, run};
pub(crate) use show::{ShowPlanOptions, show};
