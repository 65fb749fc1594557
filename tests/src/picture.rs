//! A picture of a text screen, looked at closely enough to know what it shows.

use std::fs;

/// Width and height of a character cell of the VGA text mode.
const CELL: (usize, usize) = (9, 16);

/// A picture of 24-bit colour.
#[derive(Clone, PartialEq, Debug)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// One of these pixels: three bytes each, red, green, blue.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Option<Picture> {
        (pixels.len() == width * height * 3).then_some(Picture { width, height, pixels })
    }

    /// Reads a binary PPM file.
    pub fn parse(file: &[u8]) -> Option<Picture> {
        let mut fields = file.splitn(4, |byte| byte.is_ascii_whitespace());
        let (magic, width, height) = (fields.next()?, fields.next()?, fields.next()?);
        let pixels = fields.next()?.strip_prefix(b"255\n")?;
        let number = |text| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
        let picture = Picture::new(number(width)?, number(height)?, pixels.into())?;
        (magic == b"P6").then_some(picture)
    }

    /// Reads a PNG file of 24-bit colour, whose transparency is nobody's business.
    pub fn from_png(file: &[u8]) -> Option<Picture> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().ok()?;
        let mut pixels = vec![0; reader.output_buffer_size()?];
        let frame = reader.next_frame(&mut pixels).ok()?;
        let bytes = match (frame.color_type, frame.bit_depth) {
            (png::ColorType::Rgb, png::BitDepth::Eight) => 3,
            (png::ColorType::Rgba, png::BitDepth::Eight) => 4,
            _ => return None,
        };
        let pixels = pixels.chunks(bytes).flat_map(|pixel| &pixel[..3]).copied().collect();
        Picture::new(frame.width as usize, frame.height as usize, pixels)
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Pixels that aren't black.
    pub fn ink(&self) -> usize {
        self.pixels.chunks(3).filter(|pixel| *pixel != [0, 0, 0]).count()
    }

    /// The shape of one line of text: `#` where a character stands, a space where none does; no spaces at its end.
    pub fn line(&self, row: usize) -> String {
        let shape: String = (0..self.width / CELL.0)
            .map(|column| if self.glyph(row, column) == [0; 16] { ' ' } else { '#' })
            .collect();
        shape.trim_end().to_owned()
    }

    /// The text on a screen in text mode, as lines without spaces at their ends, and without those lines at the end that
    /// are empty. What is no character of ASCII is `\u{fffd}`.
    pub fn text(&self, font: &Font) -> Vec<String> {
        let mut lines: Vec<String> = (0..self.height / CELL.1)
            .map(|row| {
                let columns = 0..self.width / CELL.0;
                let line: String =
                    columns.map(|column| font.read(self.glyph(row, column))).collect();
                line.trim_end().to_owned()
            })
            .collect();
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(used);
        lines
    }

    /// What stands in a cell: its rows, the leftmost pixel in the highest of nine bits.
    fn glyph(&self, row: usize, column: usize) -> [u16; 16] {
        std::array::from_fn(|line| {
            let start = ((row * CELL.1 + line) * self.width + column * CELL.0) * 3;
            let pixels = self.pixels[start..start + CELL.0 * 3].chunks(3);
            pixels.fold(0, |bits, pixel| bits << 1 | u16::from(pixel != [0, 0, 0]))
        })
    }
}

/// The font of QEMU's screens in text mode.
#[derive(Clone, Debug)]
pub struct Font(Vec<[u16; 16]>);

impl Font {
    /// Takes it out of the BIOS of QEMU's graphics cards, where it is found by the look of its letter A.
    ///
    /// # Panics
    /// When it isn't there.
    pub fn of_qemu() -> Font {
        const A: [u8; 16] =
            [0, 0, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6, 0xc6, 0, 0, 0, 0];
        let bios = fs::read("/usr/share/seabios/vgabios-stdvga.bin").expect("the BIOS of a card");
        let letter = bios.windows(16).position(|glyph| glyph == A).expect("a font");
        let start = letter - usize::from(b'A') * 16;
        // The ninth column is empty but for the characters of boxes.
        let glyphs = bios[start..][..128 * 16].chunks(16);
        Font(glyphs.map(|rows| std::array::from_fn(|row| u16::from(rows[row]) << 1)).collect())
    }

    fn read(&self, glyph: [u16; 16]) -> char {
        let is_it = |code: &u8| self.0[usize::from(*code)] == glyph;
        (b' '..0x7f).find(is_it).map_or('\u{fffd}', char::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_has_a_shape() {
        let mut file = b"P6\n27 16\n255\n".to_vec();
        let start = file.len();
        file.resize(start + 27 * 16 * 3, 0);
        file[start + (27 * 15 + 26) * 3] = 1;
        let picture = Picture::parse(&file).expect("a picture");
        assert_eq!((picture.size(), picture.ink(), picture.line(0).as_str()), ((27, 16), 1, "  #"));
        assert!(Picture::parse(&file[..file.len() - 1]).is_none());
        assert_eq!(picture.text(&Font::of_qemu()), ["  \u{fffd}"]);
    }

    #[test]
    fn text_is_read_by_the_shape_of_its_letters() {
        let (font, text) = (Font::of_qemu(), "fox, 7 (A)");
        let glyph = |n: usize| font.0[usize::from(text.as_bytes()[n])];
        let width = text.len() * CELL.0;
        let is_set = |x: usize, y: usize| glyph(x / 9)[y] >> (8 - x % 9) & 1 == 1;
        let pixels = (0..16).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = pixels.flat_map(|(x, y)| [if is_set(x, y) { 170 } else { 0 }; 3]).collect();
        let picture = Picture::new(width, 16, pixels).expect("a picture");
        assert_eq!(picture.text(&font), [text]);
    }
}
