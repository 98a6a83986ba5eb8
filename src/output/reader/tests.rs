//! The order in which the two pipes of a program are read. The program is played by the test, so both
//! pipes hold what they hold before the reader looks.

use execution_engine_process::{Launch, Level, PipeWriter, PlayedProgram};
use tokio::io::AsyncWriteExt;

use super::super::journal::{JournalCursor, JournalItem, JournalLimits, JournalOwner, View};
use super::*;

/// A reader, the program whose pipes it reads, and what it has published.
struct Reading {
    reader: OutputReader,
    program: PlayedProgram,
    journal: Arc<Journal>,
    cursor: JournalCursor,
}

impl Reading {
    fn new() -> Self {
        let launch = Launch::new("/bin/played");
        let (spawned, program) =
            PlayedProgram::start(&launch, Level::ProcessGroup, |_| ()).unwrap();
        let limits = JournalLimits {
            limit: usize::MAX,
            oversized: OversizedOutputStrategy::TruncateWithWarning,
            window: 0,
            max_line_bytes: 64 * 1024,
        };
        let journal = Arc::new(Journal::new(JournalOwner::default(), "played".into(), limits));
        let settings = OutputSettings {
            journal: Arc::clone(&journal),
            limit: usize::MAX,
            oversized: OversizedOutputStrategy::TruncateWithWarning,
            overflow_dir: Arc::new(OverflowDir::new(0)),
            file_threads: Arc::new(BlockingPool::new("files", 1, || ())),
            partial_after: None,
        };
        let pipes = [spawned.stdout, spawned.stderr];
        let reader = OutputReader::new(pipes, ExecutionLogs::default(), settings);
        let cursor = journal.reader(View::Chunks, 0);
        Self { reader, program, journal, cursor }
    }

    /// Writes to both streams, like `echo out; echo err >&2`.
    async fn write_both(&mut self, text: &str) {
        write(&mut self.program.stdout, text).await;
        write(&mut self.program.stderr, text).await;
    }

    /// Reads while nothing is there, as at the start of each program.
    async fn find_nothing(&mut self) {
        tokio::select! {
            biased;
            step = self.reader.step() => panic!("nothing was written: {step:?}"),
            () = std::future::ready(()) => {}
        }
    }

    /// Returns the streams of the chunks that were published since the last call.
    fn published(&mut self) -> Vec<OutputStream> {
        let items = std::iter::from_fn(|| self.journal.next(&mut self.cursor, u64::MAX));
        let stream = |item| match item {
            JournalItem::Chunk { stream, .. } => stream,
            item => panic!("{item:?} is no output"),
        };
        items.map(stream).collect()
    }
}

async fn write(pipe: &mut Option<PipeWriter>, text: &str) {
    pipe.as_mut().unwrap().write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn stdout_is_read_first_where_both_pipes_have_output() {
    let mut reading = Reading::new();
    for round in 0..20 {
        // Looks in vain must not change whose turn it is, however many they are.
        for _ in 0..round % 3 {
            reading.find_nothing().await;
        }
        reading.write_both("a line\n").await;
        reading.reader.step().await;
        reading.reader.step().await;
        assert_eq!(reading.published(), OutputStream::BOTH, "round {round}");
    }
}

#[tokio::test]
async fn stdout_is_read_first_after_the_exit() {
    let mut reading = Reading::new();
    for round in 0..20 {
        for _ in 0..round % 3 {
            assert!(reading.reader.step_now().is_none());
        }
        reading.write_both("a line\n").await;
        while reading.reader.step_now().is_some() {}
        assert_eq!(reading.published(), OutputStream::BOTH, "round {round}");
    }
}

#[tokio::test]
async fn a_busy_stdout_does_not_starve_stderr() {
    let mut reading = Reading::new();
    write(&mut reading.program.stderr, "a line\n").await;
    let mut before = 0;
    loop {
        // Stdout has output before each read, so it is always ready.
        write(&mut reading.program.stdout, "a line\n").await;
        assert!(reading.reader.step_now().is_some());
        match reading.published()[..] {
            [OutputStream::Stdout] => before += 1,
            [OutputStream::Stderr] => break,
            ref published => panic!("{published:?} by one step"),
        }
        assert!(before <= STDOUT_IN_A_ROW, "stderr has no turn");
    }
    assert_eq!(before, STDOUT_IN_A_ROW);
}
