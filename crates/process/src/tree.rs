//! What a look at a process tree finds, and waiting for a change of it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How soon to look again where the system cannot wake us when a process has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Living processes of a tree. Zombies are not among them.
#[derive(Debug)]
pub struct Tree {
    /// The living processes, the main program among them while it lives.
    pub members: Vec<Member>,
    /// Whether it is certain that there are no others.
    pub proven: bool,
    /// Processes that may belong to the tree but could not be examined, because they run with the
    /// rights of another user. They get no signals.
    pub suspects: Vec<Member>,
    /// Whether the system reports that a process is there, be it listed or just ending.
    pub occupied: bool,
    /// What reports a change. Empty, while there are members, where the system reports nothing.
    pub(crate) watch: Vec<WatchFd>,
}

impl Tree {
    /// Returns `true` if no process is left, as far as can be seen.
    pub fn is_empty(&self) -> bool {
        !self.occupied
    }

    /// Returns a tree that could not be examined: it lists no process, but there may be some.
    pub fn unknown() -> Self {
        Self { occupied: true, ..Self::empty(false) }
    }

    /// Returns a tree without any process that could be seen.
    pub(crate) fn empty(proven: bool) -> Self {
        Self {
            members: Vec::new(),
            proven,
            suspects: Vec::new(),
            occupied: false,
            watch: Vec::new(),
        }
    }

    /// Waits until the tree may have shrunk since this look at it; look at it again then.
    ///
    /// It waits until each descriptor that the system gave for it has reported. Where the system
    /// gives none, or cannot watch another one, it waits 10 ms.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: look at the tree again.
    #[expect(clippy::disallowed_methods, reason = "the system announces no change of this tree")]
    pub fn changed(self) -> impl Future<Output = ()> + Send {
        let watch = self.watch;
        async move {
            if watch.is_empty() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            for one in watch {
                if one.reported().await.is_err() {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }
}

/// Living process of a tree.
///
/// Where the system lists none, one member of the name `(process group)` and with the id of that
/// group stands for all that are left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its process id.
    pub pid: u32,
    /// Its name, as far as the system reports it.
    pub name: String,
}

/// Descriptor that becomes ready when a tree may have shrunk.
#[derive(Debug)]
pub(crate) struct WatchFd {
    pub(crate) fd: OwnedFd,
    /// How it becomes ready.
    pub(crate) ready: Interest,
}

impl WatchFd {
    /// Waits until the system has reported a change.
    async fn reported(self) -> io::Result<()> {
        // SAFETY: the registration owns the descriptor, which is always the same.
        let fd = unsafe { AsyncFd::register_with_interest(self.fd, self.ready)? };
        fd.ready(self.ready).await?.retain_ready();
        Ok(())
    }
}
