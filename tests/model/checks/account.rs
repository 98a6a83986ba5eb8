//! Accounts of output: what a reader was told and what it missed is what was written after its
//! beginning, and what it was told is what was written.

use std::collections::HashMap;

use execution_engine::*;

use super::Facts;
use super::records::short;
use crate::history::{View, index_of};
use crate::rules::{Check, Rule};
use crate::watch::{About, Recording, Told, What};
use crate::world::World;

/// One reader of one execution, from its beginning to the last record.
struct Reader<'a> {
    name: String,
    view: View,
    after: u64,
    records: Vec<&'a Told>,
}

/// Readers that missed nothing, by which others are judged.
#[derive(Default)]
struct Reference<'a> {
    lines: Option<Vec<&'a Told>>,
    /// The byte at each sequence, and its stream.
    bytes: Option<HashMap<u64, (OutputStream, u8)>>,
}

/// Checks the accounts of all readers.
pub(super) fn check(world: &World, facts: &[Facts], recordings: &[Recording]) -> Check {
    for facts in facts {
        let readers = readers_of(world, facts, recordings);
        let reference = reference(&readers);
        check_reference(world, facts, &reference)?;
        for reader in &readers {
            check_reader(world, facts, &reference, reader)?;
        }
    }
    Ok(())
}

fn readers_of<'a>(world: &World, facts: &Facts, recordings: &'a [Recording]) -> Vec<Reader<'a>> {
    let one = &facts.one;
    let is_only = world.only(one.id).is_some();
    let mut readers = Vec::new();
    for recording in recordings {
        let is_about = match recording.about {
            About::Execution(number) => number == one.number,
            About::Id(id) => is_only && id == one.id,
            About::All => is_only,
            About::Plan(_) => false,
        };
        if !is_about {
            continue;
        }
        let of_it = recording.records.iter().filter(|told| told.id == one.id);
        let records: Vec<_> = of_it.collect();
        // A watcher of all may have come when the execution had begun.
        let is_whole = recording.about != About::All
            || records.first().is_some_and(|first| first.sequence == 1)
                && records.last().is_some_and(|last| last.what.is_terminal());
        if is_whole && begins_after(recording, &records) {
            let Recording { about, view, after, .. } = recording;
            let name = format!("{}: {view:?} of {about:?} from {after}", facts.name());
            readers.push(Reader { name, view: *view, after: *after, records });
        }
    }
    readers
}

/// Returns `false` for a reader that began earlier: at a position beyond the end, which means the
/// end.
fn begins_after(recording: &Recording, records: &[&Told]) -> bool {
    let begin = |told: &&Told| match told.what {
        What::Bytes { .. } => told.sequence - told.what.told_bytes() + 1,
        _ => told.sequence,
    };
    recording.about == About::All
        || records.first().is_none_or(|told| begin(told) > recording.after)
}

fn reference<'a>(readers: &[Reader<'a>]) -> Reference<'a> {
    let mut reference = Reference::default();
    for reader in readers.iter().filter(|reader| reader.after == 0) {
        if reader.records.iter().any(|told| told.what.missed_bytes() > 0) || reader.is_lossy() {
            continue;
        }
        match reader.view {
            View::Lines => reference.lines = Some(reader.records.clone()),
            View::Chunks => reference.bytes = Some(bytes_of(&reader.records)),
        }
    }
    reference
}

fn bytes_of(records: &[&Told]) -> HashMap<u64, (OutputStream, u8)> {
    let mut all = HashMap::new();
    for told in records {
        if let What::Bytes { stream, bytes } = &told.what {
            let begin = told.sequence - bytes.len() as u64;
            let numbered = (begin + 1..).zip(bytes);
            all.extend(numbered.map(|(sequence, byte)| (sequence, (*stream, *byte))));
        }
    }
    all
}

impl Reader<'_> {
    fn told(&self) -> u64 {
        self.records.iter().map(|told| told.what.told_bytes()).sum()
    }

    fn missed(&self) -> u64 {
        self.records.iter().map(|told| told.what.missed_bytes()).sum()
    }

    /// Returns `true` if it was told a part of a character, of which the length is unknown.
    fn is_lossy(&self) -> bool {
        let is_lossy = |told: &&Told| matches!(&told.what, What::Line { text, .. } if text.contains('\u{fffd}'));
        self.records.iter().any(is_lossy)
    }

    /// Returns `true` if it may have begun inside a gap, where its loss may be told too large.
    fn may_begin_in_a_gap(&self) -> bool {
        self.after > 0 && self.records.first().is_some_and(|told| told.what.missed_bytes() > 0)
    }

    fn check_sum(&self, expected: u64) -> Check {
        let (told, missed) = (self.told(), self.missed());
        let sum = told + missed;
        let is_kept = sum == expected || self.may_begin_in_a_gap() && sum > expected;
        Rule::ToldAndMissed.check(is_kept, || {
            let all: Vec<_> = self.records.iter().map(|told| short(told)).collect();
            format!("{}: told {told} and missed {missed} of {expected}: {all:?}", self.name)
        })
    }
}

/// Checks the references against each other and against what the program prints.
fn check_reference(world: &World, facts: &Facts, reference: &Reference<'_>) -> Check {
    let is_one_attempt = facts.result.earlier_attempts.is_empty();
    // A shell that cannot fork says so, and prints less.
    let is_poor = world.may_be_poor(facts.one.called, facts.one.ended.get());
    if is_poor || !facts.is_undisturbed() || !is_one_attempt {
        return Ok(());
    }
    let Some(expected) = facts.expected() else { return Ok(()) };
    let mut told: Vec<[Vec<u8>; 2]> = Vec::new();
    if let Some(lines) = &reference.lines {
        let mut text = [Vec::new(), Vec::new()];
        for line in lines {
            if let What::Line { stream, text: line, is_partial } = &line.what {
                text[index_of(*stream)].extend_from_slice(line.as_bytes());
                text[index_of(*stream)].extend_from_slice(if *is_partial { b"" } else { b"\n" });
            }
        }
        told.extend(facts.replays[0].records.iter().any(is_output).then_some(text));
    }
    if let Some(bytes) = &reference.bytes {
        let mut sequences: Vec<_> = bytes.keys().collect();
        sequences.sort();
        let mut text = [Vec::new(), Vec::new()];
        for sequence in sequences {
            let (stream, byte) = bytes[sequence];
            text[index_of(stream)].push(byte);
        }
        told.push(text);
    }
    for told in told {
        Rule::ToldAsWritten.check(told == expected.output, || {
            let [out, err] = told.each_ref().map(|bytes| String::from_utf8_lossy(bytes));
            format!("{}: {out:?} and {err:?} were told, not {:?}", facts.name(), expected.output)
        })?;
    }
    Ok(())
}

fn is_output(told: &Told) -> bool {
    matches!(told.what, What::Line { .. } | What::Bytes { .. } | What::Missed(_))
}

fn check_reader(
    world: &World,
    facts: &Facts,
    reference: &Reference<'_>,
    reader: &Reader<'_>,
) -> Check {
    if reader.is_lossy() {
        return Rule::ToldAsWritten.check(!facts.is_undisturbed(), || {
            let all: Vec<_> = reader.records.iter().map(|told| short(told)).collect();
            format!("{}: a character is split: {all:?}", reader.name)
        });
    }
    match (reader.view, &reference.lines, &reference.bytes) {
        (View::Lines, ..) if !world.settings.streams_lines => Ok(()),
        (View::Lines, Some(lines), _) => check_lines(reader, lines),
        (View::Chunks, _, Some(bytes)) => check_chunks(reader, bytes),
        _ if reader.after == 0 && facts.result.earlier_attempts.is_empty() => {
            let Facts { result, .. } = facts;
            reader.check_sum(result.stdout_stats.seen_bytes + result.stderr_stats.seen_bytes)
        }
        _ => Ok(()),
    }
}

fn check_lines(reader: &Reader<'_>, reference: &[&Told]) -> Check {
    let all: HashMap<_, _> = reference.iter().map(|told| (told.sequence, *told)).collect();
    for told in &reader.records {
        if told.what.missed_bytes() > 0 {
            continue;
        }
        Rule::ToldAsWritten.check(all.get(&told.sequence) == Some(told), || {
            let near = reference.iter().filter(|it| it.sequence.abs_diff(told.sequence) < 10);
            let near: Vec<_> = near.map(|told| short(told)).collect();
            format!("{}: {:?} is not among {near:?}", reader.name, short(told))
        })?;
    }
    let later = reference.iter().filter(|told| told.sequence > reader.after);
    reader.check_sum(later.map(|told| told.what.told_bytes()).sum())
}

fn check_chunks(reader: &Reader<'_>, reference: &HashMap<u64, (OutputStream, u8)>) -> Check {
    for told in &reader.records {
        let What::Bytes { stream, bytes } = &told.what else { continue };
        let begin = told.sequence - bytes.len() as u64;
        for (sequence, byte) in (begin + 1..).zip(bytes) {
            let is_written = reference.get(&sequence) == Some(&(*stream, *byte));
            let is_new = sequence > reader.after;
            Rule::ToldAsWritten.check(is_written && is_new, || {
                format!("{}: {} at {sequence}: {byte:?}", reader.name, short(told))
            })?;
        }
    }
    let later = reference.keys().filter(|sequence| **sequence > reader.after);
    reader.check_sum(later.count() as u64)
}
