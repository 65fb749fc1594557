//! Medians, the interval each of them is known to, and the refusal to conclude from too little.
//!
//! The interval runs from one ordered value to another, so that it holds whatever the values' distribution is: each lies above the true
//! median or below it like a tossed coin.

/// A set of rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    /// The true median lies from here to `high`, but for one time in twenty (with five rounds, in sixteen).
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
    pub(crate) max: f64,
    rounds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Below,
    Above,
    /// The rounds lie on both sides of the limit.
    Unclear,
    TooFewRounds,
}

impl Summary {
    /// None without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Summary> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let rounds = sorted.len();
        let cut = cut(rounds);
        let median = (sorted[(rounds - 1) / 2] + sorted[rounds / 2]) / 2.0;
        Some(Summary { min, low: sorted[cut], median, high: sorted[rounds - 1 - cut], max, rounds })
    }

    pub(crate) fn against(&self, limit: f64) -> Verdict {
        if self.rounds < ROUNDS_MIN {
            Verdict::TooFewRounds
        } else if self.high < limit {
            Verdict::Below
        } else if self.low > limit {
            Verdict::Above
        } else {
            Verdict::Unclear
        }
    }
}

/// All of five agree by chance once in sixteen times, which is still a finding; all of four once in eight, which is none.
pub(crate) const ROUNDS_MIN: usize = 5;

/// How often, at most, equals may get a verdict (from six rounds on).
const ERROR_MAX: f64 = 0.05;

/// How many values to leave out at each end. The median lies outside what remains if no more than so many of the rounds fell on one side
/// of it, which for a fair coin is P(X <= cut), once for each side.
fn cut(rounds: usize) -> usize {
    // Logarithms, lest the probability of one sequence vanish.
    let mut ln_probability = -(rounds as f64) * std::f64::consts::LN_2;
    let mut tail = ln_probability.exp();
    let mut cut = 0;
    loop {
        ln_probability += ((rounds - cut) as f64 / (cut + 1) as f64).ln();
        tail += ln_probability.exp();
        if 2.0 * tail > ERROR_MAX {
            return cut;
        }
        cut += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_as_narrow_as_the_error_allows() {
        // 8 rounds without their ends: 2 x (1 + 8) / 256 = 7 %. 9: 2 x (1 + 9) / 512 = 3.9 %.
        let cuts = [1, 5, 6, 8, 9, 11, 12, 20, 3000].map(cut);
        assert_eq!(cuts, [0, 0, 0, 0, 1, 1, 2, 5, 1445]);
        let nine = Summary::of([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
        assert_eq!((nine.min, nine.low, nine.median, nine.high, nine.max), (1., 2., 5., 8., 9.));
        assert_eq!(Summary::of([1.0, 2.0, 3.0, 4.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn a_verdict_needs_rounds_that_agree() {
        let narrow = Summary::of([0.83, 0.84, 0.85, 0.86, 0.87]).unwrap();
        assert_eq!(narrow.against(0.9), Verdict::Below);
        assert_eq!(narrow.against(0.8), Verdict::Above);
        assert_eq!(narrow.against(0.87), Verdict::Unclear);
        // Wide, and yet never once below the limit.
        let wide = Summary::of([0.5, 0.7, 0.85, 1.1, 1.3]).unwrap();
        assert_eq!(wide.against(0.9), Verdict::Unclear);
        assert_eq!(wide.against(0.4), Verdict::Above);
        let few = Summary::of([0.84, 0.85, 0.85, 0.86]).unwrap();
        assert_eq!(few.against(0.9), Verdict::TooFewRounds);
    }

    /// Every order in which rounds of equals can fall on the two sides of the limit.
    #[test]
    fn equals_seldom_get_a_verdict() {
        for rounds in 5..=16 {
            let is_judged = |sides: &u32| {
                let values = (0..rounds).map(|n| if sides >> n & 1 == 0 { 0.9 } else { 1.1 });
                Summary::of(values).unwrap().against(1.0) != Verdict::Unclear
            };
            let share = (0..1 << rounds).filter(is_judged).count() as f64 / f64::from(1 << rounds);
            let allowed = if rounds == 5 { 0.0625 } else { 0.05 };
            assert!(share <= allowed, "{rounds}: {share}");
        }
    }
}
