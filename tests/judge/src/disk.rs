//! What a disk may hold after a power failure.
//!
//! The model is the weakest that a program may rely on. Bytes of a file are certain once the file has been synchronized,
//! its name once its directory has been. Everything else may be there or not: the [`Kept`] says which part is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use fastrand::Rng;

use crate::recording::Entry;

/// Unit in which a disk writes; a longer write can be torn at a multiple of it.
const SECTOR_BYTES: usize = 512;

/// What is kept of that which was not synchronized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The disk had no reason to hurry.
    Nothing,
    /// As after the end of the processes alone.
    Everything,
    /// Writes at random, some of them torn, and names up to a random one.
    Random(u64),
}

/// The files below a directory, by path; directories end with a slash and are empty.
pub type Files = BTreeMap<String, Vec<u8>>;

type Node = usize;

/// The recorded history of a directory.
#[derive(Debug)]
pub struct Disk {
    changes: Vec<Change>,
    nodes: usize,
}

#[derive(Debug)]
enum Change {
    /// Names that are set or removed together; the last one decides when that is certain.
    Names(Vec<Naming>),
    Write {
        node: Node,
        offset: u64,
        data: Vec<u8>,
    },
    Truncate {
        node: Node,
        length: u64,
    },
    Extend {
        node: Node,
        length: u64,
    },
    SyncBegin {
        node: Node,
        number: u64,
    },
    SyncEnd {
        number: u64,
    },
    Mark(String),
}

#[derive(Debug)]
struct Naming {
    dir: Node,
    name: String,
    target: Option<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    File(Node),
    Directory(Node),
}

impl Target {
    fn node(self) -> Node {
        match self {
            Self::File(node) | Self::Directory(node) => node,
        }
    }
}

const ROOT: Node = 0;

type Names = HashMap<Node, BTreeMap<String, Target>>;

/// Resolves the paths of a recording, whose names change while it goes on.
struct Resolver {
    names: Names,
    by_inode: HashMap<u64, Node>,
    nodes: usize,
}

impl Resolver {
    fn lookup(&self, path: &str) -> Option<Target> {
        let mut at = Target::Directory(ROOT);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at = *self.names.get(&at.node())?.get(part)?;
        }
        Some(at)
    }

    fn place<'a>(&self, path: &'a str) -> Result<(Node, &'a str), String> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.lookup(dir) {
            Some(Target::Directory(node)) => Ok((node, name)),
            _ => Err(format!("the directory of {path} was made out of sight")),
        }
    }

    fn new_node(&mut self) -> Node {
        self.nodes += 1;
        self.nodes - 1
    }

    fn naming(&mut self, path: &str, target: Option<Target>) -> Result<Naming, String> {
        let (dir, name) = self.place(path)?;
        let names = self.names.entry(dir).or_default();
        match target {
            Some(target) => names.insert(name.to_string(), target),
            None => names.remove(name),
        };
        Ok(Naming { dir, name: name.to_string(), target })
    }

    fn file(&self, inode: u64, path: &str) -> Result<Node, String> {
        let known = self.by_inode.get(&inode).copied();
        known.ok_or_else(|| format!("{path} was made out of sight"))
    }

    fn target(&self, path: &str) -> Result<Target, String> {
        self.lookup(path).ok_or_else(|| format!("{path} was made out of sight"))
    }

    fn change(&mut self, entry: Entry) -> Result<Option<Change>, String> {
        Ok(Some(match entry {
            Entry::Create { inode, path, mode: _ } => {
                let known = self.by_inode.get(&inode).map(|node| Target::File(*node));
                if known.is_some() && self.lookup(&path) == known {
                    // Two processes saw that it was not there yet.
                    return Ok(None);
                }
                let node = self.new_node();
                self.by_inode.insert(inode, node);
                Change::Names(vec![self.naming(&path, Some(Target::File(node)))?])
            }
            Entry::MakeDirectory { path } => {
                let node = self.new_node();
                Change::Names(vec![self.naming(&path, Some(Target::Directory(node)))?])
            }
            Entry::Rename { from, to } => {
                let target = self.target(&from)?;
                let removed = self.naming(&from, None)?;
                Change::Names(vec![removed, self.naming(&to, Some(target))?])
            }
            Entry::Link { from, to } => {
                let target = self.target(&from)?;
                Change::Names(vec![self.naming(&to, Some(target))?])
            }
            Entry::Unlink { path } | Entry::RemoveDirectory { path } => {
                // A socket, for example, which the recording does not have.
                if self.lookup(&path).is_none() {
                    return Ok(None);
                }
                Change::Names(vec![self.naming(&path, None)?])
            }
            Entry::Write { inode, path, offset, data } => {
                Change::Write { node: self.file(inode, &path)?, offset, data }
            }
            Entry::Truncate { inode, path, length } => {
                Change::Truncate { node: self.file(inode, &path)?, length }
            }
            Entry::Extend { inode, path, length } => {
                Change::Extend { node: self.file(inode, &path)?, length }
            }
            Entry::SyncBegin { inode, path, number } => {
                // A directory may have the inode of a file that is gone; a file may have another path by now.
                let node = match self.lookup(&path) {
                    Some(Target::Directory(node)) => node,
                    _ => self.file(inode, &path)?,
                };
                Change::SyncBegin { node, number }
            }
            Entry::SyncEnd { number } => Change::SyncEnd { number },
            Entry::Mark(text) => Change::Mark(text),
            Entry::Unknown { what } => return Err(format!("the replay has no model of {what}")),
        }))
    }
}

impl Disk {
    /// Resolves a recording that began with an empty directory.
    ///
    /// Fails with what the recording has not seen or what has no model here.
    pub fn new(entries: Vec<Entry>) -> Result<Self, String> {
        let mut resolver =
            Resolver { names: Names::new(), by_inode: HashMap::new(), nodes: ROOT + 1 };
        let mut changes = Vec::new();
        for entry in entries {
            changes.extend(resolver.change(entry)?);
        }
        Ok(Self { changes, nodes: resolver.nodes })
    }

    /// Returns the number of changes; a point is a number of changes that have happened.
    pub fn points(&self) -> usize {
        self.changes.len()
    }

    /// Returns the marks of the first `point` changes.
    pub fn marks(&self, point: usize) -> impl Iterator<Item = &str> {
        self.changes[..point].iter().filter_map(|change| match change {
            Change::Mark(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Returns, for each node, the number of changes that are certain.
    fn certain(&self, point: usize) -> Vec<usize> {
        let mut begun = HashMap::new();
        let mut certain = vec![0; self.nodes];
        for (index, change) in self.changes[..point].iter().enumerate() {
            match change {
                Change::SyncBegin { node, number } => {
                    begun.insert(*number, (*node, index));
                }
                Change::SyncEnd { number } => {
                    let (node, index) = begun[number];
                    certain[node] = certain[node].max(index);
                }
                _ => {}
            }
        }
        certain
    }

    /// Returns the files as a power failure after the first `point` changes may leave them.
    pub fn after(&self, point: usize, kept: Kept) -> Files {
        let certain = self.certain(point);
        let mut random = match kept {
            Kept::Random(seed) => Rng::with_seed(seed),
            Kept::Nothing | Kept::Everything => Rng::with_seed(0),
        };
        let names_kept = match kept {
            Kept::Nothing => 0,
            Kept::Everything => point,
            Kept::Random(_) => random.usize(..=point),
        };
        let mut names = Names::new();
        let mut contents: HashMap<Node, Vec<u8>> = HashMap::new();
        for (index, change) in self.changes[..point].iter().enumerate() {
            let (node, is_name) = match change {
                Change::Names(namings) => (namings[namings.len() - 1].dir, true),
                Change::Write { node, .. }
                | Change::Truncate { node, .. }
                | Change::Extend { node, .. } => (*node, false),
                _ => continue,
            };
            let is_certain = index < certain[node];
            let is_kept = match kept {
                _ if is_certain => true,
                _ if is_name => index < names_kept,
                Kept::Nothing => false,
                Kept::Everything => true,
                Kept::Random(_) => random.bool(),
            };
            if !is_kept {
                continue;
            }
            let may_tear = !is_certain && matches!(kept, Kept::Random(_));
            apply(change, &mut names, &mut contents, may_tear.then_some(&mut random));
        }
        let mut files = Files::new();
        collect(ROOT, "", &names, &contents, &mut files);
        files
    }
}

fn apply(
    change: &Change,
    names: &mut Names,
    contents: &mut HashMap<Node, Vec<u8>>,
    tear: Option<&mut Rng>,
) {
    match change {
        Change::Names(namings) => {
            for naming in namings {
                let dir = names.entry(naming.dir).or_default();
                match naming.target {
                    Some(target) => dir.insert(naming.name.clone(), target),
                    None => dir.remove(&naming.name),
                };
            }
        }
        Change::Write { node, offset, data } => {
            let sectors = data.len() / SECTOR_BYTES;
            let torn = tear
                .filter(|_| sectors > 1)
                .and_then(|random| (random.u8(..4) == 0).then(|| random.usize(1..sectors)));
            let bytes = torn.map_or(data.len(), |sectors| sectors * SECTOR_BYTES);
            let content = contents.entry(*node).or_default();
            let start = usize::try_from(*offset).expect("a file fits into memory");
            if content.len() < start + bytes {
                content.resize(start + bytes, 0);
            }
            content[start..start + bytes].copy_from_slice(&data[..bytes]);
        }
        Change::Truncate { node, length } => {
            let length = usize::try_from(*length).expect("a file fits into memory");
            contents.entry(*node).or_default().resize(length, 0);
        }
        Change::Extend { node, length } => {
            let length = usize::try_from(*length).expect("a file fits into memory");
            let content = contents.entry(*node).or_default();
            content.resize(content.len().max(length), 0);
        }
        Change::SyncBegin { .. } | Change::SyncEnd { .. } | Change::Mark(_) => {}
    }
}

/// Collects the files below a directory, except for SQLite's index of its log, which is only valid while in use.
fn collect(
    dir: Node,
    prefix: &str,
    names: &Names,
    contents: &HashMap<Node, Vec<u8>>,
    files: &mut Files,
) {
    for (name, target) in names.get(&dir).into_iter().flatten() {
        let path = format!("{prefix}{name}");
        match target {
            Target::Directory(node) => {
                files.insert(format!("{path}/"), Vec::new());
                collect(*node, &format!("{path}/"), names, contents, files);
            }
            Target::File(_) if name.ends_with("-shm") => {}
            Target::File(node) => {
                files.insert(path, contents.get(node).cloned().unwrap_or_default());
            }
        }
    }
}

/// Writes files into a directory, for their owner alone.
pub fn write(files: &Files, dir: &Path) {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    for (path, content) in files {
        if let Some(path) = path.strip_suffix('/') {
            std::fs::DirBuilder::new().mode(0o700).create(dir.join(path)).unwrap();
            continue;
        }
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(dir.join(path));
        file.unwrap().write_all(content).unwrap();
    }
}

/// Reads the files below a directory, with the same exceptions as [`Disk::after`]; sockets are left out, too.
pub fn read(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut dirs = vec![(dir.to_path_buf(), String::new())];
    while let Some((dir, prefix)) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                files.insert(format!("{path}/"), Vec::new());
                dirs.push((entry.path(), format!("{path}/")));
            } else if kind.is_file() && !path.ends_with("-shm") {
                files.insert(path, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// Returns in which files two directories differ; the recording is complete if there is none.
pub fn differences(one: &Files, other: &Files) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differing = paths.into_iter().filter(|path| one.get(*path) != other.get(*path));
    let size = |files: &Files, path: &String| {
        files.get(path).map_or("missing".to_string(), |content| format!("{} bytes", content.len()))
    };
    differing.map(|path| format!("{path}: {} and {}", size(one, path), size(other, path))).collect()
}

/// Returns `count` different points of a disk in order, chosen by a seed; all of them if there are fewer.
pub fn choose_points(disk: &Disk, count: usize, seed: u64) -> Vec<usize> {
    let mut points: Vec<usize> = (1..=disk.points()).collect();
    Rng::with_seed(seed).shuffle(&mut points);
    points.truncate(count);
    points.sort_unstable();
    points
}

/// Runs `PRAGMA integrity_check` on a database; returns what is wrong with it.
pub fn integrity(database: &Path) -> Result<(), String> {
    let text = |error: rusqlite::Error| format!("{}: {error}", database.display());
    let connection = rusqlite::Connection::open(database).map_err(text)?;
    // It is a copy that is not needed after the next power failure.
    connection.pragma_update(None, "synchronous", "OFF").map_err(text)?;
    let answer = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match answer.map_err(text)? {
        ok if ok == "ok" => Ok(()),
        fault => Err(format!("{}: {fault}", database.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        text.to_string()
    }

    fn created(name: &str) -> Entry {
        Entry::Create { inode: 1, path: path(name), mode: 0o600 }
    }

    fn write_of(data: &[u8]) -> Entry {
        Entry::Write { inode: 1, path: path("a"), offset: 0, data: data.to_vec() }
    }

    fn sync(inode: u64, of: &str, number: u64) -> [Entry; 2] {
        [Entry::SyncBegin { inode, path: path(of), number }, Entry::SyncEnd { number }]
    }

    fn disk(entries: impl IntoIterator<Item = Entry>) -> Disk {
        Disk::new(entries.into_iter().collect()).unwrap()
    }

    #[test]
    fn only_what_was_synchronized_is_certain() {
        let mut entries = vec![created("a"), write_of(b"one")];
        entries.extend(sync(1, "a", 1));
        entries.extend(sync(9, "", 2));
        entries.push(write_of(b"two"));
        let disk = disk(entries);
        let a = |point, kept| disk.after(point, kept).get("a").cloned();
        assert_eq!(a(2, Kept::Nothing), None, "its name is not certain");
        assert_eq!(a(4, Kept::Nothing), None, "the file is, but not its name");
        assert_eq!(a(6, Kept::Nothing).as_deref(), Some(&b"one"[..]));
        assert_eq!(a(7, Kept::Nothing).as_deref(), Some(&b"one"[..]));
        assert_eq!(a(7, Kept::Everything).as_deref(), Some(&b"two"[..]));
        assert_eq!(a(5, Kept::Everything).as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn a_write_during_a_synchronization_is_not_certain() {
        let [begin, end] = sync(1, "a", 1);
        let create = created("a");
        let [dir_begin, dir_end] = sync(9, "", 2);
        let disk = disk([create, dir_begin, dir_end, begin, write_of(b"late"), end]);
        assert_eq!(disk.after(6, Kept::Nothing)["a"], b"");
        assert_eq!(disk.after(6, Kept::Everything)["a"], b"late");
    }

    #[test]
    fn a_directory_is_not_taken_for_a_file_that_had_its_inode() {
        let gone = [created("gone"), Entry::Unlink { path: path("gone") }];
        let made = [Entry::MakeDirectory { path: path("dir") }];
        let in_it = [Entry::Create { inode: 2, path: path("dir/a"), mode: 0o600 }];
        let synced = sync(1, "dir", 1).into_iter().chain(sync(9, "", 2));
        let disk = disk(gone.into_iter().chain(made).chain(in_it).chain(synced));
        let names: Vec<_> = disk.after(disk.points(), Kept::Nothing).into_keys().collect();
        assert_eq!(names, ["dir/", "dir/a"]);
    }

    #[test]
    fn a_rename_is_certain_with_its_directory() {
        let mut entries = vec![created("new"), write_of(b"x")];
        entries.extend(sync(1, "new", 1));
        entries.extend(sync(9, "", 2));
        entries.push(Entry::Rename { from: path("new"), to: path("a") });
        let before = entries.len();
        entries.extend(sync(9, "", 3));
        let disk = disk(entries);
        let names = |point| disk.after(point, Kept::Nothing).into_keys().collect::<Vec<_>>();
        assert_eq!(names(before), ["new"]);
        assert_eq!(names(before + 2), ["a"]);
    }

    #[test]
    fn random_histories_keep_what_is_certain_and_differ_in_the_rest() {
        let mut entries = vec![created("a"), write_of(&[1; 4096])];
        entries.extend(sync(1, "a", 1));
        entries.extend(sync(9, "", 2));
        entries.push(write_of(&[2; 4096]));
        let disk = disk(entries);
        let point = disk.points();
        let seen: std::collections::BTreeSet<_> = (0..64)
            .map(|seed| disk.after(point, Kept::Random(seed))["a"].clone())
            .inspect(|content| assert_eq!(content.len(), 4096))
            .map(|content| content.iter().filter(|byte| **byte == 2).count())
            .collect();
        assert!(seen.contains(&0) && seen.contains(&4096), "{seen:?}");
        assert!(seen.len() > 2, "none was torn: {seen:?}");
    }

    #[test]
    fn what_was_not_seen_is_an_error() {
        let error = Disk::new(vec![write_of(b"x")]).unwrap_err();
        assert!(error.contains("out of sight"), "{error}");
        let what = path("a symbolic link");
        let error = Disk::new(vec![Entry::Unknown { what }]).unwrap_err();
        assert!(error.contains("no model of a symbolic link"), "{error}");
    }
}
