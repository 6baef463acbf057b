//! Words of a line, quoted as in a POSIX shell, without any expansion. No allocation. Service files and the control
//! protocol use the same rules:
//!
//! - blanks (space, tab) part words;
//! - in `'...'` every byte stands for itself;
//! - in `"..."` a backslash takes the meaning from a following `"`, `\`, `$` or `` ` `` and else stands for itself;
//! - elsewhere a backslash takes the meaning from whatever follows.

use core::fmt;

/// Room for numbers and a few short words, without heap. One size for all: each other one is code of its own.
pub type Short = heapless::String<128>;

/// What can be wrong with quoting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A `'` that is never closed.
    UnclosedSingle,
    /// A `"` that is never closed.
    UnclosedDouble,
    /// A backslash with nothing behind it.
    TrailingBackslash,
    /// The word does not fit the caller's buffer.
    TooLong,
}

impl Fault {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Fault::UnclosedSingle => "a ' is not closed on its line",
            Fault::UnclosedDouble => "a \" is not closed on its line",
            Fault::TrailingBackslash => "a backslash at the end of a line",
            Fault::TooLong => "a word is too long",
        }
    }
}

/// True for the bytes that part words.
pub const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Reads the word that begins at `text[at]`, up to a blank, one of `delimiters` outside quotes, or the end, and gives its
/// bytes without quotes to `emit`, with `true` where the byte stood in single quotes or behind a backslash.
/// Returns where the word ends. Error: the fault, and where the quote or backslash stands.
pub fn scan(
    text: &[u8],
    mut at: usize,
    delimiters: &[u8],
    emit: &mut dyn FnMut(u8, bool),
) -> Result<usize, (Fault, usize)> {
    while let Some(&byte) = text.get(at) {
        let opened = at;
        match byte {
            b'\'' => loop {
                at += 1;
                match text.get(at) {
                    None => return Err((Fault::UnclosedSingle, opened)),
                    Some(b'\'') => break,
                    Some(&quoted) => emit(quoted, true),
                }
            },
            b'"' => loop {
                at += 1;
                match text.get(at) {
                    None => return Err((Fault::UnclosedDouble, opened)),
                    Some(b'"') => break,
                    Some(b'\\') if matches!(text.get(at + 1), Some(b'"' | b'\\' | b'$' | b'`')) => {
                        at += 1;
                        emit(text[at], true);
                    }
                    Some(&quoted) => emit(quoted, false),
                }
            },
            b'\\' => {
                at += 1;
                match text.get(at) {
                    None => return Err((Fault::TrailingBackslash, opened)),
                    Some(&escaped) => emit(escaped, true),
                }
            }
            byte if is_blank(byte) || delimiters.contains(&byte) => return Ok(at),
            plain => emit(plain, false),
        }
        at += 1;
    }
    Ok(at)
}

/// The words of one line, one after the other.
///
/// ```
/// use pintle::words::Words;
/// let mut words = Words::new(b"start  'a b' plain");
/// let mut buffer = [0; 64];
/// assert_eq!(words.next(&mut buffer), Some(Ok(&b"start"[..])));
/// assert_eq!(words.next(&mut buffer), Some(Ok(&b"a b"[..])));
/// assert_eq!(words.rest(), b" plain");
/// ```
#[derive(Clone, Debug)]
pub struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    /// The words of `text`, a line without its newline.
    pub const fn new(text: &'a [u8]) -> Words<'a> {
        Words { text, at: 0 }
    }

    /// What is not read yet, as it was written.
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// The next word. One without quotes is a part of the text; the others are written into `buffer`, which a word
    /// never needs more of than its own length in the text. After an error there are no more words.
    pub fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Option<Result<&'b [u8], Fault>>
    where
        'a: 'b,
    {
        let start = self.at + self.text[self.at..].iter().position(|&byte| !is_blank(byte))?;
        let rest = &self.text[start..];
        let plain = rest.iter().position(|&b| is_blank(b) || matches!(b, b'\'' | b'"' | b'\\')).unwrap_or(rest.len());
        if rest.get(plain).is_none_or(|&byte| is_blank(byte)) {
            self.at = start + plain;
            return Some(Ok(&rest[..plain]));
        }
        let mut length = 0;
        let end = scan(self.text, start, &[], &mut |byte, _| {
            if let Some(place) = buffer.get_mut(length) {
                *place = byte;
            }
            length += 1;
        });
        match end {
            Ok(end) if length <= buffer.len() => {
                self.at = end;
                Some(Ok(&buffer[..length]))
            }
            Ok(_) => {
                self.at = self.text.len();
                Some(Err(Fault::TooLong))
            }
            Err((fault, _)) => {
                self.at = self.text.len();
                Some(Err(fault))
            }
        }
    }
}

/// Splits `line` in place: the words' bytes without quotes stay in `line`, and `ranges` gets (start, end) of each.
/// Returns how many words there are; `Fault::TooLong` if they are more than `ranges` has room for.
pub fn split_in_place(line: &mut [u8], ranges: &mut [(u16, u16)]) -> Result<usize, Fault> {
    let mut count = 0;
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_blank(byte)) {
            at += 1;
        }
        if at == line.len() {
            return Ok(count);
        }
        // A word without its quotes is never longer than with them, so writing never overtakes reading.
        let start = at;
        let mut write = start;
        let mut quote = 0;
        while let Some(&byte) = line.get(at) {
            let mut keep = Some(byte);
            match (quote, byte) {
                (0, b'\'' | b'"') => (quote, keep) = (byte, None),
                (b'\'', b'\'') | (b'"', b'"') => (quote, keep) = (0, None),
                (0, b'\\') => {
                    at += 1;
                    keep = Some(*line.get(at).ok_or(Fault::TrailingBackslash)?);
                }
                (b'"', b'\\') if matches!(line.get(at + 1), Some(b'"' | b'\\' | b'$' | b'`')) => {
                    at += 1;
                    keep = Some(line[at]);
                }
                (0, byte) if is_blank(byte) => break,
                _ => {}
            }
            if let Some(byte) = keep {
                line[write] = byte;
                write += 1;
            }
            at += 1;
        }
        match quote {
            b'\'' => return Err(Fault::UnclosedSingle),
            b'"' => return Err(Fault::UnclosedDouble),
            _ => {}
        }
        let (Ok(first), Ok(behind)) = (u16::try_from(start), u16::try_from(write)) else { return Err(Fault::TooLong) };
        *ranges.get_mut(count).ok_or(Fault::TooLong)? = (first, behind);
        count += 1;
    }
}

/// Writes `text` so that reading it as a word gives `text` again: as it is if nothing in it needs quotes, else in single
/// quotes. A newline cannot be carried by a line; the caller keeps it out.
pub fn write_quoted(out: &mut dyn fmt::Write, text: &str) -> fmt::Result {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b"%+,-./:=@_^{}".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return out.write_str(text);
    }
    write_in_quotes(out, text)
}

/// The same, in single quotes in any case.
pub fn write_in_quotes(out: &mut dyn fmt::Write, text: &str) -> fmt::Result {
    out.write_char('\'')?;
    for (number, part) in text.split('\'').enumerate() {
        if number > 0 {
            out.write_str("'\\''")?;
        }
        out.write_str(part)?;
    }
    out.write_char('\'')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn all(line: &str) -> Result<Vec<String>, Fault> {
        let mut words = Words::new(line.as_bytes());
        let mut found = Vec::new();
        loop {
            let mut buffer = [0; 64];
            match words.next(&mut buffer) {
                None => return Ok(found),
                Some(word) => found.push(String::from_utf8_lossy(word?).into_owned()),
            }
        }
    }

    fn in_place(line: &str) -> Result<Vec<String>, Fault> {
        let mut bytes = line.as_bytes().to_vec();
        let mut ranges = [(0, 0); 8];
        let count = split_in_place(&mut bytes, &mut ranges)?;
        let word = |&(a, b): &(u16, u16)| String::from_utf8_lossy(&bytes[a as usize..b as usize]).into_owned();
        Ok(ranges[..count].iter().map(word).collect())
    }

    #[test]
    fn words_are_read_as_a_shell_reads_them() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  \t ", &[]),
            ("a b", &["a", "b"]),
            (" a\tb ", &["a", "b"]),
            ("'a b' c", &["a b", "c"]),
            ("''", &[""]),
            ("a''b", &["ab"]),
            (r#""a \"b\" \x" c"#, &[r#"a "b" \x"#, "c"]),
            (r"a\ b\\", &[r"a b\"]),
            (r"'a\'", &[r"a\"]),
            ("x=\"y z\"", &["x=y z"]),
            ("\u{e4}'\u{f6} '", &["\u{e4}\u{f6} "]),
        ];
        for &(line, expected) in table {
            assert_eq!(
                all(line).as_deref(),
                Ok(expected.iter().map(|s| String::from(*s)).collect::<Vec<_>>().as_slice())
            );
            assert_eq!(all(line), in_place(line), "{line}");
        }
    }

    #[test]
    fn faults_are_named() {
        let table =
            [("a 'b", Fault::UnclosedSingle), ("a \"b\\\"", Fault::UnclosedDouble), ("a\\", Fault::TrailingBackslash)];
        for (line, fault) in table {
            assert_eq!(all(line), Err(fault));
            assert_eq!(in_place(line), Err(fault));
        }
        assert_eq!(in_place("1 2 3 4 5 6 7 8 9"), Err(Fault::TooLong));
        assert_eq!(Words::new(b"'abc'").next(&mut [0; 2]), Some(Err(Fault::TooLong)));
    }

    #[test]
    fn what_is_quoted_reads_back() {
        for text in ["", "plain", "a b", "it's", "''", "\\", "a\"b", "$HOME", "#x", "a;b"] {
            let mut line = String::new();
            write_quoted(&mut line, text).expect("a String takes everything");
            assert_eq!(all(&line), Ok([String::from(text)].to_vec()), "{line}");
        }
    }
}
