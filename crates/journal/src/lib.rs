//! File format of a journal: the output and events of one execution, in one sequence of records.
#![forbid(unsafe_code)]
