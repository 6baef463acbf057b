//! Reads files of lines with fields, as /etc/passwd and /etc/group, piece by piece: any length of file and of line,
//! without heap. See passwd(5), group(5).

use super::{Result, file};

/// Bytes of a field that are kept. No name or number that we look for is longer; a longer field matches nothing.
pub const FIELD_BYTES_MAX: usize = 256;

/// One field of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Which of the fields that `:` divides, from 0.
    pub number: usize,
    /// Its text, or one item of it where `,` divides it. Empty if it is longer than `FIELD_BYTES_MAX`.
    pub text: &'a [u8],
    /// Nothing follows on this line.
    pub last: bool,
}

/// Gives every field of every line to `each`, in order, until it says false. A file that is not there has none.
pub fn read(path: &[u8], mut each: impl FnMut(Field<'_>) -> bool) -> Result<()> {
    let file = match file::open_read(path) {
        Err(super::Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let mut chunk = [0; 4096];
    let mut text = [0; FIELD_BYTES_MAX];
    let (mut length, mut number, mut empty) = (0, 0, true);
    loop {
        let count = file::read(&file, &mut chunk)?;
        // A last line without its newline counts as if it had one.
        let (bytes, end) = match count {
            0 if empty => return Ok(()),
            0 => (&b"\n"[..], true),
            _ => (chunk.get(..count).unwrap_or_default(), false),
        };
        for byte in bytes {
            match byte {
                b':' | b',' | b'\n' => {
                    let last = *byte == b'\n';
                    if !(last && empty) && !each(Field { number, text: text.get(..length).unwrap_or_default(), last }) {
                        return Ok(());
                    }
                    length = 0;
                    empty = last;
                    number = match byte {
                        b'\n' => 0,
                        b':' => number + 1,
                        _ => number,
                    };
                }
                _ => {
                    if let Some(place) = text.get_mut(length) {
                        *place = *byte;
                    }
                    length = length.saturating_add(1); // beyond the buffer: the slice above is then empty
                    empty = false;
                }
            }
        }
        if end {
            return Ok(());
        }
    }
}

/// A decimal number of 32 bits; none if it is anything else.
pub fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    u32::try_from(text.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_any_length_come_in_order() {
        let path = std::env::temp_dir().join(format!("pintle-fields-{}", std::process::id()));
        let long = "x".repeat(5000);
        std::fs::write(&path, format!("a:b,c:\n\n{long}:{long},d\nlast")).expect("a file can be written");
        let mut seen = Vec::new();
        read(path.as_os_str().as_encoded_bytes(), |field| {
            seen.push((field.number, String::from_utf8_lossy(field.text).into_owned(), field.last));
            true
        })
        .expect("it can be read");
        std::fs::remove_file(&path).expect("it was there");
        let expected = [
            (0, "a", false),
            (1, "b", false),
            (1, "c", false),
            (2, "", true),
            (0, "", false),
            (1, "", false),
            (1, "d", true),
            (0, "last", true),
        ];
        let seen: Vec<_> = seen.iter().map(|(number, text, last)| (*number, text.as_str(), *last)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn only_decimal_numbers_of_32_bits_are_numbers() {
        for (text, value) in [("0", Some(0)), ("4294967295", Some(u32::MAX)), ("4294967296", None), ("", None), ("+1", None)] {
            assert_eq!(number(text.as_bytes()), value, "{text}");
        }
    }
}
