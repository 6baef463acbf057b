//! Findings in texts, and how they are shown: position, message, the line, what is meant underlined, what was expected.
//!
//! ```text
//! web.svc:12:1: unknown key "depnds", did you mean "needs"?
//!     depnds = localfs
//!     ^^^^^^
//! ```
//!
//! What a file says is never written to a terminal as it is: control characters and what turns the direction of writing
//! are replaced.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::definition::Position;
use super::order::sort;
use crate::packed;
use crate::packed::Packed;
use crate::text::{Hex, parts, put, write_lossy};

/// Width of the part of a long line that is shown, in columns of a terminal.
const WINDOW_COLUMNS: usize = 100;
/// What is shown of a long line before the place that is meant.
const WINDOW_BEFORE: usize = 30;
/// Characters of a text from a file that a message quotes.
const QUOTED_CHARACTERS: usize = 48;
/// Findings of one file that are kept; one more says that there are more.
pub const DIAGNOSTICS_PER_FILE_MAX: usize = 100;

/// A text that positions point into: the list of them is owned by whoever reads the files.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as people write it.
    pub path: String,
    /// All of its bytes.
    pub text: Vec<u8>,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// Worth a look; the file is taken.
    Warning,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Where. Line 0 is the file as a whole.
    pub position: Position,
    /// What is wrong, without a full stop; in a second line what was expected, or what to do; in a third what the other
    /// place is. The last two may be missing, or empty.
    pub text: String,
    /// Another place that has to do with it.
    pub related: Option<Position>,
}

impl Diagnostic {
    /// What is wrong.
    pub fn message(&self) -> &str {
        parts(&self.text, b'\n').next().unwrap_or_default()
    }

    /// Names the other place, which the third line of the text is about.
    pub fn related(&mut self, position: &Position) {
        self.related = Some(*position);
    }
}

/// A text as it reads. (`format!` guesses how long it will be, which is three times the code.)
#[inline(never)]
pub fn told(text: fmt::Arguments<'_>) -> String {
    let mut told = String::new();
    let _ = told.write_fmt(text); // a String takes everything
    told
}

/// What stands in a message for one of its marks.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A text, of a file or our own.
    Text(&'a str),
    /// A number.
    Number(i64),
}

/// Adds an error, to say more in. The text is made of lines as `Diagnostic::text` is; for its marks see `fill`.
#[inline(never)]
pub fn error<'a>(
    findings: &'a mut Vec<Diagnostic>,
    position: &Position,
    text: Packed,
    parts: &[Part<'_>],
) -> &'a mut Diagnostic {
    findings.push(Diagnostic {
        severity: Severity::Error,
        position: *position,
        text: filled(text, parts),
        related: None,
    });
    findings.last_mut().expect("it was pushed just now")
}

/// As `fill`, to a new text.
#[inline(never)]
pub(super) fn filled(text: Packed, parts: &[Part<'_>]) -> String {
    let mut out = String::new();
    fill(&mut out, text, parts);
    out
}

/// Writes a text with its parts, which marks stand for: `%` for one as it is, `&` for a number in hexadecimal, `~` for
/// a text in quotes, cut where it is long, `^` for a word that was likely meant, if there is one. No part makes a line
/// of its own. What `out` refuses is `out`'s to remember.
#[inline(never)]
pub fn fill(out: &mut dyn Write, text: Packed, parts: &[Part<'_>]) {
    let mut parts = parts.iter();
    for byte in text.bytes() {
        let part = match byte {
            b'%' | b'~' | b'^' | b'&' => parts.next(),
            _ => {
                let _ = out.write_char(byte.into());
                continue;
            }
        };
        let text = match part {
            None => {
                // Of one as it is there are as many as parts.
                let _ = if byte == b'%' { out.write_char('%') } else { Ok(()) };
                continue;
            }
            Some(Part::Number(number)) => {
                let _ = if byte == b'&' { Hex(*number as u64, 8).write(out) } else { write!(out, "{number}") };
                continue;
            }
            Some(Part::Text(text)) => *text,
        };
        let (before, behind, count) = match byte {
            b'^' if text.is_empty() => continue,
            b'^' => (", did you mean \"", "\"?", usize::MAX),
            b'~' => ("\"", "\"", QUOTED_CHARACTERS),
            _ => ("", "", usize::MAX),
        };
        let _ = out.write_str(before);
        for (number, character) in text.chars().enumerate() {
            if number == count {
                let _ = out.write_str("...");
                break;
            }
            let _ = out.write_char(printable(character));
        }
        let _ = out.write_str(behind);
    }
}

/// True if one of them is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Behind a message: the word that was likely meant, if there is one.
pub struct Meant<'a>(pub Option<&'a str>);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(meant) => write!(out, ", did you mean \"{meant}\"?"),
            None => Ok(()),
        }
    }
}

/// The findings of one file, as they are made.
pub(super) struct Sink<'a> {
    /// Index of the file in the list of sources.
    pub file: u32,
    diagnostics: &'a mut Vec<Diagnostic>,
    first: usize,
    failed: bool,
}

impl<'a> Sink<'a> {
    /// For the file with this index; findings are added to `diagnostics`.
    pub fn new(file: u32, diagnostics: &'a mut Vec<Diagnostic>) -> Sink<'a> {
        let first = diagnostics.len();
        Sink { file, diagnostics, first, failed: false }
    }

    /// Adds an error, to say more in. What the text is, see `error`.
    #[inline(never)]
    pub fn error(&mut self, position: &Position, text: Packed, parts: &[Part<'_>]) -> &mut Diagnostic {
        self.failed = true;
        self.add(position, text, parts)
    }

    /// Adds a warning.
    pub fn warning(&mut self, position: &Position, text: Packed, parts: &[Part<'_>]) -> &mut Diagnostic {
        let added = self.add(position, text, parts);
        added.severity = Severity::Warning;
        added
    }

    fn add(&mut self, position: &Position, text: Packed, parts: &[Part<'_>]) -> &mut Diagnostic {
        // The last one says that there are more.
        self.diagnostics.truncate(self.first + DIAGNOSTICS_PER_FILE_MAX);
        error(self.diagnostics, position, text, parts)
    }

    /// True if no further finding of this file is kept: there is no use in looking for what was meant.
    pub fn full(&self) -> bool {
        self.diagnostics.len() - self.first >= DIAGNOSTICS_PER_FILE_MAX
    }

    /// True after an error.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The position of the file as a whole.
    pub fn whole(&self) -> Position {
        Position { file: self.file, ..Position::default() }
    }

    /// Puts the findings into the order of the text.
    #[inline(never)]
    pub fn finish(self) {
        let whole = self.whole();
        let own = &mut self.diagnostics[self.first..];
        let kept = own.len().min(DIAGNOSTICS_PER_FILE_MAX);
        let place = |of: &Diagnostic| (of.position.line, of.position.column);
        sort(&mut own[..kept], &|a, b| place(a).cmp(&place(b)));
        if kept < own.len() {
            self.diagnostics.pop();
            let text = packed!("there are more findings; the first % are shown");
            error(self.diagnostics, &whole, text, &[Part::Number(DIAGNOSTICS_PER_FILE_MAX as i64)]);
        }
    }
}

/// Writes one finding with its places, each line ended by a newline.
pub fn render(diagnostic: &Diagnostic, sources: &[Source], out: &mut String) {
    let label = match diagnostic.severity {
        Severity::Error => "",
        Severity::Warning => "warning: ",
    };
    let mut lines = parts(&diagnostic.text, b'\n');
    place(&diagnostic.position, label, lines.next().unwrap_or_default(), sources, out);
    if let Some(help) = lines.next().filter(|help| !help.is_empty()) {
        put(out, &["    ", help, "\n"]);
    }
    if let Some(position) = &diagnostic.related {
        place(position, "note: ", lines.next().unwrap_or_default(), sources, out);
    }
}

/// Writes position, label and text, then the line with its underline.
fn place(position: &Position, label: &str, text: &str, sources: &[Source], out: &mut String) {
    let source = sources.get(position.file as usize);
    // What is about all files together begins as every message of a command does.
    for character in source.map_or("pintle", |source| &source.path).chars() {
        out.push(printable(character));
    }
    if position.line > 0 {
        // A String takes everything.
        let _ = write!(out, ":{}:{}", position.line, position.column);
    }
    put(out, &[": ", label, text, "\n"]);
    let line = source.and_then(|source| {
        let index = position.line.checked_sub(1)? as usize;
        source.text.split(|&byte| byte == b'\n').nth(index)
    });
    if let Some(line) = line {
        let mut text = String::new();
        let _ = write_lossy(line, &mut text);
        excerpt(&text, position, out);
    }
}

/// Writes a line, or the part of a long one around the position, and the underline below it.
fn excerpt(line: &str, position: &Position, out: &mut String) {
    let first = position.column.max(1) as usize - 1;
    let behind = first.saturating_add(position.length.max(1) as usize);
    let (mut all, mut before) = (0, 0);
    for (index, character) in line.chars().enumerate() {
        if index < first {
            before += columns(character);
        }
        all += columns(character);
    }
    // All of a short line; of a long one a window, its edges marked.
    let long = all > WINDOW_COLUMNS;
    let from = if long { before.saturating_sub(WINDOW_BEFORE) } else { 0 };
    let until = if long { from + WINDOW_COLUMNS } else { usize::MAX };
    let edge = if from > 0 { "    ..." } else { "    " };
    out.push_str(edge);
    let (mut at, mut pad, mut carets) = (0, edge.len(), 0);
    for (index, character) in line.chars().enumerate() {
        let width = columns(character);
        if at + width > until {
            out.push_str("...");
            break;
        }
        if at >= from {
            match character {
                '\t' => out.push_str("    "),
                other => out.push(printable(other)),
            }
            match index {
                _ if index < first => pad += width,
                _ if index < behind => carets += width,
                _ => {}
            }
        }
        at += width;
    }
    out.push('\n');
    for at in 0..pad + carets.max(1) {
        out.push(if at < pad { ' ' } else { '^' });
    }
    out.push('\n');
}

/// The character, or U+FFFD for one that would move the cursor or turn the direction of writing.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Columns that a terminal gives to a character: East Asian wide ones 2, combining ones 0. A tab is shown as 4 blanks.
fn columns(character: char) -> usize {
    match character {
        '\t' => 4,
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn shown(line: &str, column: u32, length: u32) -> String {
        let mut out = String::new();
        excerpt(line, &Position { file: 0, line: 1, column, length }, &mut out);
        out
    }

    #[test]
    fn the_underline_stands_under_what_is_meant() {
        assert_eq!(shown("a = bcd", 5, 3), "    a = bcd\n        ^^^\n");
        assert_eq!(shown("a\tb", 3, 1), "    a    b\n         ^\n");
        assert_eq!(shown("\u{e9}\u{e9} x", 4, 1), "    \u{e9}\u{e9} x\n       ^\n");
        assert_eq!(shown("\u{65e5}\u{672c} x", 1, 2), "    \u{65e5}\u{672c} x\n    ^^^^\n");
        assert_eq!(shown("a =", 4, 1), "    a =\n       ^\n");
        assert_eq!(shown("\u{1b}[2J", 1, 1), "    \u{fffd}[2J\n    ^\n");
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let line = format!("{}here{}", "x".repeat(500), "y".repeat(500));
        let text = shown(&line, 501, 4);
        let mut lines = text.lines();
        let (top, under) = (lines.next().expect("the line"), lines.next().expect("the underline"));
        assert_eq!(top.len(), 4 + WINDOW_COLUMNS + 6);
        let at = under.find('^').expect("an underline");
        assert_eq!(&top[at..at + 4], "here");
        assert_eq!(under.len(), at + 4);
    }
}
