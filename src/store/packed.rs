//! A record in few bytes.
//!
//! Most executions put out little, and all else there is to tell of them are some numbers, most of them
//! small. They are packed: written one after the other into one piece of memory, each number in as many
//! bytes as it needs. It is a sixth of what the same takes as structures, and there may be very many of
//! them. What would not become small, or is rare, is kept as it is.
//!
//! The output is the end of that piece, and whoever asks for its bytes shares them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::outcome::Outcome;

/// The most output, in bytes, that is packed, which takes copying it once.
const MOST_OUTPUT: usize = 4096;
/// What most need.
const USUAL_SIZE: usize = 160;

/// What there is to tell of an ended execution.
#[derive(Debug)]
pub(super) enum Packed {
    /// How long the outputs are, the facts without them, and the outputs.
    Bytes(Arc<[u8]>),
    /// As it is.
    Outcome(Box<Outcome>),
}

impl Packed {
    pub(super) fn of(facts: Outcome) -> Self {
        match pack(&facts) {
            Some(bytes) => Self::Bytes(bytes),
            None => Self::Outcome(Box::new(facts)),
        }
    }

    pub(super) fn unpacked(&self) -> Cow<'_, Outcome> {
        match self {
            Self::Bytes(bytes) => Cow::Owned(unpack(bytes)),
            Self::Outcome(facts) => Cow::Borrowed(facts),
        }
    }
}

/// None for what is to be kept as it is.
fn pack(facts: &Outcome) -> Option<Arc<[u8]>> {
    let outputs = facts.published.output.each_ref().map(|output| output.first_part());
    let lengths = outputs.map(<[u8]>::len);
    if lengths[0] + lengths[1] > MOST_OUTPUT || !facts.earlier.is_empty() {
        return None;
    }
    let bytes = Vec::with_capacity(USUAL_SIZE);
    // An error says that something in it has no written form.
    let mut bytes = postcard::to_extend(&(lengths, facts), bytes).ok()?;
    outputs.iter().for_each(|output| bytes.extend_from_slice(output));
    Some(Arc::from(bytes))
}

fn unpack(bytes: &Arc<[u8]>) -> Outcome {
    let unpacked = postcard::take_from_bytes::<([usize; 2], Outcome)>(bytes);
    let ((lengths, facts), outputs) = unpacked.expect("it was written by the same types");
    let mut outputs = part(bytes, outputs);
    let stdout = outputs.split_to(lengths[0]);
    Outcome { published: facts.published.with_first_parts([stdout, outputs]), ..facts }
}

/// A part of these bytes that shares their memory.
fn part(bytes: &Arc<[u8]>, part: &[u8]) -> Bytes {
    if part.is_empty() {
        Bytes::new()
    } else {
        Bytes::from_owner(Arc::clone(bytes)).slice_ref(part)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::Utc;
    use execution_engine_process::{Level, Signal};
    use proptest::prelude::*;

    use super::*;
    use crate::output::{Journal, JournalLimits, JournalOwner, KeepPolicy, SealedJournal};
    use crate::types::{
        Attempt, ContainmentReceipt, Ending, ExecutionEvent, ExecutionStatus, OutputStream,
        ResourceLimit, ResourceUsage, Survivor, TreeUsage,
    };

    const LIMIT: usize = 5000;

    fn any_time() -> impl Strategy<Value = Duration> {
        prop_oneof![
            any::<u32>().prop_map(|micros| Duration::from_micros(micros.into())),
            (any::<u64>(), 0..1_000_000_000_u32)
                .prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        ]
    }

    fn any_stream() -> impl Strategy<Value = OutputStream> {
        prop::sample::select(&OutputStream::BOTH)
    }

    fn any_ending() -> impl Strategy<Value = Ending> {
        let fixed = [
            Ending::Cancelled,
            Ending::StatusUnknown,
            Ending::EngineClosed,
            Ending::ResourceLimit { limit: ResourceLimit::CpuTime },
            Ending::ResourceLimit { limit: ResourceLimit::FileSize },
            Ending::ResourceLimit { limit: ResourceLimit::TreeMemory },
        ];
        prop_oneof![
            prop::sample::select(fixed.to_vec()),
            any::<i32>().prop_map(|code| Ending::Exited { code }),
            any::<(i32, bool)>()
                .prop_map(|(signal, core_dumped)| Ending::Signaled { signal, core_dumped }),
            any::<u64>().prop_map(|timeout_ms| Ending::TimedOut { timeout_ms }),
            any::<u64>().prop_map(|deadline_ms| Ending::PlanDeadline { deadline_ms }),
            (any_stream(), any::<usize>())
                .prop_map(|(stream, limit)| Ending::OutputLimit { stream, limit }),
            (any_stream(), ".*").prop_map(|(stream, reason)| Ending::OutputLost { stream, reason }),
            (".*", any::<Option<i32>>())
                .prop_map(|(reason, os_error)| Ending::SpawnFailed { reason, os_error }),
            ".*".prop_map(|reason| Ending::EngineFailed { reason }),
        ]
    }

    fn any_usage() -> impl Strategy<Value = ResourceUsage> {
        let memory = || any::<Option<u64>>();
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

    fn any_left() -> impl Strategy<Value = Vec<Survivor>> {
        let one = (any::<u32>(), ".*", ".*").prop_map(|(pid, name, reason)| Survivor {
            pid,
            name,
            reason,
        });
        prop::collection::vec(one, 0..3)
    }

    prop_compose! {
        fn any_receipt()(
            level in prop::sample::select(&Level::ALL),
            proven: bool,
            stopped: u32,
            signal in prop::option::of(prop::sample::select(
                vec![Signal::Terminate, Signal::Kill, Signal::Other(40)]
            )),
            took in any_time(),
            survivors in any_left(),
            left_running in any_left(),
        ) -> ContainmentReceipt {
            ContainmentReceipt { level, proven, stopped, signal, took, survivors, left_running }
        }
    }

    fn journal() -> Journal {
        let holding =
            JournalLimits { limit: LIMIT, keep: KeepPolicy::First, window: 0, max_line_bytes: 100 };
        Journal::new(JournalOwner::default(), "test".into(), holding)
    }

    prop_compose! {
        fn any_published()(
            pid: u32,
            chunks in prop::collection::vec((any_stream(), ".{1,40}"), 0..10),
        ) -> SealedJournal {
            let journal = journal();
            journal.started(pid);
            journal.status(Utc::now(), ExecutionStatus::Pending, ExecutionStatus::Running);
            for (stream, text) in chunks {
                journal.append(stream, &mut text.into_bytes());
            }
            journal.seal()
        }
    }

    prop_compose! {
        fn any_facts()(
            ending in any_ending(),
            [waited, duration] in [any_time(), any_time()],
            signal: Option<i32>,
            usage in prop::option::of(any_usage()),
            published in any_published(),
            containment in any_receipt(),
            output_error in prop::option::of(".*"),
            lines_missed: u64,
        ) -> Outcome {
            Outcome {
                ending,
                waited,
                duration,
                signal,
                usage,
                published,
                containment,
                output_error: output_error.map(String::into_boxed_str),
                lines_missed,
                earlier: Box::default(),
            }
        }
    }

    fn same(facts: Outcome) -> Packed {
        let before = format!("{facts:?}");
        let packed = Packed::of(facts);
        assert_eq!(format!("{:?}", packed.unpacked()), before);
        packed
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_the_same(facts in any_facts()) {
            prop_assert!(matches!(same(facts), Packed::Bytes(_)));
        }
    }

    fn facts() -> Outcome {
        Outcome {
            ending: Ending::Exited { code: 0 },
            waited: Duration::ZERO,
            duration: Duration::from_micros(700),
            signal: None,
            usage: None,
            published: journal().seal(),
            containment: ContainmentReceipt::nothing(Level::Cgroup),
            output_error: None,
            lines_missed: 0,
            earlier: Box::default(),
        }
    }

    #[test]
    fn what_is_long_or_rare_is_kept_as_it_is() {
        let much = |length| {
            let journal = journal();
            journal.append(OutputStream::Stdout, &mut vec![b'x'; length]);
            Outcome { published: journal.seal(), ..facts() }
        };
        assert!(matches!(same(much(MOST_OUTPUT)), Packed::Bytes(_)), "this one is not long");
        let told = journal();
        told.event(Utc::now(), ExecutionEvent::ExecutionsMissed { count: 1 });
        let attempt = Attempt {
            number: 1,
            ending: Ending::Cancelled,
            started_at: Utc::now(),
            duration: Duration::ZERO,
            usage: None,
            containment: facts().containment,
        };
        let others = [
            much(MOST_OUTPUT + 1),
            Outcome { published: told.seal(), ..facts() },
            Outcome { earlier: Box::new([attempt]), ..facts() },
        ];
        for facts in others {
            assert!(matches!(same(facts), Packed::Outcome(_)));
        }
    }
}
