//! Environment files (`env-file`): lines of `NAME=VALUE` as they stand in /etc/default and /etc/conf.d, read without a
//! shell. Pure text; the reading of the file is the caller's.
//!
//! - Blank lines and lines that begin with `#` or `;` say nothing. A leading `export ` is passed over.
//! - A value is quoted as in a POSIX shell's assignment: `'...'` is literal; in `"..."` a backslash makes `"`, `\`, `$`,
//!   `` ` `` literal and joins lines; outside of quotes it makes any character literal and joins lines. Nothing is
//!   expanded: `$` stands for itself. Quoted text may go over several lines.
//! - Outside of quotes a value goes on to the end of its line or to a blank followed by `#`, blanks at its ends not
//!   counted: `OPTIONS=-a -b` is `-a -b` (a shell would run `-b`; files written for others expect this).
//! - A name is letters, digits and `_`, not beginning with a digit. NUL anywhere is an error.

/// What is wrong, and on which line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Problem {
    /// From 1; of an open quote, where it opened.
    pub line: u32,
    /// In words.
    pub what: &'static str,
}

/// Gives each variable as `NAME=VALUE`, in order, written into `room`, which has to be at least as long as `text`
/// (nothing grows by being unquoted). Stops at the first problem.
#[inline(never)]
pub fn parse(text: &[u8], room: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<(), Problem> {
    let mut reader = Reader { text, at: 0, line: 1, room, length: 0, nul: 0 };
    while reader.skip_to_entry() {
        reader.length = 0;
        reader.name()?;
        reader.value()?;
        if reader.nul != 0 {
            return Err(Problem { line: reader.nul, what: "a NUL byte: not a text file" });
        }
        each(reader.room.get(..reader.length).unwrap_or_default());
    }
    Ok(())
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    room: &'a mut [u8],
    length: usize,
    /// The line of the first NUL; 0 while there is none.
    nul: u32,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline(never)]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += u32::from(byte == b'\n');
        Some(byte)
    }

    #[inline(never)]
    fn put(&mut self, byte: u8) {
        if byte == 0 && self.nul == 0 {
            self.nul = self.line;
        }
        if let Some(place) = self.room.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Whether there is one more line that says something.
    fn skip_to_entry(&mut self) -> bool {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.next();
                }
                b'#' | b';' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.next();
                    }
                }
                _ => {
                    if self.text.get(self.at..).is_some_and(|rest| {
                        rest.strip_prefix(b"export").is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'\t')))
                    }) {
                        self.at += b"export".len();
                        continue;
                    }
                    return true;
                }
            }
        }
        false
    }

    fn name(&mut self) -> Result<(), Problem> {
        let start = self.length;
        while let Some(byte) = self.peek() {
            match byte {
                b'=' if self.length > start => {
                    self.next();
                    self.put(b'=');
                    return Ok(());
                }
                0 | b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.put(byte),
                b'0'..=b'9' if self.length > start => self.put(byte),
                _ => break,
            }
            self.next();
        }
        if self.nul != 0 {
            return Ok(()); // that is the problem
        }
        Err(Problem { line: self.line, what: "expected NAME=VALUE" })
    }

    fn value(&mut self) -> Result<(), Problem> {
        let start = self.length;
        // Up to here the value is kept: blanks behind it count only if something follows.
        let mut kept = start;
        while let Some(byte) = self.next() {
            match byte {
                b'\n' => break,
                b'\'' | b'"' => {
                    self.quoted(byte)?;
                    kept = self.length;
                }
                b'\\' => {
                    match self.next() {
                        Some(b'\n') | None => {}
                        Some(byte) => self.put(byte),
                    }
                    kept = self.length;
                }
                b' ' | b'\t' | b'\r' => {
                    if self.peek() == Some(b'#') {
                        while self.next().is_some_and(|byte| byte != b'\n') {}
                        break;
                    }
                    if self.length > start {
                        self.put(byte);
                    }
                }
                _ => {
                    self.put(byte);
                    kept = self.length;
                }
            }
        }
        self.length = kept;
        Ok(())
    }

    /// Up to the quote that ends it.
    fn quoted(&mut self, quote: u8) -> Result<(), Problem> {
        let line = self.line;
        loop {
            match self.next() {
                Some(byte) if byte == quote => return Ok(()),
                Some(b'\\') if quote == b'"' => match self.next() {
                    Some(byte @ (b'"' | b'\\' | b'$' | b'`')) => self.put(byte),
                    Some(b'\n') => {}
                    Some(byte) => {
                        self.put(b'\\');
                        self.put(byte);
                    }
                    None => {}
                },
                Some(byte) => self.put(byte),
                None if quote == b'"' => return Err(Problem { line, what: "the quote \" is not closed" }),
                None => return Err(Problem { line, what: "the quote ' is not closed" }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn parsed(text: &str) -> Result<Vec<String>, Problem> {
        let mut room = alloc::vec![0; text.len()];
        let mut found = Vec::new();
        parse(text.as_bytes(), &mut room, &mut |entry| found.push(String::from_utf8_lossy(entry).into_owned()))?;
        Ok(found)
    }

    #[test]
    fn values_are_unquoted_as_a_shell_would() {
        for (text, expected) in [
            ("", &[][..]),
            ("A=1\nB=2", &["A=1", "B=2"]),
            ("# A=1\n  ; no\n\n\texport  B=2 \r\n", &["B=2"]),
            ("A='one two'  # why\n", &["A=one two"]),
            ("A=\"a \\\"b\\\" \\$c \\d\\\ne\"\n", &["A=a \"b\" $c \\de"]),
            ("A=x\\ \nB=\\#y#z\n", &["A=x ", "B=#y#z"]),
            ("A=\nB=  \nC= 'x' \n", &["A=", "B=", "C=x"]),
            ("OPTIONS=-a -b  -c # three\n", &["OPTIONS=-a -b  -c"]),
            ("A=$HOME`x`\n", &["A=$HOME`x`"]),
            ("A='two\nlines'\nB=1", &["A=two\nlines", "B=1"]),
            ("A=a'b'\"c\"d\n", &["A=abcd"]),
            ("A== b\nexported=1\n", &["A== b", "exported=1"]),
        ] {
            assert_eq!(
                parsed(text).as_deref(),
                Ok(&expected.iter().map(|text| String::from(*text)).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_assignment_is_said_with_its_line() {
        for (text, line) in [
            ("A=1\nB\n", 2),
            ("1A=x", 1),
            ("\n\n=x", 3),
            ("A B=1", 1),
            ("A=\0", 1),
            ("A=1\n\nB='x\ny\n", 3),
            ("B=\"", 1),
        ] {
            assert_eq!(parsed(text).map_err(|problem| problem.line), Err(line), "{text}");
        }
    }
}
