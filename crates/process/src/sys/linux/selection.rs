//! The level of a containment: chosen when it is made, and again when a start shows that the host
//! does not offer it any more.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cgroup::{self, CgroupEntry, CgroupPlace};
use super::host_state::{HostRights, HostState};
use super::kept_root;
use super::proc;
use super::unavailable::Unavailable;
use crate::error::{SpawnError, SpawnStage};
use crate::{CoarseInstant, Level};

/// Time between two looks at the host.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How the next child is contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Group,
    Tree,
    Cgroup(CgroupEntry),
}

impl Method {
    pub(super) fn level(self) -> Level {
        match self {
            Self::Group => Level::ProcessGroup,
            Self::Tree => Level::ProcessTree,
            Self::Cgroup(_) => Level::Cgroup,
        }
    }
}

/// What a look at the host has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// It is in another control group, or has other rights.
    Elsewhere,
    /// No path leads to its control group any more.
    OutOfSight,
    /// It has no /proc any more.
    Lost,
}

/// Level of one containment.
#[derive(Debug)]
pub(super) struct Selection {
    /// The level that was asked for. `None` stands for the strongest.
    required: Option<Level>,
    /// The control group for those of children. `None` is the host's own.
    parent: Option<PathBuf>,
    chosen: Mutex<Chosen>,
    /// The last look at the host's control group.
    looked: CoarseInstant,
}

#[derive(Debug)]
struct Chosen {
    method: Method,
    /// The host when it was chosen.
    host: HostState,
    /// It is weaker than an earlier one.
    has_fallen: bool,
}

impl Selection {
    /// Chooses this level, or says why this host does not offer it.
    pub(super) fn of(level: Level) -> Result<Self, Unavailable> {
        let host = HostState::now(None);
        let method = offered(level, &host)?;
        Ok(Self::new(Some(level), None, method, host))
    }

    /// Chooses control groups below this one, or says why they cannot be used.
    pub(super) fn below(parent: PathBuf) -> Result<Self, Unavailable> {
        let host = HostState::now(Some(&parent));
        let method = offered(Level::Cgroup, &host)?;
        Ok(Self::new(Some(Level::Cgroup), Some(parent), method, host))
    }

    /// Chooses the strongest level that this host offers.
    pub(super) fn strongest() -> Self {
        let host = HostState::now(None);
        Self::new(None, None, strongest(&host), host)
    }

    fn new(
        required: Option<Level>,
        parent: Option<PathBuf>,
        method: Method,
        host: HostState,
    ) -> Self {
        let chosen = Mutex::new(Chosen { method, host, has_fallen: false });
        Self { required, parent, chosen, looked: CoarseInstant::now() }
    }

    /// Returns the directory of the control group below which those of children are made.
    pub(super) fn parent_group(&self) -> Result<PathBuf, Unavailable> {
        self.parent.clone().map_or_else(cgroup::own_group, Ok)
    }

    fn host_now(&self) -> HostState {
        HostState::now(self.parent.as_deref())
    }

    pub(super) fn method(&self) -> Method {
        self.lock().method
    }

    /// Follows a host that has changed since the level was chosen, and returns `true` if the groups
    /// that there are belong to the past. Not all changes show: see [`choose_again`].
    ///
    /// [`choose_again`]: Self::choose_again
    pub(super) fn follow_host(&self) -> bool {
        let chosen_anew = {
            let mut chosen = self.lock();
            match self.look(&chosen) {
                Change::None => return false,
                Change::OutOfSight => {
                    // It may be in sight elsewhere. If not, a start finds out what is left.
                    let host = self.host_now();
                    if host.cgroup.is_ok() {
                        chosen.host = host;
                    }
                    return true;
                }
                change => chosen.follow(change, self.host_now()),
            }
        };
        // Without the lock, because a subscriber may ask for the level.
        if let Some(method) = chosen_anew {
            tracing::info!(level = %method.level(), "the host has changed; level chosen anew");
        }
        chosen_anew.is_some()
    }

    /// Looks for a change. After a fall rights are looked at each time, because a server may take on
    /// those of a user for a moment; otherwise every few seconds, since each start has a budget of
    /// system calls.
    fn look(&self, chosen: &Chosen) -> Change {
        let Chosen { method, host, has_fallen } = chosen;
        if *has_fallen && host.rights != HostRights::now() {
            return Change::Elsewhere;
        }
        if self.looked.elapsed() < LOOK_INTERVAL {
            return Change::None;
        }
        self.looked.note();
        let is_in_sight = |dir: &PathBuf| kept_root::stat(dir.join("cgroup.procs")).is_ok();
        match method {
            Method::Cgroup(_) if !host.cgroup.as_ref().is_ok_and(is_in_sight) => Change::OutOfSight,
            // Programs belong where their host is, unless another place was chosen for them.
            Method::Cgroup(_) if self.parent.is_some() => Change::None,
            Method::Cgroup(_) if host.is_elsewhere(&CgroupPlace::own()) => Change::Elsewhere,
            Method::Tree if self.required.is_none() && proc::check_listing().is_err() => {
                Change::Lost
            }
            _ if *has_fallen && host.is_elsewhere(&CgroupPlace::own()) => Change::Elsewhere,
            _ => Change::None,
        }
    }

    /// Chooses again after a start by `method` has failed to contain its child.
    ///
    /// # Errors
    /// The failure, with the reason, if the level was asked for and the host does not offer it now.
    pub(super) fn choose_again(
        &self,
        method: Method,
        failure: SpawnError,
    ) -> Result<Method, SpawnError> {
        let mut chosen = self.lock();
        if chosen.method != method {
            // Another thread has chosen meanwhile.
            return Ok(chosen.method);
        }
        cgroup::forget();
        let host = self.host_now();
        let unavailable = match offered(method.level(), &host) {
            Ok(method) => {
                *chosen = Chosen { method, host, has_fallen: false };
                return Ok(method);
            }
            Err(unavailable) => unavailable,
        };
        if let Some(passing) = unavailable.passing() {
            let reason = format!("{passing}; {unavailable}");
            return Err(SpawnError::new(SpawnStage::Containment, passing).with_text(reason));
        }
        if let Some(level) = self.required {
            return Err(lost(level, failure, &unavailable, &chosen.host.changes_to(&host)));
        }
        let weaker = strongest(&host);
        *chosen = Chosen { method: weaker, host, has_fallen: true };
        // Without the lock, because a subscriber may ask for the level.
        drop(chosen);
        tracing::warn!(
            from = %method.level(), to = %weaker.level(), reason = %unavailable,
            "this host no longer offers a level; programs are contained by a weaker one"
        );
        Ok(weaker)
    }

    fn lock(&self) -> MutexGuard<'_, Chosen> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chosen {
    /// Follows a host to its present state. Returns how children are contained now, if that was
    /// chosen anew.
    fn follow(&mut self, change: Change, host: HostState) -> Option<Method> {
        let method = match offered(Level::Cgroup, &host) {
            Ok(method) => method,
            // There is no descriptor just now; the next look finds out.
            Err(unavailable) if unavailable.passing().is_some() => return None,
            Err(_) if self.has_fallen || change == Change::Lost => strongest(&host),
            // The groups that there are serve on until a start shows that they do not.
            Err(_) => {
                self.host = host;
                return None;
            }
        };
        let has_fallen = self.has_fallen || method.level() < self.method.level();
        let has_fallen = has_fallen && method.level() < Level::Cgroup;
        *self = Self { method, host, has_fallen };
        Some(method)
    }
}

fn strongest(host: &HostState) -> Method {
    let mut levels = Level::ALL.into_iter().rev();
    levels.find_map(|level| offered(level, host).ok()).unwrap_or(Method::Group)
}

/// Returns how this host offers a level, or why it does not.
fn offered(level: Level, host: &HostState) -> Result<Method, Unavailable> {
    match level {
        Level::ProcessGroup => Ok(Method::Group),
        Level::ProcessTree => match proc::check_listing() {
            Ok(()) => Ok(Method::Tree),
            Err(error) => Err(Unavailable::of("/proc cannot be used", &error)),
        },
        Level::Cgroup => cgroup::entry(host).map(Method::Cgroup),
    }
}

/// Returns the failure of a start at a level that was asked for, and that the host has lost.
fn lost(
    level: Level,
    failure: SpawnError,
    unavailable: &Unavailable,
    changes: &[String],
) -> SpawnError {
    let cause = if changes.is_empty() {
        String::new()
    } else {
        format!("; since this engine was made the process has {}", changes.join(" and "))
    };
    let reason = format!(
        "{}; the level {level} that this engine requires is no longer available: {unavailable}\
         {cause}; restore that, or build an engine that requires no level",
        failure.source
    );
    failure.with_text(reason)
}
