//! Tests of the patterns, of the validation, and of the check of capability files.

mod capabilities;
mod patterns;
mod rules;
