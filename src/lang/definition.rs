//! What one service file says, key by key. `keys.rs` is the one table that says what a value is.
//!
//! Texts and words stay to the end of the program (`leak`): who reads service files says what they mean, and ends. So
//! all of a definition is plain values, to be copied as they are.

use alloc::vec::Vec;

use super::keys::Key;
use super::lexer::count;
use crate::text::parts;

/// Where a text stands: a file (index into the list of sources of this run), a line and a column, both from 1; the
/// column counts characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Index of the source.
    pub file: u32,
    /// Line, from 1; 0 says the file as a whole.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters of what stands there, at least 1.
    pub length: u32,
}

/// The three kinds of service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Kind {
    /// A daemon.
    #[default]
    Longrun = 0,
    /// A command that brings something up, with an optional one that takes it down.
    Oneshot = 1,
    /// A name for a set.
    Bundle = 2,
}

/// When the supervisor starts a longrun again by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Restart {
    /// After every end.
    #[default]
    Always = 0,
    /// After an end that is not exit 0.
    OnFailure = 1,
    /// Not at all.
    Never = 2,
}

/// Where output goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Log {
    /// A file of its own, through the logger.
    #[default]
    File = 0,
    /// The supervisor's own output.
    Console = 1,
    /// Nowhere.
    Null = 2,
    /// The socket /dev/log, through the logger.
    Syslog = 3,
    /// A small file in the run directory, through the logger.
    Keep = 4,
    /// Another service's standard input.
    Pipe = 5,
}

impl Log {
    /// Whether of what is logged so (its number) the last lines are in the run directory, and nothing else.
    pub fn is_kept(number: u32) -> bool {
        number == Log::Syslog as u32 || number == Log::Keep as u32
    }
}

/// What each line of a log begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Stamp {
    /// `2026-11-21T00:05:59.123456Z`.
    #[default]
    Iso8601 = 0,
    /// `@` and 24 hexadecimal digits: <https://cr.yp.to/libtai/tai64.html>.
    Tai64n = 1,
    /// Nothing.
    None = 2,
}

/// What a trigger does that fires while a oneshot with `remain = no` runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Overlap {
    /// Another run follows this one; one at most.
    #[default]
    Queue = 0,
    /// Nothing.
    Skip = 1,
    /// The run is ended, and another begins.
    Restart = 2,
}

/// What is killed with a main process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum KillMode {
    /// All that it has started.
    #[default]
    All = 0,
    /// Its process group.
    Group = 1,
    /// Nothing else.
    Process = 2,
}

/// What a word is to an expression; elsewhere all are `Text`. The first nine are the nodes of an expression and have
/// the numbers that they have in a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Token {
    /// Both of the two that follow.
    And = 0,
    /// Either of the two that follow.
    Or = 1,
    /// Not the one that follows.
    Not = 2,
    /// A condition that is on, or (in `start-on`, `stop-on`) an event that happened, by its name.
    Fact = 3,
    /// `up(SERVICE)`: the service is up.
    Up = 4,
    /// `failed(SERVICE)`: the service has failed.
    Failed = 5,
    /// `path PATH`: it is there. This and the next two stand in tests alone.
    Path = 6,
    /// `env NAME` or `env NAME=VALUE`.
    Env = 7,
    /// `kernel WORD` or `kernel KEY=VALUE`.
    Kernel = 8,
    /// `KEY=GLOB` or `KEY!=GLOB`, which the fact before it must match.
    Attribute = 9,
    /// A word.
    Text = 10,
    /// `(` outside quotes.
    Open = 11,
    /// `)` outside quotes.
    Close = 12,
}

/// One word of a value.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The text without quotes, in the form of `crate::expand`: a `${` that was quoted by `'..'` or a backslash is
    /// `$${`.
    pub text: &'static str,
    /// Where it stands, quotes included.
    pub position: Position,
    /// True if it was written without any quotes.
    pub plain: bool,
    /// What it is.
    pub token: Token,
}

impl Word {
    /// A word that stands at this place.
    pub const fn new(text: &'static str, position: Position) -> Word {
        Word { text, position, plain: false, token: Token::Text }
    }
}

/// The names of `a|b`, each with its place; of any other word itself.
#[inline(never)]
pub fn alternatives(word: &Word) -> &[Word] {
    if !word.text.as_bytes().contains(&b'|') {
        return core::slice::from_ref(word);
    }
    let mut names = Vec::new();
    let mut position = word.position;
    for name in parts(word.text, b'|') {
        let length = count(name);
        // In quotes the whole word is the place.
        if word.plain {
            position.length = length.max(1);
        }
        names.push(Word { text: name, position, ..*word });
        if word.plain {
            position.column += length + 1;
        }
    }
    names.leak()
}

/// These words with other texts.
#[inline(never)]
pub fn with_texts(words: &[Word], text: &dyn Fn(&Word) -> &'static str) -> &'static [Word] {
    let mut words = Vec::from(words);
    for word in &mut words {
        word.text = text(word);
    }
    words.leak()
}

/// What a service says for one key.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The key.
    pub key: &'static Key,
    /// Where it stands; line 0 for a default.
    pub position: Position,
    /// The value where it is a number, see `Value`; else 0.
    pub numbers: [u64; 2],
    /// The value where it is words: the only one, all of them, or an expression, each node before what is below it (and
    /// a fact before its attributes). None where the value was refused.
    pub words: &'static [Word],
}

/// One service of one file, all defaults filled in.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Name without `.svc`; a template's ends in `@`; an instance made by the compiler is `NAME@INSTANCE`.
    pub name: &'static str,
    /// Where the file begins.
    pub origin: Position,
    /// `type`.
    pub kind: Kind,
    /// What it says, in the order of the table of keys.
    pub given: Vec<Given>,
    /// True if a word of a key that expands (`Value::expands`) has a placeholder: these words are then read with
    /// `crate::expand::pieces` (`${NAME}` to expand, `$${` for a plain `${`). False: all are plain text. The names are
    /// those of `pass`, and `INSTANCE` in a template.
    pub expands: bool,
    /// True if its file has errors, which have been told: this is what could be made out of it, to look for more in.
    pub refused: bool,
}

impl Definition {
    /// Says nothing yet.
    pub const fn new(name: &'static str, origin: Position) -> Definition {
        Definition { name, origin, kind: Kind::Longrun, given: Vec::new(), expands: false, refused: false }
    }

    /// Where in `given` the key of this number is; behind all where it says nothing for it.
    #[inline(never)]
    pub(super) fn place(&self, number: u8) -> usize {
        self.given.iter().position(|given| given.key.number == number).unwrap_or(self.given.len())
    }

    /// What it says for the key of this number, here and below.
    #[inline(never)]
    pub fn given(&self, number: u8) -> Option<&Given> {
        self.given.get(self.place(number))
    }

    /// The words that it says for this key.
    pub fn words(&self, number: u8) -> &'static [Word] {
        self.given(number).map_or(&[], |given| given.words)
    }

    /// The first number that it says for this key; 0 where it says nothing.
    pub fn number(&self, number: u8) -> u64 {
        self.given(number).map_or(0, |given| given.numbers[0])
    }

    /// Says this for its key, whatever it said before.
    pub fn put(&mut self, given: Given) {
        let at = self.given.iter().position(|other| other.key.number >= given.key.number).unwrap_or(self.given.len());
        match self.given.get_mut(at) {
            Some(same) if same.key.number == given.key.number => *same = given,
            _ => self.given.insert(at, given),
        }
    }
}
