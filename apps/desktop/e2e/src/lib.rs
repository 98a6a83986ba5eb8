//! The tests are in `tests/`; `apps/desktop/test` builds the apps and runs them.
