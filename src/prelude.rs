//! Everything of the crate's root, and the types of other crates that its methods take or return.
//!
//! ```
//! use execution_engine::prelude::*;
//!
//! let input: Bytes = "some input".into();
//! let options = ExecutionOptions::default().stdin(StdinSource::bytes(input));
//! # let _ = options;
//! ```

#[doc(no_inline)]
pub use crate::*;
#[doc(no_inline)]
pub use bytes::Bytes;
