//! A record in few bytes.
//!
//! Most executions end by themselves, put out little and leave nobody behind. All there is to tell of
//! such a one are some numbers, most of them small, and a few lines. They are packed: written one after
//! the other into one piece of memory, each number in as many bytes as it needs. It is a sixth of what
//! the same takes as structures, and there may be very many of them. What is out of the ordinary has
//! more to tell and is kept as it is.
//!
//! The output is the end of that piece, and whoever asks for its bytes shares them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use execution_engine_process::Level;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::model::{ContainmentReceipt, Ending, ResourceUsage, TreeUsage};
use crate::output::Sealed;

/// The most output, in bytes, that is packed, which takes copying it once.
const MOST_OUTPUT: usize = 4096;
/// What most need.
const USUAL_SIZE: usize = 160;

/// What there is to tell of an ended execution.
#[derive(Debug)]
pub(super) enum Packed {
    Ordinary(Arc<[u8]>),
    Other(Box<Facts>),
}

/// The facts of an ordinary execution, in the order in which they are written.
#[derive(Serialize, Deserialize)]
struct Ordinary<'a> {
    /// First, so that it is read without the rest.
    code: i32,
    waited: Duration,
    duration: Duration,
    usage: Option<Usage>,
    level: Level,
    proven: bool,
    lines_missed: u64,
    published: Cow<'a, Sealed>,
    /// How long the outputs are, which follow.
    lengths: [usize; 2],
}

/// The same as the public type, which is written in milliseconds.
#[derive(Serialize, Deserialize)]
struct Usage {
    user: Duration,
    system: Duration,
    peak_memory_bytes: Option<u64>,
    voluntary_switches: u64,
    involuntary_switches: u64,
    tree: Option<(Duration, Duration, Option<u64>)>,
}

impl Packed {
    pub(super) fn of(facts: Facts) -> Self {
        match Ordinary::of(&facts).and_then(|ordinary| ordinary.pack()) {
            Some(bytes) => Self::Ordinary(bytes),
            None => Self::Other(Box::new(facts)),
        }
    }

    pub(super) fn ending(&self) -> Ending {
        match self {
            Self::Ordinary(bytes) => {
                let (code, _rest) = postcard::take_from_bytes(bytes).expect(PACKED_HERE);
                Ending::Exited { code }
            }
            Self::Other(facts) => facts.ending.clone(),
        }
    }

    pub(super) fn unpacked(&self) -> Cow<'_, Facts> {
        match self {
            Self::Ordinary(bytes) => {
                let (ordinary, output) =
                    postcard::take_from_bytes::<Ordinary<'_>>(bytes).expect(PACKED_HERE);
                Cow::Owned(ordinary.facts(part(bytes, output)))
            }
            Self::Other(facts) => Cow::Borrowed(facts),
        }
    }
}

const PACKED_HERE: &str = "it was written by the same types";

impl<'a> Ordinary<'a> {
    /// None for what is out of the ordinary.
    fn of(facts: &'a Facts) -> Option<Self> {
        let Facts {
            ending: Ending::Exited { code },
            waited,
            duration,
            signal: None,
            usage,
            published,
            containment,
            output_error: None,
            lines_missed,
            earlier,
        } = facts
        else {
            return None;
        };
        let ContainmentReceipt { level, proven, .. } = *containment;
        let stopped_nobody = *containment == receipt(level, proven);
        let lengths = published.output.each_ref().map(|output| output.first_part().len());
        let is_short = lengths[0] + lengths[1] <= MOST_OUTPUT;
        let is_ordinary = stopped_nobody && earlier.is_empty() && is_short;
        is_ordinary.then(|| Self {
            code: *code,
            waited: *waited,
            duration: *duration,
            usage: usage.map(Usage::from),
            level,
            proven,
            lines_missed: *lines_missed,
            published: Cow::Borrowed(published),
            lengths,
        })
    }

    /// None for what has no packed form.
    fn pack(&self) -> Option<Arc<[u8]>> {
        let mut bytes = postcard::to_extend(self, Vec::with_capacity(USUAL_SIZE)).ok()?;
        for output in &self.published.output {
            bytes.extend_from_slice(output.first_part());
        }
        Some(Arc::from(bytes))
    }

    fn facts(self, mut output: Bytes) -> Facts {
        let stdout = output.split_to(self.lengths[0]);
        Facts {
            ending: Ending::Exited { code: self.code },
            waited: self.waited,
            duration: self.duration,
            signal: None,
            usage: self.usage.map(ResourceUsage::from),
            published: self.published.into_owned().with_first_parts([stdout, output]),
            containment: receipt(self.level, self.proven),
            output_error: None,
            lines_missed: self.lines_missed,
            earlier: Box::default(),
        }
    }
}

/// A part of these bytes that shares their memory.
fn part(bytes: &Arc<[u8]>, part: &[u8]) -> Bytes {
    if part.is_empty() {
        Bytes::new()
    } else {
        Bytes::from_owner(Arc::clone(bytes)).slice_ref(part)
    }
}

/// That of a tree of which nobody was left.
fn receipt(level: Level, proven: bool) -> ContainmentReceipt {
    ContainmentReceipt { proven, ..ContainmentReceipt::nothing(level) }
}

impl From<ResourceUsage> for Usage {
    fn from(usage: ResourceUsage) -> Self {
        let ResourceUsage {
            user,
            system,
            peak_memory_bytes,
            voluntary_switches,
            involuntary_switches,
            tree,
        } = usage;
        let tree = tree
            .map(|TreeUsage { user, system, peak_memory_bytes }| (user, system, peak_memory_bytes));
        Self { user, system, peak_memory_bytes, voluntary_switches, involuntary_switches, tree }
    }
}

impl From<Usage> for ResourceUsage {
    fn from(usage: Usage) -> Self {
        let Usage {
            user,
            system,
            peak_memory_bytes,
            voluntary_switches,
            involuntary_switches,
            tree,
        } = usage;
        let tree = tree.map(|(user, system, peak_memory_bytes)| TreeUsage {
            user,
            system,
            peak_memory_bytes,
        });
        Self { user, system, peak_memory_bytes, voluntary_switches, involuntary_switches, tree }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::model::{Attempt, ExecutionEvent, ExecutionStatus, Stream};
    use crate::output::{Holding, Journal, Keep};

    const LIMIT: usize = 5000;

    fn any_time() -> impl Strategy<Value = Duration> {
        prop_oneof![
            any::<u32>().prop_map(|micros| Duration::from_micros(micros.into())),
            (any::<u64>(), 0..1_000_000_000_u32)
                .prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        ]
    }

    fn any_usage() -> impl Strategy<Value = ResourceUsage> {
        let memory = || prop::option::of(any::<u64>());
        let tree =
            (any_time(), any_time(), memory()).prop_map(|(user, system, peak_memory_bytes)| {
                TreeUsage { user, system, peak_memory_bytes }
            });
        let switches = any::<[u64; 2]>();
        let parts = (any_time(), any_time(), memory(), switches, prop::option::of(tree));
        parts.prop_map(|(user, system, peak_memory_bytes, switches, tree)| ResourceUsage {
            user,
            system,
            peak_memory_bytes,
            voluntary_switches: switches[0],
            involuntary_switches: switches[1],
            tree,
        })
    }

    fn journal() -> Journal {
        let holding = Holding { limit: LIMIT, keep: Keep::First, window: 0, longest_line: 100 };
        Journal::new(Uuid::nil(), "test".into(), holding)
    }

    prop_compose! {
        fn any_published()(
            pid: u32,
            chunks in prop::collection::vec((any::<bool>(), ".{1,40}"), 0..10),
        ) -> Sealed {
            let journal = journal();
            journal.started(pid);
            journal.status(Utc::now(), ExecutionStatus::Pending, ExecutionStatus::Running);
            for (is_error, text) in chunks {
                let stream = if is_error { Stream::Stderr } else { Stream::Stdout };
                journal.append(stream, &mut text.into_bytes());
            }
            journal.seal()
        }
    }

    prop_compose! {
        fn any_facts()(
            code: i32,
            waited in any_time(),
            duration in any_time(),
            usage in prop::option::of(any_usage()),
            level in prop::sample::select(Level::ALL.to_vec()),
            proven: bool,
            lines_missed: u64,
            published in any_published(),
        ) -> Facts {
            Facts {
                ending: Ending::Exited { code },
                waited,
                duration,
                signal: None,
                usage,
                published,
                containment: receipt(level, proven),
                output_error: None,
                lines_missed,
                earlier: Box::default(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_the_same(facts in any_facts()) {
            prop_assert!(matches!(same(facts), Packed::Ordinary(_)));
        }
    }
    fn same(facts: Facts) -> Packed {
        let before = format!("{facts:?}");
        let packed = Packed::of(facts);
        assert_eq!(format!("{:?}", packed.unpacked()), before);
        assert_eq!(packed.ending(), packed.unpacked().ending);
        packed
    }

    fn facts() -> Facts {
        Facts {
            ending: Ending::Exited { code: 0 },
            waited: Duration::ZERO,
            duration: Duration::from_micros(700),
            signal: None,
            usage: None,
            published: journal().seal(),
            containment: receipt(Level::Cgroup, true),
            output_error: None,
            lines_missed: 0,
            earlier: Box::default(),
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_kept_as_it_is() {
        assert!(matches!(same(facts()), Packed::Ordinary(_)), "this one is not");
        let much = |length| {
            let journal = journal();
            journal.append(Stream::Stdout, &mut vec![b'x'; length]);
            Facts { published: journal.seal(), ..facts() }
        };
        assert!(matches!(same(much(MOST_OUTPUT)), Packed::Ordinary(_)), "nor is this");
        let told = journal();
        told.event(Utc::now(), ExecutionEvent::ExecutionsMissed { count: 1 });
        let nothing = || receipt(Level::Cgroup, true);
        let attempt = Attempt {
            number: 1,
            ending: Ending::Cancelled,
            started_at: Utc::now(),
            duration: Duration::ZERO,
            usage: None,
            containment: nothing(),
        };
        let others = [
            Facts { ending: Ending::Cancelled, ..facts() },
            Facts { signal: Some(9), ..facts() },
            Facts { output_error: Some("the disk is full".into()), ..facts() },
            Facts { earlier: Box::new([attempt]), ..facts() },
            Facts { containment: ContainmentReceipt { stopped: 1, ..nothing() }, ..facts() },
            much(MOST_OUTPUT + 1),
            Facts { published: told.seal(), ..facts() },
        ];
        for facts in others {
            assert!(matches!(same(facts), Packed::Other(_)));
        }
    }
}
