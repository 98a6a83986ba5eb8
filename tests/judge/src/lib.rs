//! Judges of the service: they see what its users see, the program `exeng`, its socket, its files and its processes, and
//! share no code with what they judge.
//!
//! - [`recording`] and [`disk`] rebuild the state directory as a power failure could leave it.
//! - [`http`] speaks to the socket, [`service`] starts, kills and asks the service, [`work`] has the programs that it
//!   runs and what is known of their outcome.
#![forbid(unsafe_code)]

pub mod disk;
pub mod faults;
pub mod http;
pub mod preload;
pub mod recording;
pub mod service;
pub mod work;
