//! Output of executions that have ended.

use std::fs::File;
use std::io;

use bytes::Bytes;
use execution_engine::OutputStream;
use execution_engine_journal::{JournalReader, ReadAt};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::archive::{self, Archive};
use crate::error::{Result, StoreError};
use crate::execution::StoredPlace;
use crate::files::{Files, private_dir};
use crate::key::sync_parent;
use crate::store::Store;
use crate::stream_reader::{OutputStart, StreamReader};
use crate::writer::WriteTx;

/// Output of an execution that has ended: the bytes of its journal, wherever they are.
///
/// It stays readable while it is held, also if the execution is removed meanwhile. Reads block, for the time that a
/// local file takes.
#[derive(Debug)]
pub struct StoredOutput {
    source: Source,
    name: String,
    bytes: u64,
}

#[derive(Debug)]
enum Source {
    Database(Bytes),
    Journal(File),
    Archive(Archive),
}

impl StoredOutput {
    /// Returns what errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the length of the journal, which is the cursor behind its last record.
    pub fn end(&self) -> u64 {
        self.bytes
    }

    /// Returns a place at or before a byte of a stream, or of both streams as they were written.
    ///
    /// In an archive it is the beginning of the frame that has the byte, or the end if there is no such byte;
    /// elsewhere it is the beginning.
    pub fn place_of(&self, stream: Option<OutputStream>, byte: u64) -> OutputStart {
        let (position, before) = match &self.source {
            Source::Archive(archive) => archive.place_of(stream, byte),
            Source::Database(_) | Source::Journal(_) => return OutputStart::default(),
        };
        OutputStart { position, before }
    }

    /// Returns bytes of a stream, or of both as they were written, from `offset` on: `max` of them, fewer at the
    /// end, and none behind it.
    ///
    /// Each call begins at [`place_of`](Self::place_of). To read in pieces, use a [`StreamReader`].
    ///
    /// # Errors
    ///
    /// [`Journal`](StoreError::Journal) if the file cannot be read or is damaged.
    pub fn read_stream(
        &self,
        stream: Option<OutputStream>,
        offset: u64,
        max: usize,
    ) -> Result<Bytes> {
        let reader = StreamReader::new(JournalReader::new(self, &*self.name), stream, self.bytes);
        reader.read(self.place_of(stream, offset), offset, max)
    }

    /// Returns how many frames of an archive were decompressed.
    #[doc(hidden)]
    pub fn frames_read(&self) -> u64 {
        if let Source::Archive(archive) = &self.source { archive.frames_read() } else { 0 }
    }
}

impl ReadAt for StoredOutput {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes.saturating_sub(position)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let buffer = &mut buffer[..length];
        match &self.source {
            Source::Database(bytes) => bytes.read_at(position, buffer),
            Source::Journal(file) => ReadAt::read_at(file, position, buffer),
            Source::Archive(archive) => archive.read_at(position, buffer),
        }
    }

    fn total_bytes(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }
}

/// Where the output of an execution is, as its row has it.
struct Place {
    place: StoredPlace,
    path: Option<String>,
    bytes: u64,
    inline: Option<Vec<u8>>,
}

impl Place {
    fn of(connection: &Connection, id: Uuid) -> Result<Option<Self>> {
        let query = "SELECT place, place_path, journal_bytes, journal FROM executions \
                     LEFT JOIN outputs USING (seq) WHERE id = ?1";
        let mut query = connection.prepare_cached(query)?;
        let place = query.query_row([id.as_bytes()], |row| {
            Ok(Self {
                place: StoredPlace::of_number(row.get(0)?),
                path: row.get(1)?,
                bytes: row.get::<_, i64>(2)?.unsigned_abs(),
                inline: row.get(3)?,
            })
        });
        Ok(place.optional()?)
    }
}

impl Store {
    /// Returns the output of an execution. None if there is none: it has not ended, was never accepted, or was
    /// removed.
    ///
    /// # Errors
    ///
    /// [`Io`](StoreError::Io) and [`Damaged`](StoreError::Damaged) for its file.
    pub async fn output(&self, id: Uuid) -> Result<Option<StoredOutput>> {
        // The output may move to an archive, and its journal away, between the look at the row and the opening of
        // the file.
        let mut tried = None;
        loop {
            let place = self.read(move |connection| Place::of(connection, id)).await?;
            let Some(place) = place.filter(|place| place.place != StoredPlace::None) else {
                return Ok(None);
            };
            let path = place.path.clone();
            match self.open_output(id, place) {
                Err(StoreError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && tried != Some(path.clone()) =>
                {
                    tried = Some(path);
                }
                output => return output.map(Some),
            }
        }
    }

    /// Returns the output of an execution as [`output`](Self::output) does, and blocks until then.
    pub(crate) fn output_blocking(&self, id: Uuid) -> Result<Option<StoredOutput>> {
        let place = self.read_blocking(move |connection| Place::of(connection, id))?;
        let place = place.filter(|place| place.place != StoredPlace::None);
        place.map(|place| self.open_output(id, place)).transpose()
    }

    fn open_output(&self, id: Uuid, place: Place) -> Result<StoredOutput> {
        let Place { place, path, bytes, inline } = place;
        let path = self.files().resolve(path.as_deref().unwrap_or_default());
        let source = match place {
            StoredPlace::Database | StoredPlace::None => {
                Source::Database(inline.unwrap_or_default().into())
            }
            StoredPlace::Journal => {
                Source::Journal(File::open(&path).map_err(StoreError::io("cannot open", &path))?)
            }
            StoredPlace::Archive => Source::Archive(Archive::open(&path)?),
        };
        let name = match source {
            Source::Database(_) => format!("output of {id}"),
            _ => path.display().to_string(),
        };
        Ok(StoredOutput { source, name, bytes })
    }

    /// Compresses the output of an execution from its journal into a file of the store, on another thread. When
    /// this returns, the file is on the disk and the journal is no longer needed.
    ///
    /// Returns `false` if there is nothing to do: the output is in no journal, or the execution was removed.
    ///
    /// # Errors
    ///
    /// [`Journal`](StoreError::Journal) if the journal is damaged; it stays the place of the output then.
    /// [`Full`](StoreError::Full), [`ReadOnly`](StoreError::ReadOnly), [`Io`](StoreError::Io): try again later.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing is left half-done: the output is in the archive or in the journal. A file
    /// that nothing needs is removed when the store is opened again.
    pub async fn archive(&self, id: Uuid) -> Result<bool> {
        let place = self.read(move |connection| Place::of(connection, id)).await?;
        let Some((journal, bytes)) = place.and_then(Place::journal) else { return Ok(false) };
        let path = Files::new_archive_path(id);
        let announced = path.clone();
        // Announced before it is there: a crash leaves no file that the store does not know of.
        self.write("archive_announced", 256, move |tx| tx.announce_file(&announced)).await?;
        let written = self.write_archive(journal.clone(), bytes, path.clone()).await;
        let moved = match written {
            Ok(file_bytes) => {
                let (journal, path) = (journal, path.clone());
                self.write("archive", 512, move |tx| {
                    tx.move_output(id, &journal, &path, file_bytes)
                })
                .await
            }
            Err(error) => Err(error),
        };
        if !matches!(moved, Ok(true)) {
            self.files().remove(vec![path]);
        }
        moved
    }

    async fn write_archive(&self, journal: String, bytes: u64, path: String) -> Result<u64> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let files = self.files();
        let (journal, path) = (files.resolve(&journal), files.resolve(&path));
        let hooks = self.config().hooks.clone();
        files.run(move || {
            let reach =
                |step: &str| hooks.at(step, "done").map_err(StoreError::io("cannot write", &path));
            let write = || -> Result<u64> {
                if let Some(dir) = path.parent() {
                    private_dir(dir)?;
                    sync_parent(dir)?;
                }
                // Under its final name, which no reader knows before the commit.
                reach("archive_announced")?;
                let file_bytes = archive::write(&JournalReader::open(&journal)?, bytes, &path)?;
                reach("archive_written")?;
                sync_parent(&path)?;
                // Its name is on the disk as well: what a rename would be where there is one.
                reach("archive_renamed")?;
                Ok(file_bytes)
            };
            let _ = sender.send(write());
        })?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }
}

impl Place {
    /// Returns path and length of the journal, if the output is there.
    fn journal(self) -> Option<(String, u64)> {
        (self.place == StoredPlace::Journal).then_some(())?;
        Some((self.path?, self.bytes))
    }
}

impl WriteTx<'_> {
    /// Notes that output is in an archive, unless it is no longer in the journal that the archive is of.
    fn move_output(
        &mut self,
        id: Uuid,
        journal: &str,
        path: &str,
        file_bytes: u64,
    ) -> Result<bool> {
        let row = self.find(id)?;
        let row = row.filter(|row| {
            row.place == StoredPlace::Journal && row.path.as_deref() == Some(journal)
        });
        let Some(row) = row else { return Ok(false) };
        let update =
            "UPDATE executions SET place = ?2, place_path = ?3, file_bytes = ?4 WHERE seq = ?1";
        self.connection.prepare_cached(update)?.execute(params![
            row.seq,
            StoredPlace::Archive.number(),
            path,
            file_bytes.cast_signed(),
        ])?;
        self.connection
            .prepare_cached("DELETE FROM unowned_files WHERE path = ?1")?
            .execute([path])?;
        let others = self.totals.file_bytes.saturating_sub(row.file_bytes);
        self.totals.file_bytes = others + file_bytes;
        Ok(true)
    }
}
