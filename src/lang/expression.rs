//! Expressions over conditions and events.
//!
//! ```text
//! EXPRESSION  TERM { and TERM | or TERM }       from left to right, `and` and `or` alike
//! TERM        not TERM | ( EXPRESSION ) | up ( SERVICE ) | failed ( SERVICE ) | FACT
//! FACT        NAME { KEY=GLOB | KEY!=GLOB }
//! ```
//!
//! `and` behind an `or` without parentheses is taken from left to right, as Upstart took it, and is a warning, since
//! most other languages read it differently (docs/decisions.md). A quoted `and`, `or`, `not` is a name or a value.
//! Behind a fact's name only KEY=GLOB is taken: bare values, in order of the event's attributes, may come later.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::definition::{At, Attribute, Expression, Position};
use super::diagnostic::{Diagnostic, Shown, Sink};
use super::lexer::{Token, Word};
use super::value;
use crate::limits::{ATTRIBUTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX, FACT_BYTES_MAX};
use crate::names;

/// Reads an expression; `end` is where a missing word would stand. `None` after a finding.
pub fn parse(words: &[Word], end: Position, sink: &mut Sink<'_>) -> Option<At<Expression>> {
    let mut parser = Parser { words, at: 0, nodes: 0, end, sink };
    let value = parser.chain(0)?;
    if let Some(word) = parser.peek() {
        let message = format_args!("a \")\" without its \"(\"");
        parser.sink.error(word.position, message);
        return None;
    }
    let (first, last) = (words.first()?.position, words.last()?.position);
    let mut position = first;
    if first.line == last.line {
        position.length = last.column + last.length - first.column;
    }
    Some(At { value, position })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
    Not,
}

/// The operator that a word is. Quoted, it is none.
fn operator(word: &Word) -> Option<Operator> {
    match word.text.as_str() {
        _ if !word.plain || word.token != Token::Text => None,
        "and" => Some(Operator::And),
        "or" => Some(Operator::Or),
        "not" => Some(Operator::Not),
        _ => None,
    }
}

struct Parser<'a, 'b, 'c> {
    words: &'a [Word],
    at: usize,
    nodes: usize,
    end: Position,
    sink: &'b mut Sink<'c>,
}

impl<'a> Parser<'a, '_, '_> {
    fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    /// Where the next word stands, or would.
    fn here(&self) -> Position {
        self.peek().map_or(self.end, |word| word.position)
    }

    /// Messages of this file are of one kind.
    fn bad(&mut self, position: Position, message: fmt::Arguments<'_>) -> &mut Diagnostic {
        self.sink.error(position, message)
    }

    /// A finding at the next word; `None` to return.
    fn expected(&mut self, what: &str) -> Option<Expression> {
        let position = self.here();
        match self.peek() {
            Some(word) => self.bad(position, format_args!("expected {what}, found {}", Shown(&word.text))),
            None => self.bad(position, format_args!("expected {what}, found the end of the value")),
        };
        None
    }

    /// Counts a node; a finding if there are too many.
    fn node(&mut self, position: Position, expression: Expression) -> Option<Expression> {
        self.nodes += 1;
        if self.nodes <= EXPRESSION_NODES_MAX {
            return Some(expression);
        }
        let message = format_args!("an expression of more than {EXPRESSION_NODES_MAX} parts (EXPRESSION_NODES_MAX)");
        self.sink.error(position, message);
        None
    }

    /// Terms joined by `and` and `or`. `depth` counts the parentheses and `not` around it.
    fn chain(&mut self, depth: usize) -> Option<Expression> {
        let mut left = self.term(depth)?;
        let mut or_at = None;
        while let Some(word) = self.peek() {
            let found = match operator(word) {
                Some(found @ (Operator::And | Operator::Or)) => found,
                None if word.token == Token::Close => break,
                Some(Operator::Not) | None => return self.expected("\"and\" or \"or\""),
            };
            self.at += 1;
            if found == Operator::Or {
                or_at = or_at.or(Some(word.position));
            } else if let Some(or_at) = or_at.take() {
                let message = format_args!("\"and\" behind \"or\" is taken from left to right: (... or ...) and ...");
                self.sink
                    .warning(word.position, message)
                    .help(format_args!("parentheses make it plain"))
                    .related(or_at, "taken first");
            }
            let right = Box::new(self.term(depth)?);
            let both = match found {
                Operator::And => Expression::And(Box::new(left), right),
                _ => Expression::Or(Box::new(left), right),
            };
            left = self.node(word.position, both)?;
        }
        Some(left)
    }

    fn term(&mut self, depth: usize) -> Option<Expression> {
        const WHAT: &str = "a condition or an event, \"not\" or \"(\"";
        let Some(word) = self.peek() else { return self.expected(WHAT) };
        let opens = word.token == Token::Open;
        if opens || operator(word) == Some(Operator::Not) {
            if depth == EXPRESSION_DEPTH_MAX {
                let message = format_args!("nested more than {EXPRESSION_DEPTH_MAX} deep (EXPRESSION_DEPTH_MAX)");
                self.sink.error(word.position, message);
                return None;
            }
            self.at += 1;
            if !opens {
                let inner = Box::new(self.term(depth + 1)?);
                return self.node(word.position, Expression::Not(inner));
            }
            let inner = self.chain(depth + 1)?;
            return match self.close(word.position) {
                true => Some(inner),
                false => None,
            };
        }
        if word.token == Token::Close || operator(word).is_some() {
            return self.expected(WHAT);
        }
        self.at += 1;
        match self.peek() {
            Some(next) if next.token == Token::Open => self.function(word, next.position),
            _ => self.fact(word),
        }
    }

    /// Takes the `)` that belongs to the `(` at `opened`; else a finding.
    fn close(&mut self, opened: Position) -> bool {
        if self.peek().is_some_and(|word| word.token == Token::Close) {
            self.at += 1;
            return true;
        }
        match self.peek() {
            Some(word) => self.bad(word.position, format_args!("expected \")\", found {}", Shown(&word.text))),
            None => self.bad(opened, format_args!("this \"(\" is not closed")),
        };
        false
    }

    /// `up(SERVICE)`, `failed(SERVICE)`; the next word is the `(`.
    fn function(&mut self, name: &Word, opened: Position) -> Option<Expression> {
        let make: fn(At<String>) -> Expression = match name.text.as_str() {
            "up" => Expression::Up,
            "failed" => Expression::Failed,
            _ => {
                let message = format_args!("no function is called {}", Shown(&name.text));
                self.sink.error(name.position, message).help(format_args!("expected up(SERVICE) or failed(SERVICE)"));
                return None;
            }
        };
        self.at += 1;
        let Some(service) = self.peek().filter(|word| word.token == Token::Text) else {
            return self.expected("the name of a service");
        };
        self.at += 1;
        let service = value::service_name(service, self.sink)?;
        if self.close(opened) { self.node(name.position, make(service)) } else { None }
    }

    /// A name, read already, and its attributes.
    fn fact(&mut self, name: &Word) -> Option<Expression> {
        if let Err(fault) = names::check_fact(&name.text) {
            value::name_finding("condition or event", &name.text, name.position, fault, self.sink);
            return None;
        }
        let mut attributes = Vec::new();
        let mut bytes = name.text.len();
        while let Some(word) = self.peek() {
            if word.token != Token::Text || operator(word).is_some() {
                break;
            }
            self.at += 1;
            let Some((key, glob)) = word.text.split_once('=') else {
                let message = format_args!("expected KEY=GLOB, \"and\" or \"or\", found {}", Shown(&word.text));
                self.bad(word.position, message);
                return None;
            };
            let (key, negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
            if !names::is_variable(key) {
                let message = format_args!("{} cannot be the name of an attribute", Shown(key));
                self.sink
                    .error(word.position, message)
                    .help(format_args!("expected letters, digits and \"_\", no digit first"));
                return None;
            }
            let glob = value::plain_text(glob, word.position, self.sink)?;
            bytes += 1 + word.text.len();
            attributes.push(Attribute { key: String::from(key), negated, glob });
        }
        if bytes > FACT_BYTES_MAX || attributes.len() > ATTRIBUTES_MAX {
            let message = format_args!(
                "more than an event has: {ATTRIBUTES_MAX} attributes (ATTRIBUTES_MAX), {FACT_BYTES_MAX} bytes (FACT_BYTES_MAX)"
            );
            self.sink.error(name.position, message);
            return None;
        }
        let name_at = At { value: name.text.clone(), position: name.position };
        self.node(name.position, Expression::Fact { name: name_at, attributes })
    }
}
