//! What a window can do to executions of another window and of the app.

use serde_json::json;

use super::support::processes::is_alive;
use super::support::{in_window, until};
use super::{PLAN_COMMANDS, Windows, code, id, ids};

#[test]
fn a_window_reaches_no_execution_of_another_window_or_of_the_app() {
    in_window(async || {
        let windows = Windows::open().await;
        let (of_main, of_app) = (windows.start_cat("main").await, windows.start_of_app().await);
        for target in [&of_main, &of_app] {
            assert_eq!(windows.reached("other", target).await, [""; 0], "reached");
            assert_eq!(
                windows.differing("other", PLAN_COMMANDS, target).await,
                [""; 0],
                "as a plan"
            );
        }
        assert_eq!(windows.reached("main", &of_app).await, [""; 0], "main reached the app's");
        assert_eq!(windows.call("other", "list", json!({})).await, Ok(json!([])));
        assert_eq!(
            ids(&windows.call("main", "list", json!({})).await.unwrap()),
            [of_main.as_str()]
        );
        let own = json!({ "id": of_main });
        assert_eq!(windows.call("main", "status", own.clone()).await, Ok(json!("running")));
        windows.call("main", "close_stdin", own.clone()).await.unwrap();
        let result = windows.call("main", "wait", own.clone()).await.unwrap();
        assert_eq!(
            (&result["stdout"], &result["status"]),
            (&json!(""), &json!("completed")),
            "no input"
        );
        // Also when it has ended.
        assert_eq!(windows.reached("other", &of_main).await, [""; 0], "reached the record");
        assert_eq!(windows.call("main", "remove", own).await, Ok(json!(null)));
        windows.0.quit().await;
    });
}

#[test]
fn a_window_reaches_no_plan_of_another_window() {
    in_window(async || {
        let windows = Windows::open().await;
        let steps =
            ["11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"];
        let plan = json!({
            "plan": {
                "strategy": { "type": "serial", "stop_on_error": true },
                "commands": [{ "id": steps[0], "rule": "cat" }, { "id": steps[1], "rule": "say", "args": ["b"] }]
            },
            "options": { "defaults": { "stdin": { "type": "piped" } } }
        });
        let plan = id(&windows.call("main", "execute_plan", plan).await.unwrap());
        assert_eq!(windows.differing("other", PLAN_COMMANDS, &plan).await, [""; 0], "reached");
        for target in [steps[0], steps[1], &plan] {
            assert_eq!(windows.reached("other", target).await, [""; 0], "reached a step");
        }
        assert_eq!(windows.call("other", "list_plans", json!({})).await, Ok(json!([])));
        assert_eq!(windows.call("other", "list", json!({})).await, Ok(json!([])));
        assert_eq!(
            ids(&windows.call("main", "list_plans", json!({})).await.unwrap()),
            [plan.as_str()]
        );
        for taken in [steps[0], steps[1], &plan] {
            let again = json!({ "request": { "id": taken, "rule": "say", "args": ["a"] } });
            assert_eq!(
                code(&windows.call("other", "execute", again).await),
                "duplicate_id",
                "{taken}"
            );
            let status = windows.call("other", "status", json!({ "id": taken })).await;
            assert_eq!(code(&status), "not_found", "the attempt gives no right to {taken}");
        }
        windows.call("main", "close_stdin", json!({ "id": steps[0] })).await.unwrap();
        let result = windows.call("main", "wait_for_plan", json!({ "id": plan })).await.unwrap();
        assert_eq!(result["status"], "completed");
        let second = windows.call("main", "result", json!({ "id": steps[1] })).await.unwrap();
        assert_eq!(second["stdout"], "b\n", "the steps belong to the window, too");
        for target in steps {
            assert_eq!(windows.reached("other", target).await, [""; 0], "reached an ended step");
        }
        windows.0.quit().await;
    });
}

#[test]
fn a_window_is_told_nothing_of_others() {
    in_window(async || {
        let windows = Windows::open().await;
        let watch = "globalThis.seen = [];
        const channel = new Channel();
        let subscription;
        channel.onmessage = ({ records }) => {
            globalThis.seen.push(...records);
            plugin('ack', { subscription });
        };
        subscription = await plugin('subscribe_all', { filter: 'everything', channel });";
        let watching = windows.run("other", watch, json!(null)).await;
        assert_eq!(watching, json!({ "value": null }));
        let of_app = windows.start_of_app().await;
        let say = |id: &str, word: &str| json!({ "request": { "id": id, "rule": "say", "args": [word] } });
        let (of_main, of_other) =
            ("22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002");
        windows.call("main", "run", say(of_main, "secret")).await.unwrap();
        windows.call("other", "run", say(of_other, "own")).await.unwrap();
        until("the window sees the end of its own", async || {
            let seen =
                windows.run("other", "return globalThis.seen", json!(null)).await["value"].clone();
            let seen: Vec<_> = seen.as_array().unwrap().clone();
            assert!(seen.iter().all(|record| record["execution_id"] == of_other), "{seen:?}");
            seen.iter().any(|record| record["event"]["type"] == "started")
                && seen.iter().any(|record| record["event"]["type"] == "completed")
        })
        .await;
        let taken = windows.call("other", "execute", say(&of_app, "a")).await;
        let free = windows.call("other", "execute", say(of_main, "a")).await;
        assert_eq!((code(&taken), code(&free)), ("duplicate_id", "duplicate_id"));
        assert_eq!(
            code(&windows.call("other", "status", json!({ "id": of_app })).await),
            "not_found"
        );
        windows.0.quit().await;
    });
}

#[test]
fn a_window_keeps_its_own_when_it_is_reloaded() {
    in_window(async || {
        let windows = Windows::open().await;
        let own = windows.start_cat("main").await;
        windows.0.page.refresh().await.unwrap();
        windows.0.element("#ready").await;
        let args = json!({ "id": own });
        assert_eq!(windows.call("main", "status", args.clone()).await, Ok(json!("running")));
        assert_eq!(windows.call("main", "cancel", args).await, Ok(json!(null)));
        windows.0.quit().await;
    });
}

#[test]
fn a_scope_can_say_all_or_name_a_window() {
    in_window(async || {
        let windows = Windows::open().await;
        let (of_main, of_app) = (windows.start_cat("main").await, windows.start_of_app().await);
        let mut listed = ids(&windows.call("all", "list", json!({})).await.unwrap());
        listed.sort();
        let mut expected = [of_main.clone(), of_app.clone()];
        expected.sort();
        assert_eq!(listed, expected);
        let of_partner = windows.call("partner", "list", json!({})).await.unwrap();
        assert_eq!(ids(&of_partner), [of_main.as_str()]);
        let main = json!({ "id": of_main });
        assert_eq!(windows.call("partner", "status", main.clone()).await, Ok(json!("running")));
        assert_eq!(code(&windows.call("partner", "cancel", main.clone()).await), "not_found");
        for id in [&of_main, &of_app] {
            assert_eq!(windows.call("all", "cancel", json!({ "id": id })).await, Ok(json!(null)));
        }
        let ended = windows.call("partner", "wait", main).await.unwrap();
        assert_eq!(ended["status"], "cancelled");
        windows.0.quit().await;
    });
}

#[test]
fn the_app_gives_an_execution_to_a_window() {
    in_window(async || {
        let windows = Windows::open().await;
        let of_app = windows.start_of_app().await;
        let pid = "return (await plugin('list', {}))[0].pid";
        let pid = windows.run("all", pid, json!(null)).await["value"].as_u64().unwrap();
        let given = json!({ "id": of_app, "window": "other" });
        windows.run("main", "return invoke('give', args)", given).await;
        assert_eq!(
            code(&windows.call("main", "status", json!({ "id": of_app })).await),
            "not_found"
        );
        let listed = windows.call("other", "list", json!({})).await.unwrap();
        assert_eq!(listed[0]["metadata"]["description"], "of the app");
        assert!(is_alive(u32::try_from(pid).unwrap()));
        assert_eq!(windows.call("other", "cancel", json!({ "id": of_app })).await, Ok(json!(null)));

        let plan = json!({ "window": "other" });
        let plan =
            windows.run("main", "return invoke('start_plan_for', args)", plan).await["value"]
                .clone();
        let [plan, first, second] = [0, 1, 2].map(|index| json!({ "id": plan[index] }));
        let result = windows.call("other", "wait_for_plan", plan.clone()).await.unwrap();
        assert_eq!(result["status"], "completed");
        for (step, text) in [(first, "a\n"), (second, "b\n")] {
            assert_eq!(
                windows.call("other", "result", step.clone()).await.unwrap()["stdout"],
                text
            );
            assert_eq!(code(&windows.call("main", "result", step).await), "not_found");
        }
        assert_eq!(code(&windows.call("main", "plan_status", plan).await), "plan_not_found");
        windows.0.quit().await;
    });
}
