//! What a thread of the driver waits for on behalf of its executions: descriptors that become ready,
//! and moments that come.
//!
//! tokio's reactor takes some 300 bytes for each descriptor and its timers 112 for each moment, and
//! every execution waits for three of the one and one of the other. So a thread registers two things
//! with tokio, whatever the number of its executions: a poll of its own, and one alarm. What an
//! execution has beyond that is a post of some 40 bytes. It also saves the calls that take each
//! descriptor out of a reactor again, since the system forgets one that is closed, and those by which
//! a reactor wakes itself for a new moment.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use execution_engine_process::Watch;
use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::types::OutputStream;

/// How many descriptors are heard of at a time.
const MOST_EVENTS: usize = 64;

/// A descriptor that an execution waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    Exit,
    Stdout,
    Stderr,
}

/// One task's place at the lookout of its thread.
#[derive(Debug)]
pub(crate) struct Post {
    lookout: Arc<Lookout>,
    number: usize,
}

#[derive(Debug)]
struct Lookout {
    posts: Mutex<Posts>,
    /// Rung when a moment is asked for that comes before the alarm.
    sooner: Notify,
}

#[derive(Debug)]
struct Posts {
    poll: mio::Poll,
    states: Slab<State>,
    /// When to look for moments that have come; none comes before it. It may be too early, because
    /// whoever asked for it may have gone.
    alarm: Option<Instant>,
}

/// What is known at one post.
#[derive(Debug, Default)]
struct State {
    /// Who waits there.
    waker: Option<Waker>,
    /// What may be ready. That it is not after all costs a look; so it does no harm that the sign may
    /// be of a descriptor which somebody had here before.
    ready: [bool; Sight::ALL.len()],
    /// Whether the end was told together with something before it.
    ends: [bool; Sight::ALL.len()],
    /// The moment that is waited for.
    moment: Option<Instant>,
    has_come: bool,
}

thread_local! {
    static LOOKOUT: OnceCell<Arc<Lookout>> = const { OnceCell::new() };
}

impl From<OutputStream> for Sight {
    fn from(stream: OutputStream) -> Self {
        match stream {
            OutputStream::Stdout => Self::Stdout,
            OutputStream::Stderr => Self::Stderr,
        }
    }
}

impl Sight {
    const ALL: [Self; 3] = [Self::Exit, Self::Stdout, Self::Stderr];

    /// What the system calls this of a post.
    fn token(self, post: usize) -> Token {
        Token(post * Self::ALL.len() + self as usize)
    }

    fn of(Token(token): Token) -> (usize, Self) {
        (token / Self::ALL.len(), Self::ALL[token % Self::ALL.len()])
    }
}

impl Post {
    /// A place at the lookout of this thread. It must be one of the driver's: they have the same
    /// runtime for as long as they live.
    pub(crate) fn new() -> io::Result<Self> {
        let lookout = LOOKOUT.with(|lookout| match lookout.get() {
            Some(lookout) => Ok(Arc::clone(lookout)),
            None => Lookout::start().map(|new| Arc::clone(lookout.get_or_init(|| new))),
        })?;
        let number = lookout.lock().states.insert(State::default());
        Ok(Self { lookout, number })
    }

    /// Looks out for this descriptor until it is closed.
    pub(crate) fn watch(&self, sight: Sight, fd: &impl AsFd) -> io::Result<()> {
        let (fd, token) = (fd.as_fd().as_raw_fd(), sight.token(self.number));
        self.lookout.lock().poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)
    }

    /// Ready if there has been a sign since the last time that the descriptor is. Whoever is told has
    /// to look at it until nothing is left there, for the next sign is of something new. Cancel safe.
    pub(crate) fn poll_ready(&self, sight: Sight, cx: &Context<'_>) -> Poll<()> {
        let mut posts = self.lookout.lock();
        let state = &mut posts.states[self.number];
        if std::mem::take(&mut state.ready[sight as usize]) {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// All that was there has been taken. What comes next gives a sign, but for an end that has come with
    /// what was before it: that is left there.
    pub(crate) fn taken(&self, sight: Sight) {
        let state = &mut self.lookout.lock().states[self.number];
        state.ready[sight as usize] |= state.ends[sight as usize];
    }

    /// Something was left there.
    pub(crate) fn more(&self, sight: Sight) {
        self.lookout.lock().states[self.number].ready[sight as usize] = true;
    }

    /// Ready once this moment has come; None never comes. One moment at a time. Cancel safe.
    pub(crate) fn poll_reached(&self, moment: Option<Instant>, cx: &Context<'_>) -> Poll<()> {
        let mut posts = self.lookout.lock();
        let Posts { states, alarm, .. } = &mut *posts;
        let state = &mut states[self.number];
        if state.moment != moment {
            state.moment = moment;
            state.has_come = moment.is_some_and(|moment| moment <= Instant::now());
            if moment.is_some_and(|moment| alarm.is_none_or(|alarm| moment < alarm)) {
                *alarm = moment;
                self.lookout.sooner.notify_one();
            }
        }
        if state.has_come {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let state = self.lookout.lock().states.remove(self.number);
        // Without the lock: what it belongs to is not ours.
        drop(state.waker);
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Lookout {
    fn start() -> io::Result<Arc<Self>> {
        let poll = mio::Poll::new()?;
        let watch = Watch::readable(poll.registry().as_fd().try_clone_to_owned()?)?;
        let posts = Mutex::new(Posts { poll, states: Slab::new(), alarm: None });
        let new = Arc::new(Self { posts, sooner: Notify::new() });
        tokio::spawn(Arc::clone(&new).keep(watch));
        Ok(new)
    }

    /// Keeps looking for as long as the runtime lasts.
    async fn keep(self: Arc<Self>, watch: Watch) {
        let mut events = Events::with_capacity(MOST_EVENTS);
        let mut wakers = Vec::new();
        let mut alarm = pin!(sleep_until(Instant::now().into()));
        let mut set_to = None;
        loop {
            let next = self.lock().alarm;
            if let Some(next) = next.filter(|_| next != set_to) {
                alarm.as_mut().reset(next.into());
            }
            set_to = next;
            tokio::select! {
                biased;
                ready = watch.ready() => {
                    if ready.is_err() {
                        // The runtime is shutting down.
                        return;
                    }
                    while self.lock().look(&mut events, &mut wakers) == MOST_EVENTS {}
                }
                () = self.sooner.notified() => {}
                () = alarm.as_mut(), if set_to.is_some() => {
                    self.lock().ring(Instant::now(), &mut wakers);
                    set_to = None;
                }
            }
            // Without the lock.
            wakers.drain(..).for_each(Waker::wake);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posts> {
        // No code of others runs under the lock, so what it guards is whole.
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posts {
    /// Asks the system for signs, and notes whom to wake for them. How many there were.
    fn look(&mut self, events: &mut Events, wakers: &mut Vec<Waker>) -> usize {
        while let Err(error) = self.poll.poll(events, Some(Duration::ZERO)) {
            if error.kind() != io::ErrorKind::Interrupted {
                tracing::error!(%error, "the system does not tell what is ready");
                return 0;
            }
        }
        let mut count = 0;
        for event in &*events {
            count += 1;
            let (post, sight) = Sight::of(event.token());
            // Otherwise it was for one who has gone.
            if let Some(state) = self.states.get_mut(post) {
                state.ready[sight as usize] = true;
                state.ends[sight as usize] |= event.is_read_closed();
                wakers.extend(state.waker.take());
            }
        }
        count
    }

    /// Notes whose moment has come and whom to wake for it, and sets the alarm to the next.
    fn ring(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        self.alarm = None;
        for (_, state) in self.states.iter_mut().filter(|(_, state)| !state.has_come) {
            match state.moment {
                Some(moment) if moment <= now => {
                    state.has_come = true;
                    wakers.extend(state.waker.take());
                }
                later => self.alarm = self.alarm.into_iter().chain(later).min(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::os::fd::OwnedFd;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SHORTLY: Duration = Duration::from_millis(20);

    /// On a thread with one runtime, like those of the driver.
    fn on_a_lane(test: impl Future<Output = ()> + Send + 'static) {
        let lane = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let in_time = tokio::time::timeout(Duration::from_secs(30), test).await;
                in_time.expect("it takes too long");
            });
        });
        lane.join().unwrap();
    }

    async fn reached(post: &Post, moment: Instant) {
        poll_fn(|cx| post.poll_reached(Some(moment), cx)).await;
        assert!(moment <= Instant::now());
    }

    async fn is_reached(post: &Post, moment: Option<Instant>) -> bool {
        poll_fn(|cx| Poll::Ready(post.poll_reached(moment, cx).is_ready())).await
    }

    async fn ready(post: &Post, sight: Sight) {
        poll_fn(|cx| post.poll_ready(sight, cx)).await;
    }

    async fn is_ready(post: &Post, sight: Sight) -> bool {
        poll_fn(|cx| Poll::Ready(post.poll_ready(sight, cx).is_ready())).await
    }

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap()
    }

    fn write(pipe: &OwnedFd) {
        assert_eq!(rustix::io::write(pipe, b"x").unwrap(), 1);
    }

    #[test]
    fn a_sooner_moment_comes_first_whenever_it_was_asked_for() {
        on_a_lane(async {
            let [late, soon, never] = [(); 3].map(|()| Post::new().unwrap());
            let start = Instant::now();
            assert!(!is_reached(&never, None).await);
            assert!(!is_reached(&late, Some(start + HOUR)).await);
            reached(&soon, start + SHORTLY).await;
            reached(&soon, Instant::now() + SHORTLY).await;
            assert!(!is_reached(&late, Some(start + HOUR)).await);
            assert!(!is_reached(&never, None).await);
            reached(&late, Instant::now() + SHORTLY).await;
            reached(&late, start).await;
        });
    }

    #[test]
    fn a_moment_that_is_put_off_does_not_come_and_holds_up_nobody() {
        on_a_lane(async {
            let [one, other] = [(); 2].map(|()| Post::new().unwrap());
            let start = Instant::now();
            assert!(!is_reached(&one, Some(start + SHORTLY)).await);
            assert!(!is_reached(&one, Some(start + HOUR)).await);
            reached(&other, start + 2 * SHORTLY).await;
            assert!(!is_reached(&one, Some(start + HOUR)).await);
            drop(one);
            reached(&other, Instant::now() + SHORTLY).await;
        });
    }

    #[test]
    fn what_is_new_gives_a_sign_and_so_does_the_end() {
        on_a_lane(async {
            let (post, (read, end)) = (Post::new().unwrap(), pipe());
            post.watch(Sight::Stdout, &read).unwrap();
            for _ in 0..3 {
                assert!(!is_ready(&post, Sight::Stdout).await);
                write(&end);
                ready(&post, Sight::Stdout).await;
                assert_eq!(rustix::io::read(&read, &mut [0; 8]).unwrap(), 1);
                post.more(Sight::Stdout);
                assert!(is_ready(&post, Sight::Stdout).await, "it was told that there is more");
            }
            drop(end);
            ready(&post, Sight::Stdout).await;
            assert!(!is_ready(&post, Sight::Exit).await);
        });
    }

    #[test]
    fn an_end_that_comes_with_what_was_before_it_is_left_there() {
        on_a_lane(async {
            let (post, (read, end)) = (Post::new().unwrap(), pipe());
            post.watch(Sight::Stdout, &read).unwrap();
            write(&end);
            drop(end);
            ready(&post, Sight::Stdout).await;
            assert_eq!(rustix::io::read(&read, &mut [0; 8]).unwrap(), 1);
            post.taken(Sight::Stdout);
            ready(&post, Sight::Stdout).await;
            assert_eq!(rustix::io::read(&read, &mut [0; 8]).unwrap(), 0);
        });
    }

    #[test]
    fn each_post_gets_its_own_signs() {
        on_a_lane(async {
            let posts: Vec<_> = (0..MOST_EVENTS).map(|_| Post::new().unwrap()).collect();
            let ends = posts.iter().map(|post| {
                let pipes = [pipe(), pipe()];
                post.watch(Sight::Stdout, &pipes[0].0).unwrap();
                post.watch(Sight::Stderr, &pipes[1].0).unwrap();
                pipes
            });
            let ends: Vec<_> = ends.collect();
            write(&ends[7][1].1);
            ready(&posts[7], Sight::Stderr).await;
            for post in &posts {
                assert!(
                    !is_ready(post, Sight::Stdout).await && !is_ready(post, Sight::Stderr).await
                );
            }
            // More than are heard of at a time.
            ends.iter().flatten().for_each(|(_, end)| write(end));
            for post in &posts {
                ready(post, Sight::Stdout).await;
                ready(post, Sight::Stderr).await;
            }
        });
    }

    #[test]
    fn a_sign_for_one_who_has_gone_is_no_more_than_a_needless_look() {
        on_a_lane(async {
            let (gone, (read, end)) = (Post::new().unwrap(), pipe());
            gone.watch(Sight::Stdout, &read).unwrap();
            let number = gone.number;
            drop(gone);
            write(&end);
            let next = Post::new().unwrap();
            assert_eq!(next.number, number);
            ready(&next, Sight::Stdout).await;
            let (read, end) = pipe();
            next.watch(Sight::Stdout, &read).unwrap();
            write(&end);
            ready(&next, Sight::Stdout).await;
        });
    }
}
