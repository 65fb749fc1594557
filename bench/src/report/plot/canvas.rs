//! Shapes and colours. All that touches plotters.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, TextStyle};

use crate::report::html::escape;

/// On light paper; `PALETTE` knows its dark counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Colour(u8, u8, u8);

pub(super) const INK: Colour = Colour(0x1b, 0x1f, 0x24);
pub(in crate::report) const SOFT: Colour = Colour(0x57, 0x60, 0x6a);
pub(super) const GRID: Colour = Colour(0xdd, 0xe2, 0xe7);
/// From the end of a curve to its name.
pub(super) const GUIDE: Colour = Colour(0xb1, 0xb9, 0xc2);
pub(in crate::report) const OURS: Colour = Colour(0x0b, 0x57, 0xd0);
/// Penstock in another setting than the one that a scenario is about.
pub(in crate::report) const OURS_TOO: Colour = Colour(0x5b, 0x8d, 0xe0);
pub(in crate::report) const PEER: Colour = Colour(0x8c, 0x95, 0x9f);
pub(in crate::report) const PLAIN: Colour = Colour(0xbf, 0xc6, 0xce);
pub(super) const GOOD: Colour = Colour(0x11, 0x63, 0x29);
pub(super) const BAD: Colour = Colour(0xa4, 0x0e, 0x26);
/// Of lines that cross each other.
const PEERS: [Colour; 10] = [
    Colour(0xb3, 0x59, 0x00),
    Colour(0x82, 0x50, 0xdf),
    Colour(0x1b, 0x7c, 0x83),
    Colour(0xbf, 0x39, 0x89),
    Colour(0x4d, 0x7c, 0x0f),
    Colour(0xcf, 0x22, 0x2e),
    Colour(0x8a, 0x6a, 0x00),
    Colour(0x5b, 0x6f, 0xa8),
    Colour(0x04, 0x78, 0x57),
    Colour(0x86, 0x19, 0x8f),
];

/// Each colour with what it is on a dark screen.
const PALETTE: &[(Colour, Colour)] = &[
    (INK, Colour(0xe4, 0xe7, 0xeb)),
    (SOFT, Colour(0x9a, 0xa4, 0xb0)),
    (GRID, Colour(0x2c, 0x33, 0x3c)),
    (GUIDE, Colour(0x4f, 0x58, 0x64)),
    (OURS, Colour(0x6e, 0xa8, 0xfe)),
    (OURS_TOO, Colour(0x4a, 0x7c, 0xc9)),
    (PEER, Colour(0x7d, 0x87, 0x93)),
    (PLAIN, Colour(0x4b, 0x53, 0x5e)),
    (GOOD, Colour(0x7e, 0xe2, 0xa0)),
    (BAD, Colour(0xff, 0x9d, 0x96)),
    (PEERS[0], Colour(0xff, 0xa6, 0x57)),
    (PEERS[1], Colour(0xc2, 0x97, 0xff)),
    (PEERS[2], Colour(0x56, 0xd4, 0xdd)),
    (PEERS[3], Colour(0xff, 0x80, 0xc8)),
    (PEERS[4], Colour(0xa3, 0xd9, 0x77)),
    (PEERS[5], Colour(0xff, 0x7b, 0x72)),
    (PEERS[6], Colour(0xe3, 0xc0, 0x4a)),
    (PEERS[7], Colour(0xa9, 0xbb, 0xef)),
    (PEERS[8], Colour(0x4f, 0xd1, 0xa5)),
    (PEERS[9], Colour(0xe8, 0x79, 0xf9)),
];

/// Style rules that outdo the colours written into the plots.
pub(in crate::report) fn dark_style() -> String {
    let rules = PALETTE.iter().map(|(light, dark)| {
        let [light, dark] = [light, dark].map(|c| format!("#{:02X}{:02X}{:02X}", c.0, c.1, c.2));
        format!("svg [fill=\"{light}\"] {{ fill: {dark}; }}\nsvg [stroke=\"{light}\"] {{ stroke: {dark}; }}\n")
    });
    let rules: String = rules.collect();
    format!("@media screen and (prefers-color-scheme: dark) {{\n{rules}}}\n")
}

pub(in crate::report) fn peer_colour(place: usize) -> Colour {
    PEERS[place % PEERS.len()]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Broad,
    Narrow,
}

impl Width {
    /// Of the drawing, in CSS pixels.
    pub(super) fn pixels(self) -> i32 {
        match self {
            Width::Broad => 920,
            Width::Narrow => 360,
        }
    }
}

/// Which side of a text its place is.
#[derive(Clone, Copy)]
pub(super) enum At {
    Left,
    Middle,
    Right,
}

/// Pixels from the upper left.
type Place = (i32, i32);

pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Text and shapes go into memory, and no size is estimated from fonts.
const IN_MEMORY: &str = "writing to a string does not fail";

/// One SVG element, its text for those who cannot see it.
pub(super) fn draw(
    width: Width,
    height: i32,
    alternative: &str,
    paint: impl FnOnce(&mut Canvas<'_>),
) -> String {
    let mut text = String::new();
    let size = (width.pixels() as u32, height as u32);
    let mut canvas = Canvas { backend: SVGBackend::with_string(&mut text, size) };
    paint(&mut canvas);
    canvas.backend.present().expect(IN_MEMORY);
    drop(canvas);
    let class = match width {
        Width::Broad => "broad",
        Width::Narrow => "narrow",
    };
    let attributes =
        format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{}\" ", escape(alternative));
    text.replacen("<svg ", &attributes, 1)
}

impl Canvas<'_> {
    pub(super) fn path(&mut self, colour: Colour, width: u32, points: Vec<Place>) {
        let style = colour.rgb().stroke_width(width);
        self.backend.draw_path(points, &style).expect(IN_MEMORY);
    }

    pub(super) fn line(&mut self, colour: Colour, from: Place, to: Place) {
        self.backend.draw_line(from, to, &colour.rgb()).expect(IN_MEMORY);
    }

    pub(super) fn rectangle(&mut self, colour: Colour, from: Place, to: Place) {
        self.backend.draw_rect(from, to, &colour.rgb(), true).expect(IN_MEMORY);
    }

    pub(super) fn dot(&mut self, colour: Colour, at: Place) {
        self.backend.draw_circle(at, 3, &colour.rgb(), true).expect(IN_MEMORY);
    }

    /// 13 pixels high, vertically centred on its place.
    pub(super) fn text(&mut self, colour: Colour, place: At, at: Place, text: &str) {
        self.write(colour, FontStyle::Normal, place, at, text);
    }

    pub(super) fn bold(&mut self, colour: Colour, place: At, at: Place, text: &str) {
        self.write(colour, FontStyle::Bold, place, at, text);
    }

    fn write(&mut self, colour: Colour, font: FontStyle, place: At, at: Place, text: &str) {
        let side = match place {
            At::Left => HPos::Left,
            At::Middle => HPos::Center,
            At::Right => HPos::Right,
        };
        // The backend divides sizes by 1.24.
        let font = ("sans-serif", 13.0 * 1.24).into_font().style(font);
        let colour = colour.rgb();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Center));
        self.backend.draw_text(text, &style, at).expect(IN_MEMORY);
    }
}

impl Colour {
    fn rgb(self) -> RGBColor {
        RGBColor(self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_one_dark_counterpart() {
        for (place, (light, _)) in PALETTE.iter().enumerate() {
            assert!(PALETTE[..place].iter().all(|(other, _)| other != light), "{light:?}");
        }
        for peer in PEERS {
            assert!(PALETTE.iter().any(|(light, _)| *light == peer), "{peer:?}");
        }
    }
}
