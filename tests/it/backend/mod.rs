//! Executions that run elsewhere: output, control and endings are those of the other place, told as if
//! the program ran here.

mod attach;
mod faults;
mod machine;
mod played;
#[cfg(unix)]
mod run;
