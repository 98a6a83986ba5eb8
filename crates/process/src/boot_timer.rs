//! The clock that goes on while the system sleeps, and a timer on it.

use std::io;
use std::time::Duration;

/// Timer on the clock that goes on while the system sleeps (`CLOCK_BOOTTIME`), for a tokio runtime.
/// Only Linux has it. It takes a descriptor.
#[derive(Debug)]
pub struct BootTimer(system::Timer);

impl BootTimer {
    /// Returns an error if this system has no such timer, or no descriptor for it.
    ///
    /// # Errors
    /// The system's error, or [`Unsupported`](io::ErrorKind::Unsupported).
    pub fn check() -> io::Result<()> {
        system::create().map(drop)
    }

    /// Returns the time since the system was started; 0 where there is no such clock.
    pub fn now() -> Duration {
        system::now()
    }

    /// Creates a timer that expires when the system was started this long ago.
    ///
    /// # Errors
    /// The system's error, or [`Unsupported`](io::ErrorKind::Unsupported).
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn new(at: Duration) -> io::Result<Self> {
        system::Timer::new(at).map(Self)
    }

    /// Waits until it has expired. Cancel safe.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub async fn expired(&self) -> io::Result<()> {
        self.0.expired().await
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::OwnedFd;

    use rustix::time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::*;

    #[derive(Debug)]
    pub(super) struct Timer(AsyncFd<OwnedFd>);

    pub(super) fn create() -> io::Result<OwnedFd> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(rustix::time::timerfd_create(TimerfdClockId::Boottime, flags)?)
    }

    pub(super) fn now() -> Duration {
        let now = rustix::time::clock_gettime(ClockId::Boottime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    }

    impl Timer {
        pub(super) fn new(at: Duration) -> io::Result<Self> {
            let fd = create()?;
            // Zero would disarm it.
            let at = at.max(Duration::from_nanos(1));
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let tv_sec = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
            let it_value = Timespec { tv_sec, tv_nsec: at.subsec_nanos().into() };
            let timer = Itimerspec { it_interval: never, it_value };
            rustix::time::timerfd_settime(&fd, TimerfdTimerFlags::ABSTIME, &timer)?;
            // SAFETY: an `OwnedFd` always gives the same descriptor, and is dropped, and with it
            // closed, only after it was taken out of the reactor.
            let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
            Ok(Self(registered?))
        }

        pub(super) async fn expired(&self) -> io::Result<()> {
            self.0.readable().await?.retain_ready();
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::*;

    #[derive(Debug)]
    pub(super) struct Timer(std::convert::Infallible);

    pub(super) fn create() -> io::Result<Timer> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no such timer"))
    }

    pub(super) fn now() -> Duration {
        Duration::ZERO
    }

    impl Timer {
        pub(super) fn new(_: Duration) -> io::Result<Self> {
            create()
        }

        pub(super) async fn expired(&self) -> io::Result<()> {
            match self.0 {}
        }
    }
}
