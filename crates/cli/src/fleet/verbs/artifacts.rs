//! `exeng fleet artifacts`: files that an execution has left.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use execution_engine::Artifact;
use tokio::fs::{File, create_dir_all};

use crate::cli::GlobalOptions;
use crate::data;
use crate::failure::Failure;
use crate::service::elsewhere::{Remote, output};
use crate::terminal_text::one_line;

/// Options of `fleet artifacts`.
#[derive(Debug, Args)]
pub(super) struct ArtifactsOptions {
    /// Id of an execution that has ended, the beginning of one, or @last
    #[arg(value_name = "ID")]
    id: String,
    /// Write the files below this directory, at the paths that they had
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Print each as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Lists the files that were collected of an execution, and fetches them if asked to.
pub(super) async fn run(global: &GlobalOptions, options: &ArtifactsOptions) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let id = remote.id(&options.id).await?;
    let known = remote.list_one(id).await?;
    if known.is_some_and(|known| !known.status.is_terminal()) {
        return Err(Failure::new(format!(
            "execution {id} has not ended, and its files are collected then; see exeng wait {id}"
        )));
    }
    let result = output::result(&remote, id).await?;
    output::tell_not_collected(&result);
    for artifact in &result.artifacts {
        if let Some(directory) = &options.to {
            fetch(&remote, directory, artifact).await?;
        }
        match options.json {
            true => data::json(artifact)?,
            false => {
                data::line(&format!("{}  {}", artifact.digest, one_line(&artifact.path)))?;
            }
        }
    }
    Ok(0)
}

/// Writes a file below a directory. Nothing is left of one whose content is not whole.
async fn fetch(remote: &Remote, directory: &Path, artifact: &Artifact) -> Result<(), Failure> {
    let path = directory.join(&artifact.path);
    let failed = |why: String| Failure::new(format!("{}: {why}", path.display()));
    // A worker wrote it.
    if artifact.path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(failed("its path leaves the directory; it is not written".to_owned()));
    }
    if let Some(parent) = path.parent() {
        create_dir_all(parent).await.map_err(|error| failed(error.to_string()))?;
    }
    let read = async |mut file| {
        remote.backend.read_artifact(artifact.digest, &mut file).await.map_err(|e| e.to_string())
    };
    write_whole(&path, artifact.executable, read).await.map_err(failed)
}

/// Writes a file under its name when it is whole. Until then, what has the name stays as it is.
async fn write_whole(
    path: &Path,
    executable: bool,
    write: impl AsyncFnOnce(File) -> Result<(), String>,
) -> Result<(), String> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mode = if executable { 0o777 } else { 0o666 };
    let file = tempfile::Builder::new()
        .prefix(".exeng-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(parent)
        .map_err(|error| error.to_string())?;
    let to = file.as_file().try_clone().map_err(|error| error.to_string())?;
    write(File::from_std(to)).await?;
    file.persist(path).map_err(|error| error.error.to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_file_is_replaced_when_the_new_one_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let missing = async |mut file: File| {
            file.write_all(b"ne").await.unwrap();
            file.flush().await.unwrap();
            Err("is not there".to_owned())
        };
        assert_eq!(write_whole(&path, false, missing).await.unwrap_err(), "is not there");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        let whole = async |mut file: File| {
            file.write_all(b"new").await.unwrap();
            file.flush().await.map_err(|error| error.to_string())
        };
        write_whole(&path, true, whole).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_ne!(path.metadata().unwrap().permissions().mode() & 0o100, 0);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
