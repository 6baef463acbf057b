//! Values: from the words of an entry to the field that its key fills. One arm for each kind of value.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::ITSELF;
use super::definition::{Action, At, Definition, Expression, Kind, Limit, Position, Readiness};
use super::diagnostic::{Meant, Shown, Sink};
use super::expression;
use super::keys::{Key, Value};
use super::lexer::{self, Entry, Word};
use super::order::order;
use crate::expand::{Piece, pieces, placeholder_at};
use crate::limits::{ARGUMENTS_MAX, INSTANCE_BYTES_MAX, NAME_BYTES_MAX, SLOTS_MAX};
use crate::names::{self, NameFault};
use crate::nearest;
use crate::signals;

/// Descriptors that `ready = fd N` may name: not the standard three, and few enough to be kept.
const READY_DESCRIPTORS: core::ops::RangeInclusive<u64> = 3..=255;

/// What is being filled.
pub struct Filler<'a, 'b> {
    /// The service; its `kind` and `name` are known already.
    pub definition: &'a mut Definition,
    /// Takes the findings.
    pub sink: &'a mut Sink<'b>,
    /// Every `${NAME}` where one expands, and where.
    pub placeholders: Vec<At<String>>,
}

/// Fills the field of `key` with the value of `entry`, or makes findings.
pub fn fill(key: &'static Key, entry: &Entry<'_>, filler: &mut Filler<'_, '_>) {
    // Whatever is wrong has been said where `None` comes from.
    let _ = filler.fill(key, entry);
}

impl Filler<'_, '_> {
    fn fill(&mut self, key: &'static Key, entry: &Entry<'_>) -> Option<()> {
        if let Value::Text(field) = key.value {
            let text = lexer::text(entry);
            if text.is_empty() || entry.script.is_some() {
                return self.no_value(key, entry);
            }
            *field(self.definition) = text;
            return Some(());
        }
        let parentheses = matches!(key.value, Value::Expression(_) | Value::ForEach);
        let words = lexer::words(entry, parentheses, self.sink)?;
        if entry.script.is_some() && !matches!(key.value, Value::Command | Value::Stop | Value::Reload) {
            return self.bad(entry.value_at, format_args!("\"{}\" takes no script", key.name), key);
        }
        let Some(first) = words.first().or(entry.script.is_some().then_some(&EMPTY)) else {
            return self.no_value(key, entry);
        };
        let word = if takes_one(key.value) { self.one(&words, key)? } else { first };
        let definition = &mut *self.definition;
        match key.value {
            Value::Text(_) => {}
            Value::Choice(choices, set) => match choices.iter().position(|choice| *choice == word.text) {
                Some(index) => set(definition, index),
                None => return self.bad_choice(word, choices, key),
            },
            Value::Command => self.definition.command = self.command(entry, &words, key)?,
            Value::Stop => self.definition.stop = self.actions(entry, &words, first, key)?,
            Value::Reload => {
                let mut actions = self.actions(entry, &words, first, key)?;
                if actions.len() > 1 {
                    return self.bad(words.get(2)?.position, format_args!("\"reload\" sends one signal"), key);
                }
                self.definition.reload = actions.pop();
            }
            Value::Relation(relation) | Value::Inverse(relation) => {
                let names = self.services(&words, key)?;
                let list = match key.value {
                    Value::Relation(_) => &mut self.definition.relations,
                    _ => &mut self.definition.inverse_relations,
                };
                for name in names {
                    list.push((relation, name));
                }
            }
            Value::Expression(field) => {
                *field(self.definition) = Some(expression::parse(&words, end_of(&words, entry), self.sink)?);
            }
            Value::ForEach => {
                let found = expression::parse(&words, end_of(&words, entry), self.sink)?;
                if !matches!(found.value, Expression::Fact { .. }) {
                    return self.bad(found.position, format_args!("\"for-each\" takes one condition alone"), key);
                }
                self.definition.for_each = Some(found);
            }
            Value::Instance => self.definition.instance = self.instance(word, key)?,
            Value::Pass => {
                for word in &words {
                    if !names::is_variable(&word.text) || word.text == "INSTANCE" {
                        let message = format_args!("{} cannot be passed", Shown(&word.text));
                        return self.bad(word.position, message, key);
                    }
                }
                self.distinct(&words, key, &|word| &word.text)?;
                for word in words {
                    self.definition.pass.push(word.text);
                }
            }
            Value::Ready => return self.ready(&words, key),
            Value::Duration(min, max, field) => match duration_ms(&word.text) {
                Some(ms) if (u64::from(min)..=u64::from(max)).contains(&ms) => *field(definition) = ms as u32,
                Some(_) => {
                    return self.out_of_bounds(word, format_args!("expected {min}ms to {}d", max / 86_400_000));
                }
                None => return self.bad_word("time", word, key),
            },
            Value::Count(max, field) => *field(self.definition) = self.integer(word, 0, max as i32, key)? as u32,
            Value::Integer(min, max, field) => *field(self.definition) = Some(self.integer(word, min, max, key)?),
            Value::Switch(field) => {
                *field(definition) = match word.text.as_str() {
                    "yes" => true,
                    "no" => false,
                    _ => return self.bad_choice(word, &["yes", "no"], key),
                };
            }
            Value::Account(field) => {
                if !is_account(&word.text) {
                    return self.bad_word("name or number", word, key);
                }
                *field(definition) = word.text.clone();
            }
            Value::Directory => self.definition.directory = self.path(word, &word.text, key)?,
            Value::Umask => {
                let octal = |bits: u32, digit: u8| match digit {
                    b'0'..=b'7' if bits <= 0o777 => Some(bits << 3 | u32::from(digit - b'0')),
                    _ => None,
                };
                match word.text.bytes().try_fold(0, octal) {
                    Some(bits) if bits <= 0o777 && !word.text.is_empty() => definition.umask = bits,
                    _ => return self.bad_word("umask", word, key),
                }
            }
            Value::Environment => {
                self.few(&words, key)?;
                for word in &words {
                    if !word.text.contains('=') || !names::is_variable(variable(word)) {
                        return self.bad_word("variable", word, key);
                    }
                }
                self.distinct(&words, key, &variable)?;
                self.definition.env = self.expandable(&words)?;
            }
            Value::EnvironmentFiles => {
                self.few(&words, key)?;
                for word in &words {
                    self.path(word, word.text.strip_prefix('-').unwrap_or(&word.text), key)?;
                    self.definition.env_file.push(word.text.clone());
                }
            }
            Value::Limit(resource) => {
                let (soft, hard) = word.text.split_once(':').unwrap_or((&word.text, &word.text));
                let (Some(soft), Some(hard)) = (limit(soft), limit(hard)) else {
                    return self.bad_word("limit", word, key);
                };
                if soft > hard {
                    return self.bad(word.position, format_args!("the soft limit is above the hard one"), key);
                }
                definition.limits.push(Limit { resource, soft, hard });
            }
        }
        Some(())
    }

    /// A finding with what the key expects; nothing, to return.
    #[inline(never)]
    fn bad(&mut self, position: Position, message: fmt::Arguments<'_>, key: &Key) -> Option<()> {
        self.sink.error(position, message).help(format_args!("expected {}", key.value.expected()));
        None
    }

    #[inline(never)]
    fn bad_word(&mut self, what: &str, word: &Word, key: &Key) -> Option<()> {
        self.bad(word.position, format_args!("bad {what} {}", Shown(&word.text)), key)
    }

    #[inline(never)]
    fn bad_choice(&mut self, word: &Word, choices: &[&str], key: &Key) -> Option<()> {
        let meant = Meant(nearest::among(&word.text, &mut choices.iter().copied()));
        let message = format_args!("bad {} {}{meant}", key.name, Shown(&word.text));
        let help = &mut self.sink.error(word.position, message).help;
        help.push_str("expected ");
        for (index, choice) in choices.iter().enumerate() {
            if index > 0 {
                help.push_str(if index + 1 == choices.len() { " or " } else { ", " });
            }
            help.push_str(choice);
        }
        None
    }

    #[inline(never)]
    fn out_of_bounds(&mut self, word: &Word, help: fmt::Arguments<'_>) -> Option<()> {
        let message = format_args!("{} is out of bounds", Shown(&word.text));
        self.sink.error(word.position, message).help(help);
        None
    }

    #[inline(never)]
    fn no_value(&mut self, key: &Key, entry: &Entry<'_>) -> Option<()> {
        self.bad(entry.value_at, format_args!("\"{}\" has no value", key.name), key)
    }

    /// The only word.
    fn one<'w>(&mut self, words: &'w [Word], key: &Key) -> Option<&'w Word> {
        match words {
            [word] => Some(word),
            [_, second, ..] => {
                let message = format_args!("\"{}\" takes one word, this is a second", key.name);
                self.bad(second.position, message, key);
                None
            }
            [] => None,
        }
    }

    /// At most ARGUMENTS_MAX words.
    fn few(&mut self, words: &[Word], key: &Key) -> Option<()> {
        let Some(word) = words.get(ARGUMENTS_MAX) else { return Some(()) };
        let message = format_args!("\"{}\" has more than {ARGUMENTS_MAX} words (ARGUMENTS_MAX)", key.name);
        self.sink.error(word.position, message);
        None
    }

    /// No two words of the same name.
    fn distinct(&mut self, words: &[Word], key: &Key, text: &dyn Fn(&Word) -> &str) -> Option<()> {
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
        if let Some((first, second)) = twice {
            let text = Shown(text(&words[first]));
            let message = format_args!("{text} stands twice in \"{}\"", key.name);
            let finding = self.sink.error(words[second].position, message);
            finding.related(words[first].position, "first here");
            return None;
        }
        Some(())
    }

    /// The words with their placeholders noted.
    fn expandable(&mut self, words: &[Word]) -> Option<Vec<String>> {
        let mut texts = Vec::with_capacity(words.len());
        for word in words {
            for piece in pieces(&word.text) {
                match piece {
                    Piece::Literal(_) => {}
                    Piece::Placeholder(name) => {
                        self.placeholders.push(At { value: String::from(name), position: word.position });
                    }
                    Piece::Unclosed(_) => {
                        self.sink
                            .error(word.position, format_args!("a \"${{\" without its \"}}\""))
                            .help(format_args!("{ITSELF}"));
                        return None;
                    }
                }
            }
            texts.push(word.text.clone());
        }
        Some(texts)
    }

    /// An absolute path, which is `path` of `word`.
    fn path(&mut self, word: &Word, path: &str, key: &Key) -> Option<String> {
        if !path.starts_with('/') {
            self.bad(word.position, format_args!("{} is not an absolute path", Shown(path)), key)?;
        }
        self.expandable(core::slice::from_ref(word))?;
        Some(String::from(path))
    }

    /// Program and arguments, or a script with what runs it.
    fn command(&mut self, entry: &Entry<'_>, words: &[Word], key: &Key) -> Option<Vec<String>> {
        self.few(words, key)?;
        if let Some(program) = words.first()
            && !program.text.starts_with('/')
        {
            let message = format_args!("the program {} is not an absolute path", Shown(&program.text));
            self.sink
                .error(program.position, message)
                .help(format_args!("no PATH is searched; expected a path as /usr/sbin/NAME"));
            return None;
        }
        let mut arguments = self.expandable(words)?;
        if let Some(script) = &entry.script {
            if arguments.is_empty() {
                arguments.push(String::from("/bin/sh"));
            }
            if arguments.len() == 1 {
                arguments.push(String::from("-c"));
            }
            // A shell's own ${NAME}: nothing in a script expands, so that no event can write shell.
            let (mut escaped, mut rest) = (String::new(), script.as_str());
            while let Some(at) = placeholder_at(rest) {
                escaped.push_str(&rest[..at]);
                escaped.push_str("$${");
                rest = &rest[at + 2..];
            }
            escaped.push_str(rest);
            arguments.push(escaped);
        }
        Some(arguments)
    }

    /// `signal NAME...` or a command.
    fn actions(&mut self, entry: &Entry<'_>, words: &[Word], first: &Word, key: &Key) -> Option<Vec<Action>> {
        if !(first.plain && first.text == "signal") {
            return Some(alloc::vec![Action::Command(self.command(entry, words, key)?)]);
        }
        if self.definition.kind == Kind::Oneshot {
            let message = format_args!("a oneshot has no process to send a signal to");
            self.sink.error(first.position, message).help(format_args!("expected a command by its absolute path"));
            return None;
        }
        if words.len() == 1 {
            self.bad(end_of(words, entry), format_args!("expected the name of a signal"), key)?;
        }
        let mut actions = Vec::new();
        for word in &words[1..] {
            match signals::number(&word.text) {
                Some(number) => actions.push(Action::Signal(number)),
                None => {
                    let text = Shown(&word.text);
                    let name = word.text.strip_prefix("SIG").unwrap_or(&word.text);
                    let meant = Meant(nearest::among(name, &mut signals::names()));
                    self.bad(word.position, format_args!("no signal is called {text}{meant}"), key)?;
                }
            }
        }
        Some(actions)
    }

    /// Names of other services.
    fn services(&mut self, words: &[Word], key: &Key) -> Option<Vec<At<String>>> {
        if let Some(word) = words.get(SLOTS_MAX as usize) {
            let message = format_args!("more names than there can be services: {SLOTS_MAX} (SLOTS_MAX)");
            self.sink.error(word.position, message);
            return None;
        }
        let mut found = Vec::new();
        for word in words {
            // Each name has its own finding.
            if let Some(service) = service_name(word, self.sink) {
                if service.value == self.definition.name {
                    let message = format_args!("\"{}\" names this service itself", key.name);
                    self.sink.error(word.position, message);
                }
                found.push(service);
            }
        }
        self.distinct(words, key, &|word| &word.text)?;
        Some(found)
    }

    /// The text of `instance`: attributes, and characters that a name may have.
    fn instance(&mut self, word: &Word, key: &Key) -> Option<String> {
        let (mut found, mut bytes) = (false, 0);
        for piece in pieces(&word.text) {
            match piece {
                Piece::Placeholder(name) if names::is_variable(name) && name != "INSTANCE" => found = true,
                Piece::Literal(text) if names::check_instance(text).is_ok() => bytes += text.len(),
                Piece::Literal(_) | Piece::Placeholder(_) | Piece::Unclosed(_) => {
                    self.bad_word("name of an instance", word, key)?;
                }
            }
        }
        if bytes > INSTANCE_BYTES_MAX {
            self.bad_word("name of an instance", word, key)?;
        }
        if !found {
            let message = format_args!("{} names every instance the same", Shown(&word.text));
            self.bad(word.position, message, key)?;
        }
        Some(word.text.clone())
    }

    fn ready(&mut self, words: &[Word], key: &Key) -> Option<()> {
        self.definition.ready = match words {
            [word] if word.text == "none" => Readiness::None,
            [word] if word.text == "notify" => Readiness::Notify,
            [word, _, third, ..] if word.text == "fd" => return self.bad_word("word", third, key),
            [word, number] if word.text == "fd" => match unsigned(&number.text) {
                Some(found) if READY_DESCRIPTORS.contains(&found) => Readiness::Descriptor(found as u32),
                _ => return self.bad_word("descriptor", number, key),
            },
            _ => return self.bad_word("readiness", words.first()?, key),
        };
        Some(())
    }

    #[inline(never)]
    fn integer(&mut self, word: &Word, min: i32, max: i32, key: &Key) -> Option<i32> {
        let (sign, digits) = word.text.strip_prefix('-').map_or((1, word.text.as_str()), |digits| (-1, digits));
        match unsigned(digits) {
            None => self.bad_word("number", word, key)?,
            Some(number) => {
                let number = sign * number.min(i32::MAX as u64) as i32;
                if (min..=max).contains(&number) {
                    return Some(number);
                }
                self.out_of_bounds(word, format_args!("expected {min} to {max}"))?;
            }
        }
        None
    }
}

/// Whether a value of this kind is one word.
const fn takes_one(value: Value) -> bool {
    match value {
        Value::Choice(..)
        | Value::Instance
        | Value::Duration(..)
        | Value::Count(..)
        | Value::Switch(_)
        | Value::Account(_)
        | Value::Directory
        | Value::Umask
        | Value::Integer(..)
        | Value::Limit(_) => true,
        Value::Text(_)
        | Value::Command
        | Value::Stop
        | Value::Reload
        | Value::Relation(_)
        | Value::Inverse(_)
        | Value::Expression(_)
        | Value::ForEach
        | Value::Pass
        | Value::Ready
        | Value::Environment
        | Value::EnvironmentFiles => false,
    }
}

/// What stands before the `=`.
fn variable(word: &Word) -> &str {
    word.text.split_once('=').map_or(&word.text, |(name, _)| name)
}

/// Stands for "no word" where a script has no program.
static EMPTY: Word = Word {
    text: String::new(),
    position: Position { file: 0, line: 0, column: 0, length: 0 },
    plain: false,
    token: lexer::Token::Text,
};

/// Just behind the last word.
fn end_of(words: &[Word], entry: &Entry<'_>) -> Position {
    words.last().map_or(entry.value_at, |last| Position {
        column: last.position.column + last.position.length,
        length: 1,
        ..last.position
    })
}

/// The name of a service that is not this one: no template.
pub fn service_name(word: &Word, sink: &mut Sink<'_>) -> Option<At<String>> {
    if let Err(fault) = names::check_service(&word.text) {
        name_finding("service", &word.text, word.position, fault, sink);
        return None;
    }
    if names::is_template(&word.text) {
        let message = format_args!("{} is a template, not a service", Shown(&word.text));
        sink.error(word.position, message).help(format_args!("expected one of its instances: {}NAME", word.text));
        return None;
    }
    Some(At { value: word.text.clone(), position: word.position })
}

/// The finding for a bad name of a `what`.
pub fn name_finding(what: &str, name: &str, position: Position, fault: NameFault, sink: &mut Sink<'_>) {
    let text = Shown(name);
    let mut finding = |message: fmt::Arguments<'_>| {
        sink.error(position, message);
    };
    match fault {
        NameFault::Empty => finding(format_args!("{text} cannot be the name of a {what}: it is empty")),
        NameFault::TooLong => {
            finding(format_args!("the name {text} is longer than {NAME_BYTES_MAX} bytes (NAME_BYTES_MAX)"));
        }
        NameFault::InstanceTooLong => finding(format_args!(
            "the instance of {text} is longer than {INSTANCE_BYTES_MAX} bytes (INSTANCE_BYTES_MAX)"
        )),
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

/// `text` where nothing expands; a finding if it has a placeholder.
pub fn plain_text(text: &str, position: Position, sink: &mut Sink<'_>) -> Option<String> {
    let mut plain = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Literal(literal) => plain.push_str(literal),
            Piece::Placeholder(_) | Piece::Unclosed(_) => {
                sink.error(position, format_args!("nothing expands here")).help(format_args!("{ITSELF}"));
                return None;
            }
        }
    }
    Some(plain)
}

/// Decimal digits alone; saturates.
fn unsigned(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.bytes().fold(0_u64, |number, byte| number.saturating_mul(10).saturating_add(u64::from(byte - b'0'))))
}

/// Digits and what is behind them.
fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

/// `500ms`, `20s`, `5m`, `1h`, `1d`; a plain number is seconds. Milliseconds; saturates.
pub fn duration_ms(text: &str) -> Option<u64> {
    let (digits, unit) = split_unit(text);
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    unsigned(digits).map(|number| number.saturating_mul(unit_ms))
}

/// A number with `K`, `M` or `G` (powers of 1024), or `unlimited`.
fn limit(text: &str) -> Option<u64> {
    if text == "unlimited" {
        return Some(u64::MAX);
    }
    let (digits, unit) = split_unit(text);
    let factor = match unit {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    unsigned(digits).map(|number| number.saturating_mul(factor))
}

/// A name as useradd(8) takes it, or a number below the one that means "none".
fn is_account(text: &str) -> bool {
    let name = text.strip_suffix('$').unwrap_or(text);
    match unsigned(text) {
        Some(number) => number < u64::from(u32::MAX),
        None => {
            !name.is_empty()
                && !name.starts_with(['-', '.'])
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
