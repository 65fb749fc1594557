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
    /// The last round changed nothing.
    cold: bool,
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
        Warmth { ages: vec![Age::Clean; total as usize], written: 0, cold: false }
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
    /// memory is the caller's to give back. A page holds parts of neighbours, so a run takes in one that is free and clean at
    /// each of its ends: otherwise buffers that go cold one by one would never give back a page.
    pub(super) fn round(
        &mut self,
        limit: usize,
        is_free: impl Fn(usize) -> bool,
    ) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        self.cold = true;
        for (index, age) in self.ages.iter_mut().enumerate() {
            match *age {
                Age::Clean => {}
                Age::Warm => (*age, self.cold) = (Age::Cold, false),
                Age::Cold if !is_free(index) => {}
                Age::Cold => {
                    let full = runs.len() == limit;
                    self.cold = false;
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
        let is_clean = |index: usize| self.ages.get(index) == Some(&Age::Clean) && is_free(index);
        let widen = |run: Range<usize>| {
            let start = run.start - usize::from(run.start > 0 && is_clean(run.start - 1));
            start..run.end + usize::from(is_clean(run.end))
        };
        runs.into_iter().map(widen).collect()
    }

    /// Whether the last round found nothing that was to age or to be given back: what is not clean is in use.
    pub(super) fn is_settled(&self) -> bool {
        self.cold
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
        assert_eq!(warmth.round(9, |index| index != 6), [0..2, 3..5]);
        assert!(!warmth.is_settled());
        assert_eq!(warmth.round(9, |index| index != 6), vec![1..4; 1]);
        assert!(warmth.round(9, |index| index != 6).is_empty() && warmth.is_settled());
        assert_eq!(warmth.round(9, |_| true), vec![5..8; 1]);
        assert!(!warmth.any());
    }

    #[test]
    fn a_round_is_bounded_and_the_rest_is_for_the_next() {
        let mut warmth = Warmth::new(10);
        [0, 1, 4, 8].into_iter().for_each(|index| warmth.used(index));
        warmth.round(2, |_| true);
        assert_eq!(warmth.round(2, |_| true), [0..3, 3..6]);
        assert_eq!(warmth.round(2, |_| true), vec![7..10; 1]);
        assert!(!warmth.any());
    }

    #[test]
    fn buffers_that_go_cold_one_by_one_leave_no_page_behind() {
        let mut warmth = Warmth::new(9);
        (0..9).for_each(|index| warmth.used(index));
        assert!(warmth.round(9, |_| true).is_empty());
        (1..9).step_by(2).for_each(|index| warmth.used(index));
        assert_eq!(warmth.round(9, |_| true).len(), 5, "every other one");
        let runs = warmth.round(9, |_| true);
        let borders = |index: usize| {
            runs.iter().any(|run| run.contains(&index) && run.contains(&(index + 1)))
        };
        assert!((0..8).all(borders), "{runs:?}");
    }
}
