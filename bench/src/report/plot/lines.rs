//! Curves over a logarithmic axis, each named at its end.

use super::canvas::{self, At, Canvas, Colour, GRID, GUIDE, SOFT, Width};
use super::ticks;
use crate::report::words;

pub(in crate::report) struct Lines {
    /// Places on the horizontal axis that have a name. The axis runs from the first to the last.
    pub(in crate::report) marks: Vec<(f64, String)>,
    pub(in crate::report) scale: Scale,
    pub(in crate::report) curves: Vec<Curve>,
}

/// The vertical axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    FromZero,
    Logarithmic,
}

pub(in crate::report) struct Curve {
    pub(in crate::report) label: String,
    pub(in crate::report) colour: Colour,
    pub(in crate::report) is_ours: bool,
    /// In the order of x; all above zero.
    pub(in crate::report) points: Vec<(f64, f64)>,
    /// A dot on each point, where there are few.
    pub(in crate::report) has_dots: bool,
}

/// Between the names of two curves.
const NAME_HEIGHT: i32 = 15;
const BELOW: i32 = 26;

/// Edges of the drawing inside its frame, and what they stand for.
struct Frame {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    x: (f64, f64),
    y: (f64, f64),
    scale: Scale,
}

impl Lines {
    pub(super) fn draw(&self, width: Width, caption: &str) -> String {
        let names = NAME_HEIGHT * self.curves.len() as i32;
        let frame = self.frame(width, names);
        canvas::draw(width, frame.bottom + BELOW, caption, |canvas| {
            self.draw_axes(canvas, width, &frame);
            // Ours last, hence on top.
            let (ours, others): (Vec<_>, Vec<_>) =
                self.curves.iter().partition(|curve| curve.is_ours);
            for curve in others.into_iter().chain(ours) {
                draw_curve(canvas, &frame, curve);
            }
            self.draw_names(canvas, &frame);
        })
    }

    fn frame(&self, width: Width, names: i32) -> Frame {
        let values = || self.curves.iter().flat_map(|curve| curve.points.iter().map(|p| p.1));
        let highest = values().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let lowest = values().fold(highest, f64::min);
        let y = match self.scale {
            Scale::FromZero => (0.0, highest * 1.05),
            Scale::Logarithmic => (lowest / 1.2, highest * 1.2),
        };
        let marks = || self.marks.iter().map(|mark| mark.0);
        let x = (marks().fold(f64::INFINITY, f64::min), marks().fold(1.0, f64::max));
        let (left, right, least) = match width {
            Width::Broad => (64, 710, 300),
            Width::Narrow => (54, 194, 300),
        };
        Frame { left, right, top: 8, bottom: 8 + names.max(least), x, y, scale: self.scale }
    }

    fn draw_axes(&self, canvas: &mut Canvas<'_>, width: Width, frame: &Frame) {
        let values = match self.scale {
            Scale::FromZero => ticks(frame.y.1, 5.0),
            Scale::Logarithmic => decades(frame.y),
        };
        for value in values {
            let y = frame.place((frame.x.0, value)).1;
            canvas.line(GRID, (frame.left, y), (frame.right, y));
            canvas.text(SOFT, At::Right, (frame.left - 6, y), &words::tick(value));
        }
        let mut free_from = i32::MIN;
        for (x, name) in &self.marks {
            let x = frame.place((*x, frame.y.1)).0;
            canvas.line(GRID, (x, frame.top), (x, frame.bottom + 4));
            let half = name.chars().count() as i32 * 4;
            if x - half > free_from || width == Width::Broad {
                canvas.text(SOFT, At::Middle, (x, frame.bottom + 14), name);
                free_from = x + half;
            }
        }
    }

    /// Beside the ends, moved apart as far as they must be.
    fn draw_names(&self, canvas: &mut Canvas<'_>, frame: &Frame) {
        let end = |curve: &&Curve| Some(frame.place(*curve.points.last()?));
        let mut names: Vec<_> = self.curves.iter().filter_map(|c| Some((end(&c)?, c))).collect();
        names.sort_by_key(|((_, y), _)| *y);
        let wanted: Vec<i32> = names.iter().map(|((_, y), _)| *y).collect();
        for (place, ((from_x, from_y), curve)) in
            spread(&wanted, NAME_HEIGHT, (frame.top, frame.bottom)).into_iter().zip(names)
        {
            let x = frame.right + 16;
            canvas.line(GUIDE, (from_x, from_y), (x - 3, place));
            match curve.is_ours {
                true => canvas.bold(curve.colour, At::Left, (x, place), &curve.label),
                false => canvas.text(curve.colour, At::Left, (x, place), &curve.label),
            }
        }
    }
}

fn draw_curve(canvas: &mut Canvas<'_>, frame: &Frame, curve: &Curve) {
    let points: Vec<_> = curve.points.iter().map(|point| frame.place(*point)).collect();
    if curve.has_dots {
        for point in &points {
            canvas.dot(curve.colour, *point);
        }
    }
    canvas.path(curve.colour, if curve.is_ours { 3 } else { 1 }, points);
}

impl Frame {
    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let across = share(x.ln(), self.x.0.ln(), self.x.1.ln());
        let up = match self.scale {
            Scale::FromZero => share(y, self.y.0, self.y.1),
            Scale::Logarithmic => share(y.ln(), self.y.0.ln(), self.y.1.ln()),
        };
        let (width, height) = (self.right - self.left, self.bottom - self.top);
        let pixels = |share: f64, all: i32| (share * f64::from(all)).round() as i32;
        (self.left + pixels(across, width), self.bottom - pixels(up, height))
    }
}

fn share(value: f64, from: f64, to: f64) -> f64 {
    let share = (value - from) / (to - from);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
}

/// 1, 2 and 5 times powers of ten, or powers of ten alone where they are many.
fn decades((from, to): (f64, f64)) -> Vec<f64> {
    let powers = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let factors: &[f64] = if powers.clone().count() > 5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all = powers.flat_map(|n| factors.iter().map(move |factor| factor * 10f64.powi(n)));
    all.filter(|value| (from..=to).contains(value)).collect()
}

/// Sorted places, at least `gap` apart, near where they are wanted and inside `bounds` while there is room.
fn spread(wanted: &[i32], gap: i32, bounds: (i32, i32)) -> Vec<i32> {
    // Between the two ways of making room the gaps remain, and the way is shorter.
    let lowered = lift(&lower(wanted, gap, bounds.0), gap, bounds.1);
    let lifted = lower(&lift(wanted, gap, bounds.1), gap, bounds.0);
    lowered.iter().zip(&lifted).map(|(a, b)| (a + b) / 2).collect()
}

fn lower(wanted: &[i32], gap: i32, top: i32) -> Vec<i32> {
    let mut free = top;
    let place = |wanted: &i32| {
        let place = free.max(*wanted);
        free = place + gap;
        place
    };
    wanted.iter().map(place).collect()
}

fn lift(wanted: &[i32], gap: i32, bottom: i32) -> Vec<i32> {
    let mut free = bottom;
    let place = |wanted: &i32| {
        let place = free.min(*wanted);
        free = place - gap;
        place
    };
    let mut places: Vec<i32> = wanted.iter().rev().map(place).collect();
    places.reverse();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_apart() {
        assert_eq!(spread(&[50, 52, 100], 16, (0, 110)), [43, 59, 100]);
        assert_eq!(spread(&[1, 2], 16, (0, 110)), [0, 16]);
        assert_eq!(spread(&[105, 106, 107], 15, (0, 110)), [78, 93, 108]);
    }

    #[test]
    fn decades_lie_inside() {
        assert_eq!(decades((15.0, 250.0)), [20.0, 50.0, 100.0, 200.0]);
        assert_eq!(decades((0.5, 2e6)), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
    }
}
