//! Sizes of pipes: a program that writes much gets a larger pipe, so that it and its reader wait
//! for each other less often.
//!
//! All others keep the system's size, because the system counts what the pipes of a user may hold,
//! and beyond a limit every new pipe of that user is tiny.

use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that a pipe holds that has not grown, and that are read of it at once.
const READ_SIZE: usize = 64 * 1024;
/// A pipe grows when this many reads in a row have found it nearly full.
const BUSY_READS: u8 = 8;
/// Bytes that a grown pipe holds, and that are read of it at once: a writer that is woken for less
/// is in its reader's way. Larger ones are no faster: what is in them leaves the cache.
const GROWN: usize = 256 * 1024;
const PAGE: usize = 4096;
/// Bytes that a user's pipes may hold, where the system does not say.
const USUAL_SOFT_LIMIT: usize = 16 * 1024 * PAGE;
/// The part of that which grown pipes of this process may take: a fourth.
const PART: usize = 4;

/// Growth of one pipe.
#[derive(Debug)]
pub(crate) enum PipeSizing {
    /// As the system made it, after this many reads in a row that found it nearly full.
    Usual { busy_reads: u8 },
    /// Grown.
    Grown(SizeBudget),
    /// Refused, and not tried again.
    Fixed,
}

/// The bytes of a grown pipe, given back to the budget of the process when it is closed.
#[derive(Debug)]
pub(crate) struct SizeBudget(());

static USED: AtomicUsize = AtomicUsize::new(0);

impl Default for PipeSizing {
    fn default() -> Self {
        Self::Usual { busy_reads: 0 }
    }
}

impl PipeSizing {
    /// Returns `true` if the pipe was made larger because its program is busy.
    pub(crate) fn is_grown(&self) -> bool {
        matches!(self, Self::Grown(_))
    }

    /// Returns the number of bytes to read at once.
    pub(crate) fn read_size(&self) -> usize {
        match self {
            Self::Grown(_) => GROWN,
            Self::Usual { .. } | Self::Fixed => READ_SIZE,
        }
    }

    /// Notes that a read has found this many bytes, and enlarges a pipe that is busy.
    pub(crate) fn record_read(&mut self, pipe: &impl AsFd, found: usize) {
        let Self::Usual { busy_reads } = self else { return };
        *busy_reads = if found >= READ_SIZE / 4 * 3 { *busy_reads + 1 } else { 0 };
        if *busy_reads == BUSY_READS {
            *self = SizeBudget::grow(pipe).map_or(Self::Fixed, Self::Grown);
        }
    }
}

impl SizeBudget {
    /// Enlarges a pipe, if the budget and the system allow it.
    fn grow(pipe: &impl AsFd) -> Option<Self> {
        let limit = soft_limit() / PART;
        let taken = USED.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            (used + GROWN <= limit).then_some(used + GROWN)
        });
        let budget = taken.ok().map(|_| Self(()))?;
        // Other pipes of the user may have taken the rest of the system's limit.
        enlarge(pipe).then_some(budget)
    }
}

impl Drop for SizeBudget {
    fn drop(&mut self) {
        USED.fetch_sub(GROWN, Ordering::AcqRel);
    }
}

#[cfg(target_os = "linux")]
fn enlarge(pipe: &impl AsFd) -> bool {
    rustix::pipe::fcntl_setpipe_size(pipe, GROWN).is_ok()
}

/// Returns false: other systems size their pipes by themselves.
#[cfg(not(target_os = "linux"))]
fn enlarge(_: &impl AsFd) -> bool {
    false
}

/// Returns the bytes that the pipes of a user may hold. The system's 0 stands for no limit.
fn soft_limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let said = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft");
        let pages = said.ok().and_then(|pages| pages.trim().parse::<usize>().ok());
        match pages {
            None | Some(0) => USUAL_SOFT_LIMIT,
            Some(pages) => pages.saturating_mul(PAGE),
        }
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::pipe::{fcntl_getpipe_size, pipe};

    use super::*;

    fn after(reads: &[usize]) -> (PipeSizing, OwnedFd) {
        let (read, _) = pipe().unwrap();
        let mut sizing = PipeSizing::default();
        reads.iter().for_each(|found| sizing.record_read(&read, *found));
        (sizing, read)
    }

    /// The one test that grows pipes, because the budget is one for the process.
    #[test]
    fn only_a_pipe_that_is_full_again_and_again_grows_within_the_budget() {
        let usual = fcntl_getpipe_size(&after(&[]).1).unwrap();
        let one_short = [READ_SIZE; BUSY_READS as usize - 1];
        for reads in [&[1; 100][..], &one_short, &[&one_short[..], &[1], &one_short].concat()] {
            let (sizing, pipe) = after(reads);
            assert!(matches!(sizing, PipeSizing::Usual { .. }), "{reads:?}");
            assert_eq!(fcntl_getpipe_size(pipe).unwrap(), usual);
        }
        let often = [READ_SIZE - 36; BUSY_READS as usize];
        let (sizing, pipe) = after(&often);
        assert!(matches!(sizing, PipeSizing::Grown(_)), "{sizing:?}");
        assert_eq!(fcntl_getpipe_size(pipe).unwrap(), GROWN);
        drop(sizing);

        let places = soft_limit() / PART / GROWN;
        let mut all: Vec<_> = (0..places).map(|_| after(&often)).collect();
        let grown = |all: &[(PipeSizing, OwnedFd)]| {
            all.iter().filter(|(sizing, _)| matches!(sizing, PipeSizing::Grown(_))).count()
        };
        assert_eq!(grown(&all), places);
        all.push(after(&often));
        assert_eq!(grown(&all), places, "one too many");
        all.remove(0);
        all.push(after(&often));
        assert_eq!(grown(&all), places, "a place was given back");
    }
}
