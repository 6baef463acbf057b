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

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::expand::{Piece, pieces};
use crate::limits::LATCHES_MAX;
use crate::names;
use definition::{Action, At, Definition, Kind, Log, Position, Readiness, Restart};
use diagnostic::{Diagnostic, Meant, Shown, Sink};
use keys::{BUNDLE, KEYS, Key, LONGRUN, ONESHOT, TEMPLATE};
use lexer::{Entry, Segment};
use value::Filler;

/// Reads the text of one service file. `name` is the file's name without `.svc`; `file` its index in the list of sources,
/// for positions. Adds all findings to `diagnostics`, in the order of the text; `None` if one of them is an error.
pub fn parse(file: u32, name: &str, text: &[u8], diagnostics: &mut Vec<Diagnostic>) -> Option<Definition> {
    read(file, name, text, diagnostics).ok()
}

/// As `parse`; the error is as much of the definition as could be made out, to look for more findings in.
pub fn read(
    file: u32,
    name: &str,
    text: &[u8],
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Definition, Box<Definition>> {
    let mut sink = Sink::new(file, diagnostics);
    let whole = Position { file, ..Position::default() };
    if let Err(fault) = names::check_service(name) {
        value::name_finding("service", name, whole, fault, &mut sink);
    }
    let mut definition = empty(name, Position { line: 1, column: 1, length: 1, ..whole });
    if let Some(text) = lexer::check_text(text, &mut sink) {
        let entries = lexer::entries(text, |word| keys::find(word).is_some(), &mut sink);
        service(&entries, &mut definition, &mut sink);
    }
    let failed = sink.failed();
    sink.finish();
    if failed { Err(Box::new(definition)) } else { Ok(definition) }
}

/// A definition that says nothing yet.
fn empty(name: &str, origin: Position) -> Definition {
    Definition {
        name: String::from(name),
        origin,
        description: String::new(),
        kind: Kind::Longrun,
        command: Vec::new(),
        stop: Vec::new(),
        reload: None,
        relations: Vec::new(),
        inverse_relations: Vec::new(),
        while_on: None,
        start_on: None,
        stop_on: None,
        for_each: None,
        instance: String::new(),
        pass: Vec::new(),
        ready: Readiness::None,
        restart: Restart::Never,
        restart_delay_ms: 0,
        restart_delay_ms_max: 0,
        restart_limit: 0,
        restart_window_ms: 0,
        start_timeout_ms: 0,
        stop_timeout_ms: 0,
        remain: true,
        essential: false,
        user: String::new(),
        group: String::new(),
        directory: String::new(),
        umask: 0o022,
        nice: None,
        oom_score_adj: None,
        env: Vec::new(),
        env_file: Vec::new(),
        limits: Vec::new(),
        log: Log::File,
        expands: false,
    }
}

/// Fills the definition from the entries of its file.
fn service(entries: &[Entry<'_>], definition: &mut Definition, sink: &mut Sink<'_>) {
    let file = sink.file;
    let template = names::is_template(&definition.name);
    let (given, command_meant) = known(entries, sink);
    let find = |name: &str| given.iter().find(|(key, _)| key.name == name).map(|&(_, entry)| entry);
    let mut filler = Filler { definition, sink, placeholders: Vec::new() };

    // What a key means, and whether it may be there, depends on the type: first of all.
    let type_entry = find("type");
    for (key, entry) in &given {
        if key.name == "type" {
            value::fill(key, entry, &mut filler);
        }
    }
    let kind = filler.definition.kind;
    let kind_bit = match kind {
        Kind::Longrun => LONGRUN,
        Kind::Oneshot => ONESHOT,
        Kind::Bundle => BUNDLE,
    };
    for &(key, entry) in &given {
        if key.kinds & kind_bit == 0 {
            misplaced(key, kind, entry, type_entry, filler.sink);
        } else if key.kinds == TEMPLATE && !template {
            let message = format_args!("\"{}\" is for templates, and this is none", key.name);
            let help = format_args!("a template's file is called NAME@.svc");
            filler.sink.error(entry.position, message).help(help);
        } else if key.name != "type" {
            value::fill(key, entry, &mut filler);
        }
    }
    for key in KEYS {
        let default = key.default_of(kind == Kind::Oneshot);
        if !default.is_empty() && key.kinds & kind_bit != 0 && find(key.name).is_none() {
            let position = Position { file, ..Position::default() };
            let segments = alloc::vec![Segment { text: default, line: 0, column: 0 }];
            let entry = Entry { key: key.name, position, value_at: position, segments, script: None };
            value::fill(key, &entry, &mut filler);
        }
    }
    let placeholders = filler.placeholders;
    // A set without its type misses that, not a command.
    let command_meant = command_meant || (find("contains").is_some() && type_entry.is_none());
    whole(definition, &find, command_meant, sink);
    expansion(definition, &placeholders, sink);
}

/// The entries with their keys, each key once; and whether a refused one was meant to be the command.
fn known<'e, 't>(entries: &'e [Entry<'t>], sink: &mut Sink<'_>) -> (Vec<(&'static Key, &'e Entry<'t>)>, bool) {
    let mut given: Vec<(&'static Key, &Entry<'_>)> = Vec::new();
    let mut command_meant = false;
    for entry in entries {
        let Some(key) = keys::find(entry.key) else {
            let text = Shown(entry.key);
            let meant = if sink.full() { None } else { keys::meant(entry.key) };
            command_meant |= meant == Some("command");
            let meant = Meant(meant);
            sink.error(entry.position, format_args!("unknown key {text}{meant}"));
            continue;
        };
        if let Some((_, first)) = given.iter().find(|(other, _)| other.name == key.name) {
            let message = format_args!("the key \"{}\" stands here for a second time", key.name);
            let help = format_args!("a long value goes on in indented lines");
            sink.error(entry.position, message).help(help).related(first.position, "first here");
            continue;
        }
        given.push((key, entry));
    }
    (given, command_meant)
}

/// The words of `type`, as `Kind` numbers them.
const KINDS: [&str; 3] = ["longrun", "oneshot", "bundle"];
/// Help where a placeholder is wrong.
const ITSELF: &str = "$${ or '${' is the text itself";

/// The finding for a key that is not for this kind of service.
fn misplaced(key: &Key, kind: Kind, entry: &Entry<'_>, type_entry: Option<&Entry<'_>>, sink: &mut Sink<'_>) {
    let name = KINDS[kind as usize];
    let message = format_args!("\"{}\" is not for a {name}", key.name);
    let finding = sink.error(entry.position, message);
    let only = match key.kinds {
        LONGRUN => KINDS[0],
        ONESHOT => KINDS[1],
        BUNDLE => KINDS[2],
        _ => "",
    };
    if !only.is_empty() {
        let help = if type_entry.is_some() { "" } else { ": add type = " };
        let added = if type_entry.is_some() { "" } else { only };
        finding.help(format_args!("it is for a {only} alone{help}{added}"));
    }
    if let Some(at) = type_entry {
        finding.related(at.position, "its type");
    }
}

/// What only the keys together can tell.
fn whole<'e, 't: 'e>(
    definition: &mut Definition,
    find: &dyn Fn(&str) -> Option<&'e Entry<'t>>,
    command_meant: bool,
    sink: &mut Sink<'_>,
) {
    if definition.kind != Kind::Bundle && find("command").is_none() && !command_meant {
        let whole = sink.whole();
        let message = format_args!("there is no \"command\"");
        let help = format_args!("expected command = /path/to/program ARGUMENT..., or type = bundle");
        sink.error(whole, message).help(help);
    }
    if let Some(entry) = find("for-each")
        && find("instance").is_none()
        && names::is_template(&definition.name)
    {
        sink.error(entry.position, format_args!("\"for-each\" without \"instance\""))
            .help(format_args!("expected the name of an instance, as: instance = ${{IFACE}}"));
    }
    if let Some(entry) = find("instance")
        && find("for-each").is_none()
        && find("start-on").is_none()
        && names::is_template(&definition.name)
    {
        let message = format_args!("\"instance\" without \"for-each\" or \"start-on\": nothing makes an instance");
        sink.error(entry.position, message);
    }
    for (key, expression) in [("start-on", &definition.start_on), ("stop-on", &definition.stop_on)] {
        let leaves = expression.as_ref().map_or(0, |expression| expression.value.leaves());
        if let Some(entry) = find(key)
            && leaves > LATCHES_MAX
        {
            let message =
                format_args!("{leaves} conditions and events in \"{key}\", more than {LATCHES_MAX} (LATCHES_MAX)");
            sink.error(entry.position, message);
        }
    }
    if definition.restart_delay_ms > definition.restart_delay_ms_max {
        match (find("restart-delay"), find("restart-delay-max")) {
            (Some(delay), Some(most)) => {
                let message = format_args!("\"restart-delay\" is above \"restart-delay-max\"");
                sink.error(delay.position, message).related(most.position, "the greatest delay");
            }
            // Only one is given: the other follows it.
            (Some(_), None) | (None, None) => definition.restart_delay_ms_max = definition.restart_delay_ms,
            (None, Some(_)) => definition.restart_delay_ms = definition.restart_delay_ms_max,
        }
    }
}

/// Checks the names in placeholders. Without any, makes the strings what they are.
fn expansion(definition: &mut Definition, placeholders: &[At<String>], sink: &mut Sink<'_>) {
    let template = names::is_template(&definition.name);
    for placeholder in placeholders {
        let name = &placeholder.value;
        if definition.pass.contains(name) || (template && name == "INSTANCE") {
            continue;
        }
        let position = placeholder.position;
        if name == "INSTANCE" {
            sink.error(position, format_args!("${{INSTANCE}} in what is not a template"));
        } else if names::is_variable(name) {
            let message = format_args!("nothing is known as ${{{name}}}");
            let help = format_args!(
                "attributes are named by pass = {name}; $${{ or '${{' is the text itself; variables expand in scripts"
            );
            sink.error(position, message).help(help);
        } else {
            let message = format_args!("{} cannot be the name of an attribute", Shown(name));
            sink.error(position, message).help(format_args!("{ITSELF}"));
        }
    }
    definition.expands = !placeholders.is_empty();
    if definition.expands {
        return;
    }
    each_text(definition, &mut |text| {
        let mut plain = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Literal(part) | Piece::Placeholder(part) | Piece::Unclosed(part) => plain.push_str(part),
            }
        }
        *text = plain;
    });
}

/// The strings of a definition in which placeholders expand.
pub(crate) fn each_text(definition: &mut Definition, with: &mut dyn FnMut(&mut String)) {
    let Definition { command, stop, reload, env, env_file, directory, .. } = definition;
    let lists = [command, env, env_file];
    for text in lists.into_iter().flatten() {
        with(text);
    }
    for action in stop.iter_mut().chain(reload) {
        if let Action::Command(arguments) = action {
            for text in arguments {
                with(text);
            }
        }
    }
    with(directory);
}

pub use value::duration_ms;
