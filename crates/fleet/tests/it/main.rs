//! The rules by which all readers of a log agree: random logs, cuts, and forgeries.

mod cuts;
mod fold;
mod output;
mod records;
mod signatures;
