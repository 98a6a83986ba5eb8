//! User that a child runs as.

/// User and groups that a child runs as, by their numbers. Linux only; elsewhere the start fails.
///
/// The host needs the right to become them: root, or `CAP_SETUID` and `CAP_SETGID`. A child of
/// another user has no capabilities. Its environment stays as it is: set `HOME`, `USER` and
/// `LOGNAME` where a program relies on them.
///
/// ```
/// use execution_engine_process::UserIds;
///
/// let user = UserIds::new(1000, 1000).groups([27]);
/// assert_eq!((user.uid, user.gid, &user.groups[..]), (1000, 1000, &[27][..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct UserIds {
    /// The user: real, effective and saved.
    pub uid: u32,
    /// The group: real, effective and saved.
    pub gid: u32,
    /// The supplementary groups; those of the host are given up.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub groups: Vec<u32>,
}

impl UserIds {
    /// Returns a user with one group.
    pub fn new(uid: u32, gid: u32) -> Self {
        Self { uid, gid, groups: Vec::new() }
    }

    /// Returns `true` if all of these are ids. The highest number is none: to the system it means
    /// "unchanged".
    pub fn are_ids(&self) -> bool {
        ![self.uid, self.gid].iter().chain(&self.groups).any(|id| *id == u32::MAX)
    }

    /// Adds supplementary groups.
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = u32>) -> Self {
        self.groups.extend(groups);
        self
    }
}
