//! Output at full speed: the page stays responsive, and lost output is reported.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{App, in_window, until};

const LINES: u64 = 300_000;
/// Far above the measured values, because other programs run on the machine, too.
const MAX_RESPONSE: Duration = Duration::from_secs(2);

#[test]
fn the_page_stays_responsive_under_300_000_lines() {
    in_window(async || {
        let app = App::open().await;
        // Requests frame after frame and records the longest time between two.
        app.js(
            "window.frames_ = { count: 0, longest: 0, last: performance.now() };
         const tick = () => {
           const now = performance.now();
           frames_.longest = Math.max(frames_.longest, now - frames_.last);
           frames_.last = now;
           frames_.count++;
           requestAnimationFrame(tick);
         };
         requestAnimationFrame(tick);",
            &[],
        )
        .await;
        let start = Instant::now();
        let line =
            format!("seq -f 'line %.0f of a program that prints as fast as it can' 1 {LINES}");
        app.start("shell", &line).await;
        let mut answers = Vec::new();
        until("all lines are known to the page", async || {
            let asked = Instant::now();
            let lines = app.lines().await;
            answers.push(asked.elapsed());
            lines >= LINES
        })
        .await;
        let took = start.elapsed();
        app.status("Completed").await;
        app.shows(&format!("line {LINES} of a program that prints as fast as it can")).await;

        answers.sort();
        let (median, slowest) = (answers[answers.len() / 2], answers[answers.len() - 1]);
        let frames = app.js("return [frames_.count, Math.round(frames_.longest)]", &[]).await;
        println!(
            "{LINES} lines in {took:?}; the page answered {} times, median {median:?}, slowest {slowest:?}; frames, longest time between two in ms: {frames}",
            answers.len(),
        );
        assert!(median < MAX_RESPONSE, "the page took {median:?} to answer");

        // All lines are in order, without a gap.
        let all: String = (1..=LINES)
            .map(|line| format!("line {line} of a program that prints as fast as it can\n"))
            .collect();
        assert!(app.text_of_all().await == all);

        // Searching all lines is fast as well.
        app.click("#find").await;
        let asked = Instant::now();
        app.fill("#needle", "line 299999").await;
        until("the match is found", async || app.text("#matches").await.contains("of")).await;
        println!("found among {LINES} lines after {:?}", asked.elapsed());
        app.quit().await;
    });
}

#[test]
fn a_page_that_does_not_read_is_notified_of_missed_output() {
    in_window(async || {
        const WRITTEN: u64 = 150_000_000;
        let app = App::open().await;
        let body = "const execution = await app.Execution.start({ rule: 'shells',
        command: { type: 'shell', command: `yes 'a line of some length' | head -c ${args[0]}`, shell: '/bin/sh' } });
      const chunks = await execution.chunks();
      await execution.wait({ output: 'omit' });
      let [got, missed, last] = [0, 0, undefined];
      for await (const chunk of chunks) {
        if ('bytes' in chunk) got += chunk.bytes.length;
        else if (chunk.event.type === 'output_missed') missed += chunk.event.bytes;
        last = chunk.event?.type;
      }
      return { got, missed, last };";
        let received = app.async_js(body, &[json!(WRITTEN)]).await;
        println!("of {WRITTEN} bytes, to a page that did not read: {received}");
        let (got, missed) =
            (received["got"].as_u64().unwrap(), received["missed"].as_u64().unwrap());
        assert!(missed > 0, "the engine cannot hold all of it: {received}");
        assert_eq!(got + missed, WRITTEN, "every byte is received or reported");
        assert_eq!(received["last"], "completed");
        app.quit().await;
    });
}
