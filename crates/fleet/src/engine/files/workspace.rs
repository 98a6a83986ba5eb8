//! The directory of a start: its inputs are placed there, and its artifacts come from there.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, fchown, lchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use execution_engine::{Artifact, ExecutionOptions, ExecutionRequest, ExecutionResult, UserIds};
use tempfile::TempDir;
use tokio::fs::File;
use tokio::sync::watch;

use super::content::{read, store};
use super::open::open_below;
use super::pattern::{Found, MAX_ERRORS, find};
use super::place::{NewFile, make_below};
use crate::cluster::Cluster;

/// Longest sum of the paths of artifacts in a result, in bytes.
const MAX_PATHS: usize = 256 * 1024;

/// The directory of a start. One that was made for it is removed with this.
pub(crate) struct Workspace {
    directory: PathBuf,
    /// The directory as it was before the program ran, which may put another one in its place.
    root: Option<Arc<std::fs::File>>,
    temporary: Option<TempDir>,
    collect: Vec<String>,
    user: Option<UserIds>,
}

impl Workspace {
    /// Places the inputs of a request, in a new directory if it names none; `None` if it neither has
    /// inputs nor is anything collected. What is done here is taken out of the options.
    pub(crate) async fn prepare(
        cluster: &dyn Cluster,
        tenant: &str,
        request: &mut ExecutionRequest,
        options: &mut ExecutionOptions,
    ) -> Result<Option<Self>, String> {
        let (inputs, collect) =
            (std::mem::take(&mut options.inputs), std::mem::take(&mut options.collect));
        if inputs.is_empty() && collect.is_empty() {
            return Ok(None);
        }
        let user = options.user.clone();
        let directory = PathBuf::new();
        let mut workspace = Self { directory, root: None, temporary: None, collect, user };
        match &request.working_dir {
            Some(directory) => workspace.directory.clone_from(directory),
            None => {
                let made = workspace
                    .make()
                    .map_err(|error| format!("its working directory could not be made: {error}"))?;
                request.working_dir = Some(made);
            }
        }
        // Without it the program cannot start.
        workspace.root = std::fs::File::open(&workspace.directory).ok().map(Arc::new);
        for input in inputs {
            let placed = workspace.place(cluster, tenant, &input).await;
            placed.map_err(|reason| format!("input {}: {reason}", input.path))?;
        }
        Ok(Some(workspace))
    }

    fn make(&mut self) -> io::Result<PathBuf> {
        let made = tempfile::Builder::new().prefix("exeng-").tempdir()?;
        self.own_new(made.path())?;
        self.directory = made.path().to_owned();
        self.temporary = Some(made);
        Ok(self.directory.clone())
    }

    /// Gives a directory that was just made to the user that the program runs as. A link that was put in
    /// its place is not followed.
    fn own_new(&self, directory: &Path) -> io::Result<()> {
        match &self.user {
            Some(user) => lchown(directory, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    }

    /// Gives an open file or directory to the user that the program runs as.
    fn own(&self, file: &std::fs::File) -> io::Result<()> {
        match &self.user {
            Some(user) => fchown(file, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    }

    async fn place(
        &self,
        cluster: &dyn Cluster,
        tenant: &str,
        input: &Artifact,
    ) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        let parts: Vec<_> = input.path.split('/').collect();
        let (name, parents) = parts.split_last().ok_or("has no path")?;
        if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains('\0')) {
            return Err("its path leaves the working directory, or is not in plain form".into());
        }
        let root = self.root.as_ref().ok_or("the working directory cannot be opened")?;
        let real_root = self.directory.canonicalize().map_err(failed)?;
        let parent = make_below(root, &real_root, parents, |directory| self.own(directory))?;
        let file = NewFile::create(parent).map_err(failed)?;
        let mut to = File::from_std(file.file().try_clone().map_err(failed)?);
        read(cluster, tenant, input.digest, &mut to).await.map_err(|error| error.to_string())?;
        let mode = if input.executable { 0o755 } else { 0o644 };
        file.file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        self.own(file.file()).map_err(failed)?;
        file.put(name).map_err(failed)
    }

    /// Stores what the patterns name, until this is stopped, and notes it in the result. The directory is
    /// removed then, if it was made for this start.
    pub(crate) async fn collect(
        self,
        cluster: &dyn Cluster,
        tenant: &str,
        result: &mut ExecutionResult,
        mut stopped: watch::Receiver<bool>,
    ) {
        let more_errors = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => None,
            more_errors = self.store_files(cluster, tenant, result) => Some(more_errors),
        };
        let errors = &mut result.collect_errors;
        let more = more_errors.unwrap_or(0) + errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        errors.extend((more > 0).then(|| format!("{more} more")));
        errors.extend(more_errors.is_none().then(|| "collecting was stopped".to_owned()));
        if let Some(temporary) = self.temporary {
            let removed = tokio::task::spawn_blocking(move || temporary.close()).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, "the directory of a start could not be removed");
            }
        }
    }

    /// Stores files, and returns the number of errors beyond those that it noted.
    async fn store_files(
        &self,
        cluster: &dyn Cluster,
        tenant: &str,
        result: &mut ExecutionResult,
    ) -> usize {
        let errors = &mut result.collect_errors;
        let mut failed = |error: String| {
            errors.push(format!("the working directory: {error}"));
            0
        };
        let Some(root) = &self.root else {
            return failed("it could not be opened at the start".to_owned());
        };
        let (directory, patterns) = (self.directory.clone(), self.collect.clone());
        let stop = StopOnDrop::default();
        let flag = Arc::clone(&stop.0);
        let found = tokio::task::spawn_blocking(move || find(&directory, &patterns, &flag)).await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return failed(error.to_string()),
            Err(error) => return failed(error.to_string()),
        };
        let Found { files, errors: not_found, more_errors } = found;
        errors.extend(not_found);
        let mut room = MAX_PATHS;
        for (path, below) in files {
            let Some(rest) = room.checked_sub(path.len()) else {
                errors.push(format!("{path} and more: too many paths for a result"));
                break;
            };
            room = rest;
            match store_file(cluster, tenant, Arc::clone(root), below).await {
                Ok((digest, executable)) => {
                    result.artifacts.push(Artifact { path, digest, executable });
                }
                Err(reason) => errors.push(format!("{path}: {reason}")),
            }
        }
        more_errors
    }
}

/// A flag that is set when this is dropped: a search in another thread ends then.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn store_file(
    cluster: &dyn Cluster,
    tenant: &str,
    root: Arc<std::fs::File>,
    below: PathBuf,
) -> Result<(execution_engine::ContentDigest, bool), String> {
    let opened = tokio::task::spawn_blocking(move || open_below(&root, &below)).await;
    let (file, mode) =
        opened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let mut file = File::from_std(file);
    let digest = store(cluster, tenant, &mut file).await.map_err(|error| error.to_string())?;
    Ok((digest, mode & 0o111 != 0))
}
