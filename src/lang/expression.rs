//! Expressions over conditions and events.
//!
//! ```text
//! EXPRESSION  TERM { and TERM | or TERM }       from left to right, `and` and `or` alike
//! TERM        not TERM | ( EXPRESSION ) | up ( SERVICE ) | failed ( SERVICE ) | FACT
//! FACT        NAME { GLOB } { KEY=GLOB | KEY!=GLOB }
//! ```
//!
//! In tests (`only-if`) a TERM has other leaves: `path PATH`, `env NAME[=VALUE]`, `kernel WORD[=VALUE]`.
//!
//! `and` behind an `or` without parentheses is taken from left to right, as Upstart took it, and is a warning, since
//! most other languages read it differently (docs/decisions.md). A quoted `and`, `or`, `not` is a name or a value. A
//! bare GLOB is for the value in its place among the fact's attributes, whatever its key. In a template, `${INSTANCE}`
//! in a glob is the instance's name.

use alloc::string::String;
use alloc::vec::Vec;

use super::definition::{Position, Token, Word};
use super::diagnostic::Part::{self, Number, Text};
use super::diagnostic::Sink;
use super::value;
use crate::limits::{ATTRIBUTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX, FACT_BYTES_MAX, TESTS_MAX};
use crate::names;
use crate::packed;
use crate::packed::Packed;
use crate::text::cut;

/// What begins a term.
const TERM: [&str; 2] = ["a condition or an event, \"not\" or \"(\"", "path, env, kernel, \"not\" or \"(\""];

const UNCLOSED: Packed = packed!("this \"(\" is not closed");

/// Reads an expression and gives it as `Given::words` has it; `end` is where a missing word would stand. `None` after a
/// finding.
#[inline(never)]
pub fn parse(words: &[Word], end: Position, tests: bool, template: bool, sink: &mut Sink<'_>) -> Option<Vec<Word>> {
    let mut parser = Parser { words, at: 0, nodes: 0, leaves: 0, end, tests, template, made: Vec::new(), sink };
    parser.terms()?;
    Some(parser.made)
}

/// Name, whether it is negated, and glob of an attribute; one for a place has no name.
pub fn attribute(text: &str) -> (&str, bool, &str) {
    let (key, glob) = cut(text, b'=').unwrap_or((text, ""));
    match key.strip_suffix("!") {
        Some(key) => (key, true, glob),
        None => (key, false, glob),
    }
}

/// The operator that a word is. Quoted, it is none.
fn operator(word: &Word) -> Option<Token> {
    match word.text {
        _ if !word.plain || word.token != Token::Text => None,
        "and" => Some(Token::And),
        "or" => Some(Token::Or),
        "not" => Some(Token::Not),
        _ => None,
    }
}

/// Whether a text is an operator where it is not quoted; or likely meant as one, and no value.
pub fn is_operator(text: &str) -> bool {
    // In small letters; the longest has three.
    let mut small = [0; 3];
    for (at, byte) in text.bytes().enumerate() {
        match small.get_mut(at) {
            Some(place) => *place = byte.to_ascii_lowercase(),
            None => return false,
        }
    }
    matches!(&small, b"and" | b"or\0" | b"not" | b"&&\0" | b"||\0" | b"!\0\0" | b"&\0\0" | b"|\0\0")
}

/// What stands between a `(` and its `)`, or the whole.
struct Group {
    /// Where it begins in what is made.
    start: usize,
    /// Parentheses and `not` around it.
    depth: usize,
    opened: Position,
    /// Its last `or`, where it has been told of no `and` behind it.
    or_at: Option<Position>,
}

struct Parser<'a, 'b, 'c> {
    words: &'a [Word],
    at: usize,
    nodes: usize,
    /// Tests so far.
    leaves: usize,
    end: Position,
    tests: bool,
    /// `${INSTANCE}` may stand in globs.
    template: bool,
    made: Vec<Word>,
    sink: &'b mut Sink<'c>,
}

impl<'a> Parser<'a, '_, '_> {
    fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    /// A finding at the next word; `None` to return.
    fn expected(&mut self, what: &str) -> Option<()> {
        match self.peek() {
            Some(Word { position, text, .. }) => {
                self.refused(position, packed!("expected %, found ~"), &[Text(what), Text(text)])
            }
            None => {
                let end = self.end;
                self.refused(&end, packed!("expected %, found the end of the value"), &[Text(what)])
            }
        }
    }

    /// A finding; `None` to return.
    #[inline(never)]
    fn refused<T>(&mut self, position: &Position, text: Packed, parts: &[Part<'_>]) -> Option<T> {
        self.sink.error(position, text, parts);
        None
    }

    /// Adds a node, which is at this place of what is made; a finding if there are too many.
    fn node(&mut self, at: usize, token: Token, word: &Word) -> Option<()> {
        self.nodes += 1;
        self.made.insert(at, Word { token, ..*word });
        if self.nodes <= EXPRESSION_NODES_MAX {
            return Some(());
        }
        let parts = [Number(EXPRESSION_NODES_MAX as i64)];
        self.refused(&word.position, packed!("an expression of more than % parts"), &parts)
    }

    /// Terms joined by `and` and `or`, up to the end.
    fn terms(&mut self) -> Option<()> {
        let mut groups = alloc::vec![Group { start: 0, depth: 0, opened: self.end, or_at: None }];
        let mut depth = 0;
        loop {
            let term = TERM[usize::from(self.tests)];
            let Some(word) = self.peek() else { return self.expected(term) };
            let operator = operator(word);
            let opens = word.token == Token::Open;
            if opens || operator == Some(Token::Not) {
                if depth == EXPRESSION_DEPTH_MAX {
                    let parts = [Number(EXPRESSION_DEPTH_MAX as i64)];
                    return self.refused(&word.position, packed!("nested more than % deep"), &parts);
                }
                depth += 1;
                self.at += 1;
                let start = self.made.len();
                if opens {
                    groups.push(Group { start, depth, opened: word.position, or_at: None });
                } else {
                    self.node(start, Token::Not, word)?;
                }
                continue;
            }
            if word.token == Token::Close || operator.is_some() {
                return self.expected(term);
            }
            self.at += 1;
            match self.peek() {
                _ if self.tests => self.test(word, term)?,
                Some(next) if next.token == Token::Open => self.function(word, &next.position)?,
                _ => self.fact(word)?,
            }
            if self.behind_term(&mut groups)? {
                return Some(());
            }
            depth = groups.last()?.depth;
        }
    }

    /// Closes groups, and takes the operator before the next term; true at the end of all.
    #[inline(never)]
    fn behind_term(&mut self, groups: &mut Vec<Group>) -> Option<bool> {
        loop {
            let inside = groups.len() > 1;
            let group = groups.last_mut()?;
            let found = match self.peek() {
                None if inside => {
                    let opened = group.opened;
                    return self.refused(&opened, UNCLOSED, &[]);
                }
                None => return Some(true),
                Some(word) if word.token == Token::Close && inside => {
                    self.at += 1;
                    groups.pop();
                    continue;
                }
                Some(word) if word.token == Token::Close => {
                    return self.refused(&word.position, packed!("a \")\" without its \"(\""), &[]);
                }
                Some(word) => word,
            };
            let token = match operator(found) {
                Some(token @ (Token::And | Token::Or)) => token,
                _ => {
                    self.expected("\"and\" or \"or\"")?;
                    return None;
                }
            };
            self.at += 1;
            if token == Token::Or {
                group.or_at = group.or_at.or(Some(found.position));
            } else if let Some(or_at) = group.or_at.take() {
                let text = packed!(
                    "\"and\" behind \"or\" is taken from left to right: (... or ...) and ...\n\
                     parentheses make it plain\n\
                     taken first"
                );
                self.sink.warning(&found.position, text, &[]).related(&or_at);
            }
            // From left to right: all of the group so far is its left side.
            self.node(group.start, token, found)?;
            return Some(false);
        }
    }

    /// `path PATH`, `env NAME[=VALUE]`, `kernel WORD[=VALUE]`; the first of these is read.
    fn test(&mut self, kind: &Word, term: &str) -> Option<()> {
        let (token, what) = match kind.text {
            "path" => (Token::Path, "an absolute path"),
            "env" => (Token::Env, "a variable: NAME or NAME=VALUE"),
            "kernel" => (Token::Kernel, "a word of the kernel's command line: WORD or KEY=VALUE"),
            _ => {
                self.at -= 1;
                return self.expected(term);
            }
        };
        let found = self.peek().filter(|word| word.token == Token::Text);
        let good = |word: &&Word| match token {
            Token::Path => word.text.starts_with("/"),
            Token::Env => names::is_variable(value::variable(word)),
            _ => !word.text.is_empty() && !word.text.starts_with("="),
        };
        let Some(word) = found.filter(good) else { return self.expected(what) };
        self.at += 1;
        self.leaves += 1;
        if self.leaves > TESTS_MAX {
            return self.refused(&word.position, packed!("more than % tests"), &[Number(TESTS_MAX as i64)]);
        }
        self.node(self.made.len(), token, word)
    }

    /// `up(SERVICE)`, `failed(SERVICE)`; the next word is the `(`.
    fn function(&mut self, name: &Word, opened: &Position) -> Option<()> {
        let token = match name.text {
            "up" => Token::Up,
            "failed" => Token::Failed,
            _ => {
                let text = packed!("no function is called ~\nexpected up(SERVICE) or failed(SERVICE)");
                return self.refused(&name.position, text, &[Text(name.text)]);
            }
        };
        self.at += 1;
        let Some(service) = self.peek().filter(|word| word.token == Token::Text) else {
            return self.expected("the name of a service");
        };
        self.at += 1;
        value::service_name(service, self.sink)?;
        match self.peek() {
            Some(word) if word.token == Token::Close => self.at += 1,
            Some(_) => return self.expected("\")\""),
            None => {
                return self.refused(opened, UNCLOSED, &[]);
            }
        }
        self.node(self.made.len(), token, service)
    }

    /// A name, read already, and its attributes.
    fn fact(&mut self, name: &Word) -> Option<()> {
        if let Err(fault) = names::check_fact(name.text) {
            value::name_finding("condition or event", name.text, &name.position, fault, self.sink);
            return None;
        }
        self.node(self.made.len(), Token::Fact, name)?;
        // A test of `only-if` is likely meant by these.
        let mut named = matches!(name.text, "path" | "env" | "kernel");
        let (mut attributes, mut bytes) = (0, name.text.len());
        while let Some(word) = self.peek() {
            if word.token != Token::Text || operator(word).is_some() {
                break;
            }
            let behind = word.text.bytes().position(|byte| byte == b'=').map(|equals| equals + 1);
            if word.plain && is_operator(word.text) || named && behind.is_none() {
                return self.expected(if named { "KEY=GLOB, \"and\" or \"or\"" } else { "a value, \"and\" or \"or\"" });
            }
            named |= behind.is_some();
            let (key, _, _) = attribute(word.text);
            if behind.is_some() && !names::is_variable(key) {
                let text = packed!(
                    "~ cannot be the name of an attribute\n\
                     expected letters, digits and \"_\", no digit first"
                );
                return self.refused(&word.position, text, &[Text(key)]);
            }
            let (head, glob) = word.text.split_at(behind.unwrap_or(0));
            let mut text = String::from(if named { head } else { "=" });
            text.push_str(value::glob_text(glob, self.template, &word.position, self.sink)?);
            self.made.push(Word { text: text.leak(), token: Token::Attribute, ..*word });
            self.at += 1;
            bytes += 1 + word.text.len();
            attributes += 1;
        }
        if bytes > FACT_BYTES_MAX || attributes > ATTRIBUTES_MAX {
            let parts = [Number(ATTRIBUTES_MAX as i64), Number(FACT_BYTES_MAX as i64)];
            return self.refused(&name.position, packed!("more than an event has: % attributes, % bytes"), &parts);
        }
        Some(())
    }
}
