//! Saves the output of an execution in a file, without passing it through the page.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tauri::{AppHandle, Manager, Runtime};
use tauri_plugin_execution_engine::ExecutionEngineExt;
use tauri_plugin_execution_engine::execution_engine::{
    ExecutionEngine, OutputCursor, OutputPage, OutputPart, OutputQuery, Uuid,
};

/// Bytes that are read and written at a time.
const PAGE_BYTES: usize = 1024 * 1024;
/// Names that are tried for a file, before the directory is said to be full of them.
const MAX_NAMES: u32 = 1000;

/// Writes all output that is kept, as it was read, to a new file in the user's directory for downloads.
/// Returns its path.
#[tauri::command]
pub(crate) async fn save_output<R: Runtime>(
    app: AppHandle<R>,
    id: Uuid,
) -> Result<PathBuf, String> {
    let paths = app.path();
    let dir =
        paths.download_dir().or_else(|_| paths.home_dir()).map_err(|error| error.to_string())?;
    let engine = app.execution_engine();
    let saved = tauri::async_runtime::spawn_blocking(move || save(&engine, id, &dir));
    saved.await.map_err(|error| error.to_string())?
}

fn save(engine: &Arc<ExecutionEngine>, id: Uuid, dir: &Path) -> Result<PathBuf, String> {
    // Read first: nothing is created for an execution that is not known.
    let mut page = read(engine, id, OutputCursor::default())?;
    let failed =
        |error: io::Error| format!("the output cannot be saved in {}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(failed)?;
    let (path, file) = create(dir, id).map_err(failed)?;
    let mut file = BufWriter::new(file);
    loop {
        for part in &page.parts {
            match part {
                OutputPart::Output { bytes, .. } => file.write_all(bytes),
                OutputPart::Missed { bytes } => {
                    writeln!(file, "\n[{bytes} bytes of output are no longer available]")
                }
                _ => Ok(()),
            }
            .map_err(failed)?;
        }
        if page.ended || page.parts.is_empty() {
            file.flush().map_err(failed)?;
            return Ok(path);
        }
        page = read(engine, id, page.next)?;
    }
}

fn read(engine: &ExecutionEngine, id: Uuid, cursor: OutputCursor) -> Result<OutputPage, String> {
    let page = engine.read_output(id, OutputQuery::after(cursor).max_bytes(PAGE_BYTES));
    tauri::async_runtime::block_on(page).map_err(|error| error.to_string())
}

/// Creates a file that does not exist: `output-1a2b3c4d.txt`, or with a number behind it.
fn create(dir: &Path, id: Uuid) -> io::Result<(PathBuf, File)> {
    let id = &id.simple().to_string()[..8];
    for number in 1..=MAX_NAMES {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let path = dir.join(format!("output-{id}{suffix}.txt"));
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (path, file)),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many files of this output"))
}
