//! Values: from the words of an entry to the field that its key fills. One arm for each kind of value.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::ITSELF;
use super::definition::{Definition, Given, Kind, Position, Token, Word, alternatives};
use super::diagnostic::{Meant, Shown, Sink};
use super::expression;
use super::keys::{CHOICES, Key, TIME_MS_MAX, Value};
use super::lexer::{self, Entry};
use super::order::order;
use crate::expand::{Piece, pieces, placeholder_at};
use crate::graph::Relation;
use crate::limits::{ARGUMENTS_MAX, INSTANCE_BYTES_MAX, NAME_BYTES_MAX, SLOTS_MAX};
use crate::names::{self, NameFault};
use crate::nearest;
use crate::signals;
use crate::text::cut;

/// Descriptors that `ready = fd N` may name: not the standard three, and few enough to be kept.
const READY_DESCRIPTORS: core::ops::RangeInclusive<u64> = 3..=255;

/// Says in the definition what `entry` says for `key`; nothing, with findings, where that is no value of it.
pub fn fill(key: &'static Key, entry: &Entry<'_>, definition: &mut Definition, sink: &mut Sink<'_>) {
    let mut given = Given { key, position: entry.position, numbers: [0; 2], words: &[] };
    // Whatever is wrong has been said where `None` comes from.
    let _ = Filler { key, entry, definition, sink }.fill(&mut given);
    definition.put(given);
}

/// Makes the value of one key.
struct Filler<'a, 'b> {
    key: &'static Key,
    entry: &'a Entry<'a>,
    /// The service; its `kind` and `name` are known already.
    definition: &'a Definition,
    sink: &'a mut Sink<'b>,
}

impl Filler<'_, '_> {
    fn fill(&mut self, given: &mut Given) -> Option<()> {
        let (key, entry) = (self.key, self.entry);
        let script = entry.script.is_some();
        let mut words = match key.value {
            Value::Text => lexer::text(entry),
            value => {
                let parentheses = matches!(value, Value::Expression(_) | Value::Tests | Value::ForEach);
                lexer::words(entry, parentheses, self.sink)?
            }
        };
        if script && !matches!(key.value, Value::Command | Value::Stop | Value::Reload) {
            return self.bad(&entry.value_at, format_args!("\"{}\" takes no script", *key));
        }
        if words.is_empty() && !script {
            return self.bad(&entry.value_at, format_args!("\"{}\" has no value", *key));
        }
        if let (true, Some(second)) = (takes_one(key.value), words.get(1)) {
            return self.bad(&second.position, format_args!("\"{}\" takes one word, this is a second", *key));
        }
        // A script alone has no word, and is not of a key that looks at its first.
        let end = end_of(&words, entry);
        let word = words.first().unwrap_or(&EMPTY);
        let template = names::is_template(self.definition.name);
        match key.value {
            Value::Choice(choices) => given.numbers[0] = self.choice(word, &CHOICES[usize::from(choices)])?,
            Value::Switch => given.numbers[0] = 1 - self.choice(word, &["yes", "no"])?,
            Value::Ready => self.ready(&words, &mut given.numbers)?,
            Value::Duration(min) => match duration_ms(word.text) {
                Some(ms) if (u64::from(min)..=u64::from(TIME_MS_MAX)).contains(&ms) => given.numbers[0] = ms,
                Some(_) => {
                    return self.out_of_bounds(word, format_args!("expected {min}ms to {}d", TIME_MS_MAX / 86_400_000));
                }
                None => return self.bad_word("time", word),
            },
            Value::Integer(min, max, more) => {
                let (negative, digits) = match word.text.strip_prefix("-") {
                    Some(digits) => (true, digits),
                    None => (false, word.text),
                };
                let Some(number) = unsigned(digits.as_bytes()) else { return self.bad_word("number", word) };
                let number = number.min(i32::MAX as u64) as i32;
                let number = if negative { -number } else { number };
                if !(i32::from(min)..=i32::from(max)).contains(&number) {
                    return self.out_of_bounds(word, format_args!("expected {min} to {max}"));
                }
                given.numbers[0] = (number + i32::from(more)) as u64;
            }
            Value::Umask => {
                let mut bits = 0;
                for digit in word.text.bytes() {
                    match digit {
                        b'0'..=b'7' if bits <= 0o777 => bits = bits << 3 | u64::from(digit - b'0'),
                        _ => bits = u64::MAX,
                    }
                }
                if bits > 0o777 || word.text.is_empty() {
                    return self.bad_word("umask", word);
                }
                given.numbers[0] = bits;
            }
            Value::Limit(_) => {
                let (soft, hard) = cut(word.text, b':').unwrap_or((word.text, word.text));
                let (Some(soft), Some(hard)) = (limit(soft), limit(hard)) else {
                    return self.bad_word("limit", word);
                };
                if soft > hard {
                    return self.bad(&word.position, format_args!("the soft limit is above the hard one"));
                }
                given.numbers = [soft, hard];
            }
            Value::Text => {}
            Value::Command => self.command(&mut words)?,
            Value::Stop | Value::Reload => self.action(&mut words, &end, given)?,
            Value::Relation(_) | Value::Inverse(_) => self.services(&mut words)?,
            Value::Provides => self.each(&words, Some(&whole), &mut |filler, word| filler.provided(word))?,
            Value::Expression(_) | Value::Tests | Value::ForEach => {
                let tests = matches!(key.value, Value::Tests);
                let mut all = word.position;
                words = expression::parse(&words, end, tests, template, self.sink)?;
                if matches!(key.value, Value::ForEach) && words.first()?.token != Token::Fact {
                    if all.line == end.line {
                        all.length = end.column - all.column;
                    }
                    return self.bad(&all, format_args!("\"for-each\" takes one condition alone"));
                }
            }
            Value::Instance => self.instance(word)?,
            Value::Pass => self.each(&words, Some(&whole), &mut |filler, word| {
                if names::is_variable(word.text) && word.text != "INSTANCE" {
                    return Some(());
                }
                filler.bad(&word.position, format_args!("{} cannot be passed", Shown(word.text)))
            })?,
            Value::Account => {
                if !is_account(word.text) {
                    return self.bad_word("name or number", word);
                }
            }
            Value::Directory => self.path(word, word.text)?,
            Value::Environment => self.each(&words, Some(&variable), &mut |filler, word| {
                let name = variable(word);
                if name.len() < word.text.len() && names::is_variable(name) {
                    return Some(());
                }
                filler.bad_word("variable", word)
            })?,
            Value::EnvironmentFiles => self.each(&words, None, &mut |filler, word| {
                filler.path(word, word.text.strip_prefix("-").unwrap_or(word.text))
            })?,
        }
        // Of a number nothing more is needed, and there are many of them.
        if !is_number(key.value) {
            given.words = words.leak();
        }
        Some(())
    }

    /// A finding with what the key expects; nothing, to return.
    #[inline(never)]
    fn bad(&mut self, position: &Position, message: fmt::Arguments<'_>) -> Option<()> {
        self.sink.error(position, message).help(format_args!("expected {}", self.key.value.expected()));
        None
    }

    #[inline(never)]
    fn bad_word(&mut self, what: &str, word: &Word) -> Option<()> {
        self.bad(&word.position, format_args!("bad {what} {}", Shown(word.text)))
    }

    #[inline(never)]
    fn out_of_bounds(&mut self, word: &Word, help: fmt::Arguments<'_>) -> Option<()> {
        let message = format_args!("{} is out of bounds", Shown(word.text));
        self.sink.error(&word.position, message).help(help);
        None
    }

    /// Which of these it is.
    #[inline(never)]
    fn choice(&mut self, word: &Word, choices: &[&str]) -> Option<u64> {
        if let Some(index) = choices.iter().position(|choice| *choice == word.text) {
            return Some(index as u64);
        }
        let meant = Meant(nearest::among(word.text, &mut choices.iter().copied()));
        let message = format_args!("bad {} {}{meant}", *self.key, Shown(word.text));
        let help = &mut self.sink.error(&word.position, message).help;
        help.push_str("expected ");
        for (index, choice) in choices.iter().enumerate() {
            if index > 0 {
                help.push_str(if index + 1 == choices.len() { " or " } else { ", " });
            }
            help.push_str(choice);
        }
        None
    }

    /// At most ARGUMENTS_MAX words.
    fn few(&mut self, words: &[Word]) -> Option<()> {
        let Some(word) = words.get(ARGUMENTS_MAX) else { return Some(()) };
        let message = format_args!("\"{}\" has more than {ARGUMENTS_MAX} words", *self.key);
        self.sink.error(&word.position, message);
        None
    }

    /// Not too many words, each of them good, and no two of the same name, where they have one.
    #[inline(never)]
    fn each(
        &mut self,
        words: &[Word],
        name: Option<&dyn Fn(&Word) -> &'static str>,
        good: &mut dyn FnMut(&mut Self, &Word) -> Option<()>,
    ) -> Option<()> {
        self.few(words)?;
        for word in words {
            good(self, word)?;
        }
        match name {
            Some(name) => self.distinct(words, name),
            None => Some(()),
        }
    }

    /// No two words of the same name.
    #[inline(never)]
    fn distinct(&mut self, words: &[Word], text: &dyn Fn(&Word) -> &'static str) -> Option<()> {
        // A layer that needs all of the one below has many names; comparing each with each is then most of the work.
        let name = |at: usize| text(&words[at]).as_bytes();
        let sorted = order(words.len(), &|a, b| name(a).cmp(name(b)));
        let mut twice = None;
        for pair in sorted.windows(2) {
            let (first, second) = (pair[0] as usize, pair[1] as usize);
            if name(first) == name(second) && twice.is_none_or(|(_, found)| second < found) {
                twice = Some((first, second));
            }
        }
        let Some((first, second)) = twice else { return Some(()) };
        let text = Shown(text(&words[first]));
        let message = format_args!("{text} stands twice in \"{}\"", *self.key);
        self.sink.error(&words[second].position, message).related(&words[first].position, "first here");
        None
    }

    /// An absolute path, which is `path` of `word`.
    fn path(&mut self, word: &Word, path: &str) -> Option<()> {
        if path.starts_with("/") {
            return Some(());
        }
        self.bad(&word.position, format_args!("{} is not an absolute path", Shown(path)))
    }

    /// Program and arguments, or a script with what runs it.
    fn command(&mut self, words: &mut Vec<Word>) -> Option<()> {
        if let Some(program) = words.first()
            && !program.text.starts_with("/")
        {
            let message = format_args!("the program {} is not an absolute path", Shown(program.text));
            self.sink
                .error(&program.position, message)
                .help(format_args!("no PATH is searched; expected a path as /usr/sbin/NAME"));
            return None;
        }
        let Some(script) = self.entry.script else { return self.few(words) };
        if words.is_empty() {
            words.push(Word::new("/bin/sh", self.entry.position));
        }
        if words.len() == 1 {
            words.push(Word::new("-c", self.entry.position));
        }
        // A shell's own ${NAME}: nothing in a script expands, so that no event can write shell.
        let (mut escaped, mut rest) = (String::new(), script);
        while let Some(at) = placeholder_at(rest) {
            escaped.push_str(&rest[..at]);
            escaped.push_str("$${");
            rest = &rest[at + 2..];
        }
        escaped.push_str(rest);
        words.push(Word::new(escaped.leak(), self.entry.position));
        self.few(words)
    }

    /// `signal NAME...`, of which the names are left, or a command, which is 1.
    #[inline(never)]
    fn action(&mut self, words: &mut Vec<Word>, end: &Position, given: &mut Given) -> Option<()> {
        let Some(first) = words.first().filter(|first| first.plain && first.text == "signal") else {
            given.numbers[0] = 1;
            return self.command(words);
        };
        if self.definition.kind == Kind::Oneshot {
            let message = format_args!("a oneshot has no process to send a signal to");
            self.sink.error(&first.position, message).help(format_args!("expected a command by its absolute path"));
            return None;
        }
        words.remove(0);
        if words.is_empty() {
            return self.bad(end, format_args!("expected the name of a signal"));
        }
        for word in words.iter() {
            if signals::number(word.text).is_none() {
                let text = Shown(word.text);
                let name = word.text.strip_prefix("SIG").unwrap_or(word.text);
                let meant = Meant(nearest::among(name, &mut signals::names()));
                return self.bad(&word.position, format_args!("no signal is called {text}{meant}"));
            }
        }
        match words.get(1) {
            Some(second) if matches!(self.key.value, Value::Reload) => {
                self.bad(&second.position, format_args!("\"reload\" sends one signal"))
            }
            _ => Some(()),
        }
    }

    /// Names of other services; those that are none become empty.
    #[inline(never)]
    fn services(&mut self, words: &mut [Word]) -> Option<()> {
        if let Some(word) = words.get(SLOTS_MAX as usize) {
            let message = format_args!("more names than there can be services: {SLOTS_MAX}");
            self.sink.error(&word.position, message);
            return None;
        }
        let distinct = self.distinct(words, &whole);
        for word in words.iter_mut() {
            // Each name has its own finding.
            let good = if word.text.as_bytes().contains(&b'|') { self.any_of(word) } else { self.service(word) };
            if good.is_none() {
                word.text = "";
            }
        }
        distinct
    }

    /// The name of another service.
    fn service(&mut self, word: &Word) -> Option<()> {
        if word.text == self.definition.name {
            let message = format_args!("\"{}\" names this service itself", *self.key);
            self.sink.error(&word.position, message);
        }
        service_name(word, self.sink)
    }

    /// `a|b`.
    #[inline(never)]
    fn any_of(&mut self, word: &Word) -> Option<()> {
        let takes = match self.key.value {
            Value::Relation(Relation::Conflicts | Relation::Contains) => false,
            Value::Inverse(relation) => relation == Relation::After,
            _ => true,
        };
        if !takes {
            let message =
                format_args!("\"{}\" is for all that it names, not for one of {}", *self.key, Shown(word.text));
            self.sink.error(&word.position, message).help(format_args!("names are parted by blanks"));
            return None;
        }
        let names = alternatives(word);
        if let Some(name) = names.iter().find(|name| name.text.is_empty()) {
            let message = format_args!("a name is missing in {}", Shown(word.text));
            self.sink.error(&name.position, message).help(format_args!("expected alternatives as: a|b"));
            return None;
        }
        let mut good = self.distinct(names, &whole);
        for name in names {
            // Each name has its own finding.
            good = self.service(name).and(good);
        }
        good
    }

    /// A name that is not that of a service.
    fn provided(&mut self, word: &Word) -> Option<()> {
        if word.text == self.definition.name {
            return self.bad(&word.position, format_args!("it has the name {} already", Shown(word.text)));
        }
        if let Err(fault) = names::check_fact(word.text) {
            name_finding("service", word.text, &word.position, fault, self.sink);
            return None;
        }
        Some(())
    }

    /// The text of `instance`: attributes, and characters that a name may have.
    #[inline(never)]
    fn instance(&mut self, word: &Word) -> Option<()> {
        let (mut found, mut bytes) = (false, 0);
        for piece in pieces(word.text) {
            match piece {
                Piece::Placeholder(name) if names::is_variable(name) && name != "INSTANCE" => found = true,
                Piece::Literal(text) if names::check_instance(text).is_ok() => bytes += text.len(),
                Piece::Literal(_) | Piece::Placeholder(_) | Piece::Unclosed(_) => {
                    return self.bad_word("name of an instance", word);
                }
            }
        }
        if bytes > INSTANCE_BYTES_MAX {
            return self.bad_word("name of an instance", word);
        }
        if !found {
            return self.bad(&word.position, format_args!("{} names every instance the same", Shown(word.text)));
        }
        Some(())
    }

    /// The numbers of `Value::Ready`.
    #[inline(never)]
    fn ready(&mut self, words: &[Word], numbers: &mut [u64; 2]) -> Option<()> {
        let (what, word) = match words {
            [word] if word.text == "none" => return Some(()),
            [word] if word.text == "notify" => {
                numbers[0] = 2;
                return Some(());
            }
            [word, _, third, ..] if word.text == "fd" => ("word", third),
            [word, number] if word.text == "fd" => match unsigned(number.text.as_bytes()) {
                Some(found) if READY_DESCRIPTORS.contains(&found) => {
                    *numbers = [1, found];
                    return Some(());
                }
                _ => ("descriptor", number),
            },
            _ => ("readiness", words.first()?),
        };
        self.bad_word(what, word)
    }
}

/// Whether a value of this kind is one word.
const fn takes_one(value: Value) -> bool {
    is_number(value) && !matches!(value, Value::Ready)
        || matches!(value, Value::Instance | Value::Account | Value::Directory)
}

/// Whether a value of this kind is in `Given::numbers` alone.
const fn is_number(value: Value) -> bool {
    matches!(
        value,
        Value::Choice(_)
            | Value::Switch
            | Value::Ready
            | Value::Duration(_)
            | Value::Integer(..)
            | Value::Umask
            | Value::Limit(_)
    )
}

/// The whole word.
fn whole(word: &Word) -> &'static str {
    word.text
}

/// What stands before the `=`.
pub fn variable(word: &Word) -> &'static str {
    cut(word.text, b'=').map_or(word.text, |(name, _)| name)
}

/// Stands for the first word where a script has none.
static EMPTY: Word = Word::new("", Position { file: 0, line: 0, column: 0, length: 0 });

/// Just behind the last word.
fn end_of(words: &[Word], entry: &Entry<'_>) -> Position {
    words.last().map_or(entry.value_at, |last| Position {
        column: last.position.column + last.position.length,
        length: 1,
        ..last.position
    })
}

/// A finding where this is not the name of a service (a template is none).
pub fn service_name(word: &Word, sink: &mut Sink<'_>) -> Option<()> {
    if let Err(fault) = names::check_service(word.text) {
        name_finding("service", word.text, &word.position, fault, sink);
        return None;
    }
    if names::is_template(word.text) {
        let message = format_args!("{} is a template, not a service", Shown(word.text));
        sink.error(&word.position, message).help(format_args!("expected one of its instances: {}NAME", word.text));
        return None;
    }
    Some(())
}

/// The finding for a bad name of a `what`.
pub fn name_finding(what: &str, name: &str, position: &Position, fault: NameFault, sink: &mut Sink<'_>) {
    let text = Shown(name);
    let mut finding = |message: fmt::Arguments<'_>| {
        sink.error(position, message);
    };
    match fault {
        NameFault::Empty => finding(format_args!("{text} cannot be the name of a {what}: it is empty")),
        NameFault::TooLong => {
            finding(format_args!("the name {text} is longer than {NAME_BYTES_MAX} bytes"));
        }
        NameFault::InstanceTooLong => {
            finding(format_args!("the instance of {text} is longer than {INSTANCE_BYTES_MAX} bytes"))
        }
        NameFault::Start => finding(format_args!("{text} cannot be the name of a {what}: it begins with a sign")),
        NameFault::Character(character) => {
            let mut buffer = [0; 4];
            let character = Shown(character.encode_utf8(&mut buffer));
            let help = if name.as_bytes().contains(&b',') {
                "names are parted by blanks"
            } else {
                "letters, digits and . _ - + : make a name"
            };
            let message = format_args!("{text} cannot be the name of a {what}: it has a {character}");
            sink.error(position, message).help(format_args!("{help}"));
        }
    }
}

/// A glob. In a template it stays in the form of `crate::expand`, with `${INSTANCE}` as its only placeholder; elsewhere nothing
/// expands. A finding if it has another.
pub fn glob_text(text: &'static str, template: bool, position: &Position, sink: &mut Sink<'_>) -> Option<&'static str> {
    let known = |piece| matches!(piece, Piece::Literal(_) | Piece::Placeholder("INSTANCE"));
    if template && pieces(text).all(known) {
        return Some(text);
    }
    let mut plain = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Literal(literal) => plain.push_str(literal),
            Piece::Placeholder(_) | Piece::Unclosed(_) => {
                let but = if template { " but ${INSTANCE}" } else { "" };
                sink.error(position, format_args!("nothing{but} expands here")).help(format_args!("{ITSELF}"));
                return None;
            }
        }
    }
    Some(plain.leak())
}

/// Decimal digits alone; saturates.
#[inline(never)]
fn unsigned(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |number, byte| number.saturating_mul(10).saturating_add(u64::from(byte - b'0'))))
}

/// A number behind which stands a unit that `factor` knows; saturates.
#[inline(never)]
fn scaled(text: &str, factor: fn(&[u8]) -> Option<u64>) -> Option<u64> {
    let digits = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.as_bytes().split_at(digits);
    Some(unsigned(digits)?.saturating_mul(factor(unit)?))
}

/// `500ms`, `20s`, `5m`, `1h`, `1d`; a plain number is seconds. Milliseconds; saturates.
pub fn duration_ms(text: &str) -> Option<u64> {
    scaled(text, |unit| match unit {
        b"ms" => Some(1),
        b"" | b"s" => Some(1_000),
        b"m" => Some(60_000),
        b"h" => Some(3_600_000),
        b"d" => Some(86_400_000),
        _ => None,
    })
}

/// A number with `K`, `M` or `G` (powers of 1024), or `unlimited`.
#[inline(never)]
fn limit(text: &str) -> Option<u64> {
    if text == "unlimited" {
        return Some(u64::MAX);
    }
    scaled(text, |unit| match unit {
        b"" => Some(1),
        b"K" => Some(1 << 10),
        b"M" => Some(1 << 20),
        b"G" => Some(1 << 30),
        _ => None,
    })
}

/// A name as useradd(8) takes it, or a number below the one that means "none".
#[inline(never)]
fn is_account(text: &str) -> bool {
    let name = text.strip_suffix("$").unwrap_or(text);
    match unsigned(text.as_bytes()) {
        Some(number) => number < u64::from(u32::MAX),
        None => {
            !name.is_empty()
                && !matches!(name.as_bytes()[0], b'-' | b'.')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            ("500ms", Some(500)),
            ("20s", Some(20_000)),
            ("20", Some(20_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("0", Some(0)),
            ("99999999999999999999d", Some(u64::MAX)),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("20x", None),
        ];
        for (text, ms) in table {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn limits() {
        let table = [
            ("0", Some(0)),
            ("64K", Some(65_536)),
            ("1M", Some(1 << 20)),
            ("2G", Some(2 << 30)),
            ("unlimited", Some(u64::MAX)),
            ("64k", None),
            ("", None),
            ("K", None),
        ];
        for (text, number) in table {
            assert_eq!(limit(text), number, "{text}");
        }
    }

    #[test]
    fn accounts() {
        for good in ["www-data", "0", "4294967294", "_apt", "host$", "a.b"] {
            assert!(is_account(good), "{good}");
        }
        for bad in ["", "$", "-x", "4294967295", "a:b", "a b", "${X}"] {
            assert!(!is_account(bad), "{bad}");
        }
    }
}
