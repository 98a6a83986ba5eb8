//! Runs many Python jobs and keeps their results in an SQLite database. Killed and started again, it
//! goes on with those that have no result.
//!
//! ```text
//! cargo run --example jobs                         500 jobs into jobs.db in the temporary directory
//! cargo run --example jobs -- FILE [JOBS] [AT_ONCE]
//! ```

use std::process::ExitCode;

use execution_engine::*;
use rusqlite::{Connection, params};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error>;

/// Job: how many primes there are below a number.
const JOB: &str = "
import sys
last = int(sys.argv[1])
print(sum(all(n % d for d in range(2, int(n ** 0.5) + 1)) for n in range(2, last)))
";

/// The jobs and their results.
struct Database(Connection);

impl Database {
    /// Opens a database and adds the jobs that it lacks.
    fn open(path: &PathBuf, jobs: u32) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE IF NOT EXISTS jobs (
                 number INTEGER PRIMARY KEY, ending TEXT, success INTEGER, output TEXT, seconds REAL
             );",
        )?;
        for number in 1..=jobs {
            connection.execute("INSERT OR IGNORE INTO jobs (number) VALUES (?1)", [number])?;
        }
        Ok(Self(connection))
    }

    /// Returns the jobs without a result.
    fn open_jobs(&self) -> rusqlite::Result<Vec<u32>> {
        let mut query =
            self.0.prepare("SELECT number FROM jobs WHERE ending IS NULL ORDER BY number")?;
        query.query_map([], |row| row.get(0))?.collect()
    }

    fn store(&self, number: u32, result: &ExecutionResult) -> rusqlite::Result<usize> {
        let output = if result.success { &result.stdout } else { &result.stderr };
        self.0.execute(
            "UPDATE jobs SET ending = ?2, success = ?3, output = ?4, seconds = ?5 WHERE number = ?1",
            params![
                number,
                result.ending.to_string(),
                result.success,
                output.trim_end(),
                result.duration.as_secs_f64()
            ],
        )
    }

    /// Returns how many jobs have succeeded, and how many have failed.
    fn counts(&self) -> rusqlite::Result<(u32, u32)> {
        let query =
            "SELECT count(*) FILTER (WHERE success), count(*) FILTER (WHERE NOT success) FROM jobs";
        self.0.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

#[tokio::main]
async fn main() -> std::result::Result<ExitCode, Failure> {
    let mut arguments = std::env::args().skip(1);
    let default = || std::env::temp_dir().join("jobs.db");
    let path = arguments.next().map_or_else(default, PathBuf::from);
    let jobs = arguments.next().map_or(Ok(500), |jobs| jobs.parse())?;
    let at_once = arguments.next().map_or(Ok(4), |at_once| at_once.parse())?;

    let database = Database::open(&path, jobs)?;
    let open = database.open_jobs()?;
    println!("{} of {jobs} jobs have no result in {}", open.len(), path.display());

    // All jobs are submitted at once; the engine's queue lets so many run.
    let config = ExecutionConfig { max_concurrent_executions: at_once, ..Default::default() };
    let queue = Admission::Queue { max_waiting: open.len() };
    let engine = ExecutionEngine::builder().config(config).admission(queue).build()?;
    let mut running = JoinSet::new();
    for number in open {
        let request = ExecutionRequest::exec("python3", ["-c", JOB])
            .arg((number * 20).to_string())
            .timeout(Duration::from_secs(60));
        let options = ExecutionOptions::default().retry(RetryPolicy::new(2));
        let engine = engine.clone();
        running.spawn(async move { (number, engine.run_with(request, options).await) });
    }
    while let Some(ended) = running.join_next().await {
        let (number, result) = ended?;
        database.store(number, &result?)?;
    }
    let (good, bad) = database.counts()?;
    println!("{good} succeeded, {bad} failed");
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
