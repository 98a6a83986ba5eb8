//! The pauses between two tries of a start that the system has refused for the moment: one rule for
//! all that a start opens, be it a log, the input or a pipe.

use execution_engine_process::is_open_file_limit;

use super::context::PhaseContext;
use crate::time::RefusalDelays;

/// The pauses of one start. ETXTBSY lasts until another thread's child has closed the file that it
/// inherited for writing; EAGAIN until a process of this user has exited.
pub(super) struct StartPauses(RefusalDelays);

impl StartPauses {
    pub(super) fn new() -> Self {
        Self(RefusalDelays::new())
    }

    /// Waits for the time of another try after one that has failed with this error of the system.
    /// Returns false if there is none. A stop of the execution ends the wait.
    #[expect(clippy::disallowed_methods, reason = "waits out a refusal that passes")]
    pub(super) async fn next(&mut self, cx: &PhaseContext, os_error: Option<i32>) -> bool {
        let lacks_descriptors = os_error.is_some_and(is_open_file_limit);
        if lacks_descriptors {
            cx.note_lack_of_descriptors();
        }
        match self.0.next() {
            Some(delay) => {
                tokio::select! {
                    () = cx.active.ending_decided() => {}
                    () = tokio::time::sleep(delay) => {}
                }
                true
            }
            None => lacks_descriptors && cx.may_try_descriptors_again().await,
        }
    }
}
