//! The tracing collector of a test binary.

use std::sync::{Mutex, OnceLock};

use execution_engine::*;

/// Collector that remembers the level and the text of what the library traces.
#[derive(Debug, Clone, Default)]
pub struct Traces(Arc<Mutex<Vec<String>>>);

impl Traces {
    /// Returns the collector of this process; the first call installs it.
    pub fn of_this_process() -> &'static Self {
        static TRACES: OnceLock<Traces> = OnceLock::new();
        TRACES.get_or_init(|| {
            let traces = Self::default();
            tracing::subscriber::set_global_default(traces.clone()).unwrap();
            traces
        })
    }

    /// Returns all that was traced since.
    pub fn so_far(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl tracing::Subscriber for Traces {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("execution_engine")
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.0.lock().unwrap().push(format!("{span:?}"));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        self.0.lock().unwrap().push(format!("{values:?}"));
    }

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = event.metadata().level().to_string();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            text.push_str(&format!(" {}={value:?}", field.name()));
        });
        self.0.lock().unwrap().push(text);
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}
