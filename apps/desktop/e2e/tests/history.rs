//! Runs of earlier starts of the app.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use execution_engine_store::StoreHistory;
use fantoccini::Locator;
use serde_json::json;
use support::processes::{kill, until_exited};
use support::{App, ENTER, UP, in_window, until};

/// Lines of an output that is longer than what the page holds.
const LINES: u64 = 200_000;

impl App {
    /// Waits until the list has so many rows.
    async fn rows(&self, wanted: usize) {
        until(&format!("{wanted} rows are listed"), async || {
            self.page.find_all(Locator::Css(".row")).await.unwrap().len() == wanted
        })
        .await;
    }

    /// Selects the row whose title has this in it.
    async fn select(&self, title: &str) {
        self.click(&format!(".row:has(.command[title*='{title}'])")).await;
        let shown = "return document.getElementById('title').textContent";
        until("its title is shown", async || {
            self.js(shown, &[]).await.as_str().is_some_and(|shown| shown.contains(title))
        })
        .await;
    }

    /// Runs a shell line and waits for its end.
    async fn run_to_end(&self, line: &str) {
        self.start("shell", line).await;
        self.status("Completed").await;
    }

    /// Enters the steps of a plan and runs it.
    async fn plan(&self, steps: &[&str]) {
        self.click("[data-kind=plan]").await;
        self.fill("#steps", &steps.join(ENTER)).await;
        self.click("#run").await;
        self.element("#plan .node").await;
    }
}

/// Returns the directory of the history.
fn history(data: &Path) -> PathBuf {
    data.join("dev.execution-engine.desktop/history")
}

/// Returns whether a file of the history has this in it.
fn has(path: &Path, word: &str) -> bool {
    if !path.is_dir() {
        return fs::read(path).unwrap().windows(word.len()).any(|part| part == word.as_bytes());
    }
    fs::read_dir(path).unwrap().any(|entry| has(&entry.unwrap().path(), word))
}

#[test]
fn runs_are_listed_after_a_restart_with_their_output_and_without_secrets() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::open_in(data.path()).await;
        let host = app.pid().await;
        app.run_to_end(" echo hidden-word").await;
        app.click("#more-button").await;
        app.fill("#environment", "TOKEN=hunter2").await;
        app.click("#piped").await;
        app.start("shell", "read word; echo ${#TOKEN} ${#word}; exit 3").await;
        app.fill("#stdin", &format!("opensesame{ENTER}")).await;
        app.status("Failed").await;
        app.start("shell", "sleep 1000").await;
        app.status("Running").await;
        app.ctrl("q").await;
        app.click_to_leave("dialog button[value=yes]").await;
        until_exited(&[host]).await;
        drop(app);
        assert!(has(&history(data.path()), "TOKEN"));
        for secret in ["hunter2", "opensesame", "hidden-word"] {
            assert!(!has(&history(data.path()), secret), "{secret}");
        }

        let app = App::open_in(data.path()).await;
        app.rows(2).await;
        app.has_text("#list", "stopped with the app").await;
        app.displayed("#notice", false).await;
        app.select("read word").await;
        app.shows("7 10").await;
        app.has_text("#details", "Failed with exit code 3").await;
        app.has_text("#details", "TOKEN").await;
        app.click("#edit").await;
        assert_eq!(app.value("#environment").await, "TOKEN=");
        app.click("#run").await;
        app.has_text("#environment-problem", "Enter that of TOKEN").await;
        app.fill("#environment", "TOKEN=four").await;
        app.click("#run").await;
        app.displayed("#stdin", true).await;
        app.fill("#stdin", &format!("abc{ENTER}")).await;
        app.shows("4 3").await;
        app.rows(3).await;
        app.quit().await;
    });
}

#[test]
fn what_was_typed_is_recalled_after_a_restart() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::open_in(data.path()).await;
        app.click("#more-button").await;
        app.fill("#directory", "/usr").await;
        app.fill("#timeout", "77").await;
        app.click("#piped").await;
        app.start("program", "printf '%s|' \"a b\" c\\ d").await;
        app.status("Completed").await;
        app.click("#piped").await;
        app.element("#directory").await.clear().await.unwrap();
        app.fill("#timeout", "300").await;
        let steps = ["one: echo planned", "two after one: exit 1", "three after two: echo never"];
        app.plan(&steps).await;
        app.status("Failed").await;
        app.leave().await;

        let app = App::open_in(data.path()).await;
        app.rows(4).await;
        app.keys(UP).await;
        assert_eq!(app.value("#steps").await, steps.join("\n"));
        app.keys(UP).await;
        assert_eq!(app.value("#line").await, "printf '%s|' \"a b\" c\\ d");
        let options = "return ['directory', 'timeout'].map((id) => document.getElementById(id).value)
        .concat(document.getElementById('piped').checked, document.querySelector('[aria-checked=true]').textContent)";
        assert_eq!(app.js(options, &[]).await, json!(["/usr", "77", true, "Program"]));

        app.select("one, two, three").await;
        app.status("Failed").await;
        for (step, state) in [("one", "completed"), ("two", "failed"), ("three", "never ran")] {
            app.has_text(&format!("[data-step={step}] .state"), state).await;
        }
        app.has_text("#details", "Never ran").await;
        app.click("[data-step=one]").await;
        app.shows("planned").await;
        app.click(".row.of-plan").await;
        app.click("#edit").await;
        app.click("#run").await;
        until("it runs again", async || {
            app.page.find_all(Locator::Css(".row.of-plan")).await.unwrap().len() == 2
        })
        .await;
        app.quit().await;
    });
}

#[test]
fn a_long_output_is_read_in_parts_after_a_restart() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::open_in(data.path()).await;
        app.run_to_end(&format!("seq 1 {LINES}")).await;
        app.leave().await;

        let app = App::open_in(data.path()).await;
        app.select("seq 1").await;
        app.shows(&format!("{}\n{LINES}", LINES - 1)).await;
        assert_eq!(app.lines().await, LINES);
        app.click("#find").await;
        app.fill("#needle", "12345").await;
        // Also in 112345 and 123450 to 123459.
        until("all are found", async || app.text("#matches").await.ends_with(" of 12")).await;
        let whole: String = (1..=LINES).map(|line| format!("{line}\n")).collect();
        assert_eq!(app.text_of_all().await, whole);
        app.quit().await;
    });
}

#[test]
fn a_removal_survives_a_restart_also_one_that_could_still_be_undone() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::open_in(data.path()).await;
        for word in ["first", "second", "third", "fourth"] {
            app.run_to_end(&format!("echo {word}")).await;
        }
        app.plan(&["one: echo planned", "two after one: echo too"]).await;
        app.status("Completed").await;
        app.leave().await;

        let app = App::open_in(data.path()).await;
        app.rows(7).await;
        app.select("one, two").await;
        app.click("#remove").await;
        app.rows(4).await;
        app.select("echo first").await;
        app.click("#remove").await;
        app.click("#undo").await;
        app.rows(4).await;
        app.select("echo second").await;
        app.click("#remove").await;
        app.rows(3).await;
        // The removal before is done now, and this one is not.
        app.select("echo third").await;
        app.click("#remove").await;
        app.rows(2).await;
        app.leave().await;

        let app = App::open_in(data.path()).await;
        app.rows(2).await;
        for word in ["first", "fourth"] {
            app.select(&format!("echo {word}")).await;
            app.shows(word).await;
        }
        app.quit().await;
        // The write-ahead log of SQLite has what was removed until the database is closed properly.
        until("the history is free, and is closed", async || {
            StoreHistory::open(history(data.path())).is_ok()
        })
        .await;
        for word in ["second", "third", "planned"] {
            assert!(!has(&history(data.path()), &format!("echo {word}")), "{word}");
        }
    });
}

#[test]
fn a_second_instance_works_without_history_and_says_so() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let first = App::open_in(data.path()).await;
        first.run_to_end("echo of the first").await;
        let second = App::open_in(data.path()).await;
        second.has_text("#notice", "Another instance of this app is open").await;
        second.run_to_end("echo of the second").await;
        second.shows("of the second").await;
        second.rows(1).await;
        second.keys(UP).await;
        assert_eq!(second.value("#line").await, "echo of the second");
        first.displayed("#notice", false).await;
        first.run_to_end("echo once more").await;
        second.leave().await;
        first.leave().await;

        let app = App::open_in(data.path()).await;
        app.rows(2).await;
        app.displayed("#notice", false).await;
        for line in ["of the first", "once more"] {
            app.select(line).await;
            app.shows(line).await;
        }
        app.quit().await;
    });
}

#[test]
fn a_run_that_was_under_way_when_the_app_was_killed_is_lost() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::open_in(data.path()).await;
        let host = app.pid().await;
        app.run_to_end("echo before").await;
        app.start("shell", "echo pids: $$; echo until $((40 + 2)); sleep 1000").await;
        let mut pids = app.pids().await;
        app.shows("until 42").await;
        until("it is written", async || has(&history(data.path()), "until 42")).await;
        pids.push(host);
        kill(host);
        until_exited(&pids).await;
        drop(app);

        let app = App::open_in(data.path()).await;
        app.rows(2).await;
        app.displayed("#notice", false).await;
        app.select("sleep 1000").await;
        app.status("Lost").await;
        app.shows("until 42").await;
        app.has_text("#details", "the program that ran it ended before it had").await;
        app.click("#edit").await;
        app.has_text("[aria-checked=true]", "Shell").await;
        app.select("echo before").await;
        app.shows("before").await;
        app.quit().await;
    });
}

#[test]
fn an_app_with_a_damaged_history_works_without_it_and_says_what_to_do() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::open_in(data.path()).await;
        app.run_to_end("echo before").await;
        app.leave().await;
        let database = history(data.path()).join("exeng.db");
        let bytes = fs::read(&database).unwrap();
        let damaged: Vec<u8> =
            bytes[..100].iter().copied().chain((100..bytes.len()).map(|at| at as u8)).collect();
        fs::write(&database, &damaged).unwrap();
        for log in ["exeng.db-wal", "exeng.db-shm"] {
            let _missing = fs::remove_file(history(data.path()).join(log));
        }

        let app = App::open_in(data.path()).await;
        app.has_text("#notice", "Runs are not kept").await;
        let notice = app.text("#notice").await;
        assert!(notice.contains("exeng.db") && notice.contains("move it away"), "{notice}");
        app.run_to_end("echo all the same").await;
        app.shows("all the same").await;
        app.rows(1).await;
        app.click("#notice button").await;
        app.displayed("#notice", false).await;
        app.leave().await;
        assert_eq!(fs::read(&database).unwrap(), damaged, "it is left as it is");

        // What it says to do helps.
        fs::rename(history(data.path()), data.path().join("away")).unwrap();
        let app = App::open_in(data.path()).await;
        app.run_to_end("echo anew").await;
        app.displayed("#notice", false).await;
        app.leave().await;
        let app = App::open_in(data.path()).await;
        app.rows(1).await;
        app.quit().await;
    });
}

/// Writes a program that starts the app with a disk of 1 MiB for its history, in a namespace of its own.
fn with_small_disk(data: &Path) -> PathBuf {
    let (history, program) = (history(data), data.join("start"));
    fs::create_dir_all(&history).unwrap();
    let script = format!(
        "#!/bin/sh\nXDG_DATA_HOME='{}' exec unshare --user --map-root-user --mount sh -c '
            mount -t tmpfs -o size=1m tmpfs \"$1\" && shift && exec \"$@\"' sh '{}' '{}' \"$@\"\n",
        data.display(),
        history.display(),
        support::built("execution-desktop").display(),
    );
    fs::write(&program, script).unwrap();
    support::executable(program.to_str().unwrap());
    program
}

#[test]
fn an_app_whose_disk_is_full_works_and_says_what_is_not_kept() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::launch_program(&with_small_disk(data.path()), &[]).await;
        app.element("#line").await;
        app.run_to_end("echo it fits").await;
        app.displayed("#notice", false).await;
        app.run_to_end(&format!("seq 1 {LINES}")).await;
        app.has_text("#notice", "could not be kept").await;
        let notice = app.text("#notice").await;
        assert!(notice.contains("is full") && notice.contains("free some space"), "{notice}");
        app.shows(&format!("{}\n{LINES}", LINES - 1)).await;
        app.run_to_end("echo all the same").await;
        app.shows("all the same").await;
        app.select("it fits").await;
        app.shows("it fits").await;
        app.quit().await;
    });
}

#[test]
fn rows_that_do_not_change_stay_when_the_list_is_drawn_anew() {
    in_window(async || {
        let data = tempfile::tempdir().unwrap();
        let app = App::open_in(data.path()).await;
        for word in ["first", "second", "third"] {
            app.run_to_end(&format!("echo {word}")).await;
        }
        app.leave().await;

        let app = App::open_in(data.path()).await;
        app.rows(3).await;
        let watch = "window.changes ??= (() => {
        const changes = [];
        const watched = [...document.querySelectorAll('.row')].filter((row) => !row.textContent.includes('third'));
        new MutationObserver((records) => records.forEach(({ type, target, addedNodes, removedNodes }) => {
          if (watched.some((row) => row === target || row.contains(target))) changes.push(type);
          for (const node of [...addedNodes, ...removedNodes]) if (watched.includes(node)) changes.push('moved');
        })).observe(document.querySelector('.rows'), { childList: true, subtree: true, characterData: true });
        return changes;
      })()";
        app.js(watch, &[]).await;
        app.run_to_end("echo fourth").await;
        app.rows(4).await;
        app.select("echo third").await;
        app.click("#remove").await;
        app.rows(3).await;
        app.js("app.store.changed()", &[]).await;
        assert_eq!(app.js("return window.changes", &[]).await, json!([]));
        // A click that begins while earlier runs are read is not lost.
        app.page.refresh().await.unwrap();
        app.select("echo first").await;
        app.shows("first").await;
        app.quit().await;
    });
}
