//! Bytes to entries (a key, and the parts of its value as they stand on lines), and entries to words. It knows lines,
//! comments, quotes and here-documents; it knows no key.
//!
//! The file format, in short (the manual page says it at length):
//! - `key = value` (blanks around `=` may be left out) from the first column; a key once in a file;
//! - an indented line continues the value above it; empty lines and lines of comment may stand between;
//! - `#` at the start of a line or behind a blank begins a comment; not inside quotes;
//! - values are words parted by blanks, quoted as in a POSIX shell (`crate::words`); a quote ends on its line;
//! - `key = <<END [PROGRAM ARGUMENT...]` takes all lines up to one that is just `END` as a script.

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use super::definition::{Position, Token, Word};
use super::diagnostic::Part::{Number, Text};
use super::diagnostic::{Sink, told};
use crate::limits::{ARGUMENT_BYTES_MAX, SOURCE_BYTES_MAX, SOURCE_LINE_BYTES_MAX};
use crate::packed;
use crate::text::Hex;
use crate::words::{self, is_blank};

/// A part of a value that stands on one line.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// From the first character that is not a blank to the end of the line, comment included.
    pub text: &'a str,
    /// Line, from 1.
    pub line: u32,
    /// Column of the first character, from 1.
    pub column: u32,
}

/// `key = value`.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a str,
    /// Where the key stands.
    pub position: Position,
    /// Just behind the `=`: where a value would stand if there is none.
    pub value_at: Position,
    /// The value, line by line; never empty texts.
    pub segments: Vec<Segment<'a>>,
    /// The lines of a here-document, their common indentation taken away; then `segments` are what follows `<<END`.
    pub script: Option<&'a str>,
}

/// Characters as a count that fits a position.
#[inline(never)]
pub fn count(text: &str) -> u32 {
    // Every byte but those that continue a character.
    text.bytes().filter(|byte| byte & 0xc0 != 0x80).count() as u32
}

/// Bytes up to the first for which `is_it` says yes. It says so of ASCII alone.
fn until(text: &str, is_it: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(is_it).unwrap_or(text.len())
}

/// The text up to the first blank or `=`, and from there on.
#[inline(never)]
fn split_word(text: &str) -> (&str, &str) {
    text.split_at(until(text, |byte| is_blank(byte) || byte == b'='))
}

/// The text without the blanks before it.
#[inline(never)]
fn trim_start(text: &str) -> &str {
    &text[until(text, |byte| !is_blank(byte))..]
}

/// The text without the blanks behind it.
#[inline(never)]
fn trim_end(text: &str) -> &str {
    let end = text.bytes().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    &text[..end]
}

/// The lines of a text; the last one has no newline behind it, and may be empty.
struct Lines<'a> {
    rest: Option<&'a str>,
    /// Of the line that `next` gave.
    number: u32,
}

impl<'a> Lines<'a> {
    const fn of(text: &'a str) -> Lines<'a> {
        Lines { rest: Some(text), number: 0 }
    }

    #[inline(never)]
    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let end = until(text, |byte| byte == b'\n');
        self.rest = text.get(end + 1..);
        self.number += 1;
        Some(&text[..end])
    }
}

/// Where the first control character but a tab stands.
fn control(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    (0..bytes.len()).find(|&at| match bytes[at] {
        b'\t' => false,
        // U+0080 to U+009F in UTF-8.
        0xc2 => matches!(bytes.get(at + 1), Some(0x80..=0x9f)),
        byte => byte.is_ascii_control(),
    })
}

/// The text of a file if it is text, not too long, and without what never belongs into it.
#[inline(never)]
pub fn check_text<'a>(bytes: &'a [u8], sink: &mut Sink<'_>) -> Option<&'a str> {
    let whole = sink.whole();
    if bytes.len() > SOURCE_BYTES_MAX {
        let parts = [Number(SOURCE_BYTES_MAX as i64)];
        sink.error(&whole, packed!("larger than a service file may be: % bytes"), &parts);
        return None;
    }
    let (text, bad) = match str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let good = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or("");
            (good, bytes.get(error.valid_up_to()))
        }
    };
    let text = match text.strip_prefix("\u{feff}") {
        Some(behind) => {
            let position = Position { line: 1, column: 1, length: 1, ..whole };
            sink.error(&position, packed!("a byte order mark\nplain UTF-8 has none"), &[]);
            behind
        }
        None => text,
    };
    let mut lines = Lines::of(text);
    let (mut line, mut last) = (0, "");
    while let Some(text) = lines.next() {
        (line, last) = (lines.number, text);
        let position = Position { line, column: 1, length: 1, ..whole };
        if text.len() > SOURCE_LINE_BYTES_MAX {
            let parts = [Number(text.len() as i64), Number(SOURCE_LINE_BYTES_MAX as i64)];
            let text = packed!("a line of % bytes; at most %\na long value goes on in indented lines");
            sink.error(&position, text, &parts);
            continue; // it is passed over by `entries`, too
        }
        // One is enough to say what kind of file this is.
        if let Some(at) = control(text) {
            let column = count(&text[..at]) + 1;
            let position = Position { column, ..position };
            let text = match text.as_bytes()[at] {
                b'\r' => packed!("a carriage return\nlines end in a newline alone; dos2unix makes them so"),
                0 => packed!("a NUL byte: this is not a text"),
                _ => packed!("a control character: this is not a text"),
            };
            sink.error(&position, text, &[]);
            return None;
        }
    }
    if let Some(byte) = bad {
        let position = Position { line, column: count(last) + 1, length: 1, ..whole };
        let byte = told(format_args!("{}", Hex((*byte).into(), 2)));
        sink.error(&position, packed!("not UTF-8 text: byte 0x%"), &[Text(&byte)]);
        return None;
    }
    Some(text)
}

/// The entries of a file in order. What cannot be one is a finding and left out.
/// `is_key` says whether a word is a key, to find one that was indented by mistake.
pub fn entries<'a>(text: &'a str, is_key: fn(&str) -> bool, sink: &mut Sink<'_>) -> &'a mut [Entry<'a>] {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    // Whether an indented line has something to continue; `Some(false)` behind a line that was refused, so that what
    // continues it is not a second finding.
    let mut continues = None;
    let mut lines = Lines::of(text);
    while let Some(line) = lines.next() {
        let number = lines.number;
        let content = trim_start(line);
        let column = (line.len() - content.len()) as u32 + 1;
        if content.is_empty() || content.starts_with("#") {
            continue;
        }
        if line.len() > SOURCE_LINE_BYTES_MAX {
            continues = Some(false);
            continue;
        }
        let at = |column, length| Position { file: sink.file, line: number, column, length };
        if column > 1 {
            match (continues, entries.last_mut()) {
                (Some(true), Some(entry)) => {
                    let (before, equals) = content.split_at(until(content, |byte| byte == b'='));
                    let key = trim_end(before);
                    if !equals.is_empty() && key.len() < before.len() && is_key(key) {
                        let text = packed!(
                            "~ is indented, so it continues ~\n\
                             a key begins in the first column; quote the \"=\" if it belongs to the value"
                        );
                        sink.error(&at(column, count(key)), text, &[Text(key), Text(entry.key)]);
                        continue;
                    }
                    entry.segments.push(Segment { text: content, line: number, column });
                }
                (Some(false), _) => {}
                _ => {
                    let text = packed!("an indented line continues a value, and none is above it");
                    sink.error(&at(column, count(trim_end(content))), text, &[]);
                    continues = Some(false);
                }
            }
            continue;
        }
        continues = Some(false);
        if content.starts_with("[") {
            let text = packed!(
                "a service file has no sections\n\
                 one file a service, lines of key = value; the type is a key: type = oneshot"
            );
            sink.error(&at(1, count(trim_end(content))), text, &[]);
            continue;
        }
        let (key, rest) = split_word(content);
        let value = trim_start(rest);
        let equals_column = count(key) + (rest.len() - value.len()) as u32 + 1;
        let Some(value) = value.strip_prefix("=") else {
            let place = if value.is_empty() { at(1, count(key)) } else { at(equals_column, 1) };
            sink.error(&place, packed!("expected \"=\" behind ~"), &[Text(key)]);
            continue;
        };
        if key.is_empty() {
            sink.error(&at(1, 1), packed!("expected a key before \"=\""), &[]);
            continue;
        }
        continues = Some(true);
        let position = at(1, count(key));
        let value_at = at(equals_column + 1, 1);
        let mut content = trim_start(value);
        let mut column = equals_column + 1 + (value.len() - content.len()) as u32;
        let mut script = None;
        if let Some(rest) = content.strip_prefix("<<") {
            let (word, rest) = rest.split_at(until(rest, is_blank));
            let start = at(column, 2 + count(word));
            content = trim_start(rest);
            column += start.length + (rest.len() - content.len()) as u32;
            if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                sink.error(&start, packed!("expected a word of letters, digits and \"_\" behind \"<<\""), &[]);
                (content, script, continues) = ("", Some(""), Some(false));
            } else {
                (script, continues) = (Some(here_document(&mut lines, word, &start, sink)), None);
            }
        }
        let mut segments = Vec::new();
        if !content.is_empty() {
            segments.push(Segment { text: content, line: number, column });
        }
        entries.push(Entry { key, position, value_at, segments, script });
    }
    entries.leak()
}

/// The lines up to the one that is just `word` as one text: what blanks all of them (but empty ones) begin with is
/// taken away.
#[inline(never)]
fn here_document(lines: &mut Lines<'_>, word: &str, start: &Position, sink: &mut Sink<'_>) -> &'static str {
    let (mut body, mut common, mut closed) = (Vec::new(), None, false);
    while let Some(line) = lines.next() {
        if line == word {
            closed = true;
            break;
        }
        body.push(line);
        let indent = &line[..line.len() - trim_start(line).len()];
        if indent.len() < line.len() {
            let known: &str = common.unwrap_or(indent);
            let mut shared = 0;
            while shared < indent.len() && known.as_bytes().get(shared) == Some(&indent.as_bytes()[shared]) {
                shared += 1;
            }
            common = Some(&indent[..shared]);
        }
    }
    if !closed {
        let text = packed!(
            "this here-document has no end\n\
             expected a line that is just ~, from the first column"
        );
        sink.error(start, text, &[Text(word)]);
    }
    let width = common.map_or(0, str::len);
    let mut script = String::new();
    for line in &body {
        // Lines of blanks alone may be shorter.
        script.push_str(line.get(width..).unwrap_or(""));
        script.push('\n');
    }
    if script.len() > ARGUMENT_BYTES_MAX {
        let parts = [Number(script.len() as i64), Number(ARGUMENT_BYTES_MAX as i64)];
        sink.error(start, packed!("a script of % bytes; at most %"), &parts);
    }
    script.leak()
}

/// The words of an entry. `None` if a quote is wrong, which is then a finding.
/// With `parentheses`, `(` and `)` outside quotes are words of their own.
#[inline(never)]
pub fn words(entry: &Entry<'_>, parentheses: bool, sink: &mut Sink<'_>) -> Option<Vec<Word>> {
    let delimiters: &[u8] = if parentheses { b"()" } else { b"" };
    let mut found = Vec::new();
    let mut good = true;
    for segment in &entry.segments {
        let bytes = segment.text.as_bytes();
        let mut at = 0;
        let mut position = Position { file: sink.file, line: segment.line, column: segment.column, length: 1 };
        while at < bytes.len() {
            let start = at;
            if is_blank(bytes[at]) {
                at += 1;
                position.column += 1;
                continue;
            }
            // A word begins here, so a blank or the start of the value is before it (or a parenthesis).
            if bytes[at] == b'#' {
                break;
            }
            let token = match bytes[at] {
                b'(' if parentheses => Token::Open,
                b')' if parentheses => Token::Close,
                _ => Token::Text,
            };
            let mut text: Vec<u8> = Vec::new();
            let end = if token == Token::Text {
                let mut quoted_dollar = false;
                words::scan(bytes, at, delimiters, &mut |byte, quoted| {
                    // `$` and `{` are parted by quotes or the `$` is quoted: no placeholder.
                    if byte == b'{' && text.last() == Some(&b'$') && (quoted_dollar || quoted) {
                        text.push(b'$');
                    }
                    quoted_dollar = byte == b'$' && quoted;
                    text.push(byte);
                })
            } else {
                text.push(bytes[at]);
                Ok(at + 1)
            };
            match end {
                Ok(end) => at = end,
                Err((fault, opened)) => {
                    let before = segment.text.get(start..opened).unwrap_or("");
                    let open = segment.text.get(opened..).map_or(1, |open| count(trim_end(open)));
                    let place = Position { column: position.column + count(before), length: open, ..position };
                    let text = match fault {
                        words::Fault::TrailingBackslash => {
                            packed!("%\na long value goes on in indented lines, without it")
                        }
                        _ => packed!("%"),
                    };
                    sink.error(&place, text, &[Text(fault.text())]);
                    good = false;
                    break;
                }
            }
            let written = segment.text.get(start..at).unwrap_or("");
            position.length = count(written);
            // Quotes and delimiters are ASCII, so whole characters went in.
            let text = str::from_utf8(text.leak()).unwrap_or_default();
            let plain = !written.bytes().any(|byte| matches!(byte, b'\'' | b'"' | b'\\'));
            found.push(Word { text, position, plain, token });
            position.column += position.length;
        }
    }
    if good { Some(found) } else { None }
}

/// The value as one text for people, as a word: comments taken away, lines joined by a blank, one pair of quotes around
/// it dropped. No word where nothing is left.
#[inline(never)]
pub fn text(entry: &Entry<'_>) -> Vec<Word> {
    let mut joined = String::new();
    for segment in &entry.segments {
        let bytes = segment.text.as_bytes();
        let comment = (0..bytes.len()).find(|&at| bytes[at] == b'#' && (at == 0 || is_blank(bytes[at - 1])));
        let part = trim_end(&segment.text[..comment.unwrap_or(bytes.len())]);
        if !joined.is_empty() && !part.is_empty() {
            joined.push(' ');
        }
        joined.push_str(part);
    }
    let joined: &'static str = joined.leak();
    let text = match joined.as_bytes() {
        [first @ (b'"' | b'\''), inner @ .., last] if first == last && !inner.contains(first) => {
            joined.get(1..=inner.len()).unwrap_or_default()
        }
        _ => joined,
    };
    let mut words = Vec::new();
    if !text.is_empty() {
        words.push(Word::new(text, entry.value_at));
    }
    words
}
