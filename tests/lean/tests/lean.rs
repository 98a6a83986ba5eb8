//! The engine without its default features: it runs programs, and says what it has not.

use execution_engine::*;

#[tokio::test]
async fn programs_run() {
    let engine = ExecutionEngine::new(ExecutionConfig::default()).unwrap();
    let request = ExecutionRequest::shell("echo out; echo err >&2; exit 3");
    let result = engine.run(request).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(result.ending, Ending::Exited { code: 3 });
    let request = ExecutionRequest::shell("sleep 300").timeout(Duration::from_millis(100));
    let result = engine.run(request).await.unwrap();
    assert_eq!(result.status, ExecutionStatus::Timeout);
    assert!(result.containment.survivors.is_empty(), "{result:?}");
}

#[tokio::test]
async fn logs_are_refused() {
    let config = ExecutionConfig { log_dir: Some("logs".into()), ..Default::default() };
    let refused = ExecutionEngine::new(config).err().unwrap().to_string();
    assert!(refused.contains("log_dir") && refused.contains("feature `logs`"), "{refused}");
    let engine = ExecutionEngine::new(ExecutionConfig::default()).unwrap();
    let refused = engine.execute(ExecutionRequest::program("true").output_log("log")).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("output_log_path") && refused.contains("feature `logs`"), "{refused}");
}

#[test]
fn aws_operations_are_unknown() {
    let json = r#"{"type": "aws_cli", "service": "s3", "operation": "ls"}"#;
    let error = serde_json::from_str::<Command>(json).unwrap_err().to_string();
    assert!(error.contains("unknown variant `aws_cli`"), "{error}");
}
