//! Which buffers of a pool were written and not used since: their memory goes back to the system.
//!
//! A herd of tunnels that has carried something and fallen silent must not keep the memory of its busiest moment.

use std::ops::Range;

/// The ages of a group's buffers.
#[derive(Debug)]
pub(super) struct Warmth {
    ages: Vec<Age>,
    /// Those that are not clean.
    written: usize,
}

/// How long ago a buffer was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Age {
    /// Never, or its memory went back.
    Clean,
    /// Before the last round.
    Cold,
    /// Since the last round.
    Warm,
}

impl Warmth {
    pub(super) fn new(total: u32) -> Warmth {
        Warmth { ages: vec![Age::Clean; total as usize], written: 0 }
    }

    /// A buffer was written.
    pub(super) fn used(&mut self, index: u32) {
        let age = &mut self.ages[index as usize];
        self.written += usize::from(*age == Age::Clean);
        *age = Age::Warm;
    }

    /// Whether there is anything to wait for.
    pub(super) fn any(&self) -> bool {
        self.written > 0
    }

    /// One round: everything ages. The runs of buffers that were cold already and are free, at most `limit` of them; their
    /// memory is the caller's to give back.
    pub(super) fn round(
        &mut self,
        limit: usize,
        is_free: impl Fn(usize) -> bool,
    ) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (index, age) in self.ages.iter_mut().enumerate() {
            match *age {
                Age::Clean => {}
                Age::Warm => *age = Age::Cold,
                Age::Cold if !is_free(index) => {}
                Age::Cold => {
                    let full = runs.len() == limit;
                    match runs.last_mut().filter(|run| run.end == index) {
                        Some(run) => run.end += 1,
                        None if full => continue,
                        None => runs.push(index..index + 1),
                    }
                    *age = Age::Clean;
                    self.written -= 1;
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_a_round_is_cold() {
        let mut warmth = Warmth::new(8);
        [1, 2, 3, 6].into_iter().for_each(|index| warmth.used(index));
        assert!(warmth.any() && warmth.round(9, |_| true).is_empty(), "still warm");
        warmth.used(2);
        assert_eq!(warmth.round(9, |index| index != 6), [1..2, 3..4]);
        assert_eq!(warmth.round(9, |_| true), [2..3, 6..7]);
        assert!(!warmth.any());
    }

    #[test]
    fn a_round_is_bounded_and_the_rest_is_for_the_next() {
        let mut warmth = Warmth::new(10);
        [0, 1, 4, 8].into_iter().for_each(|index| warmth.used(index));
        warmth.round(2, |_| true);
        assert_eq!(warmth.round(2, |_| true), [0..2, 4..5]);
        assert_eq!(warmth.round(2, |_| true), vec![8..9; 1]);
        assert!(!warmth.any());
    }
}
