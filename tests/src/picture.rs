//! A picture of a text screen, looked at closely enough to know what it shows.

/// Width and height of a character cell of the VGA text mode.
const CELL: (usize, usize) = (9, 16);

/// A picture of 24-bit colour.
#[derive(Clone, Debug)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Reads a binary PPM file.
    pub fn parse(file: &[u8]) -> Option<Picture> {
        let mut fields = file.splitn(4, |byte| byte.is_ascii_whitespace());
        let (magic, width, height) = (fields.next()?, fields.next()?, fields.next()?);
        let pixels = fields.next()?.strip_prefix(b"255\n")?;
        let number = |text| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
        let picture =
            Picture { width: number(width)?, height: number(height)?, pixels: pixels.into() };
        (magic == b"P6" && picture.pixels.len() == picture.width * picture.height * 3)
            .then_some(picture)
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
        let columns = self.width / CELL.0;
        let shape: String =
            (0..columns).map(|column| if self.is_inked(row, column) { '#' } else { ' ' }).collect();
        shape.trim_end().to_owned()
    }

    fn is_inked(&self, row: usize, column: usize) -> bool {
        (row * CELL.1..(row + 1) * CELL.1).any(|y| {
            let start = (y * self.width + column * CELL.0) * 3;
            self.pixels[start..start + CELL.0 * 3].iter().any(|value| *value != 0)
        })
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
    }
}
