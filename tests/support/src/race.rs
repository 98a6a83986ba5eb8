//! A sweep of the delay between two competitors, so that a race test sees each of them win.

use std::time::Duration;

/// Rounds after which a side that has never won fails the test.
const MAX_ROUNDS: u32 = 5000;

/// Delay before one competitor acts: longer after it won, shorter after it lost.
#[derive(Debug)]
pub struct Race {
    delay: Duration,
    rounds: u32,
    early: u32,
    late: u32,
}

impl Race {
    /// Creates a race with the delay of the first round.
    pub fn new(delay: Duration) -> Self {
        Self { delay, rounds: 0, early: 0, late: 0 }
    }

    /// Returns `true` until there were this many rounds and each side has won.
    ///
    /// # Panics
    /// Panics if one side has not won in many rounds: the race is not tested then.
    pub fn continues(&mut self, rounds: u32) -> bool {
        let both_won = self.early > 0 && self.late > 0;
        assert!(both_won || self.rounds < MAX_ROUNDS, "one side never won: {self:?}");
        self.rounds += 1;
        self.rounds <= rounds || !both_won
    }

    /// Returns the delay of this round.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Records that the delayed side came first.
    pub fn was_early(&mut self) {
        self.early += 1;
        self.delay += self.delay / 8 + Duration::from_micros(10);
    }

    /// Records that the delayed side came second.
    pub fn was_late(&mut self) {
        self.late += 1;
        self.delay -= self.delay / 8;
    }
}
