//! Medians and their spread, and the refusal to conclude from too little.

/// The five numbers of a set of rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) max: f64,
    rounds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Below,
    Above,
    /// The spread is larger than the difference, or the rounds are too few to know the spread.
    Unclear,
}

impl Summary {
    /// None without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Summary> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let [lower_quartile, median, upper_quartile] =
            [0.25, 0.5, 0.75].map(|p| quantile(&sorted, p));
        Some(Summary { min, lower_quartile, median, upper_quartile, max, rounds: sorted.len() })
    }

    /// The distance between the quartiles.
    pub(crate) fn spread(&self) -> f64 {
        self.upper_quartile - self.lower_quartile
    }

    pub(crate) fn against(&self, limit: f64) -> Verdict {
        if self.rounds < ROUNDS_MIN || (self.median - limit).abs() <= self.spread() {
            Verdict::Unclear
        } else if self.median < limit {
            Verdict::Below
        } else {
            Verdict::Above
        }
    }
}

/// Fewer rounds tell nothing of their spread.
const ROUNDS_MIN: usize = 5;

/// Linear between the two nearest values.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_values() {
        let summary = Summary::of([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((summary.min, summary.median, summary.max), (1.0, 2.5, 4.0));
        assert_eq!((summary.lower_quartile, summary.upper_quartile), (1.75, 3.25));
        assert_eq!(Summary::of([7.0]).unwrap().spread(), 0.0);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn a_verdict_needs_a_difference_beyond_the_spread() {
        let narrow = Summary::of([0.83, 0.84, 0.85, 0.86, 0.87]).unwrap();
        assert_eq!(narrow.against(0.9), Verdict::Below);
        assert_eq!(narrow.against(0.8), Verdict::Above);
        let wide = Summary::of([0.5, 0.7, 0.85, 1.1, 1.3]).unwrap();
        assert_eq!(wide.against(0.9), Verdict::Unclear);
        let few = Summary::of([0.84, 0.85, 0.85, 0.86]).unwrap();
        assert_eq!(few.against(0.9), Verdict::Unclear);
    }
}
