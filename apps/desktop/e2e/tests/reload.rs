//! Reloads of the page while an execution runs.

mod support;

use serde_json::json;
use support::{App, in_window, until};

const HALF: u64 = 20_000;

/// Returns a shell line that prints half of its lines, waits for input, and prints the others.
fn in_two_halves() -> String {
    format!("seq 1 {HALF}; read word; seq {} {}", HALF + 1, 2 * HALF)
}

#[test]
fn the_output_continues_without_a_gap() {
    in_window(async || {
        let app = App::open().await;
        app.click("#more-button").await;
        app.click("#piped").await;
        app.start("shell", &in_two_halves()).await;
        until("the first half is there", async || app.lines().await == HALF).await;
        app.page.refresh().await.unwrap();
        app.element("#stdin").await;
        until("the first half is back", async || app.lines().await == HALF).await;
        app.fill("#stdin", "go\u{e007}").await;
        until("the second half is there", async || app.lines().await == 2 * HALF).await;
        app.status("Completed").await;
        let whole: String = (1..=2 * HALF).map(|line| format!("{line}\n")).collect();
        assert_eq!(app.text_of_all().await, whole);
        app.shows(&format!("{}\n{}", 2 * HALF - 1, 2 * HALF)).await;
        app.quit().await;
    });
}

#[test]
fn a_subscription_resumes_after_the_last_record() {
    in_window(async || {
        let app = App::open().await;
        let begin = "const execution = await app.Execution.start(
        { rule: 'shells', command: { type: 'shell', command: args[0], shell: '/bin/sh' } },
        { stdin: { type: 'piped' } });
      const records = await execution.records();
      for await (const { sequence, event } of records)
        if (event.line === '15000') return { id: execution.id, sequence };";
        let seen = app.async_js(begin, &[json!(in_two_halves())]).await;
        app.page.refresh().await.unwrap();
        app.element("#line").await;
        let resume = "const execution = app.Execution.attach(args[0].id);
      const records = await execution.records({ after: args[0].sequence });
      await execution.write('go\\n');
      const lines = [];
      let last;
      for await (const { event } of records) {
        last = event.type;
        if (event.type === 'stdout') lines.push(Number(event.line));
      }
      const gap = lines.findIndex((line, at) => line !== 15001 + at);
      return { first: lines[0], count: lines.length, gap, last };";
        let rest = app.async_js(resume, &[seen]).await;
        let wanted = json!({
            "first": 15001, "count": 2 * HALF - 15000, "gap": -1, "last": "completed"
        });
        assert_eq!(rest, wanted);
        app.quit().await;
    });
}

#[test]
fn a_reload_closes_the_subscriptions_of_the_old_page() {
    in_window(async || {
        let app = App::open().await;
        app.start("shell", "echo here; sleep 1000").await;
        app.shows("here").await;
        let count = "return await app.subscriptions()";
        let own = app.async_js(count, &[]).await;
        // Those of the list and the terminal, and some that are never read.
        let more =
            "for (let i = 0; i < 5; i++) await app.Execution.attach(app.store.selected).records();";
        app.async_js(more, &[]).await;
        let all = app.async_js(count, &[]).await;
        assert_eq!(all.as_u64().unwrap(), own.as_u64().unwrap() + 5);
        app.page.refresh().await.unwrap();
        app.shows("here").await;
        until("only the subscriptions of the new page are open", async || {
            app.async_js(count, &[]).await == own
        })
        .await;
        app.click("#cancel").await;
        app.status("Cancelled").await;
        app.quit().await;
    });
}
