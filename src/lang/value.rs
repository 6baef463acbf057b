//! Values: from the words of an entry to the field that its key fills. One arm for each kind of value.

use alloc::string::String;
use alloc::vec::Vec;

use super::definition::{Definition, Given, Kind, Log, Position, Token, Word, alternatives};
use super::diagnostic::Part::{self, Number, Text};
use super::diagnostic::{self, Sink};
use super::expression;
use super::keys::{self, CHOICES, Key, TIME_MS_MAX, Value};
use super::lexer::{self, Entry};
use super::order::order;
use crate::expand::{Piece, pieces, placeholder_at};
use crate::graph::Relation;
use crate::limits::{ARGUMENTS_MAX, INSTANCE_BYTES_MAX, NAME_BYTES_MAX, SLOTS_MAX, STORED_MAX};
use crate::names::{self, NameFault};
use crate::nearest;
use crate::packed;
use crate::packed::Packed;
use crate::setup::{self, Form};
use crate::signals;
use crate::text::{cut, parts};

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
            return self.bad(&entry.value_at, packed!("~ takes no script"), key.name());
        }
        if words.is_empty() && !script {
            return self.bad(&entry.value_at, packed!("~ has no value"), key.name());
        }
        if let (true, Some(second)) = (takes_one(key.value), words.get(1)) {
            return self.bad(&second.position, packed!("~ takes one word, this is a second"), key.name());
        }
        // A script alone has no word, and is not of a key that looks at its first.
        let end = end_of(&words, entry);
        let word = words.first().unwrap_or(&EMPTY);
        let template = names::is_template(self.definition.name);
        match key.value {
            Value::Choice(choices) => {
                given.numbers[0] = self.choice(word, parts(CHOICES[usize::from(choices)], b','))?
            }
            Value::Switch => given.numbers[0] = 1 - self.choice(word, parts("yes,no", b','))?,
            Value::Ready => self.ready(&mut words, &mut given.numbers)?,
            Value::Duration(min) => match duration_ms(word.text) {
                Some(ms) if (u64::from(min)..=u64::from(TIME_MS_MAX)).contains(&ms) => given.numbers[0] = ms,
                Some(_) => {
                    let days = i64::from(TIME_MS_MAX / 86_400_000);
                    return self.out_of_bounds(
                        word,
                        packed!("~ is out of bounds\nexpected %ms to %d"),
                        min.into(),
                        days,
                    );
                }
                None => return self.bad_word(packed!("bad time ~"), word),
            },
            Value::Integer(min, max, more) => {
                let (negative, digits) = match word.text.strip_prefix("-") {
                    Some(digits) => (true, digits),
                    None => (false, word.text),
                };
                let Some(number) = unsigned(digits.as_bytes()) else {
                    return self.bad_word(packed!("bad number ~"), word);
                };
                let number = number.min(i32::MAX as u64) as i32;
                let number = if negative { -number } else { number };
                if !(i32::from(min)..=i32::from(max)).contains(&number) {
                    let text = packed!("~ is out of bounds\nexpected % to %");
                    return self.out_of_bounds(word, text, min.into(), max.into());
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
                    return self.bad_word(packed!("bad umask ~"), word);
                }
                given.numbers[0] = bits;
            }
            Value::Log => match &words[..] {
                [pipe, names @ ..] if pipe.text == "pipe" => {
                    if names.len() != 1 {
                        return self.bad_word(packed!("~ takes the name of one service"), word);
                    }
                    given.numbers[0] = Log::Pipe as u64;
                    words.remove(0);
                    self.service(&words[0])?;
                }
                _ => {
                    given.numbers[0] = self.choice(word, parts(CHOICES[2], b','))?;
                    if let Some(second) = words.get(1) {
                        return self.bad(&second.position, packed!("bad word ~"), second.text);
                    }
                    words.clear();
                }
            },
            Value::Bytes(least, most) => match limit(word.text).filter(|bytes| *bytes != u64::MAX) {
                Some(bytes) if (1 << least..=1 << most).contains(&bytes) => given.numbers[0] = bytes,
                Some(_) => {
                    let text = packed!("~ is out of bounds\nexpected % to % bytes");
                    return self.out_of_bounds(word, text, 1 << least, 1 << most);
                }
                None => return self.bad_word(packed!("bad number ~"), word),
            },
            Value::Limit(_) => {
                let (soft, hard) = cut(word.text, b':').unwrap_or((word.text, word.text));
                let (Some(soft), Some(hard)) = (limit(soft), limit(hard)) else {
                    return self.bad_word(packed!("bad limit ~"), word);
                };
                if soft > hard {
                    return self.bad(&word.position, packed!("the soft limit is above the hard one"), "");
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
                    return self.bad(&all, packed!("\"for-each\" takes one condition alone"), "");
                }
            }
            Value::Instance => self.instance(word)?,
            Value::Pass => self.each(&words, Some(&whole), &mut |filler, word| {
                if names::is_variable(word.text) && word.text != "INSTANCE" {
                    return Some(());
                }
                filler.bad(&word.position, packed!("~ cannot be passed"), word.text)
            })?,
            Value::Account => {
                if !is_account(word.text) {
                    return self.bad_word(packed!("bad name or number ~"), word);
                }
            }
            Value::Directory => self.path(word, word.text)?,
            Value::Environment => self.each(&words, Some(&variable), &mut |filler, word| {
                let name = variable(word);
                if name.len() < word.text.len() && names::is_variable(name) {
                    return Some(());
                }
                filler.bad_word(packed!("bad variable ~"), word)
            })?,
            Value::Exits => self.each(&words, Some(&whole), &mut |filler, word| {
                // A number is a code here, not a signal.
                let code = unsigned(word.text.as_bytes());
                if code.map_or_else(|| signals::number(word.text).is_some(), |code| code <= 255) {
                    return Some(());
                }
                filler.bad_word(packed!("bad exit ~"), word)
            })?,
            Value::EnvironmentFiles => self.each(&words, None, &mut |filler, word| {
                filler.path(word, word.text.strip_prefix("-").unwrap_or(word.text))
            })?,
            Value::Setup(letter, form) => {
                let alone = words.len() == 1;
                let most = if form == Form::Listen { STORED_MAX } else { setup::WORDS_MAX };
                if let Some(word) = words.get(most) {
                    let parts = [Text(key.name()), Number(most as i64)];
                    return self.refused(&word.position, packed!("~ has more than % words"), &parts);
                }
                let name: &dyn Fn(&Word) -> _ = if form == Form::Listen { &socket } else { &whole };
                self.each(&words, Some(name), &mut |filler, word| filler.setup(letter, form, word, alone))?;
            }
        }
        // Of a number nothing more is needed, and there are many of them.
        if !is_number(key.value) {
            given.words = words.leak();
        }
        Some(())
    }

    /// A finding with what the key expects; nothing, to return.
    #[inline(never)]
    fn bad(&mut self, position: &Position, text: Packed, part: &str) -> Option<()> {
        self.unexpected(position, text, &[Text(part)])
    }

    #[inline(never)]
    fn unexpected(&mut self, position: &Position, text: Packed, parts: &[Part<'_>]) -> Option<()> {
        let text = &mut self.sink.error(position, text, parts).text;
        text.push_str("\nexpected ");
        diagnostic::fill(text, self.key.value.expected(), &[]);
        None
    }

    /// `text` is what cannot be done with the word.
    fn bad_word(&mut self, text: Packed, word: &Word) -> Option<()> {
        self.bad(&word.position, text, word.text)
    }

    /// A finding; nothing, to return.
    #[inline(never)]
    fn refused(&mut self, position: &Position, text: Packed, parts: &[Part<'_>]) -> Option<()> {
        self.sink.error(position, text, parts);
        None
    }

    #[inline(never)]
    fn out_of_bounds(&mut self, word: &Word, text: Packed, min: i64, max: i64) -> Option<()> {
        self.sink.error(&word.position, text, &[Text(word.text), Number(min), Number(max)]);
        None
    }

    /// Which of these it is.
    #[inline(never)]
    fn choice<'c>(&mut self, word: &Word, choices: impl Iterator<Item = &'c str> + Clone) -> Option<u64> {
        if let Some(index) = choices.clone().position(|choice| choice == word.text) {
            return Some(index as u64);
        }
        // Without the bounds of a number behind it.
        let name = |text| cut(text, b':').map_or(text, |(name, _)| name);
        let meant = nearest::among(name(word.text), &mut choices.clone().map(name));
        let meant = meant.filter(|meant| *meant != name(word.text)).unwrap_or_default();
        let found = [Text(self.key.name()), Text(word.text), Text(meant)];
        let text = &mut self.sink.error(&word.position, packed!("bad % ~^\nexpected "), &found).text;
        let last = choices.clone().count() - 1;
        for (index, choice) in choices.enumerate() {
            if index > 0 {
                text.push_str(if index == last { " or " } else { ", " });
            }
            text.push_str(choice);
        }
        None
    }

    /// At most ARGUMENTS_MAX words.
    fn few(&mut self, words: &[Word]) -> Option<()> {
        let Some(word) = words.get(ARGUMENTS_MAX) else { return Some(()) };
        let parts = [Text(self.key.name()), Number(ARGUMENTS_MAX as i64)];
        self.refused(&word.position, packed!("~ has more than % words"), &parts)
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
        if let Some(name) = name {
            self.distinct(words, name);
        }
        Some(())
    }

    /// No two words of the same name. What is wrong with them otherwise has its own findings.
    #[inline(never)]
    fn distinct(&mut self, words: &[Word], text: &dyn Fn(&Word) -> &'static str) {
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
        let Some((first, second)) = twice else { return };
        let parts = [Text(text(&words[first])), Text(self.key.name())];
        self.sink
            .error(&words[second].position, packed!("~ stands twice in ~\n\nfirst here"), &parts)
            .related(&words[first].position);
    }

    /// An absolute path, which is `path` of `word`.
    fn path(&mut self, word: &Word, path: &str) -> Option<()> {
        if path.starts_with("/") {
            return Some(());
        }
        self.bad(&word.position, packed!("~ is not an absolute path"), path)
    }

    /// Program and arguments, or a script with what runs it.
    fn command(&mut self, words: &mut Vec<Word>) -> Option<()> {
        if let Some(program) = words.first()
            && !program.text.starts_with("/")
        {
            let text = packed!(
                "the program ~ is not an absolute path\n\
                 no PATH is searched; expected a path as /usr/sbin/NAME"
            );
            return self.refused(&program.position, text, &[Text(program.text)]);
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
            let text = packed!(
                "a oneshot has no process to send a signal to\n\
                 expected a command by its absolute path"
            );
            return self.refused(&first.position, text, &[]);
        }
        words.remove(0);
        if words.is_empty() {
            return self.bad(end, packed!("expected the name of a signal"), "");
        }
        for word in words.iter() {
            if signals::number(word.text).is_none() {
                let name = word.text.strip_prefix("SIG").unwrap_or(word.text);
                let meant = nearest::among(name, &mut signals::names()).unwrap_or_default();
                let parts = [Text(word.text), Text(meant)];
                return self.unexpected(&word.position, packed!("no signal is called ~^"), &parts);
            }
        }
        match words.get(1) {
            Some(second) if matches!(self.key.value, Value::Reload) => {
                self.bad(&second.position, packed!("\"reload\" sends one signal"), "")
            }
            _ => Some(()),
        }
    }

    /// Names of other services; those that are none become empty.
    #[inline(never)]
    fn services(&mut self, words: &mut [Word]) -> Option<()> {
        if let Some(word) = words.get(SLOTS_MAX as usize) {
            let text = packed!("more names than there can be services: %");
            return self.refused(&word.position, text, &[Number(SLOTS_MAX.into())]);
        }
        self.distinct(words, &whole);
        for word in words.iter_mut() {
            // Each name has its own finding.
            let good = if word.text.as_bytes().contains(&b'|') { self.any_of(word) } else { self.service(word) };
            if good.is_none() {
                word.text = "";
            }
        }
        Some(())
    }

    /// The name of another service.
    fn service(&mut self, word: &Word) -> Option<()> {
        if word.text == self.definition.name {
            self.refused(&word.position, packed!("~ names this service itself"), &[Text(self.key.name())]);
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
            let text = packed!("~ is for all that it names, not for one of ~\nnames are parted by blanks");
            return self.refused(&word.position, text, &[Text(self.key.name()), Text(word.text)]);
        }
        let names = alternatives(word);
        if let Some(name) = names.iter().find(|name| name.text.is_empty()) {
            let text = packed!("a name is missing in ~\nexpected alternatives as: a|b");
            return self.refused(&name.position, text, &[Text(word.text)]);
        }
        self.distinct(names, &whole);
        let mut good = Some(());
        for name in names {
            // Each name has its own finding.
            good = self.service(name).and(good);
        }
        good
    }

    /// A name that is not that of a service.
    fn provided(&mut self, word: &Word) -> Option<()> {
        if word.text == self.definition.name {
            return self.bad(&word.position, packed!("it has the name ~ already"), word.text);
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
                Piece::Literal(_) | Piece::Placeholder(_) | Piece::Unclosed(_) => bytes += INSTANCE_BYTES_MAX + 1,
            }
        }
        if bytes > INSTANCE_BYTES_MAX {
            return self.bad_word(packed!("bad name of an instance ~"), word);
        }
        if !found {
            return self.bad_word(packed!("~ names every instance the same"), word);
        }
        Some(())
    }

    /// A word for the chain-loader.
    #[inline(never)]
    fn setup(&mut self, letter: u8, form: Form, word: &Word, alone: bool) -> Option<()> {
        let text = word.text;
        match form {
            Form::Switch
            | Form::SecureBits
            | Form::IoPriority
            | Form::Scheduler
            | Form::Personality
            | Form::Private => match form.find(text) {
                Some(_) => Some(()),
                None => self.choice(word, form.words()).map(drop),
            },
            Form::Capabilities if text == "none" && alone => Some(()),
            Form::Capabilities | Form::Ambient => {
                if setup::capability(text).is_some() {
                    return Some(());
                }
                let name = text.strip_prefix("CAP_").unwrap_or(text);
                let meant = nearest::among(name, &mut form.words()).unwrap_or_default();
                self.unexpected(&word.position, packed!("no capability is called ~^"), &[Text(text), Text(meant)])
            }
            Form::Processors => match setup::processors(text, &mut |_| {}) {
                Some(()) => Some(()),
                None => self.bad_word(packed!("bad list of processors ~"), word),
            },
            Form::Input if text == "null" => Some(()),
            Form::Path | Form::Input => self.path(word, text),
            Form::Paths => {
                let path = text.strip_prefix("-").unwrap_or(text);
                self.path(word, path)?;
                if letter == b'X' && setup::is_root(path) {
                    let text = packed!("nothing could be executed where all is inaccessible");
                    return self.refused(&word.position, text, &[]);
                }
                Some(())
            }
            Form::Binds => {
                let paths = text.strip_prefix("-").unwrap_or(text);
                parts(paths, b':').try_for_each(|path| self.path(word, path).ok_or(())).ok()?;
                match parts(paths, b':').count() {
                    0..=2 if !parts(paths, b':').last().is_some_and(setup::is_root) => Some(()),
                    0..=2 => {
                        let text = packed!("~ is mounted over /\nwhat is to be / is named by: root = /path");
                        self.refused(&word.position, text, &[Text(word.text)])
                    }
                    _ => self.bad_word(packed!("a third path in ~"), word),
                }
            }
            Form::Directories => match setup::directory(text) {
                Some((path, _)) => self.path(word, path),
                None => self.bad_word(packed!("bad permissions in ~"), word),
            },
            Form::Memory | Form::Count | Form::Weight | Form::Percent => match setup::group_value(form, text) {
                Some(_) => Some(()),
                None => self.bad_word(packed!("bad limit ~"), word),
            },
            Form::Devices => match setup::device(text) {
                Some((path, ..)) => self.path(word, path),
                None => self.bad_word(packed!("bad limit ~"), word),
            },
            Form::Groups if is_account(text) => Some(()),
            Form::Groups => self.bad_word(packed!("bad name or number ~"), word),
            // Those that pintle sets say who it is, and whom it talks to.
            Form::Variables if names::is_variable(text) && !setup::is_own(text) => Some(()),
            Form::Variables => self.bad_word(packed!("bad name of a variable ~"), word),
            Form::Listen => match setup::socket(text) {
                Ok(socket) if socket.where_it_is().is_some() => Some(()),
                Ok(_) => self.bad_word(packed!("bad address ~"), word),
                Err(kind) => {
                    let meant = nearest::among(kind, &mut form.words()).unwrap_or_default();
                    self.unexpected(
                        &word.position,
                        packed!("no kind of socket is called ~^"),
                        &[Text(kind), Text(meant)],
                    )
                }
            },
            Form::Slack => match setup::nanoseconds(text) {
                Some(_) => Some(()),
                None => self.bad_word(packed!("bad time ~"), word),
            },
        }
    }

    /// The numbers of `Value::Ready`, and of its words those of the command.
    #[inline(never)]
    fn ready(&mut self, words: &mut Vec<Word>, numbers: &mut [u64; 2]) -> Option<()> {
        let given = core::mem::take(words);
        let (text, word) = match &given[..] {
            [word] if word.text == "none" => return Some(()),
            [word] if word.text == "notify" => {
                numbers[0] = keys::NOTIFY.into();
                return Some(());
            }
            [word] if word.text == "fork" => {
                numbers[0] = keys::FORK.into();
                return Some(());
            }
            [word, _, ..] if word.text == "check" => {
                numbers[0] = keys::CHECK.into();
                words.extend_from_slice(&given[1..]);
                return self.command(words);
            }
            [word, _, third, ..] if word.text == "fd" => (packed!("bad word ~"), third),
            [word, number] if word.text == "fd" => match unsigned(number.text.as_bytes()) {
                Some(found) if READY_DESCRIPTORS.contains(&found) => {
                    *numbers = [1, found];
                    return Some(());
                }
                _ => (packed!("bad descriptor ~"), number),
            },
            _ => (packed!("bad readiness ~"), given.first()?),
        };
        self.bad_word(text, word)
    }
}

/// Whether a value of this kind is one word.
const fn takes_one(value: Value) -> bool {
    is_number(value)
        || matches!(value, Value::Instance | Value::Account | Value::Directory)
        || matches!(value, Value::Setup(_, form) if form.is_single())
}

/// Whether a value of this kind is in `Given::numbers` alone.
const fn is_number(value: Value) -> bool {
    matches!(
        value,
        Value::Choice(_)
            | Value::Switch
            | Value::Duration(_)
            | Value::Integer(..)
            | Value::Bytes(..)
            | Value::Umask
            | Value::Limit(_)
    )
}

/// The whole word.
fn whole(word: &Word) -> &'static str {
    word.text
}

/// The name of a socket.
fn socket(word: &Word) -> &'static str {
    setup::socket(word.text).map_or(word.text, |socket| socket.name)
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
        let text = packed!("~ is a template, not a service\nexpected one of its instances: %NAME");
        sink.error(&word.position, text, &[Text(word.text), Text(word.text)]);
        return None;
    }
    Some(())
}

/// The finding for a bad name of a `what`.
pub fn name_finding(what: &str, name: &str, position: &Position, fault: NameFault, sink: &mut Sink<'_>) {
    let mut buffer = [0; 4];
    let (mut part, mut last) = (Text(what), "");
    let text = match fault {
        NameFault::Empty => packed!("~ cannot be the name of a %: it is empty"),
        NameFault::TooLong => {
            part = Number(NAME_BYTES_MAX as i64);
            packed!("the name ~ is longer than % bytes")
        }
        NameFault::InstanceTooLong => {
            part = Number(INSTANCE_BYTES_MAX as i64);
            packed!("the instance of ~ is longer than % bytes")
        }
        NameFault::Start => packed!("~ cannot be the name of a %: it begins with a sign"),
        NameFault::Character(character) => {
            last = character.encode_utf8(&mut buffer);
            if name.as_bytes().contains(&b',') {
                packed!("~ cannot be the name of a %: it has a ~\nnames are parted by blanks")
            } else {
                packed!("~ cannot be the name of a %: it has a ~\nletters, digits and . _ - + : make a name")
            }
        }
    };
    sink.error(position, text, &[Text(name), part, Text(last)]);
}

/// A glob. In a template it stays in the form of `crate::expand`, with `${INSTANCE}` as its only placeholder; elsewhere
/// nothing expands. A finding if it has another.
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
                let text = packed!("nothing% expands here\n$${ or '${' is the text itself");
                sink.error(position, text, &[Text(but)]);
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
