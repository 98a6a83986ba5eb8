//! Interleaving, so that other load on the machine affects all contenders alike.

use std::time::Instant;

use crate::contender::Contender;

/// A contender and the function that takes one sample of it.
pub struct Entry<'a> {
    pub contender: Contender,
    pub sample: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Entry<'a> {
    pub fn new(contender: Contender, sample: impl FnMut() -> f64 + 'a) -> Self {
        Self { contender, sample: Box::new(sample) }
    }

    /// Creates a contender whose sample is the time in seconds that `work` takes.
    pub fn timed(contender: Contender, mut work: impl FnMut() + 'a) -> Self {
        Self::new(contender, move || {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        })
    }
}

/// The samples of each contender; those of one round have the same index.
pub struct Samples(Vec<(Contender, Vec<f64>)>);

/// Takes `rounds` samples of each contender, one per round, starting with another one each time.
/// A round before the first warms up all of them.
pub fn interleave(rounds: usize, mut entries: Vec<Entry<'_>>) -> Samples {
    for entry in &mut entries {
        (entry.sample)();
    }
    let mut samples: Vec<_> =
        entries.iter().map(|entry| (entry.contender, Vec::with_capacity(rounds))).collect();
    let count = entries.len();
    for round in 0..rounds {
        for place in 0..count {
            let index = (round + place) % count;
            samples[index].1.push((entries[index].sample)());
        }
    }
    Samples(samples)
}

impl Samples {
    pub fn new(samples: Vec<(Contender, Vec<f64>)>) -> Self {
        Self(samples)
    }

    pub fn contenders(&self) -> impl Iterator<Item = Contender> {
        self.0.iter().map(|(contender, _)| *contender)
    }

    pub fn median(&self, contender: Contender) -> f64 {
        self.percentile(contender, 0.5)
    }

    pub fn percentile(&self, contender: Contender, share: f64) -> f64 {
        percentile(self.of(contender).to_vec(), share)
    }

    /// Returns the median of the ratios of the rounds, so that a slow moment of the machine, which
    /// slows both sides, does not count.
    pub fn ratio(&self, contender: Contender, against: Contender) -> f64 {
        let pairs = self.of(contender).iter().zip(self.of(against));
        percentile(pairs.map(|(ours, theirs)| ours / theirs).collect(), 0.5)
    }

    fn of(&self, contender: Contender) -> &[f64] {
        let found = self.0.iter().find(|(of, _)| *of == contender);
        found.map_or(&[], |(_, samples)| samples)
    }
}

/// Returns the value below which this share of the samples lies.
pub fn percentile(mut samples: Vec<f64>, share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list of this length"
    )]
    let index = (samples.len().saturating_sub(1) as f64 * share).round() as usize;
    samples.get(index).copied().unwrap_or(f64::NAN)
}
