//! The guide's snippets, compiled to the letter and run. Two things differ: paths that must exist are
//! those of this test, and the guide's elisions ("rest of config") are filled.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use execution_engine::*;
use tokio::sync::Notify;

/// Prints, and records the text in the `SAID` of the calling module.
macro_rules! println {
    ($($text:tt)*) => {{
        let text = format!($($text)*);
        std::println!("{text}");
        SAID.note(text);
    }};
}

/// Texts that a snippet has printed.
struct Said {
    texts: Mutex<Vec<String>>,
    more: Notify,
}

impl Said {
    const fn new() -> Self {
        Self { texts: Mutex::new(Vec::new()), more: Notify::const_new() }
    }

    fn note(&self, text: String) {
        self.texts.lock().unwrap().push(text);
        self.more.notify_one();
    }

    /// Returns the texts since the last call, joined by newlines.
    fn take(&self) -> String {
        self.texts.lock().unwrap().drain(..).collect::<Vec<_>>().join("\n")
    }

    /// Like `take`, once there are `count` texts.
    async fn take_when(&self, count: usize) -> String {
        while self.texts.lock().unwrap().len() < count {
            self.more.notified().await;
        }
        self.take()
    }
}

/// In place of the guide's `/working/directory`.
const WORKING_DIRECTORY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/guide");

const SCRIPT: &str = "\
import os, sys
print('arguments', sys.argv[1:])
print('MY_VAR', os.environ.get('MY_VAR'), 'PYTHONPATH', os.environ.get('PYTHONPATH'))
print('in a venv', sys.prefix != sys.base_prefix)
print('a warning', file=sys.stderr)
";

/// Prints its arguments, so that the pip snippet installs nothing on this machine.
const STAND_IN_FOR_PYTHON: &str = "#!/bin/sh\necho \"$@\"\n";

/// Makes the files that the snippets name, once.
fn prepare() {
    static READY: LazyLock<()> = LazyLock::new(|| {
        let dir = Path::new(WORKING_DIRECTORY);
        place(&dir.join("path/to/script.py"), SCRIPT);
        place(&dir.join("script.py"), SCRIPT);
        place(&dir.join("stand-in/python3"), STAND_IN_FOR_PYTHON);
    });
    LazyLock::force(&READY);
}

/// Renamed into place, because another process may run the same tests meanwhile.
fn place(path: &Path, content: &str) {
    let parent = path.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    let new = tempfile::NamedTempFile::new_in(parent).unwrap();
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    new.persist(path).unwrap();
}

fn engine() -> Arc<ExecutionEngine> {
    prepare();
    Arc::new(ExecutionEngine::new(ExecutionConfig::default()).unwrap())
}

mod method_1_script {
    use super::Said;

    static SAID: Said = Said::new();

    mod snippet {
        use super::super::WORKING_DIRECTORY;
        use super::SAID;

        use execution_engine::*;
        use std::collections::HashMap;
        use std::sync::Arc;

        #[tokio::main]
        pub(super) async fn main() {
            // Create the engine
            let config = ExecutionConfig::default();
            let engine = Arc::new(ExecutionEngine::new(config).unwrap());

            // Create execution request
            let request = ExecutionRequest {
                id: Uuid::new_v4(),
                command: Command::Script {
                    path: PathBuf::from("path/to/script.py"),
                    interpreter: Some("python3".to_string()),
                },
                env: {
                    let mut env = HashMap::new();
                    env.insert("PYTHONPATH".to_string(), "/custom/path".to_string());
                    env.insert("MY_VAR".to_string(), "my_value".to_string());
                    env
                },
                working_dir: Some(PathBuf::from(WORKING_DIRECTORY)),
                timeout_ms: Some(30000), // 30 seconds
                output_log_path: None,
                metadata: ExecutionMetadata::default(),
            };

            // Execute and get execution ID
            let execution_id = engine.execute(request).await.unwrap();

            // Wait for completion and get result
            let result = engine.wait_for_completion(execution_id).await.unwrap();

            // Check result
            println!("Success: {}", result.success);
            println!("Exit code: {}", result.exit_code);
            println!("Output:\n{}", result.stdout);

            if !result.stderr.is_empty() {
                println!("Errors:\n{}", result.stderr);
            }
        }
    }

    #[test]
    fn runs() {
        super::prepare();
        snippet::main();
        let said = SAID.take();
        assert!(said.starts_with("Success: true\nExit code: 0\nOutput:\narguments []\n"), "{said}");
        assert!(said.contains("MY_VAR my_value PYTHONPATH /custom/path\n"), "{said}");
        assert!(said.ends_with("Errors:\na warning\n"), "{said}");
    }
}

#[tokio::test]
async fn method_2_exec() {
    let engine = engine();
    let request = ExecutionRequest {
        id: Uuid::new_v4(),
        command: Command::Exec {
            program: "python3".to_string(),
            args: vec![
                "script.py".to_string(),
                "--arg1".to_string(),
                "value1".to_string(),
                "--arg2".to_string(),
                "value2".to_string(),
            ],
        },
        env: HashMap::new(),
        working_dir: Some(PathBuf::from(WORKING_DIRECTORY)),
        timeout_ms: Some(10000),
        output_log_path: None,
        metadata: ExecutionMetadata::default(),
    };

    let execution_id = engine.execute(request).await.unwrap();
    let result = engine.wait_for_completion(execution_id).await.unwrap();

    assert!(result.success, "{result:?}");
    let arguments = "arguments ['--arg1', 'value1', '--arg2', 'value2']\n";
    assert!(result.stdout.starts_with(arguments), "{result:?}");
}

#[tokio::test]
async fn method_3_shell() {
    let engine = engine();
    let request = ExecutionRequest {
        id: Uuid::new_v4(),
        command: Command::Shell {
            command: "python3 script.py --verbose".to_string(),
            shell: "/bin/bash".to_string(),
        },
        env: HashMap::new(),
        working_dir: Some(PathBuf::from(WORKING_DIRECTORY)),
        timeout_ms: Some(10000),
        output_log_path: None,
        metadata: ExecutionMetadata::default(),
    };

    let execution_id = engine.execute(request).await.unwrap();
    let result = engine.wait_for_completion(execution_id).await.unwrap();

    assert!(result.success, "{result:?}");
    assert!(result.stdout.starts_with("arguments ['--verbose']\n"), "{result:?}");
}

#[tokio::test]
async fn virtual_environment() {
    let engine = engine();
    let home = tempfile::tempdir().unwrap();
    fs::copy(Path::new(WORKING_DIRECTORY).join("script.py"), home.path().join("script.py"))
        .unwrap();
    let make = ExecutionRequest::exec("python3", ["-m", "venv", "--without-pip", "venv"]);
    engine.run(make.working_dir(home.path())).await.unwrap().into_result().unwrap();

    let request = ExecutionRequest {
        id: Uuid::new_v4(),
        command: Command::Shell {
            command: "source venv/bin/activate && python script.py".to_string(),
            shell: "/bin/bash".to_string(),
        },
        env: HashMap::new(),
        working_dir: Some(home.path().to_path_buf()),
        timeout_ms: Some(30000),
        output_log_path: None,
        metadata: ExecutionMetadata::default(),
    };

    let result = engine.run(request).await.unwrap();
    assert!(result.success, "{result:?}");
    assert!(result.stdout.contains("in a venv True\n"), "{result:?}");
}

#[tokio::test]
async fn pip_packages() {
    let engine = engine();
    let request = ExecutionRequest {
        id: Uuid::new_v4(),
        command: Command::Exec {
            program: "python3".to_string(),
            args: vec![
                "-m".to_string(),
                "pip".to_string(),
                "install".to_string(),
                "requests".to_string(),
            ],
        },
        env: HashMap::from([(
            "PATH".to_string(),
            format!("{WORKING_DIRECTORY}/stand-in:/usr/bin:/bin"),
        )]),
        working_dir: None,
        timeout_ms: Some(30000),
        output_log_path: None,
        metadata: ExecutionMetadata::default(),
    };

    let result = engine.run(request).await.unwrap();
    assert_eq!(result.stdout, "-m pip install requests\n", "{result:?}");
}

mod status_without_blocking {
    use execution_engine::*;

    use super::Said;

    static SAID: Said = Said::new();

    #[expect(clippy::disallowed_methods, reason = "the sleep is in the snippet of the guide")]
    async fn snippet(engine: &ExecutionEngine, request: ExecutionRequest) -> Uuid {
        // Execute command
        let execution_id = engine.execute(request).await.unwrap();

        // Check status without waiting
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = engine.get_status(execution_id).await.unwrap();
        println!("Current status: {:?}", status);

        // Get result if completed (returns None if still running)
        if let Some(result) = engine.get_result(execution_id).await.unwrap() {
            println!("Completed with exit code: {}", result.exit_code);
        }

        execution_id
    }

    #[tokio::test]
    async fn runs() {
        let engine = super::engine();
        let id = snippet(&engine, ExecutionRequest::exec("sleep", ["60"])).await;
        assert_eq!(SAID.take(), "Current status: Running");
        engine.cancel(id).await.unwrap();

        // On a busy machine the second may not be enough for a shell.
        let mut said = String::from("Current status: Running");
        for _ in 0..30 {
            if said != "Current status: Running" {
                break;
            }
            snippet(&engine, ExecutionRequest::shell("exit 5")).await;
            said = SAID.take();
        }
        assert_eq!(said, "Current status: Failed\nCompleted with exit code: 5");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the sleep is in the snippet of the guide")]
async fn cancel_a_running_execution() {
    let engine = engine();
    let request = ExecutionRequest::exec("sleep", ["60"]);

    let execution_id = engine.execute(request).await.unwrap();

    // Later, cancel it
    tokio::time::sleep(Duration::from_secs(2)).await;
    engine.cancel(execution_id).await.unwrap();

    let result = engine.wait_for_completion(execution_id).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Cancelled);
}

mod event_handler {
    use async_trait::async_trait;
    use execution_engine::*;

    use super::Said;

    static SAID: Said = Said::new();

    // Create custom event handler
    struct MyEventHandler;

    #[async_trait]
    impl EventHandler for MyEventHandler {
        async fn handle_event(&self, event: ExecutionEvent) {
            match event {
                ExecutionEvent::Started { execution_id, .. } => {
                    println!("[{}] Started", execution_id);
                }
                ExecutionEvent::Stdout { execution_id, line } => {
                    println!("[{}] STDOUT: {}", execution_id, line);
                }
                ExecutionEvent::Stderr { execution_id, line } => {
                    println!("[{}] STDERR: {}", execution_id, line);
                }
                ExecutionEvent::Completed { execution_id, success, .. } => {
                    println!("[{}] Completed. Success: {}", execution_id, success);
                }
                _ => {}
            }
        }
    }

    #[tokio::test]
    async fn runs() {
        let config = ExecutionConfig::default();

        // Create engine with event handler
        let handler = Arc::new(MyEventHandler);
        let engine = ExecutionEngine::new(config).unwrap().with_event_handler(handler);

        // Nothing orders the two streams but the pause.
        let request = ExecutionRequest::shell("echo one; sleep 0.5; echo two >&2; exit 1");
        let id = engine.execute(request).await.unwrap();
        let expected = [
            format!("[{id}] Started"),
            format!("[{id}] STDOUT: one"),
            format!("[{id}] STDERR: two"),
            format!("[{id}] Completed. Success: false"),
        ];
        assert_eq!(SAID.take_when(expected.len()).await, expected.join("\n"));
    }
}

#[test]
fn configuration() {
    let config = ExecutionConfig {
        // Default timeout if not specified in request (5 minutes)
        default_timeout_ms: 300_000,

        // Maximum allowed timeout (1 hour)
        max_timeout_ms: 3_600_000,

        // Enable line-by-line streaming
        stream_output: true,

        // Optional log directory
        log_dir: Some(PathBuf::from("/var/log/executions")),

        // Max concurrent executions (semaphore limit)
        max_concurrent_executions: 100,

        // Memory cleanup threshold
        max_in_memory_executions: 1000,

        // How long to keep completed executions in memory
        execution_retention_secs: 3600, // 1 hour

        // Enable automatic cleanup task
        enable_auto_cleanup: true,

        // Max output size (10 MB)
        max_output_size_bytes: 10 * 1024 * 1024,

        // What to do when output is too large
        oversized_output_strategy: OversizedOutputStrategy::TruncateWithWarning,
    };

    // Making an engine makes no directory; the first execution would.
    ExecutionEngine::new(config.clone()).unwrap();
    let defaults = ExecutionConfig { log_dir: None, ..config };
    assert_eq!(defaults, ExecutionConfig::default(), "the guide's numbers are the defaults");
}

#[tokio::test]
async fn output_size_strategies() {
    use OversizedOutputStrategy::{FailExecution, StreamToFile, TruncateWithWarning};
    let run = async |oversized_output_strategy| {
        let config = ExecutionConfig {
            max_output_size_bytes: 4,
            oversized_output_strategy,
            ..ExecutionConfig::default()
        };
        let engine = ExecutionEngine::new(config).unwrap();
        let result = engine.run(ExecutionRequest::shell("printf abcdefgh")).await.unwrap();
        // The engine is returned, too, because its end removes the overflow files.
        (engine, result)
    };

    let (_engine, truncated) = run(TruncateWithWarning).await;
    assert!(truncated.success, "{truncated:?}");
    assert!(truncated.stdout.starts_with("abcd\n") && truncated.stdout.contains("truncated"));

    let (_engine, failed) = run(FailExecution).await;
    assert_eq!(failed.status, ExecutionStatus::Failed);
    assert_eq!(failed.into_result(), Err(ExecutionError::OutputSizeExceeded(4)));

    let (_engine, streamed) = run(StreamToFile).await;
    assert!(streamed.success, "{streamed:?}");
    let overflow = fs::read_to_string(streamed.stdout_overflow_file.unwrap()).unwrap();
    assert_eq!((streamed.stdout.as_str(), overflow.as_str()), ("abcd", "efgh"));
    assert_eq!(streamed.stderr_overflow_file, None);
}

mod error_handling {
    use execution_engine::*;

    use super::Said;

    static SAID: Said = Said::new();

    async fn snippet(engine: &ExecutionEngine, request: ExecutionRequest) {
        match engine.execute(request).await {
            Ok(execution_id) => {
                // Execution started successfully
                match engine.wait_for_completion(execution_id).await {
                    Ok(result) => {
                        if result.success {
                            println!("Command succeeded");
                        } else {
                            println!("Command failed with exit code: {}", result.exit_code);
                            if let Some(error) = result.error {
                                println!("Error: {}", error);
                            }
                        }
                    }
                    Err(e) => println!("Execution error: {}", e),
                }
            }
            Err(ExecutionError::ConcurrencyLimitReached(limit)) => {
                println!("Too many concurrent executions (limit: {})", limit);
                // Queue for later or return error to user
            }
            Err(e) => println!("Failed to start execution: {}", e),
        }
    }

    async fn said(engine: &ExecutionEngine, request: ExecutionRequest) -> String {
        snippet(engine, request).await;
        SAID.take()
    }

    #[tokio::test]
    async fn each_branch_says_what_happened() {
        let config = ExecutionConfig { max_concurrent_executions: 1, ..Default::default() };
        let engine = ExecutionEngine::new(config).unwrap();
        let shell = ExecutionRequest::shell;

        assert_eq!(said(&engine, shell("true")).await, "Command succeeded");
        assert_eq!(said(&engine, shell("exit 7")).await, "Command failed with exit code: 7");
        assert_eq!(
            said(&engine, shell("kill -KILL $$")).await,
            "Command failed with exit code: -1\nError: killed by SIGKILL"
        );
        assert_eq!(
            said(&engine, shell("sleep 60").timeout(Duration::from_millis(100))).await,
            "Command failed with exit code: -1\nError: timed out after 100 ms"
        );
        let refused = said(&engine, ExecutionRequest::script("no/such/script.py")).await;
        let tried = std::path::absolute("no/such/script.py").unwrap();
        let begins = format!("Failed to start execution: script {} ", tried.display());
        assert!(refused.starts_with(&begins), "{refused}");

        let busy = engine.execute(shell("sleep 60")).await.unwrap();
        assert_eq!(said(&engine, shell("true")).await, "Too many concurrent executions (limit: 1)");
        engine.cancel(busy).await.unwrap();
    }
}

/// The Tauri snippet's functions, without the attributes that Tauri's macros would read.
mod tauri_app {
    use execution_engine::*;

    /// As much of Tauri as the snippet touches.
    mod tauri {
        pub(super) struct State<'a, T>(pub(super) &'a T);

        impl<T> std::ops::Deref for State<'_, T> {
            type Target = T;

            fn deref(&self) -> &T {
                self.0
            }
        }
    }

    async fn execute_python_script(
        script_path: String,
        engine: tauri::State<'_, Arc<ExecutionEngine>>,
    ) -> Result<String, String> {
        let request = ExecutionRequest {
            id: Uuid::new_v4(),
            command: Command::Script {
                path: PathBuf::from(script_path),
                interpreter: Some("python3".to_string()),
            },
            env: HashMap::new(),
            working_dir: None,
            timeout_ms: Some(60000),
            output_log_path: None,
            metadata: ExecutionMetadata::default(),
        };

        engine.execute(request).await.map(|id| id.to_string()).map_err(|e| e.to_string())
    }

    /// The guide names this one and leaves it to its reader.
    async fn get_execution_status(
        execution_id: String,
        engine: tauri::State<'_, Arc<ExecutionEngine>>,
    ) -> Result<ExecutionStatus, String> {
        let id = Uuid::parse_str(&execution_id).map_err(|e| e.to_string())?;
        engine.get_status(id).await.map_err(|e| e.to_string())
    }

    /// Tauri runs commands on its own threads, so their futures must be able to travel.
    fn travels<T: Send>(future: T) -> T {
        future
    }

    #[test]
    fn runs() {
        super::prepare();
        // As in the snippet, the engine is made in one runtime and used from another.
        let runtime = || tokio::runtime::Runtime::new().unwrap();
        let engine = runtime().block_on(async {
            let config = ExecutionConfig::default();
            let engine = Arc::new(ExecutionEngine::new(config).unwrap());

            // Start cleanup task
            engine.clone().start_cleanup_task();
            engine
        });

        runtime().block_on(async {
            let state = || tauri::State(&engine);
            let script = format!("{}/script.py", super::WORKING_DIRECTORY);
            let id = travels(execute_python_script(script, state())).await.unwrap();
            engine.wait_for_completion(id.parse().unwrap()).await.unwrap();
            let status = travels(get_execution_status(id, state())).await;
            assert_eq!(status, Ok(ExecutionStatus::Completed));

            let refused = execute_python_script("/no/such.py".to_string(), state()).await;
            assert!(refused.unwrap_err().contains("/no/such.py does not exist"));
        });
    }
}

/// The guide's "run specific test", and its pitfall: a timeout is not an error.
#[tokio::test]
async fn test_executor_timeout() {
    let engine = engine();
    let request = ExecutionRequest {
        id: Uuid::new_v4(),
        command: Command::Exec { program: "sleep".to_string(), args: vec!["60".to_string()] },
        env: HashMap::new(),
        working_dir: None,
        timeout_ms: Some(200),
        output_log_path: None,
        metadata: ExecutionMetadata::default(),
    };

    let execution_id = engine.execute(request).await.unwrap();
    let result = engine.wait_for_completion(execution_id).await.unwrap();

    assert_eq!(result.status, ExecutionStatus::Timeout);
    assert!(!result.success);
    assert_eq!(result.exit_code, -1);
    assert_eq!(result.error.as_deref(), Some("timed out after 200 ms"));
    assert!(result.duration >= Duration::from_millis(200), "{:?}", result.duration);
    assert!(result.duration < Duration::from_secs(30), "{:?}", result.duration);
    assert_eq!(engine.running_count().await, 0);
}
