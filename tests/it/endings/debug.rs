//! Debug output: short, and without values of variables.

use super::*;

#[tokio::test]
async fn debug_output_is_short_and_hides_variables() {
    let secret = "hunter2";
    let request = shell("head -c 3000000 /dev/zero | tr '\\0' x").env("PASSWORD", secret);
    let shown = format!("{request:?} {request:#?}");
    assert!(shown.contains("PASSWORD") && !shown.contains(secret), "{shown}");

    let engine = engine();
    let result = soon("the run", engine.run(request)).await.unwrap();
    assert_eq!(result.stdout.len(), 3_000_000);
    let shown = format!("{result:?} {:?}", engine.list_executions().await);
    assert!(shown.len() < 5000, "{} bytes", shown.len());
    assert!(shown.contains("3000000 bytes") && !shown.contains(secret), "{shown}");
}

#[tokio::test]
async fn debug_output_splits_no_character() {
    // 200 bytes are shown, and byte 200 is the second one of a character.
    let line = "printf x; i=0; while [ $i -lt 200 ]; do printf '\\303\\274'; i=$((i+1)); done";
    let result = soon("the run", engine().run(shell(line))).await.unwrap();
    assert_eq!(result.stdout, format!("x{}", "\u{fc}".repeat(200)));
    assert!(format!("{result:?}").contains("(401 bytes)"));
}
