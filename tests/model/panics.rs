//! Panics of this process, other than those that handlers of a history raise on purpose.

use std::sync::{Mutex, Once};

use crate::world::lock;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes all panics from now on.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            lock(&PANICS).push(info.to_string());
            before(info);
        }));
    });
}

pub(crate) fn count() -> usize {
    lock(&PANICS).len()
}

/// Returns the panics after the first ones.
pub(crate) fn since(count: usize) -> Vec<String> {
    lock(&PANICS)[count..].to_vec()
}
