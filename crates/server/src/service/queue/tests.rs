//! Tests of the order, the slots and the groups.

use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[test]
fn the_highest_priority_goes_first_and_the_oldest_among_equals() {
    let mut queue = Queue::new(4);
    for (number, priority) in [(1, 0), (2, 5), (3, 0), (4, 5), (5, -1)] {
        queue.push(id(number), priority, None, []);
    }
    let order: Vec<_> = std::iter::from_fn(|| Some(queue.pop()?.1)).collect();
    assert_eq!(order, [2, 4, 1, 3].map(id));
    assert!(queue.give_back(id(2)) && !queue.give_back(id(2)));
    assert_eq!(queue.pop().map(|(_, id)| id), Some(id(5)));
    assert_eq!((queue.pop(), queue.len()), (None, 0));
}

#[test]
fn nobody_overtakes_those_that_wait() {
    let mut queue = Queue::new(1);
    assert!(queue.try_take(id(7), None));
    queue.push(id(1), 0, None, []);
    queue.give_back(id(7));
    assert!(!queue.try_take(id(8), None), "the slot belongs to the one in the queue");
    assert_eq!(queue.pop().map(|(_, id)| id), Some(id(1)));
    queue.give_back(id(1));
    assert!(queue.try_take(id(8), None));
}

#[test]
fn what_is_put_back_has_its_place_again() {
    let mut queue = Queue::new(1);
    queue.push(id(1), 0, None, []);
    queue.push(id(2), 0, None, []);
    let (place, first) = queue.pop().unwrap();
    assert!(!queue.has_next(), "there is one slot");
    queue.put_back(place, first);
    assert!(queue.has_next());
    assert_eq!(queue.pop().map(|(_, id)| id), Some(id(1)));
}

#[test]
fn one_that_follows_keeps_no_slot_from_others() {
    let mut queue = Queue::new(2);
    queue.push(id(1), 9, None, [id(7), id(8)]);
    assert!(queue.try_take(id(3), None));
    assert_eq!(queue.pop(), None);
    assert_eq!(queue.ended(id(7), true), Released::default());
    let ready = Released { ready: vec![id(1)], refused: vec![] };
    assert_eq!(queue.ended(id(8), true), ready);
    assert_eq!(queue.pop().map(|(_, id)| id), Some(id(1)));
}

#[test]
fn a_failure_takes_its_followers_out_of_the_queue() {
    let mut queue = Queue::new(2);
    queue.push(id(1), 0, None, [id(7), id(8)]);
    queue.push(id(2), 0, None, [id(1)]);
    let refused = Released { ready: vec![], refused: vec![id(1)] };
    assert_eq!(queue.ended(id(7), false), refused);
    assert_eq!(queue.ended(id(8), true), Released::default());
    let refused = Released { ready: vec![], refused: vec![id(2)] };
    assert_eq!(queue.ended(id(1), false), refused);
    assert_eq!((queue.len(), queue.followers.len(), queue.pop()), (0, 0, None));
}

#[test]
fn an_end_is_enough_for_those_that_need_no_success() {
    let mut queue = Queue::new(3);
    queue.push(id(1), 0, None, []);
    queue.wait_for_ends(id(1), [id(7), id(8)]);
    queue.push(id(2), 0, None, [id(7)]);
    queue.wait_for_ends(id(2), [id(7)]);
    assert_eq!(queue.pop(), None);
    let refused = Released { ready: vec![], refused: vec![id(2)] };
    assert_eq!(queue.ended(id(7), false), refused, "success was needed, too");
    assert_eq!(queue.ended(id(8), false).ready, [id(1)]);
    assert_eq!(queue.pop().map(|(_, id)| id), Some(id(1)));
    queue.push(id(3), 0, None, []);
    queue.wait_for_ends(id(3), [id(9)]);
    assert!(queue.remove(id(3)));
    assert!(queue.followers.is_empty() && queue.ended(id(9), true).ready.is_empty());
}

#[test]
fn one_that_is_held_keeps_its_place_and_no_slot_from_others() {
    let mut queue = Queue::new(1);
    queue.push(id(1), 0, None, []);
    queue.push(id(2), 0, None, [id(7)]);
    queue.push(id(3), 0, None, []);
    assert!(queue.hold(id(1)) && queue.hold(id(2)) && queue.hold(id(1)));
    assert_eq!(queue.ended(id(7), true), Released::default());
    assert_eq!(queue.pop().map(|(_, id)| id), Some(id(3)));
    queue.give_back(id(3));
    assert_eq!((queue.pop(), queue.len()), (None, 2));
    assert!(queue.let_go(id(2)) && queue.let_go(id(1)) && queue.let_go(id(1)));
    let order: Vec<_> = (0..2)
        .map(|_| {
            let next = queue.pop().map(|(_, id)| id);
            next.map(|id| queue.give_back(id));
            next
        })
        .collect();
    assert_eq!(order, [Some(id(1)), Some(id(2))]);
    assert!(!queue.hold(id(1)) && !queue.let_go(id(1)), "it does not wait any more");
    queue.push(id(4), 0, None, []);
    queue.hold(id(4));
    assert!(queue.remove(id(4)) && !queue.let_go(id(4)));
}

#[test]
fn one_waits_for_its_moment_and_for_all_else() {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    let mut queue = Queue::new(9);
    assert_eq!(queue.let_go_until(at(1)), None);
    for (number, after) in [(1, None), (2, Some(id(7))), (3, None), (4, None)] {
        queue.push(id(number), 0, None, after);
    }
    for (number, moment) in [(1, 20), (2, 10), (3, 10), (4, 30)] {
        queue.wait_until(id(number), at(moment));
    }
    queue.hold(id(3));
    assert_eq!((queue.let_go_until(at(9)), queue.pop()), (Some(at(10)), None));
    // One that follows another and one that is held wait further on.
    assert_eq!((queue.let_go_until(at(10)), queue.pop()), (Some(at(20)), None));
    assert_eq!(queue.ended(id(7), true).ready, [id(2)]);
    assert!(queue.let_go(id(3)));
    assert_eq!(queue.let_go_until(at(25)), Some(at(30)));
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, id)| id).collect();
    assert_eq!(order, [id(1), id(2), id(3)]);
    // Another one may get the id of one that was stopped, and has a moment of its own.
    assert!(queue.remove(id(4)));
    queue.push(id(4), 0, None, None);
    queue.wait_until(id(4), at(50));
    assert_eq!((queue.let_go_until(at(40)), queue.pop()), (Some(at(50)), None));
    queue.let_go(id(4));
    assert_eq!(queue.pop(), None, "nobody held it");
}

#[test]
fn a_removed_one_is_told_of_nothing() {
    let mut queue = Queue::new(1);
    queue.push(id(1), 0, None, [id(7)]);
    queue.push(id(2), 0, None, []);
    assert!(queue.remove(id(1)) && queue.remove(id(2)) && !queue.remove(id(2)));
    assert_eq!(queue.ended(id(7), true), Released::default());
    assert_eq!((queue.pop(), queue.followers.len()), (None, 0));
}

fn limit(max_running: u32) -> Option<Setting> {
    Some(Setting { max_running: Some(max_running), paused: false })
}

const PAUSED: Option<Setting> = Some(Setting { max_running: None, paused: true });

/// Lets all run that may, and returns their numbers in this order.
fn pop_all(queue: &mut Queue) -> Vec<u128> {
    std::iter::from_fn(|| queue.pop()).map(|(_, id)| id.as_u128()).collect()
}

#[test]
fn a_full_group_stands_in_nobodys_way() {
    let mut queue = Queue::new(4);
    queue.set_group("gpu", limit(1));
    for (number, priority, group) in
        [(1, 9, Some("gpu")), (2, 9, Some("gpu")), (3, 5, None), (4, 0, Some("cpu"))]
    {
        queue.push(id(number), priority, group, []);
    }
    assert_eq!(pop_all(&mut queue), [1, 3, 4]);
    assert_eq!(queue.group_wait(id(2)), Some(GroupWait::Full));
    // One that comes in overtakes only what its group keeps back.
    assert!(!queue.try_take(id(5), Some("gpu")) && queue.try_take(id(5), None));
    queue.give_back(id(3));
    assert!(!queue.has_next(), "its group is full");
    queue.give_back(id(1));
    assert!(!queue.try_take(id(6), None), "the slot belongs to the one in the queue");
    assert_eq!((queue.group_wait(id(2)), pop_all(&mut queue)), (None, vec![2]));
}

#[test]
fn a_setting_counts_for_what_waits_and_for_what_runs() {
    let mut queue = Queue::new(9);
    for number in 1..=5 {
        queue.push(id(number), 0, Some("g"), []);
    }
    queue.set_group("g", PAUSED);
    assert_eq!((queue.pop(), queue.group_wait(id(1))), (None, Some(GroupWait::Paused)));
    assert!(!queue.try_take(id(8), Some("g")) && queue.try_take(id(8), None));
    queue.set_group("g", limit(3));
    assert_eq!(pop_all(&mut queue), [1, 2, 3]);
    // Fewer than run: nothing starts until enough of them have ended.
    queue.set_group("g", limit(1));
    queue.give_back(id(1));
    queue.give_back(id(2));
    assert_eq!(queue.pop(), None);
    queue.set_group("g", None);
    assert_eq!(pop_all(&mut queue), [4, 5]);
}

#[test]
fn a_group_is_known_while_it_is_set_or_has_executions() {
    let mut queue = Queue::new(1);
    queue.push(id(1), 0, Some("b"), []);
    queue.push(id(2), 0, Some("b"), [id(9)]);
    queue.set_group("a", limit(2));
    queue.push(id(3), 0, None, []);
    let (place, first) = queue.pop().unwrap();
    let group = |name: &str, waiting, running| GroupView {
        name: name.to_string(),
        max_running: (name == "a").then_some(2),
        paused: false,
        set: name == "a",
        waiting,
        running,
    };
    assert_eq!(queue.groups(), [group("a", 0, 0), group("b", 1, 1)]);
    queue.put_back(place, first);
    assert_eq!((queue.group("b"), queue.taken()), (Some(group("b", 2, 0)), 0));
    queue.pop();
    assert!(queue.remove(id(2)));
    assert_eq!(queue.running_of("b"), [id(1)]);
    queue.give_back(id(1));
    queue.take(id(4), Some("c"));
    assert_eq!(queue.groups(), [group("a", 0, 0), group("c", 0, 1)]);
    queue.set_group("a", None);
    queue.give_back(id(4));
    assert_eq!((queue.groups(), queue.group("a")), (vec![], None));
}

#[test]
fn held_and_waiting_for_others_is_not_waiting_for_the_group() {
    let mut queue = Queue::new(1);
    queue.set_group("g", PAUSED);
    queue.push(id(1), 0, Some("g"), []);
    queue.push(id(2), 0, Some("g"), [id(1)]);
    queue.hold(id(1));
    assert_eq!([1, 2, 3].map(|number| queue.group_wait(id(number))), [None; 3]);
    queue.let_go(id(1));
    assert_eq!(queue.group_wait(id(1)), Some(GroupWait::Paused));
}

/// With a look at all that wait for each start this would take hours.
#[test]
fn a_hundred_thousand_that_wait_for_their_groups_cost_the_others_no_time() {
    const MANY: u128 = 100_000;
    let mut queue = Queue::new(1);
    queue.set_group("full", PAUSED);
    for number in 0..MANY {
        queue.push(id(number), 9, Some("full"), []);
        // Each of these has a group of its own.
        queue.push(id(MANY + number), 0, Some(&number.to_string()), []);
    }
    for number in 0..MANY {
        assert_eq!(queue.pop().map(|(_, id)| id), Some(id(MANY + number)));
        queue.give_back(id(MANY + number));
    }
    assert_eq!((queue.pop(), queue.groups().len()), (None, 1));
    queue.set_group("full", limit(1));
    for number in 0..MANY {
        assert_eq!(queue.pop().map(|(_, id)| id), Some(id(number)));
        queue.give_back(id(number));
    }
    assert_eq!((queue.len(), queue.groups().len()), (0, 1));
}
