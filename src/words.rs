//! Words of a line, quoted as in a POSIX shell, without any expansion. No allocation. Service files and the control
//! protocol use the same rules:
//!
//! - blanks (space, tab) part words;
//! - in `'...'` every byte stands for itself;
//! - in `"..."` a backslash takes the meaning from a following `"`, `\`, `$` or `` ` `` and else stands for itself;
//! - elsewhere a backslash takes the meaning from whatever follows.

use crate::text::parts;
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
    /// The words do not fit the caller's buffer.
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

/// Reads the word that begins at `text[at]`, up to a blank, one of `delimiters` outside quotes, or the end, and gives
/// its bytes without quotes to `emit`, with `true` where the byte stood in single quotes or behind a backslash. Returns
/// where the word ends. Error: the fault, and where the quote or backslash stands.
pub fn scan(
    text: &[u8],
    mut at: usize,
    delimiters: &[u8],
    emit: &mut dyn FnMut(u8, bool),
) -> Result<usize, (Fault, usize)> {
    while let Some(&byte) = text.get(at) {
        let opened = at;
        match byte {
            b'\'' | b'"' => loop {
                let single = byte == b'\'';
                at += 1;
                match text.get(at) {
                    None => return Err((if single { Fault::UnclosedSingle } else { Fault::UnclosedDouble }, opened)),
                    Some(&quoted) if quoted == byte => break,
                    Some(b'\\') if !single && matches!(text.get(at + 1), Some(b'"' | b'\\' | b'$' | b'`')) => {
                        at += 1;
                        emit(text[at], true);
                    }
                    Some(&quoted) => emit(quoted, single),
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

/// Writes the words of a line without its newline into `room`, without their quotes and each ended by NUL, and gives
/// how many bytes and how many words that are: one byte more than the line has at most. A NUL of the line becomes
/// another control character. `Fault::TooLong`: there is not room enough.
///
/// ```
/// use pintle::words::split;
/// let mut room = [0; 64];
/// assert_eq!(split(b"start  'a b' plain", &mut room), Ok((16, 3)));
/// assert_eq!(&room[..16], b"start\0a b\0plain\0");
/// ```
pub fn split(line: &[u8], room: &mut [u8]) -> Result<(usize, usize), Fault> {
    let (mut at, mut length, mut count) = (0, 0, 0);
    while let Some(&byte) = line.get(at) {
        if is_blank(byte) {
            at += 1;
            continue;
        }
        // Most words are plain.
        let mut plain = 0;
        let places = room.get_mut(length..).unwrap_or_default();
        for (place, byte) in places.iter_mut().zip(line.get(at..).unwrap_or_default()) {
            if !is_plain(*byte) {
                break;
            }
            *place = *byte;
            plain += 1;
        }
        (at, length) = (at + plain, length + plain);
        let mut put = |byte| {
            if let Some(place) = room.get_mut(length) {
                *place = byte;
            }
            length += 1;
        };
        at = scan(line, at, &[], &mut |byte, _| put(byte.max(1))).map_err(|(fault, _)| fault)?;
        put(0);
        count += 1;
    }
    if length > room.len() { Err(Fault::TooLong) } else { Ok((length, count)) }
}

/// True for the bytes that stand for themselves everywhere and may be in a word as it is read.
const fn is_plain(byte: u8) -> bool {
    !matches!(byte, 0 | b' ' | b'\t' | b'\'' | b'"' | b'\\')
}

/// Writes `text` so that reading it as a word gives `text` again: as it is if nothing in it needs quotes, else in
/// single quotes. A newline cannot be carried by a line; the caller keeps it out.
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
    write_inner(out, text)?;
    out.write_char('\'')
}

/// What stands between single quotes, so that this text is meant.
pub fn write_inner(out: &mut dyn fmt::Write, text: &str) -> fmt::Result {
    for (number, part) in parts(text, b'\'').enumerate() {
        if number > 0 {
            out.write_str("'\\''")?;
        }
        out.write_str(part)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn all(line: &str) -> Result<Vec<String>, Fault> {
        let mut room = [0; 64];
        let (length, count) = split(line.as_bytes(), &mut room)?;
        let words: Vec<_> = String::from_utf8_lossy(&room[..length]).split_terminator('\0').map(String::from).collect();
        assert_eq!(words.len(), count);
        Ok(words)
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
        }
    }

    #[test]
    fn faults_are_named() {
        let table =
            [("a 'b", Fault::UnclosedSingle), ("a \"b\\\"", Fault::UnclosedDouble), ("a\\", Fault::TrailingBackslash)];
        for (line, fault) in table {
            assert_eq!(all(line), Err(fault));
        }
        assert_eq!(split(b"1 'abc'", &mut [0; 5]), Err(Fault::TooLong));
        assert_eq!(split(b"1 'abc'", &mut [0; 6]), Ok((6, 2)));
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
