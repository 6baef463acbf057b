//! One line for a client.

use core::fmt::Write;
use pintle::packed::Packed;
use pintle::text::digits;

/// Longest line that is sent; longer ones are cut.
pub const ANSWER_BYTES_MAX: usize = 512;

/// A line that is put together to be sent; what does not fit is cut.
pub struct Answer {
    bytes: [u8; ANSWER_BYTES_MAX],
    length: usize,
}

impl Answer {
    /// An empty one.
    pub const fn new() -> Answer {
        Answer { bytes: [0; ANSWER_BYTES_MAX], length: 0 }
    }

    /// Whether nothing is said yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Nothing is said yet.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// `ok NUMBER`: what most answers are.
    pub fn accept(&mut self, number: u32) {
        self.bytes(b"ok ");
        self.number(number);
    }

    /// A text.
    pub fn text(&mut self, text: Packed) {
        let _ = text.write_part(0, self); // what does not fit is cut
    }

    /// A number.
    pub fn number(&mut self, number: u32) {
        self.bytes(digits(number, &mut [0; 10]));
    }

    /// All of it with a newline, to be sent.
    pub fn line(&mut self) -> &[u8] {
        // The last byte is kept for the newline.
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = b'\n';
        }
        self.bytes.get(..self.length + 1).unwrap_or_default()
    }

    /// Text; what does not fit is cut between characters.
    #[inline(never)]
    pub fn bytes(&mut self, text: &[u8]) {
        let mut end = text.len().min(ANSWER_BYTES_MAX - 1 - self.length);
        // Behind the end: in the middle of a character?
        while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        let places = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (place, byte) in places.iter_mut().zip(text.get(..end).unwrap_or_default()) {
            // A line is a line, whatever a name has in it.
            *place = (*byte).max(b' ');
        }
        self.length += end;
    }
}

impl Write for Answer {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line_of_whole_characters() {
        let mut answer = Answer::new();
        let _ = answer.write_str("bad \"a\nb\t\" \u{e4}");
        assert_eq!(answer.line(), "bad \"a b \" \u{e4}\n".as_bytes());
        let mut answer = Answer::new();
        let _ = write!(answer, "x{}", "\u{20ac}".repeat(ANSWER_BYTES_MAX));
        let line = answer.line();
        assert!(line.len() <= ANSWER_BYTES_MAX && line.ends_with(b"\n"));
        assert!(core::str::from_utf8(line).is_ok());
    }
}
