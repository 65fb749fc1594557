//! Plots as SVG inside a page: each drawn twice, broad and narrow, and the page's style shows the one that fits.
//!
//! Colours are those of light paper; `dark_style` replaces each of them on a dark screen.

mod bars;
mod canvas;
mod lines;

pub(super) use bars::{Bar, Bars};
pub(super) use canvas::{Colour, OURS, OURS_TOO, PEER, PLAIN, SOFT, dark_style, peer_colour};
pub(super) use lines::{Curve, Lines, Scale};

pub(super) struct Plot {
    /// Above it: what is drawn, and which way is better.
    pub(super) caption: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Bars(Bars),
    Lines(Lines),
}

impl Plot {
    pub(super) fn svg(&self) -> String {
        [canvas::Width::Broad, canvas::Width::Narrow]
            .map(|width| match &self.kind {
                Kind::Bars(bars) => bars.draw(width, &self.caption),
                Kind::Lines(lines) => lines.draw(width, &self.caption),
            })
            .concat()
    }
}

/// Round steps from 0 that cover `max`, `count` of them or a few more.
fn ticks(max: f64, count: f64) -> Vec<f64> {
    let raw = max / count;
    let power = 10f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| *step >= raw).unwrap_or(10.0 * power);
    (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= max * 1.0001).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(1.9, 4.0), [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(ticks(30_000.0, 4.0), [0.0, 10_000.0, 20_000.0, 30_000.0]);
    }
}
