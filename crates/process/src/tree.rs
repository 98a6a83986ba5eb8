use std::os::fd::OwnedFd;

/// How soon to look again where the system cannot wake us when a process has ended.
#[cfg(feature = "tokio")]
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

/// Who of a process tree is alive. Zombies are not.
#[derive(Debug)]
pub struct Tree {
    /// The living, the main program among them while it lives.
    pub members: Vec<Member>,
    /// Whether it is certain that nobody else is left.
    pub proven: bool,
    /// Processes that may belong to it, but could not be examined: they run with the rights of
    /// another user. They get no signals.
    pub suspects: Vec<Member>,
    /// Whether the system says that there is somebody, be they listed or ending just now.
    pub occupied: bool,
    /// What to wait for before looking again. Empty, while there are members, on systems that
    /// cannot tell: look again after a short while there.
    pub watch: Vec<WatchFd>,
}

impl Tree {
    /// Whether nobody is left, as far as can be seen.
    pub fn is_empty(&self) -> bool {
        !self.occupied
    }

    /// A tree that could not be examined: nobody is known, and yet there may be somebody.
    pub fn unknown() -> Self {
        Self { occupied: true, ..Self::empty(false) }
    }

    /// Waits until something of the tree has changed since this look at it: each thing that the
    /// system can report has been reported once. Where the system reports nothing, it waits 10 ms.
    /// Look at the tree again then.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    #[cfg(feature = "tokio")]
    pub fn changed(self) -> impl Future<Output = ()> + Send {
        let watch = self.watch;
        async move {
            if watch.is_empty() {
                return tokio::time::sleep(LOOK_AGAIN).await;
            }
            for one in watch {
                if one.reported().await.is_err() {
                    // No room for a registration: as where the system reports nothing.
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        }
    }

    /// Nobody that could be seen.
    pub(crate) fn empty(proven: bool) -> Self {
        Self {
            members: Vec::new(),
            proven,
            suspects: Vec::new(),
            occupied: false,
            watch: Vec::new(),
        }
    }
}

/// A living process. Where the system lists none, one of the name `(process group)` and with the id of
/// that group stands for all who are left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its process id.
    pub pid: u32,
    /// Its name, as far as the system tells it.
    pub name: String,
}

/// A descriptor that becomes ready when a tree may have shrunk.
#[derive(Debug)]
pub struct WatchFd {
    /// The descriptor.
    pub fd: OwnedFd,
    /// What to wait for on it.
    pub ready: WatchReady,
}

/// How a descriptor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchReady {
    /// By being readable (EPOLLIN).
    Readable,
    /// By urgent data (EPOLLPRI).
    Priority,
}

#[cfg(feature = "tokio")]
impl WatchFd {
    /// Waits until the system has reported a change.
    async fn reported(self) -> std::io::Result<()> {
        use std::os::fd::AsFd as _;

        use crate::readiness::Readiness;

        let interest = match self.ready {
            WatchReady::Readable => tokio::io::Interest::READABLE,
            #[cfg(target_os = "linux")]
            WatchReady::Priority => tokio::io::Interest::PRIORITY,
            // No other system has descriptors that report so.
            #[cfg(not(target_os = "linux"))]
            WatchReady::Priority => return Err(std::io::ErrorKind::Unsupported.into()),
        };
        // SAFETY: the descriptor is dropped after the registration, which was declared later.
        let readiness = unsafe { Readiness::new(self.fd.as_fd(), interest)? };
        readiness.ready().await
    }
}
