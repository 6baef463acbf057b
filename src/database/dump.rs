//! A database as text. Each service as the text of its file, all keys that apply with their values; what the compiler made
//! of the files as comments. `parts` takes the text apart again, and the parts compile to the same database.
//!
//! ```text
//! # pintle dump
//! # format 1, 2000 bytes, checksum 01234567
//! #@ web /etc/pintle/services/web.svc
//! # slot 1, definition 89abcdef
//! type = longrun
//! command = /usr/sbin/web
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Image, NONE, action, exec, header, node, policy, service};
use crate::graph::Relation;
use crate::ident::SlotId;
use crate::lang::definition::{
    Action, At, Attribute, Definition, Expression, Kind, Limit, Log, Position, Readiness, Restart,
};
use crate::lang::write;

/// What the text of a dump begins with.
pub const FIRST_LINE: &str = "# pintle dump\n";
/// What the line before each service begins with; its name and the path of its file follow.
const PART: &str = "#@ ";

/// One service of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'a> {
    /// Its name.
    pub name: &'a str,
    /// Path of the file that it came from.
    pub origin: &'a str,
    /// The text of a service file.
    pub text: &'a str,
}

/// The services of a dump; none where the text is not one. No line of a service's text begins as the line before a service
/// does: what is not a key or a comment of ours is indented.
pub fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let services = if text.starts_with(FIRST_LINE) { text } else { "" };
    let mut rest = next_part(services);
    core::iter::from_fn(move || {
        let (head, text) = rest?.split_once('\n').unwrap_or((rest?, ""));
        rest = next_part(text);
        let (name, origin) = head.split_once(' ').unwrap_or((head, ""));
        let behind = rest.map_or(0, |rest| rest.len() + PART.len());
        Some(Part { name, origin, text: &text[..text.len() - behind] })
    })
}

/// The text behind the first `PART` that stands at the start of a line.
fn next_part(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix(PART) {
        return Some(rest);
    }
    text.match_indices("\n#@ ").next().map(|(at, found)| &text[at + found.len()..])
}

/// Writes all of it.
///
/// # Errors
/// Those of `out`.
pub fn dump(image: &Image<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_str(FIRST_LINE)?;
    let [format, crc] = [header::VERSION, header::CRC].map(|word| image.header(word));
    writeln!(out, "# format {format}, {} bytes, checksum {crc:08x}", image.bytes().len())?;
    let (services, templates) = (image.services(), image.header(header::TEMPLATES));
    writeln!(out, "# {services} services, {templates} of them templates")?;
    for (title, word) in [("environment", header::ENVIRONMENT), ("accounts", header::ACCOUNTS)] {
        let texts = strings(image, image.header(word));
        comment(title, &mut texts.iter().map(String::as_str), out)?;
    }
    let turned = turned(image);
    let mut text = String::new();
    for slot in (0..services).map(SlotId) {
        text.clear();
        write(&definition(image, slot, &turned), &mut text);
        let template = image.service(slot, service::TEMPLATE);
        if template == NONE {
            let origin = image.text(image.service(slot, service::ORIGIN));
            // A path may have any character, a newline too.
            let shown: String =
                origin.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
            writeln!(out, "\n{PART}{} {shown}", image.name(slot))?;
        } else {
            // Whoever names it makes it again; to read it as a file would be a second definition.
            writeln!(out, "\n# {}, made of {}", image.name(slot), image.name(SlotId(template)))?;
        }
        writeln!(out, "# slot {}, definition {:08x}", slot.0, image.service(slot, service::HASH))?;
        for relation in Relation::ALL {
            let sources = image.reverse(slot).filter(|edge| edge.relation == relation);
            let mut names = sources.map(|edge| image.name(edge.slot));
            comment(of_others(relation), &mut names, out)?;
        }
        if template == NONE {
            out.write_str(&text)?;
        } else {
            text.lines().try_for_each(|line| writeln!(out, "#   {line}"))?;
        }
    }
    Ok(())
}

/// How a relation is called from the target's end.
const fn of_others(relation: Relation) -> &'static str {
    match relation {
        Relation::Needs => "needed by",
        Relation::Binds => "bound by",
        Relation::NeedsToStart => "needed to start by",
        Relation::Wants => "wanted by",
        Relation::After => "before",
        Relation::Conflicts => "in conflict with",
        Relation::Contains => "member of",
        Relation::Observes => "in while of",
        Relation::Listens => "in start-on or stop-on of",
    }
}

/// `# title: word word`, in lines of about 100 columns; nothing where there is no word.
fn comment(title: &str, words: &mut dyn Iterator<Item = &str>, out: &mut dyn fmt::Write) -> fmt::Result {
    let mut column = 0;
    for word in words {
        if column == 0 {
            write!(out, "# {title}:")?;
            column = title.len() + 3;
        } else if column + 1 + word.len() > 100 {
            out.write_str("\n#  ")?;
            column = 3;
        }
        write!(out, " {word}")?;
        column += 1 + word.len();
    }
    if column > 0 { out.write_char('\n') } else { Ok(()) }
}

/// Edges that were written in the target's file: (source, relation, target), sorted.
type Turned = Vec<(u32, u32, u32)>;

fn turned(image: &Image<'_>) -> Turned {
    let mut found = Vec::new();
    for slot in (0..image.services()).map(SlotId) {
        for (relation, name) in written(image, slot) {
            if let Some(source) = image.find(name.as_bytes()) {
                found.push((source.0, relation as u32, slot.0));
            }
        }
    }
    found.sort_unstable();
    found
}

/// The relations that a service's file writes from the other end.
fn written<'a>(image: &Image<'a>, slot: SlotId) -> Vec<(Relation, &'a str)> {
    let list = image.list(image.service(slot, service::WRITTEN));
    let pair = |at: usize| Some((Relation::from_number(list.get(at))?, image.text(list.get(at + 1))));
    (0..list.len()).step_by(2).filter_map(pair).collect()
}

fn strings(image: &Image<'_>, list: u32) -> Vec<String> {
    image.list(list).iter().map(|at| String::from(image.text(at))).collect()
}

fn string(image: &Image<'_>, offset: u32) -> String {
    String::from(image.text(offset))
}

fn at<T>(value: T) -> At<T> {
    At { value, position: Position::default() }
}

/// What the file of this service says, but for the order of names and relations that others make superfluous.
fn definition(image: &Image<'_>, slot: SlotId, turned: &[(u32, u32, u32)]) -> Definition {
    let field = |field| image.service(slot, field);
    let flags = field(service::KIND_FLAGS);
    let has = |flag| flags & flag != 0;
    let exec = |word| image.exec(field(service::EXEC), word);
    let policy = |word| image.policy(field(service::POLICY), word);
    let own = image.edges(slot).filter(|edge| {
        let expression = matches!(edge.relation, Relation::Observes | Relation::Listens);
        !expression && turned.binary_search(&(slot.0, edge.relation as u32, edge.slot.0)).is_err()
    });
    let expression = |word| match field(word) {
        NONE => None,
        root => Some(at(expression(image, root))),
    };
    Definition {
        name: String::from(image.name(slot)),
        origin: Position::default(),
        description: string(image, field(service::DESCRIPTION)),
        kind: match flags & 0xff {
            1 => Kind::Oneshot,
            2 => Kind::Bundle,
            _ => Kind::Longrun,
        },
        command: strings(image, field(service::COMMAND)),
        stop: actions(image, field(service::STOP)),
        reload: actions(image, field(service::RELOAD)).pop(),
        relations: own.map(|edge| (edge.relation, at(String::from(image.name(edge.slot))))).collect(),
        inverse_relations: written(image, slot)
            .into_iter()
            .map(|(relation, name)| (relation, at(String::from(name))))
            .collect(),
        while_on: expression(service::WHILE),
        start_on: expression(service::START_ON),
        stop_on: expression(service::STOP_ON),
        for_each: expression(service::FOR_EACH),
        instance: string(image, field(service::INSTANCE)),
        pass: strings(image, field(service::PASS)),
        ready: match policy(policy::READY) {
            1 => Readiness::Descriptor(policy(policy::READY_DESCRIPTOR)),
            2 => Readiness::Notify,
            _ => Readiness::None,
        },
        restart: match policy(policy::RESTART) {
            1 => Restart::OnFailure,
            2 => Restart::Never,
            _ => Restart::Always,
        },
        restart_delay_ms: policy(policy::DELAY_MS),
        restart_delay_ms_max: policy(policy::DELAY_MS_MAX),
        restart_limit: policy(policy::LIMIT),
        restart_window_ms: policy(policy::WINDOW_MS),
        start_timeout_ms: policy(policy::START_TIMEOUT_MS),
        stop_timeout_ms: policy(policy::STOP_TIMEOUT_MS),
        remain: !has(service::flags::NO_REMAIN),
        essential: has(service::flags::ESSENTIAL),
        user: string(image, exec(exec::USER)),
        group: string(image, exec(exec::GROUP)),
        directory: string(image, exec(exec::DIRECTORY)),
        umask: exec(exec::UMASK),
        nice: Some(exec(exec::NICE)).filter(|&nice| nice != 0).map(|nice| nice as i32 - 100),
        oom_score_adj: Some(exec(exec::OOM)).filter(|&adjust| adjust != 0).map(|adjust| adjust as i32 - 2000),
        env: strings(image, exec(exec::ENV)),
        env_file: strings(image, exec(exec::ENV_FILES)),
        limits: limits(image, exec(exec::LIMITS)),
        log: match exec(exec::LOG) {
            1 => Log::Console,
            2 => Log::Null,
            _ => Log::File,
        },
        expands: has(service::flags::EXPANDS),
    }
}

fn actions(image: &Image<'_>, list: u32) -> Vec<Action> {
    let mut words = image.list(list).iter().collect::<Vec<u32>>().into_iter();
    match words.next() {
        Some(action::COMMAND) => alloc::vec![Action::Command(words.map(|word| string(image, word)).collect())],
        Some(_) => words.map(Action::Signal).collect(),
        None => Vec::new(),
    }
}

fn limits(image: &Image<'_>, list: u32) -> Vec<Limit> {
    let list = image.list(list);
    let wide = |at: usize| u64::from(list.get(at)) | u64::from(list.get(at + 1)) << 32;
    (0..list.len())
        .step_by(5)
        .map(|at| Limit { resource: list.get(at), soft: wide(at + 1), hard: wide(at + 3) })
        .collect()
}

/// The tree at this node. The depth of the recursion is bounded by EXPRESSION_NODES_MAX, which `open` has checked.
fn expression(image: &Image<'_>, index: u32) -> Expression {
    let (a, b) = (image.node(index, node::A), image.node(index, node::B));
    let child = |index| Box::new(expression(image, index));
    match image.node(index, node::KIND) {
        node::AND => Expression::And(child(a), child(b)),
        node::OR => Expression::Or(child(a), child(b)),
        node::NOT => Expression::Not(child(a)),
        node::UP => Expression::Up(at(String::from(image.name(SlotId(a))))),
        node::FAILED => Expression::Failed(at(String::from(image.name(SlotId(a))))),
        _ => {
            let list = image.list(b);
            let attributes = (0..list.len()).step_by(3).map(|at| Attribute {
                key: string(image, list.get(at)),
                negated: list.get(at + 1) != 0,
                glob: string(image, list.get(at + 2)),
            });
            Expression::Fact { name: at(string(image, a)), attributes: attributes.collect() }
        }
    }
}
