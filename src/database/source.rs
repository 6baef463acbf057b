//! One service of a database as the text of its file: what `lang::parse` reads, the other way round. Every key that
//! applies is written, defaults too, so that the text says all that is in force. The order of names, and relations that
//! others make superfluous, are not what they were.

use alloc::string::String;
use core::fmt::{self, Write};

use super::expression;
use super::image::List;
use super::places::{EXEC, PLACES, POLICY, SWITCHES};
use super::{Image, NONE, action, policy, service};
use crate::expand::{Piece, pieces};
use crate::graph::Relation;
use crate::ident::SlotId;
use crate::lang::definition::Log;
use crate::lang::keys::{CHOICES, KEYS, Key, TEMPLATE, Value};
use crate::text::{ended, nth, put};
use crate::{names, signals};

/// Where the words of a value go on in the next line.
const COLUMNS: usize = 100;

/// Units of time in milliseconds, the largest first.
static UNITS: [(u32, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];

/// Adds the text of this service's file.
#[inline(never)]
pub fn write(image: &Image<'_>, slot: SlotId, out: &mut String) {
    let flags = image.flags(slot);
    let source = Source { image, slot, expands: flags & service::flags::EXPANDS != 0 };
    for key in KEYS {
        let template_only = key.kinds == TEMPLATE;
        // Kinds of keys are bits in the order of the kinds.
        if u32::from(key.kinds) >> (flags & 0xff) & 1 != 0 && (!template_only || names::is_template(image.name(slot))) {
            source.key(key, out);
        }
    }
}

struct Source<'i> {
    image: &'i Image<'i>,
    slot: SlotId,
    /// Strings have placeholders.
    expands: bool,
}

impl Source<'_> {
    fn field(&self, field: usize) -> u32 {
        self.image.service(self.slot, field)
    }

    #[inline(never)]
    fn key(&self, key: &Key, out: &mut String) {
        let place = usize::from(PLACES[usize::from(key.number)]);
        let value = match place {
            0..EXEC => self.field(place),
            EXEC..POLICY => self.image.exec(self.field(service::EXEC), place - EXEC),
            _ => self.image.policy(self.field(service::POLICY), place - POLICY),
        };
        let mut line = Line::new(out, "", key.name(), " =");
        match key.value {
            Value::Text => text_value(self.image.text(value), &mut line),
            // Of what remains it says nothing.
            Value::Choice(3) if self.image.flags(self.slot) & service::flags::NO_REMAIN == 0 => {}
            Value::Choice(choices) => {
                // The kind has flags above it.
                line.word(nth(CHOICES[usize::from(choices)], b',', value as usize & 0xff));
            }
            Value::Log if value == Log::Pipe as u32 => {
                let to = self.image.exec(self.field(service::EXEC), super::exec::LOG_TO);
                line.word("pipe");
                line.word(self.image.name(SlotId(to.wrapping_sub(1))));
            }
            Value::Log => line.word(nth(CHOICES[2], b',', value as usize)),
            Value::Bytes(..) if value == 0 => {}
            Value::Bytes(..) => {
                let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"), (1, "")];
                let whole = |&&(unit, _): &&(u32, &str)| value.is_multiple_of(unit);
                let (unit, name) = units.iter().find(whole).unwrap_or(&(1, ""));
                line.number((value / unit).into());
                line.pending.push_str(name);
            }
            Value::Command => self.command(self.image.list(value), 0, &mut line),
            Value::Stop | Value::Reload => self.action(self.image.list(value), &mut line),
            Value::Relation(relation) => self.relation(relation, &mut line),
            Value::Inverse(relation) => {
                let (list, mut at) = (self.image.list(value), 0);
                while at < list.len() {
                    if list.get(at) == relation as u32 {
                        line.word(self.image.text(list.get(at + 1)));
                    }
                    at += 2;
                }
            }
            Value::Expression(_) | Value::Tests | Value::ForEach if value == NONE => {}
            Value::Expression(_) | Value::Tests | Value::ForEach => {
                let template = names::is_template(self.image.name(self.slot));
                expression::write(self.image, value, [self.expands, template], &|_, _| {}, &mut line);
            }
            Value::Instance | Value::Account => line.word(self.image.text(value)),
            Value::Pass | Value::Provides => line.words(self.image, value),
            Value::Ready => match value {
                1 => {
                    line.word("fd");
                    line.number(self.image.policy(self.field(service::POLICY), policy::READY_DESCRIPTOR).into());
                }
                policy::NOTIFY => line.word("notify"),
                policy::FORK => line.word("fork"),
                policy::CHECK => {
                    line.word("check");
                    self.words(self.image.list(self.field(service::CHECK)), 0, &mut line);
                }
                _ => line.word("none"),
            },
            // No bound: the key says nothing.
            Value::Duration(1..) if value == 0 => {}
            Value::Duration(_) => {
                // The largest unit in which it is whole.
                let whole = |&&(unit, _): &&(u32, &str)| value >= unit && value.is_multiple_of(unit);
                let (unit, name) = UNITS.iter().find(whole).unwrap_or(&(1, "ms"));
                line.number((value / unit).into());
                line.pending.push_str(name);
            }
            Value::Switch => {
                for (number, flag, no) in &SWITCHES {
                    if *number == key.number {
                        line.word(if (value & flag == 0) == *no { "yes" } else { "no" });
                    }
                }
            }
            Value::Directory if self.image.text(value).is_empty() => {}
            Value::Directory => self.word(value, &mut line),
            Value::Umask => {
                let out = line.begin();
                for shift in [6, 3, 0] {
                    out.push(char::from(b'0' + (value >> shift & 7) as u8));
                }
            }
            // Nothing is 0 where no number is.
            Value::Integer(_, _, 1..) if value == 0 => {}
            Value::Integer(_, _, more) => line.number(i64::from(value) - i64::from(more)),
            Value::Environment | Value::EnvironmentFiles => {
                self.words(self.image.list(value), 0, &mut line);
            }
            Value::Exits => {
                let list = self.image.list(value);
                for at in 0..list.len() {
                    let end = list.get(at);
                    match signals::name(end ^ policy::EXIT_SIGNAL).filter(|_| end & policy::EXIT_SIGNAL != 0) {
                        Some(name) => line.word(name),
                        None => line.number((end & 0xff).into()),
                    }
                }
            }
            Value::Setup(letter, _) => {
                let list = self.image.list(value);
                for at in (0..list.len()).step_by(2) {
                    if list.get(at) == u32::from(letter) {
                        self.word(list.get(at + 1), &mut line);
                    }
                }
            }
            Value::Limit(resource) => self.limit(self.image.list(value), resource.into(), &mut line),
        }
        line.end();
    }

    /// The edges that the service's own file has, or could have: not those that are written from the other end, nor
    /// those of its expressions.
    #[inline(never)]
    fn relation(&self, relation: Relation, line: &mut Line<'_>) {
        for edge in self.image.edges(self.slot).only(relation) {
            let written = self.image.list(self.image.service(edge.slot, service::WRITTEN));
            let name = self.image.name(self.slot);
            let (mut by_the_other, mut at) = (false, 0);
            while at < written.len() {
                by_the_other |=
                    written.get(at) == relation as u32 && self.image.is_string(written.get(at + 1), name.as_bytes());
                at += 2;
            }
            if !by_the_other {
                line.word(self.image.name(edge.slot));
            }
        }
    }

    fn limit(&self, list: List<'_>, resource: u32, line: &mut Line<'_>) {
        let mut at = 0;
        while at < list.len() {
            if list.get(at) == resource {
                let out = line.begin();
                limit(list, at + 1, out);
                out.push(':');
                limit(list, at + 3, out);
            }
            at += 5;
        }
    }

    #[inline(never)]
    fn action(&self, list: List<'_>, line: &mut Line<'_>) {
        match list.get(0) {
            _ if list.is_empty() => {}
            action::COMMAND => self.command(list, 1, line),
            _ => {
                line.word("signal");
                for at in 1..list.len() {
                    let number = list.get(at);
                    match signals::name(number) {
                        Some(name) => line.word(name),
                        None => line.number(number.into()),
                    }
                }
            }
        }
    }

    /// A command, which begins at this word of a list; one whose last argument has lines, as a here-document.
    fn command(&self, list: List<'_>, first: usize, line: &mut Line<'_>) {
        let script = list.len().checked_sub(1).map_or("", |last| self.image.text(list.get(last)));
        if list.len() < first + 3 || !script.ends_with('\n') {
            return self.words(list, first, line);
        }
        line.columns = usize::MAX;
        line.word("<<END");
        for at in first..list.len() - 1 {
            self.word(list.get(at), line);
        }
        line.end();
        let mut plain = String::new();
        if self.expands {
            // Without its escapes.
            for piece in pieces(script) {
                match piece {
                    Piece::Literal(part) | Piece::Unclosed(part) => plain.push_str(part),
                    Piece::Placeholder(name) => placeholder(name, &mut plain),
                }
            }
        } else {
            plain.push_str(script);
        }
        // The line that ends it is not one of its own (those are indented, but where all of them are blank).
        let blank = plain.bytes().all(|byte| b" \t\n".contains(&byte));
        for part in ended(&plain, b'\n') {
            line.out.push_str(if part.is_empty() || blank { "" } else { "    " });
            put(line.out, &[part, "\n"]);
        }
        line.out.push_str("END\n");
    }

    /// The words of a list from this one on.
    fn words(&self, list: List<'_>, first: usize, line: &mut Line<'_>) {
        for at in first..list.len() {
            self.word(list.get(at), line);
        }
    }

    /// One word as it is written: placeholders as they are, all else quoted where it must be.
    fn word(&self, text: u32, line: &mut Line<'_>) {
        expression::write_word(line.begin(), self.image.text(text), self.expands);
    }
}

/// `${NAME}`.
#[inline(never)]
fn placeholder(name: &str, out: &mut String) {
    out.push_str("${");
    out.push_str(name);
    out.push('}');
}

/// The limit at this word of a list, and the one behind it.
#[inline(never)]
fn limit(list: List<'_>, at: usize, out: &mut String) {
    match u64::from(list.get(at)) | u64::from(list.get(at + 1)) << 32 {
        u64::MAX => out.push_str("unlimited"),
        value => {
            let _ = write!(out, "{value}");
        }
    }
}

/// A description. Quotes are written only where the blanks at its ends, or its own quotes, would be lost without.
#[inline(never)]
fn text_value(text: &str, line: &mut Line<'_>) {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    let quoted = match bytes {
        [b'\'' | b'"', inner @ .., last] => bytes[0] == *last && !inner.contains(last),
        _ => false,
    };
    let needs_quotes = blank(bytes.first()) || blank(bytes.last()) || quoted || text.starts_with("<<");
    let quote_mark = match bytes.contains(&b'"') {
        _ if !needs_quotes => "",
        true => "'",
        false => "\"",
    };
    put(line.begin(), &[quote_mark, text, quote_mark]);
}

/// `key = word word`, going on in indented lines; nothing where there is no word. With `# ` before it, a comment.
pub struct Line<'o> {
    pub out: &'o mut String,
    head: [&'o str; 3],
    /// Where it goes on in the next line.
    columns: usize,
    column: usize,
    /// The last word, to which something may be added.
    pending: String,
}

impl<'o> Line<'o> {
    /// Nothing is written before there is a word.
    #[inline(never)]
    pub fn new(out: &'o mut String, before: &'o str, title: &'o str, behind: &'o str) -> Line<'o> {
        Line { out, head: [before, title, behind], columns: COLUMNS, column: 0, pending: String::new() }
    }

    /// One more word; an empty one is none.
    pub fn word(&mut self, text: &str) {
        self.begin().push_str(text);
    }

    /// The texts of a list.
    #[inline(never)]
    pub fn words(&mut self, image: &Image<'_>, list: u32) {
        let list = image.list(list);
        for at in 0..list.len() {
            self.word(image.text(list.get(at)));
        }
    }

    fn number(&mut self, number: i64) {
        let _ = write!(self.begin(), "{number}");
    }

    /// The place of one more word.
    fn begin(&mut self) -> &mut String {
        self.flush();
        &mut self.pending
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if self.column == 0 {
            put(self.out, &self.head);
            self.column = self.head.iter().map(|part| part.len()).sum();
        } else if self.column + 1 + self.pending.len() > self.columns {
            put(self.out, &["\n", if self.head[0].is_empty() { " " } else { "#" }, "  "]);
            self.column = 3;
        }
        put(self.out, &[" ", &self.pending]);
        self.column += 1 + self.pending.len();
        self.pending.clear();
    }

    /// Ends the line, if there is one.
    pub fn end(&mut self) {
        self.flush();
        if core::mem::take(&mut self.column) > 0 {
            self.out.push('\n');
        }
    }
}

/// What is written goes on with the last word, but for a blank by itself.
impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.pending.push_str(text);
        Ok(())
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        match character {
            ' ' => self.flush(),
            _ => self.pending.push(character),
        }
        Ok(())
    }
}
