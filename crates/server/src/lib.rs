//! The service: a durable queue, and HTTP over a unix socket.
#![forbid(unsafe_code)]
