//! Options of all commands: they are read by the lines of a command's page of help that begin with `-`.
//!
//! `-n VALUE`, `-nVALUE`, `-n=VALUE`, `--name VALUE`, `--name=VALUE`; single letters without a value may stand
//! together; words and options may be mixed; what is behind `--` is no option.

use alloc::vec::Vec;
use core::fmt::Write;

use pintle::packed;
use pintle::packed::Packed;
use pintle::text::{number, parts};

use super::{Words, exit};
use crate::sys::entry::Arguments;
use crate::sys::output::{self, Shown};
use crate::sys::process;

/// What was given to a command.
pub struct Given {
    /// Its name.
    pub command: &'static str,
    /// What is not an option. Behind `--` too, but for a command that takes another one.
    pub words: Vec<&'static [u8]>,
    /// What is behind the first `--`.
    pub behind: Option<Arguments>,
    /// Its page of help. A line with an option has how that is written, `-n, --lines LINES`, with the value that it
    /// takes last, and two blanks behind.
    page: &'static str,
    /// Lines of the page and values, in the order in which they were given.
    options: Vec<(usize, &'static [u8])>,
}

impl Given {
    /// Reads what this command takes. Ends the process where it does not take that.
    #[inline(never)]
    pub fn read(command: &'static str, takes: Words, page: &'static str, mut arguments: Arguments) -> Given {
        let mut given = Given { command, words: Vec::new(), behind: None, page, options: Vec::new() };
        if takes == Words::Raw {
            given.behind = Some(arguments);
            return given;
        }
        while let Some(bytes) = arguments.next() {
            match bytes {
                b"--" => {
                    given.behind = Some(arguments.clone());
                    if takes == Words::AndCommand {
                        break;
                    }
                    for word in arguments.by_ref() {
                        given.word(takes, word);
                    }
                }
                [b'-', b'-', ..] => {
                    let length = bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len());
                    let (name, value) = bytes.split_at(length);
                    given.option(name, value, &mut arguments);
                }
                [b'-', letters @ ..] if !letters.is_empty() => {
                    let mut letters = letters;
                    while let Some((letter, value)) = letters.split_first() {
                        let took = given.option(&[b'-', *letter], value, &mut arguments);
                        letters = if took { &[] } else { value };
                    }
                }
                _ => given.word(takes, bytes),
            }
        }
        given
    }

    fn word(&mut self, takes: Words, word: &'static [u8]) {
        if takes == Words::None || takes == Words::One && !self.words.is_empty() {
            self.misuse_of(packed!("unexpected argument"), word);
        }
        self.words.push(word);
    }

    /// One option; `value` is what is behind it in the same argument. Says whether it takes a value.
    fn option(&mut self, name: &[u8], value: &'static [u8], arguments: &mut Arguments) -> bool {
        let Some((at, takes)) = self.line(name) else { self.misuse_of(packed!("no such option"), name) };
        let value = match value {
            b"" if takes => match arguments.next() {
                Some(value) => value,
                None => self.misuse_of(packed!("a value is missing behind"), name),
            },
            [b'=', ..] if !takes => self.misuse_of(packed!("no value belongs to"), name),
            value => value.strip_prefix(b"=").unwrap_or(value),
        };
        self.options.push((at, value));
        takes
    }

    /// The line of the page with this option, `-n` or `--name`, and whether it takes a value.
    fn line(&self, name: &[u8]) -> Option<(usize, bool)> {
        for (at, line) in parts(self.page, b'\n').enumerate() {
            let (mut found, mut takes) = (false, true);
            for part in parts(line, b' ') {
                // What an option means is behind two blanks.
                if part.is_empty() || !line.starts_with("-") {
                    break;
                }
                found |= part.strip_suffix(",").unwrap_or(part).as_bytes() == name;
                takes = !part.starts_with("-");
            }
            if found {
                return Some((at, takes));
            }
        }
        None
    }

    /// Whether the command has such an option.
    pub fn knows(&self, option: &str) -> bool {
        self.line(option.as_bytes()).is_some()
    }

    /// All values of an option, named as it is written: `--lines`.
    pub fn all(&self, option: &str) -> impl Iterator<Item = &'static [u8]> {
        let line = self.line(option.as_bytes()).map(|(at, _)| at);
        self.options.iter().filter(move |(at, _)| Some(*at) == line).map(|(_, value)| *value)
    }

    /// The last value of an option.
    #[inline(never)]
    pub fn value(&self, option: &str) -> Option<&'static [u8]> {
        self.all(option).last()
    }

    /// Which of these options was given last.
    pub fn last<'a>(&self, options: &[&'a str]) -> Option<&'a str> {
        let (last, _) = self.options.last()?;
        options.iter().copied().find(|option| self.line(option.as_bytes()).is_some_and(|(at, _)| at == *last))
    }

    /// Whether an option was given.
    pub fn has(&self, option: &str) -> bool {
        self.value(option).is_some()
    }

    /// The value of an option that is a whole number up to `max`.
    pub fn number(&self, option: &str, usual: u64, max: u64) -> u64 {
        let Some(value) = self.value(option) else { return usual };
        let number = number(value).filter(|number| *number <= max);
        number.unwrap_or_else(|| self.misuse_of(packed!("not a number that can be meant"), value))
    }

    /// The words, which are to be text.
    pub fn texts(&self) -> Vec<&'static str> {
        let mut texts = Vec::new();
        for word in &self.words {
            texts.push(str::from_utf8(word).unwrap_or_else(|_| self.misuse_of(packed!("not text"), word)));
        }
        texts
    }

    /// Ends the process with `pintle COMMAND: WHAT`, and where to read more.
    #[cold]
    pub fn misuse(&self, what: Packed) -> ! {
        self.misuse_of(what, b"")
    }

    /// The same, with `"ABOUT"` behind it where that is not empty.
    #[cold]
    pub fn misuse_of(&self, what: Packed, about: &[u8]) -> ! {
        let quote = if about.is_empty() { "" } else { "\"" };
        let blank = if about.is_empty() { "" } else { " " };
        let mut out = output::stderr();
        let name = self.command;
        let _ = writeln!(out, "pintle {name}: {what}{blank}{quote}{}{quote}\ntry: pintle {name} --help", Shown(about));
        let _ = out.flush();
        process::exit(exit::MISUSE as u8)
    }
}
