//! Horizontal bars from zero, one per contestant, with whiskers over the interval that the median is known to.

use super::canvas::{self, At, BAD, Canvas, Colour, GOOD, GRID, INK, SOFT, Width};
use super::ticks;
use crate::report::words;
use crate::stats::{Summary, Verdict};

pub(in crate::report) struct Bars {
    /// Where "the same" is: a line through all bars.
    pub(in crate::report) same: Option<f64>,
    pub(in crate::report) bars: Vec<Bar>,
}

pub(in crate::report) struct Bar {
    pub(in crate::report) label: String,
    pub(in crate::report) is_ours: bool,
    pub(in crate::report) colour: Colour,
    /// None if it failed: it keeps its place.
    pub(in crate::report) value: Option<Summary>,
    /// The value as the table has it.
    pub(in crate::report) text: String,
    /// Of Penstock against this one.
    pub(in crate::report) verdict: Option<Verdict>,
}

/// Places in one width, in pixels.
struct Layout {
    left: i32,
    right: i32,
    row: i32,
    /// From the top of a row to the middle of its label, to where lines begin, and to the middle of its bar.
    label: i32,
    lines: i32,
    bar: i32,
}

const BAR_HALF: i32 = 7;
const BELOW: i32 = 26;
/// A bar that is longer than this many times three quarters of all bars is cut, lest the others vanish.
const CUT: f64 = 5.0;

impl Bars {
    pub(super) fn draw(&self, width: Width, caption: &str) -> String {
        let layout = match width {
            Width::Broad => Layout { left: 190, right: 700, row: 26, label: 13, lines: 0, bar: 13 },
            Width::Narrow => Layout { left: 4, right: 348, row: 44, label: 12, lines: 20, bar: 29 },
        };
        let bottom = layout.row * self.bars.len() as i32;
        let lines = self.bars.iter().map(|bar| format!("{} {}", bar.label, bar.text));
        let alternative = format!("{caption} {}", lines.collect::<Vec<_>>().join("; "));
        canvas::draw(width, bottom + BELOW, &alternative, |canvas| {
            self.draw_axis(canvas, &layout, bottom);
            for (place, bar) in self.bars.iter().enumerate() {
                self.draw_bar(canvas, width, &layout, layout.row * place as i32, bar);
            }
        })
    }

    /// The axis ends here.
    fn end(&self) -> f64 {
        let values = self.bars.iter().filter_map(|bar| bar.value);
        let longest = values.clone().map(|v| v.high).fold(0.0, f64::max);
        let mut medians: Vec<f64> = values.map(|v| v.median).collect();
        medians.sort_by(f64::total_cmp);
        let usual = medians.get(medians.len() * 3 / 4).copied().unwrap_or(1.0);
        let end = longest.min(usual * CUT).max(self.same.unwrap_or_default() * 1.1);
        if end > 0.0 { end } else { 1.0 }
    }

    fn x(&self, layout: &Layout, value: f64) -> i32 {
        let share = (value / self.end()).clamp(0.0, 1.0);
        layout.left + (share * f64::from(layout.right - layout.left)).round() as i32
    }

    fn draw_axis(&self, canvas: &mut Canvas<'_>, layout: &Layout, bottom: i32) {
        let count = f64::from(layout.right - layout.left) / 100.0;
        for tick in ticks(self.end(), count) {
            let x = self.x(layout, tick);
            let (side, at) = if tick == 0.0 { (At::Left, x - 3) } else { (At::Middle, x) };
            self.draw_vertical(canvas, layout, GRID, x);
            canvas.text(SOFT, side, (at, bottom + 14), &words::tick(tick));
        }
        if let Some(same) = self.same {
            self.draw_vertical(canvas, layout, SOFT, self.x(layout, same));
        }
    }

    /// In pieces where it would cross labels.
    fn draw_vertical(&self, canvas: &mut Canvas<'_>, layout: &Layout, colour: Colour, x: i32) {
        for place in 0..self.bars.len() as i32 {
            let top = layout.row * place;
            canvas.line(colour, (x, top + layout.lines), (x, top + layout.row));
        }
    }

    fn draw_bar(
        &self,
        canvas: &mut Canvas<'_>,
        width: Width,
        layout: &Layout,
        top: i32,
        bar: &Bar,
    ) {
        let (label, middle) = (top + layout.label, top + layout.bar);
        let (side, at) = match width {
            Width::Broad => (At::Right, (layout.left - 8, label)),
            Width::Narrow => (At::Left, (layout.left, label)),
        };
        match bar.is_ours {
            true => canvas.bold(INK, side, at, &bar.label),
            false => canvas.text(INK, side, at, &bar.label),
        }
        if let Some(value) = bar.value {
            self.draw_value(canvas, layout, middle, bar.colour, &value);
        }
        draw_words(canvas, width, layout, label, bar);
    }

    fn draw_value(
        &self,
        canvas: &mut Canvas<'_>,
        layout: &Layout,
        middle: i32,
        colour: Colour,
        value: &Summary,
    ) {
        let end = self.x(layout, value.median);
        canvas.rectangle(colour, (layout.left, middle - BAR_HALF), (end, middle + BAR_HALF));
        if value.median > self.end() {
            canvas.bold(INK, At::Right, (end - 4, middle), "»");
            return;
        }
        let [low, high] = [value.low, value.high].map(|v| self.x(layout, v));
        if high > low {
            canvas.line(INK, (low, middle), (high, middle));
            for x in [low, high] {
                canvas.line(INK, (x, middle - 4), (x, middle + 4));
            }
        }
    }
}

/// The value as a number, and the verdict.
fn draw_words(canvas: &mut Canvas<'_>, width: Width, layout: &Layout, y: i32, bar: &Bar) {
    let word = match bar.verdict {
        None => "",
        Some(Verdict::Below) => "Penstock wins",
        Some(Verdict::Above) => "Penstock loses",
        Some(other) => words::outcome(other),
    };
    let word_colour = match bar.verdict {
        _ if bar.value.is_none() => BAD,
        Some(Verdict::Below) => GOOD,
        Some(Verdict::Above) => BAD,
        _ => SOFT,
    };
    match width {
        Width::Broad => {
            let colour = if bar.value.is_some() { INK } else { BAD };
            canvas.text(colour, At::Right, (layout.right + 62, y), &bar.text);
            canvas.bold(word_colour, At::Left, (layout.right + 76, y), word);
        }
        Width::Narrow => {
            let text = [bar.text.as_str(), word].join("  ");
            canvas.text(word_colour, At::Right, (layout.right, y), text.trim_end());
        }
    }
}
