//! File capabilities, which a process gets from the program that it executes.

use std::fs::File;

use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

/// Flag of a program that is not executed unless it gets all of its capabilities: it does not find
/// out by itself what it lacks.
const EFFECTIVE: u64 = 1;

/// Returns the capabilities that a program must get and that this process may give to none.
pub(super) fn out_of_reach(file: &File) -> Option<String> {
    let mut attribute = [0; 24];
    let length = rustix::fs::fgetxattr(file, "security.capability", &mut attribute).ok()?;
    let word = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    let words: Vec<u64> = attribute[..length].as_chunks().0.iter().map(word).collect();
    let &[flags, permitted, inheritable, permitted_high, inheritable_high, ..] = &words[..] else {
        return None;
    };
    let permitted = CapabilitySet::from_bits_retain(permitted | permitted_high << 32);
    let inheritable = CapabilitySet::from_bits_retain(inheritable | inheritable_high << 32);
    let beyond = (permitted - inheritable).iter_names();
    let beyond = beyond.filter(|(_, one)| !capability_is_in_bounding_set(*one).unwrap_or(true));
    let names: Vec<_> = beyond.map(|(name, _)| name).collect();
    let is_refused = flags & EFFECTIVE != 0 && !names.is_empty();
    is_refused.then(|| names.join(", "))
}
