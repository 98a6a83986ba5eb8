//! What a look at a process tree finds, and waiting for a change of it.

use std::os::fd::OwnedFd;

/// How soon to look again where the system cannot wake us when a process has ended.
#[cfg(feature = "tokio")]
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

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
    /// What to wait for before looking again; see `changed`. Empty, while there are
    /// members, on systems that report nothing: look again after a short while there.
    pub watch: Vec<WatchFd>,
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
    #[cfg(feature = "tokio")]
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
pub struct WatchFd {
    /// The descriptor.
    pub fd: OwnedFd,
    /// What to wait for on it.
    pub ready: WatchReady,
}

/// Readiness by which a [`WatchFd`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchReady {
    /// It becomes readable (EPOLLIN).
    Readable,
    /// It has urgent data (EPOLLPRI).
    Priority,
}

#[cfg(feature = "tokio")]
impl WatchFd {
    /// Waits until the system has reported a change.
    async fn reported(self) -> std::io::Result<()> {
        use std::os::fd::AsFd as _;

        use tokio::io::Interest;

        use crate::readiness::Readiness;

        let interest = match self.ready {
            WatchReady::Readable => Interest::READABLE,
            #[cfg(target_os = "linux")]
            WatchReady::Priority => Interest::PRIORITY,
            // No other system has descriptors that report so.
            #[cfg(not(target_os = "linux"))]
            WatchReady::Priority => return Err(std::io::ErrorKind::Unsupported.into()),
        };
        // SAFETY: locals are dropped in reverse order, so the descriptor is closed after this.
        let readiness = unsafe { Readiness::new(self.fd.as_fd(), interest)? };
        readiness.ready().await
    }
}
