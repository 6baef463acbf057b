//! Definition to the text of a service file: what `parse` reads, the other way round. Every key that applies is written,
//! defaults too, so that the text says all that is in force.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::definition::{Action, At, Attribute, Definition, Expression, Kind, Readiness};
use super::keys::{BUNDLE, KEYS, Key, LONGRUN, ONESHOT, TEMPLATE, Value};
use crate::expand::{Piece, pieces};
use crate::limits::EXPRESSION_DEPTH_MAX;
use crate::{names, signals};

/// Where a value goes on in the next line.
const COLUMNS: usize = 100;

/// Adds the text of a service file that `parse` reads as this definition (but for positions) to `out`.
/// What no service file can say, such as an argument with a newline that is not a script, is written as well as it can be.
pub fn write(definition: &Definition, out: &mut String) {
    // The table's fields are accessors to a definition that can be changed; that is the one use of this copy.
    let mut copy = definition.clone();
    let kind = match definition.kind {
        Kind::Longrun => LONGRUN,
        Kind::Oneshot => ONESHOT,
        Kind::Bundle => BUNDLE,
    };
    for key in KEYS {
        let template_only = key.kinds == TEMPLATE;
        if key.kinds & kind != 0 && (!template_only || names::is_template(&definition.name)) {
            write_key(key, &mut copy, out);
        }
    }
}

fn write_key(key: &Key, definition: &mut Definition, out: &mut String) {
    let expands = definition.expands;
    let words: Vec<String> = match key.value {
        Value::Text(field) => {
            let text = field(definition);
            if !text.is_empty() {
                let _ = writeln!(out, "{} = {}", key.name, text_value(text));
            }
            return;
        }
        Value::Command => return write_command(key, &definition.command, expands, out),
        Value::Stop => return write_actions(key, &definition.stop, expands, out),
        Value::Reload => return write_actions(key, definition.reload.as_slice(), expands, out),
        Value::Choice(choices, set) => alloc::vec![String::from(choices[chosen(definition, choices.len(), set)])],
        Value::Relation(relation) => named(&definition.relations, |said| said == relation),
        Value::Inverse(relation) => named(&definition.inverse_relations, |said| said == relation),
        Value::Expression(field) => match field(definition) {
            Some(expression) => expression_words(&expression.value),
            None => Vec::new(),
        },
        Value::ForEach => match &definition.for_each {
            Some(expression) => expression_words(&expression.value),
            None => Vec::new(),
        },
        Value::Instance => Vec::from_iter(Some(definition.instance.clone()).filter(|text| !text.is_empty())),
        Value::Pass => definition.pass.clone(),
        Value::Ready => match definition.ready {
            Readiness::None => alloc::vec![String::from("none")],
            Readiness::Descriptor(number) => alloc::vec![String::from("fd"), alloc::format!("{number}")],
            Readiness::Notify => alloc::vec![String::from("notify")],
        },
        Value::Duration(_, _, field) => alloc::vec![duration(*field(definition))],
        Value::Count(_, field) => alloc::vec![alloc::format!("{}", field(definition))],
        Value::Switch(field) => alloc::vec![String::from(if *field(definition) { "yes" } else { "no" })],
        Value::Account(field) => Vec::from_iter(Some(field(definition).clone()).filter(|text| !text.is_empty())),
        Value::Directory => {
            let path = &definition.directory;
            Vec::from_iter((!path.is_empty()).then(|| word(path, expands)))
        }
        Value::Umask => alloc::vec![alloc::format!("{:03o}", definition.umask)],
        Value::Integer(_, _, field) => Vec::from_iter(field(definition).map(|number| alloc::format!("{number}"))),
        Value::Environment => definition.env.iter().map(|text| word(text, expands)).collect(),
        Value::EnvironmentFiles => definition.env_file.iter().map(|text| word(text, expands)).collect(),
        Value::Limit(resource) => {
            let found = definition.limits.iter().find(|limit| limit.resource == resource);
            Vec::from_iter(found.map(|limit| alloc::format!("{}:{}", limit_value(limit.soft), limit_value(limit.hard))))
        }
    };
    if !words.is_empty() {
        write_words(key.name, &words, out);
    }
}

/// `key = word word`, going on in indented lines.
fn write_words(key: &str, words: &[String], out: &mut String) {
    out.push_str(key);
    out.push_str(" =");
    let mut column = key.len() + 2;
    for (at, word) in words.iter().enumerate() {
        if at > 0 && column + 1 + word.len() > COLUMNS {
            out.push_str("\n   ");
            column = 3;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
}

/// The index of the choice that is set.
fn chosen(definition: &Definition, choices: usize, set: fn(&mut Definition, usize)) -> usize {
    // Only what the choices are about: a definition may be large.
    let mut probe = super::empty("", definition.origin);
    (probe.kind, probe.restart, probe.log) = (definition.kind, definition.restart, definition.log);
    let is_set = |&choice: &usize| {
        let mut with = probe.clone();
        set(&mut with, choice);
        with == probe
    };
    (0..choices).find(is_set).unwrap_or(0)
}

fn named(
    relations: &[(crate::graph::Relation, At<String>)],
    is_it: impl Fn(crate::graph::Relation) -> bool,
) -> Vec<String> {
    relations.iter().filter(|(relation, _)| is_it(*relation)).map(|(_, name)| name.value.clone()).collect()
}

fn write_actions(key: &Key, actions: &[Action], expands: bool, out: &mut String) {
    let mut words = alloc::vec![String::from("signal")];
    for action in actions {
        match action {
            Action::Command(command) => return write_command(key, command, expands, out),
            Action::Signal(number) => {
                words.push(signals::name(*number).map_or_else(|| alloc::format!("{number}"), String::from));
            }
        }
    }
    if words.len() > 1 {
        write_words(key.name, &words, out);
    }
}

/// A command; one whose last argument has lines, as a here-document.
fn write_command(key: &Key, command: &[String], expands: bool, out: &mut String) {
    let (last, program) = match command.split_last() {
        Some((last, program)) if last.ends_with('\n') && program.len() > 1 => (Some(last), program),
        _ => (None, command),
    };
    let words: Vec<String> = program.iter().map(|text| word(text, expands)).collect();
    let Some(script) = last else {
        if !words.is_empty() {
            write_words(key.name, &words, out);
        }
        return;
    };
    let script = if expands { plain(script) } else { script.clone() };
    let lines: Vec<&str> = script.strip_suffix('\n').unwrap_or(&script).split('\n').collect();
    // The line that ends it is not one of its own (those are indented, but where all of them are blank).
    let _ = writeln!(out, "{} = <<END {}", key.name, words.join(" "));
    let blank = lines.iter().all(|line| line.trim_start_matches([' ', '\t']).is_empty());
    for line in lines {
        if !line.is_empty() && !blank {
            out.push_str("    ");
        }
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("END\n");
}

/// A description. Quotes are written only where the blanks at its ends, or its own quotes, would be lost without.
fn text_value(text: &str) -> String {
    let blank = [' ', '\t'];
    let quoted = ['"', '\''].into_iter().any(|quote| {
        let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        inner.is_some_and(|inner| !inner.contains(quote))
    });
    if !(text.starts_with(blank) || text.ends_with(blank) || quoted || text.starts_with("<<")) {
        return String::from(text);
    }
    let quote = if text.contains('"') { '\'' } else { '"' };
    alloc::format!("{quote}{text}{quote}")
}

/// One word as it is written: placeholders as they are, all else quoted where it must be.
fn word(text: &str, expands: bool) -> String {
    if !expands {
        return quoted(text);
    }
    let (mut out, mut literal) = (String::new(), String::new());
    let end_literal = |literal: &mut String, out: &mut String| {
        if !literal.is_empty() {
            out.push_str(&quoted(literal));
            literal.clear();
        }
    };
    for piece in pieces(text) {
        match piece {
            Piece::Literal(part) | Piece::Unclosed(part) => literal.push_str(part),
            Piece::Placeholder(name) => {
                end_literal(&mut literal, &mut out);
                out.extend(["${", name, "}"]);
            }
        }
    }
    end_literal(&mut literal, &mut out);
    if out.is_empty() { quoted("") } else { out }
}

/// The text without its escapes.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Literal(part) | Piece::Unclosed(part) => out.push_str(part),
            Piece::Placeholder(name) => out.extend(["${", name, "}"]),
        }
    }
    out
}

/// In single quotes, where it is not made of harmless characters alone.
fn quoted(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-+:,./@%^~*?[]!=".contains(c);
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(harmless) {
        return String::from(text);
    }
    let mut out = String::from("'");
    for (at, part) in text.split('\'').enumerate() {
        if at > 0 {
            out.push_str("'\\''");
        }
        out.push_str(part);
    }
    out.push('\'');
    out
}

/// The largest unit in which it is whole.
fn duration(ms: u32) -> String {
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms >= unit && ms.is_multiple_of(unit) {
            return alloc::format!("{}{name}", ms / unit);
        }
    }
    alloc::format!("{ms}ms")
}

fn limit_value(value: u64) -> String {
    if value == u64::MAX { String::from("unlimited") } else { alloc::format!("{value}") }
}

/// An expression as words. Parentheses belong to the words beside them.
fn expression_words(expression: &Expression) -> Vec<String> {
    let mut writer = Words { done: Vec::new(), open: 0 };
    writer.chain(expression, 0);
    writer.done
}

struct Words {
    done: Vec<String>,
    /// Parentheses to be opened before the next word.
    open: usize,
}

impl Words {
    fn push(&mut self, text: &str) {
        let mut word = String::new();
        (0..core::mem::take(&mut self.open)).for_each(|_| word.push('('));
        word.push_str(text);
        self.done.push(word);
    }

    fn inside(&mut self, expression: &Expression, depth: usize) {
        self.open += 1;
        self.chain(expression, depth + 1);
        if let Some(last) = self.done.last_mut() {
            last.push(')');
        }
    }

    /// Terms from left to right. `depth` counts what is around it, as the parser does. The depth of the recursion is
    /// bounded by EXPRESSION_NODES_MAX.
    fn chain(&mut self, expression: &Expression, depth: usize) {
        let (left, word, right) = match expression {
            Expression::And(left, right) => (left, "and", right),
            Expression::Or(left, right) => (left, "or", right),
            Expression::Not(_) | Expression::Fact { .. } | Expression::Up(_) | Expression::Failed(_) => {
                return self.term(expression, depth);
            }
        };
        let is_other = match (&**left, expression) {
            (Expression::And(..), Expression::Or(..)) | (Expression::Or(..), Expression::And(..)) => true,
            (_, _) => false,
        };
        // Left to right is how it is read, but parentheses make a mixture plain, where there is room for them.
        if is_other && depth + 1 + nesting(left) <= EXPRESSION_DEPTH_MAX {
            self.inside(left, depth);
        } else {
            self.chain(left, depth);
        }
        self.push(word);
        self.term(right, depth);
    }

    fn term(&mut self, expression: &Expression, depth: usize) {
        match expression {
            Expression::And(..) | Expression::Or(..) => self.inside(expression, depth),
            Expression::Not(inner) => {
                self.push("not");
                self.term(inner, depth + 1);
            }
            Expression::Fact { name, attributes } => {
                let name = name.value.as_str();
                match name {
                    "and" | "or" | "not" => self.push(&alloc::format!("'{name}'")),
                    _ => self.push(name),
                }
                attributes.iter().for_each(|attribute| self.push(&attribute_word(attribute)));
            }
            Expression::Up(name) => self.push(&alloc::format!("up({})", name.value)),
            Expression::Failed(name) => self.push(&alloc::format!("failed({})", name.value)),
        }
    }
}

fn attribute_word(attribute: &Attribute) -> String {
    let operator = if attribute.negated { "!=" } else { "=" };
    let glob = if attribute.glob.is_empty() { String::new() } else { quoted(&attribute.glob) };
    alloc::format!("{}{operator}{glob}", attribute.key)
}

/// How deep parentheses and `not` nest at least.
fn nesting(expression: &Expression) -> usize {
    let within = |right: &Expression| match right {
        Expression::And(..) | Expression::Or(..) => 1 + nesting(right),
        Expression::Not(_) | Expression::Fact { .. } | Expression::Up(_) | Expression::Failed(_) => nesting(right),
    };
    match expression {
        Expression::And(left, right) | Expression::Or(left, right) => nesting(left).max(within(right)),
        Expression::Not(inner) => 1 + within(inner),
        Expression::Fact { .. } | Expression::Up(_) | Expression::Failed(_) => 0,
    }
}
