//! A program that prints much gets a larger pipe, so that it and its reader wait for each other less
//! often. All others keep the system's size: what pipes may hold is counted for each user, and
//! beyond a limit every new pipe of the user is tiny.

use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much is read at once: what a pipe holds that has not grown.
const READ_SIZE: usize = 64 * 1024;
/// A pipe is busy when so many reads in a row have found it nearly full.
const BUSY_READS: u8 = 8;
/// How much a grown pipe holds, and how much is read of it at once: a writer that is woken for less is
/// in its reader's way. Larger ones are no faster: what is in them leaves the cache.
const GROWN: usize = 256 * 1024;
const PAGE: usize = 4096;
/// What a user's pipes may hold, where the system does not say.
const USUAL_SOFT_LIMIT: usize = 16 * 1024 * PAGE;
/// Our part of that.
const PART: usize = 4;

/// Whether a pipe is to grow, or has grown.
#[derive(Debug)]
pub(super) enum PipeSizing {
    /// After so many reads.
    Reads(u8),
    Grown(SizeBudget),
    /// It was refused, and is not asked for again.
    Never,
}

/// The bytes of a grown pipe, given back when it is closed.
#[derive(Debug)]
pub(super) struct SizeBudget(());

static SHARED: AtomicUsize = AtomicUsize::new(0);

impl Default for PipeSizing {
    fn default() -> Self {
        Self::Reads(0)
    }
}

impl PipeSizing {
    /// How much to read at once.
    pub(super) fn read_size(&self) -> usize {
        match self {
            Self::Grown(_) => GROWN,
            Self::Reads(_) | Self::Never => READ_SIZE,
        }
    }

    /// A read has found so much.
    pub(super) fn has_read(&mut self, pipe: &impl AsFd, found: usize) {
        let Self::Reads(reads) = self else { return };
        *reads = if found >= READ_SIZE / 4 * 3 { *reads + 1 } else { 0 };
        if *reads == BUSY_READS {
            *self = SizeBudget::take(pipe).map_or(Self::Never, Self::Grown);
        }
    }
}

impl SizeBudget {
    fn take(pipe: &impl AsFd) -> Option<Self> {
        let limit = soft_limit() / PART;
        let taken = SHARED.fetch_update(Ordering::AcqRel, Ordering::Acquire, |shared| {
            (shared + GROWN <= limit).then_some(shared + GROWN)
        });
        let share = taken.ok().map(|_| Self(()))?;
        // The user's other pipes may have taken the rest of the limit.
        grow(pipe).then_some(share)
    }
}

impl Drop for SizeBudget {
    fn drop(&mut self) {
        SHARED.fetch_sub(GROWN, Ordering::AcqRel);
    }
}

#[cfg(target_os = "linux")]
fn grow(pipe: &impl AsFd) -> bool {
    rustix::pipe::fcntl_setpipe_size(pipe, GROWN).is_ok()
}

/// Other systems size their pipes by themselves.
#[cfg(not(target_os = "linux"))]
fn grow(_: &impl AsFd) -> bool {
    false
}

/// In bytes. 0 stands for no limit.
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
        let mut busy = PipeSizing::default();
        reads.iter().for_each(|found| busy.has_read(&read, *found));
        (busy, read)
    }

    /// The one test that grows pipes, because the share of all is one for the process.
    #[test]
    fn only_a_pipe_that_is_full_again_and_again_grows_and_only_so_many_do() {
        let usual = fcntl_getpipe_size(&after(&[]).1).unwrap();
        let one_short = [READ_SIZE; BUSY_READS as usize - 1];
        for reads in [&[1; 100][..], &one_short, &[&one_short[..], &[1], &one_short].concat()] {
            let (busy, pipe) = after(reads);
            assert!(matches!(busy, PipeSizing::Reads(_)), "{reads:?}");
            assert_eq!(fcntl_getpipe_size(pipe).unwrap(), usual);
        }
        let often = [READ_SIZE - 36; BUSY_READS as usize];
        let (busy, pipe) = after(&often);
        assert!(matches!(busy, PipeSizing::Grown(_)), "{busy:?}");
        assert_eq!(fcntl_getpipe_size(pipe).unwrap(), GROWN);
        drop(busy);

        let places = soft_limit() / PART / GROWN;
        let mut all: Vec<_> = (0..places).map(|_| after(&often)).collect();
        let grown = |all: &[(PipeSizing, OwnedFd)]| {
            all.iter().filter(|(busy, _)| matches!(busy, PipeSizing::Grown(_))).count()
        };
        assert_eq!(grown(&all), places);
        all.push(after(&often));
        assert_eq!(grown(&all), places, "one too many");
        all.remove(0);
        all.push(after(&often));
        assert_eq!(grown(&all), places, "a place was given back");
    }
}
