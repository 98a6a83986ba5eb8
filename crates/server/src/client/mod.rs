//! Client of the service, over its unix socket.

mod calls;
mod control;
mod error;
mod events;
mod exchange;
mod groups;
mod input;
mod link;
mod output;
mod path;
mod plans;
mod records;
mod schedules;
mod sse;
mod start;
mod tokens;

pub use calls::Client;
pub use error::ClientError;
pub use events::EventReader;
pub use input::InputWriter;
pub use link::ClientOptions;
pub use output::OutputReader;
pub use records::Import;
pub use start::ServiceProgram;
