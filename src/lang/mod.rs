//! Service file text to `Definition`, with diagnostics like a good compiler's. Allocates: it runs in tools, never in the
//! supervisor or the engine.
//!
//! `lexer` knows lines and words and no key; `keys` is the one table; `value` and `expression` make values of words;
//! `diagnostic` shows findings. Nothing here opens a file or looks at another service: whether names exist and what they
//! make together is for `database::compile`.

pub mod definition;
pub mod diagnostic;
mod expression;
pub mod keys;
mod lexer;
pub mod order;
mod value;

use alloc::string::String;
use alloc::vec::Vec;

use crate::expand::{Piece, pieces, placeholder_at};
use crate::graph::Relation;
use crate::limits::LATCHES_MAX;
use crate::names;
use definition::{Definition, Given, Kind, Position, Token, with_texts};
use diagnostic::{Diagnostic, Meant, Shown, Sink};
use keys::{BUNDLE, CHOICES, DEFAULTS, Key, LONGRUN, ONESHOT, TEMPLATE, Value};
use lexer::Entry;

pub use expression::{attribute, is_operator};

/// Reads the text of one service file. `name` is the file's name without `.svc`; `file` its index in the list of sources,
/// for positions. Adds all findings to `diagnostics`, in the order of the text; `None` if one of them is an error.
pub fn parse(file: u32, name: &str, text: &[u8], diagnostics: &mut Vec<Diagnostic>) -> Option<Definition> {
    Some(read(file, name, text, diagnostics)).filter(|definition| !definition.refused)
}

/// As `parse`, but gives a refused definition, too.
pub fn read(file: u32, name: &str, text: &[u8], diagnostics: &mut Vec<Diagnostic>) -> Definition {
    let mut sink = Sink::new(file, diagnostics);
    let whole = sink.whole();
    if let Err(fault) = names::check_service(name) {
        value::name_finding("service", name, &whole, fault, &mut sink);
    }
    let mut definition =
        Definition::new(String::from(name).leak(), Position { line: 1, column: 1, length: 1, ..whole });
    if let Some(text) = lexer::check_text(text, &mut sink) {
        let entries = lexer::entries(text, |word| keys::find(word).is_some(), &mut sink);
        service(entries, &mut definition, &mut sink);
    }
    definition.refused = sink.failed();
    sink.finish();
    definition
}

/// Fills the definition from the entries of its file.
fn service(entries: &[Entry<'_>], definition: &mut Definition, sink: &mut Sink<'_>) {
    // What a key means, and whether it may be there, depends on the type: first of all.
    let type_entry = entries.iter().find(|entry| entry.key == "type");
    if let (Some(entry), Some(key)) = (type_entry, keys::find("type")) {
        value::fill(key, entry, definition, sink);
    }
    definition.kind = match definition.number("type") {
        1 => Kind::Oneshot,
        2 => Kind::Bundle,
        _ => Kind::Longrun,
    };
    let mut command_meant = false;
    for entry in entries {
        let Some(key) = keys::find(entry.key) else {
            let text = Shown(entry.key);
            let meant = if sink.full() { None } else { keys::meant(entry.key) };
            command_meant |= meant == Some("command");
            let meant = Meant(meant);
            sink.error(&entry.position, format_args!("unknown key {text}{meant}"));
            continue;
        };
        match definition.given(key.name()) {
            Some(first) if first.position != entry.position => {
                let message = format_args!("the key \"{}\" stands here for a second time", *key);
                let help = format_args!("a long value goes on in indented lines");
                sink.error(&entry.position, message).help(help).related(&first.position, "first here");
            }
            Some(_) => {}
            None => {
                if applies(key, entry, definition, type_entry, sink) {
                    value::fill(key, entry, definition, sink);
                } else {
                    definition.put(Given { key, position: entry.position, numbers: [0; 2], words: &[] });
                }
            }
        }
    }
    // A set without its type misses that, not a command.
    command_meant |= definition.given("contains").is_some() && type_entry.is_none();
    together(definition, command_meant, sink);
    for entry in lexer::entries(DEFAULTS[definition.kind as usize], |_| false, sink) {
        if let (Some(key), None) = (keys::find(entry.key), definition.given(entry.key)) {
            entry.position = sink.whole();
            value::fill(key, entry, definition, sink);
        }
    }
    delays(definition, sink);
    expansion(definition, sink);
}

/// Help where a placeholder is wrong.
const ITSELF: &str = "$${ or '${' is the text itself";

/// Whether a key is for this service; else a finding.
fn applies(
    key: &Key,
    entry: &Entry<'_>,
    definition: &Definition,
    type_entry: Option<&Entry<'_>>,
    sink: &mut Sink<'_>,
) -> bool {
    // Bits in the order of the kinds.
    if key.kinds >> definition.kind as u32 & 1 != 0 {
        if key.kinds != TEMPLATE || names::is_template(definition.name) {
            return true;
        }
        let message = format_args!("\"{}\" is for templates, and this is none", *key);
        sink.error(&entry.position, message).help(format_args!("a template's file is called NAME@.svc"));
        return false;
    }
    let kinds = &CHOICES[0];
    let message = format_args!("\"{}\" is not for a {}", *key, kinds[definition.kind as usize]);
    let finding = sink.error(&entry.position, message);
    let only = match key.kinds {
        LONGRUN => kinds[0],
        ONESHOT => kinds[1],
        BUNDLE => kinds[2],
        _ => "",
    };
    if !only.is_empty() {
        let help = if type_entry.is_some() { "" } else { ": add type = " };
        let added = if type_entry.is_some() { "" } else { only };
        finding.help(format_args!("it is for a {only} alone{help}{added}"));
    }
    if let Some(at) = type_entry {
        finding.related(&at.position, "its type");
    }
    false
}

/// What only the keys together can tell.
#[inline(never)]
fn together(definition: &Definition, command_meant: bool, sink: &mut Sink<'_>) {
    let there = |name: &str| definition.given(name).is_some();
    if definition.kind != Kind::Bundle && !there("command") && !command_meant {
        let whole = sink.whole();
        let message = format_args!("there is no \"command\"");
        let help = format_args!("expected command = /path/to/program ARGUMENT..., or type = bundle");
        sink.error(&whole, message).help(help);
    }
    if let Some(given) = definition.given("overlap")
        && definition.kind == Kind::Oneshot
        && definition.given("remain").is_none_or(|remain| remain.numbers[0] != 0)
    {
        let help = format_args!("it says what a trigger does while the command runs; add remain = no");
        sink.error(&given.position, format_args!("\"overlap\" without \"remain = no\"")).help(help);
    }
    if let (Some(given), false, false) = (definition.given("within"), there("start-on"), there("stop-on")) {
        sink.error(&given.position, format_args!("\"within\" without \"start-on\" or \"stop-on\""));
    }
    if names::is_template(definition.name) {
        match (definition.given("for-each"), definition.given("instance")) {
            (Some(given), None) => {
                sink.error(&given.position, format_args!("\"for-each\" without \"instance\""))
                    .help(format_args!("expected the name of an instance, as: instance = ${{IFACE}}"));
            }
            (None, Some(given)) if !there("start-on") => {
                let message =
                    format_args!("\"instance\" without \"for-each\" or \"start-on\": nothing makes an instance");
                sink.error(&given.position, message);
            }
            _ => {}
        }
    }
    for given in &definition.given {
        let leaf = |token: Token| matches!(token, Token::Fact | Token::Up | Token::Failed);
        let leaves = given.words.iter().filter(|word| leaf(word.token)).count();
        if leaves > LATCHES_MAX && matches!(given.key.value, Value::Expression(Relation::Listens)) {
            let message = format_args!("{leaves} conditions and events in \"{}\", more than {LATCHES_MAX}", *given.key);
            sink.error(&given.position, message);
        }
    }
}

/// The least delay between two starts is not above the greatest: where only one is given, the other follows it.
fn delays(definition: &mut Definition, sink: &mut Sink<'_>) {
    let (least, most) = (definition.place("restart-delay"), definition.place("restart-delay-max"));
    let given = &mut definition.given;
    let (Some(low), Some(high)) = (given.get(least), given.get(most)) else { return };
    let (low, high) = (*low, *high);
    if low.numbers[0] <= high.numbers[0] {
        return;
    }
    match (low.position.line, high.position.line) {
        (_, 0) => given[most].numbers = low.numbers,
        (0, _) => given[least].numbers = high.numbers,
        _ => {
            let message = format_args!("\"restart-delay\" is above \"restart-delay-max\"");
            sink.error(&low.position, message).related(&high.position, "the greatest delay");
        }
    }
}

/// Checks the names in placeholders. Without any, makes the strings what they are.
#[inline(never)]
fn expansion(definition: &mut Definition, sink: &mut Sink<'_>) {
    let template = names::is_template(definition.name);
    let pass = definition.words("pass");
    let mut escapes = false;
    for given in &definition.given {
        let expanding = if given.key.value.expands() { given.words } else { &[] };
        for word in expanding {
            escapes |= placeholder_at(word.text).is_some();
            for piece in pieces(word.text) {
                let position = &word.position;
                match piece {
                    Piece::Literal(_) => continue,
                    Piece::Placeholder("INSTANCE") if template => {}
                    Piece::Placeholder("INSTANCE") => {
                        sink.error(position, format_args!("${{INSTANCE}} in what is not a template"));
                    }
                    Piece::Placeholder(name) if pass.iter().any(|passed| passed.text == name) => {}
                    Piece::Placeholder(name) if names::is_variable(name) => {
                        let help = format_args!(
                            "attributes are named by pass = {name}; $${{ or '${{' is the text itself; variables expand in scripts"
                        );
                        sink.error(position, format_args!("nothing is known as ${{{name}}}")).help(help);
                    }
                    Piece::Placeholder(name) => {
                        let message = format_args!("{} cannot be the name of an attribute", Shown(name));
                        sink.error(position, message).help(format_args!("{ITSELF}"));
                    }
                    Piece::Unclosed(_) => {
                        let message = format_args!("a \"${{\" without its \"}}\"");
                        sink.error(position, message).help(format_args!("{ITSELF}"));
                    }
                }
                definition.expands = true;
            }
        }
    }
    if definition.expands || !escapes {
        return;
    }
    for given in &mut definition.given {
        if given.key.value.expands() {
            given.words = with_texts(given.words, &|word| {
                let mut plain = String::new();
                for piece in pieces(word.text) {
                    match piece {
                        Piece::Literal(part) | Piece::Placeholder(part) | Piece::Unclosed(part) => plain.push_str(part),
                    }
                }
                plain.leak()
            });
        }
    }
}

pub use value::duration_ms;
