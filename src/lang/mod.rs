//! Service file text to `Definition`, with diagnostics like a good compiler's. Allocates: it runs in tools, never in
//! the supervisor or the engine.
//!
//! `lexer` knows lines and words and no key; `keys` is the one table; `value` and `expression` make values of words;
//! `diagnostic` shows findings. Nothing here opens a file or looks at another service: whether names exist and what
//! they make together is for `database::compile`.

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
use crate::limits::{LATCHES_MAX, STORED_MAX};
use crate::names;
use crate::packed;
use crate::setup;
use crate::text::nth;
use definition::{Definition, Given, Kind, Log, Position, Stamp, Token, Word, with_texts};
use diagnostic::Part::{Number, Text};
use diagnostic::{Diagnostic, Sink};
use keys::{BUNDLE, CHOICES, KEYS, Key, LONGRUN, ONESHOT, TEMPLATE, Value};
use lexer::Entry;

pub use expression::{attribute, is_operator};

/// Reads the text of one service file. `name` is the file's name without `.svc`; `file` its index in the list of
/// sources, for positions. Adds all findings to `diagnostics`, in the order of the text; `None` if one of them is an
/// error.
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
    let unread = sink.failed();
    // What a key means, and whether it may be there, depends on the type: first of all.
    let type_entry = entries.iter().find(|entry| entry.key == "type");
    if let (Some(entry), Some(key)) = (type_entry, KEYS.get(usize::from(keys::TYPE))) {
        value::fill(key, entry, definition, sink);
    }
    definition.kind = match definition.number(keys::TYPE) {
        1 => Kind::Oneshot,
        2 => Kind::Bundle,
        _ => Kind::Longrun,
    };
    // It may stand in what could not be read.
    let mut command_meant = unread;
    for entry in entries {
        let Some(key) = keys::find(entry.key) else {
            let meant = if sink.full() { "" } else { keys::meant(entry.key).unwrap_or_default() };
            command_meant |= meant == "command";
            sink.error(&entry.position, packed!("unknown key ~^"), &[Text(entry.key), Text(meant)]);
            continue;
        };
        match definition.given(key.number) {
            Some(first) if first.position != entry.position => {
                let text = packed!(
                    "the key ~ stands here for a second time\n\
                     a long value goes on in indented lines\n\
                     first here"
                );
                sink.error(&entry.position, text, &[Text(entry.key)]).related(&first.position);
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
    command_meant |= definition.given(keys::CONTAINS).is_some() && type_entry.is_none();
    together(definition, command_meant, sink);
    for entry in lexer::entries(&keys::defaults(definition.kind), |_| false, sink) {
        if let Some(key) = keys::find(entry.key)
            && definition.given(key.number).is_none()
        {
            entry.position = sink.whole();
            value::fill(key, entry, definition, sink);
        }
    }
    delays(definition, sink);
    expansion(definition, sink);
}

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
        let text = packed!("~ is for templates, and this is none\na template's file is called NAME@.svc");
        sink.error(&entry.position, text, &[Text(entry.key)]);
        return false;
    }
    let kind = |number| nth(CHOICES[0], b',', number);
    let only = match key.kinds {
        LONGRUN => kind(0),
        ONESHOT => kind(1),
        BUNDLE => kind(2),
        _ => "",
    };
    let text = match type_entry {
        _ if only.is_empty() => packed!("~ is not for a %\n\nits type"),
        Some(_) => packed!("~ is not for a %\nit is for a % alone\nits type"),
        None => packed!("~ is not for a %\nit is for a % alone: add type = %"),
    };
    let kind = kind(definition.kind as usize);
    sink.error(&entry.position, text, &[Text(entry.key), Text(kind), Text(only), Text(only)]).related =
        type_entry.map(|entry| entry.position);
    false
}

/// What only the keys together can tell.
#[inline(never)]
fn together(definition: &Definition, command_meant: bool, sink: &mut Sink<'_>) {
    let there = |number| definition.given(number).is_some();
    if definition.kind != Kind::Bundle && !there(keys::COMMAND) && !command_meant {
        let whole = sink.whole();
        let text = packed!(
            "there is no \"command\"\n\
             expected command = /path/to/program ARGUMENT..., or type = bundle"
        );
        sink.error(&whole, text, &[]);
    }
    if let (Some(given), false) = (definition.given(keys::KEEP_RUNTIME), there(keys::RUNTIME_DIRECTORY)) {
        sink.error(&given.position, packed!("~ without ~"), &[Text(given.key.name()), Text("runtime-directory")]);
    }
    if let Some(given) = definition.given(keys::OVERLAP)
        && definition.kind == Kind::Oneshot
        && definition.given(keys::REMAIN).is_none_or(|remain| remain.numbers[0] != 0)
    {
        let text = packed!(
            "\"overlap\" without \"remain = no\"\n\
             it says what a trigger does while the command runs; add remain = no"
        );
        sink.error(&given.position, text, &[]);
    }
    let ready = definition.number(keys::READY) as u32;
    for (number, is_used, with) in [
        (keys::WATCHDOG, ready == keys::NOTIFY, "ready = notify"),
        (keys::CHECK_INTERVAL, ready == keys::CHECK, "ready = check"),
        (keys::FD_STORE_MAX, ready == keys::NOTIFY, "ready = notify"),
        (keys::PID_FILE, ready == keys::FORK, "ready = fork"),
        (keys::HEALTH_INTERVAL, there(keys::HEALTH), "health"),
        (keys::HEALTH_TIMEOUT, there(keys::HEALTH), "health"),
        (keys::HEALTH_FAILURES, there(keys::HEALTH), "health"),
    ] {
        if let Some(given) = definition.given(number).filter(|_| definition.kind == Kind::Longrun && !is_used) {
            sink.error(&given.position, packed!("~ without ~"), &[Text(given.key.name()), Text(with)]);
        }
    }
    // From descriptor 3 on.
    let stored = definition.number(keys::FD_STORE_MAX).saturating_sub(1) + definition.words(keys::LISTEN).len() as u64;
    if let (Some(given), true) = (definition.given(keys::FD_STORE_MAX), stored > STORED_MAX as u64) {
        let text = packed!("more than % descriptors, those that listen among them");
        sink.error(&given.position, text, &[Number(STORED_MAX as i64)]);
    }
    if let Some(given) =
        definition.given(keys::READY).filter(|given| given.numbers[0] == 1 && given.numbers[1] < 3 + stored)
    {
        let text = packed!("descriptors 3 to % are those that listen");
        sink.error(&given.position, text, &[Number(2 + stored as i64)]);
    }
    let mut private = definition.words(keys::PRIVATE).iter();
    if let Some(word) = private.find(|word| word.text == "pid") {
        if ready == keys::FORK {
            let text = packed!(
                "\"pid\" with \"ready = fork\"\n\
                 what it begins ends with its command, and its pid file has other numbers: have it stay in the foreground"
            );
            sink.error(&word.position, text, &[]);
        }
        if let Some(mode) = definition.given(keys::KILL_MODE).filter(|mode| mode.numbers[0] != 0) {
            let text = packed!("\"pid\" with this \"kill-mode\": nothing outlives its process 1\n\nthe mode");
            sink.error(&word.position, text, &[]).related(&mode.position);
        }
    }
    let log = definition.number(keys::LOG) as u32;
    for given in definition.given.iter().filter(|given| given.position.line > 0) {
        let (is_used, with) = match given.key.number {
            number if number <= keys::LOG || number > keys::LOG_STAMP => continue,
            number if number <= keys::LOG_AGE => (log == Log::File as u32, "log = file"),
            // What is said of every service, as a dump does.
            keys::LOG_STAMP if given.numbers[0] == Stamp::Iso8601 as u64 => continue,
            _ => (log == Log::File as u32 || Log::is_kept(log), "log = file, syslog or keep"),
        };
        if !is_used {
            sink.error(&given.position, packed!("~ without ~"), &[Text(given.key.name()), Text(with)]);
        }
    }
    if let (Some(given), false, false) = (definition.given(keys::WITHIN), there(keys::START_ON), there(keys::STOP_ON)) {
        sink.error(&given.position, packed!("\"within\" without \"start-on\" or \"stop-on\""), &[]);
    }
    // Behind what is closed nothing can be put: see `host::run_directory` for where it is unless somebody says otherwise.
    for word in definition.words(keys::INACCESSIBLE) {
        let path = word.text.strip_prefix("-").unwrap_or(word.text);
        let rest = "/run/pintle/notify".strip_prefix(path.strip_suffix("/").unwrap_or(path));
        if ready == keys::NOTIFY && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("/")) {
            let text = packed!("~ hides the socket of \"ready = notify\"\nit is in /run/pintle/notify");
            sink.error(&word.position, text, &[Text(path)]);
        }
    }
    let mut words = 0;
    for given in &definition.given {
        if matches!(given.key.value, Value::Setup(..) | Value::EnvironmentFiles) {
            words += given.words.len();
            if words > setup::ALL_WORDS_MAX {
                let text = packed!("% words up to ~ for what its processes are made, more than %");
                let parts = [Number(words as i64), Text(given.key.name()), Number(setup::ALL_WORDS_MAX as i64)];
                sink.error(&given.position, text, &parts);
                break;
            }
        }
    }
    // What is not in the one set can never be in the other.
    let set = definition.words(keys::CAPABILITIES);
    let is_in = |word: &Word| set.iter().any(|one| setup::capability(one.text) == setup::capability(word.text));
    for word in definition.words(keys::AMBIENT) {
        if !set.is_empty() && !is_in(word) {
            let text = packed!("~ is not among \"capabilities\", so it cannot be kept");
            sink.error(&word.position, text, &[Text(word.text)]);
        }
    }
    if names::is_template(definition.name) {
        match (definition.given(keys::FOR_EACH), definition.given(keys::INSTANCE)) {
            (Some(given), None) => {
                let text = packed!(
                    "\"for-each\" without \"instance\"\n\
                     expected the name of an instance, as: instance = ${IFACE}"
                );
                sink.error(&given.position, text, &[]);
            }
            (None, Some(given)) if !there(keys::START_ON) => {
                let text = packed!("\"instance\" without \"for-each\" or \"start-on\": nothing makes an instance");
                sink.error(&given.position, text, &[]);
            }
            _ => {}
        }
    }
    for given in &definition.given {
        let leaf = |token: Token| matches!(token, Token::Fact | Token::Up | Token::Failed);
        let leaves = given.words.iter().filter(|word| leaf(word.token)).count();
        if leaves > LATCHES_MAX && matches!(given.key.value, Value::Expression(Relation::Listens)) {
            let parts = [Number(leaves as i64), Text(given.key.name()), Number(LATCHES_MAX as i64)];
            sink.error(&given.position, packed!("% conditions and events in ~, more than %"), &parts);
        }
    }
}

/// The least delay between two starts is not above the greatest: where only one is given, the other follows it.
fn delays(definition: &mut Definition, sink: &mut Sink<'_>) {
    let (least, most) = (definition.place(keys::RESTART_DELAY), definition.place(keys::RESTART_DELAY_MAX));
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
            let text = packed!("\"restart-delay\" is above \"restart-delay-max\"\n\nthe greatest delay");
            sink.error(&low.position, text, &[]).related(&high.position);
        }
    }
}

/// Checks the names in placeholders. Without any, makes the strings what they are.
#[inline(never)]
fn expansion(definition: &mut Definition, sink: &mut Sink<'_>) {
    let template = names::is_template(definition.name);
    let pass = definition.words(keys::PASS);
    let mut escapes = false;
    for given in &definition.given {
        let expanding = if given.key.value.expands() { given.words } else { &[] };
        for word in expanding {
            escapes |= placeholder_at(word.text).is_some();
            for piece in pieces(word.text) {
                let (text, name) = match piece {
                    Piece::Literal(_) => continue,
                    Piece::Placeholder("INSTANCE") if template => (None, ""),
                    Piece::Placeholder("INSTANCE") => (Some(packed!("${INSTANCE} in what is not a template")), ""),
                    Piece::Placeholder(name) if pass.iter().any(|passed| passed.text == name) => (None, ""),
                    Piece::Placeholder(name) if names::is_variable(name) => {
                        let text = packed!(
                            "nothing is known as ${%}\n\
                             attributes are named by pass = %; $${ or '${' is the text itself; \
                             variables expand in scripts"
                        );
                        (Some(text), name)
                    }
                    Piece::Placeholder(name) => {
                        let text = packed!("~ cannot be the name of an attribute\n$${ or '${' is the text itself");
                        (Some(text), name)
                    }
                    Piece::Unclosed(_) => {
                        (Some(packed!("a \"${\" without its \"}\"\n$${ or '${' is the text itself")), "")
                    }
                };
                if let Some(text) = text {
                    sink.error(&word.position, text, &[Text(name), Text(name)]);
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
