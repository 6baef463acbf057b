//! Definitions to the bytes of a database. Allocates: it runs in tools, before a boot.
//!
//! `resolve` turns names into slots and makes static instances; `edges` sorts and merges the relations; `cycles` finds
//! what can never come up; `layout` writes. All findings are reported, not the first; where there is one error nothing
//! is made.

mod cycles;
mod edges;
mod instance;
mod layout;
mod resolve;
mod strings;

use alloc::string::String;
use alloc::vec::Vec;

use super::Image;
use crate::graph::Relation;
use crate::lang::definition::{Definition, Kind, Position};
use crate::lang::diagnostic::Part::{Number, Text};
use crate::lang::diagnostic::{Diagnostic, Source, error, fill, has_errors, told};
use crate::lang::keys;
use crate::lang::order::sort;
use crate::limits;
use crate::packed;
use edges::{Edges, Link};
use resolve::{Resolved, Service, resolve, turned_name};

/// What every process starts from: nothing of the shell that happened to call.
pub const ENVIRONMENT: [&str; 1] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

/// Findings that are reported; one more says that there are more.
const FINDINGS_MAX: usize = 1000;

/// Links of a cycle that are named in its message.
const CYCLE_SHOWN_MAX: usize = 16;

/// Links that are kept while reading: more than this many are refused before they are merged.
const LINKS_MAX: usize = limits::EDGES_MAX as usize * 2;

/// A position that is in no file.
const NOWHERE: Position = Position { file: u32::MAX, line: 0, column: 0, length: 0 };

/// The bytes of the database that these definitions make. The same definitions in any order make the same bytes.
///
/// `sources` are the texts that the definitions' positions point into.
///
/// # Errors
/// All findings, in the order of files and lines.
pub fn compile(definitions: Vec<Definition>, sources: &[Source]) -> Result<Vec<u8>, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    compile_with(definitions, &[], sources, &mut findings).ok_or(findings)
}

/// As `compile`, with the findings of those who read the files. Of refused definitions nothing is made, and nothing of
/// all where there is one. But a relation to one of them is not reported as missing, and names in them that are missing
/// are findings, too. `rules` are those of `access`. All findings are added to those that there are, in the order of
/// files and lines.
pub fn compile_with(
    definitions: Vec<Definition>,
    rules: &[String],
    sources: &[Source],
    findings: &mut Vec<Diagnostic>,
) -> Option<Vec<u8>> {
    let first = findings.len();
    let made = make(definitions.leak(), rules, sources, findings);
    let path = |of: &Diagnostic| sources.get(of.position.file as usize).map_or("", |source| source.path.as_str());
    let place = |of: &Diagnostic| (of.position.line, of.position.column);
    sort(&mut findings[first..], &|a, b| {
        let paths = path(a).as_bytes().cmp(path(b).as_bytes());
        paths.then(place(a).cmp(&place(b))).then_with(|| a.text.as_bytes().cmp(b.text.as_bytes()))
    });
    let found = findings.len() - first;
    if found > FINDINGS_MAX {
        findings.truncate(first + FINDINGS_MAX);
        let more = [Number((found - FINDINGS_MAX) as i64)];
        error(findings, &NOWHERE, packed!("there are % more findings"), &more);
    }
    made
}

/// The bytes, if nothing is wrong.
#[inline(never)]
fn make(
    definitions: &'static [Definition],
    rules: &[String],
    sources: &[Source],
    findings: &mut Vec<Diagnostic>,
) -> Option<Vec<u8>> {
    if rules.len() > limits::ACCESS_RULES_MAX {
        let parts = [Number(rules.len() as i64), Number(limits::ACCESS_RULES_MAX as i64)];
        error(findings, &NOWHERE, packed!("% rules of access are more than this pintle holds: %"), &parts);
        return None;
    }
    if definitions.len() > limits::SLOTS_MAX as usize {
        too_many(findings, definitions.len(), limits::SLOTS_MAX, "services", "PINTLE_SLOTS_MAX");
        return None;
    }
    let refused = definitions.iter().any(|definition| definition.refused);
    let mut resolved = resolve(definitions, findings);
    let links = core::mem::take(&mut resolved.links);
    if links.len() > LINKS_MAX {
        too_many(findings, links.len(), limits::EDGES_MAX, "relations", "PINTLE_EDGES_MAX");
        return None;
    }
    let is_template = |service: &Service| crate::names::is_template(service.definition.name);
    let kept = if resolved.services.iter().any(is_template) { limits::INSTANCES_MAX } else { 0 };
    let slots = resolved.services.len() + kept as usize;
    if slots > limits::SLOTS_MAX as usize && !has_errors(findings) {
        let what = if kept > 0 { "services, with the slots that are kept for instances," } else { "services" };
        too_many(findings, slots, limits::SLOTS_MAX, what, "PINTLE_SLOTS_MAX");
    }
    let edges = Edges::new(resolved.services.len(), links);
    if edges.len() > limits::EDGES_MAX as usize {
        too_many(findings, edges.len(), limits::EDGES_MAX, "relations", "PINTLE_EDGES_MAX");
    }
    check_edges(&resolved, &edges, sources, findings);
    if refused || has_errors(findings) {
        return None;
    }
    let bytes = layout::write(&resolved, &edges, rules, sources, findings)?;
    // What a definition that `lang` took cannot cause. Better refused here than by process 1.
    if let Err(fault) = Image::open(&bytes) {
        let fault = told(format_args!("{fault}"));
        error(
            findings,
            &NOWHERE,
            packed!("these definitions make a database that would be refused: %"),
            &[Text(&fault)],
        );
        return None;
    }
    Some(bytes)
}

#[inline(never)]
fn too_many(findings: &mut Vec<Diagnostic>, found: usize, limit: u32, what: &str, name: &str) {
    let text = if name.is_empty() {
        packed!("% % are more than this pintle holds: %")
    } else {
        packed!("% % are more than this pintle holds: %\n% sets this limit when pintle is built")
    };
    error(findings, &NOWHERE, text, &[Number(found as i64), Text(what), Number(limit.into()), Text(name)]);
}

/// What the relations of all say together.
#[inline(never)]
fn check_edges(resolved: &Resolved, edges: &Edges, sources: &[Source], findings: &mut Vec<Diagnostic>) {
    for link in edges.all() {
        let (source, target) =
            (resolved.services[link.source as usize].definition, resolved.services[link.target as usize].definition);
        let (from, to) = (source.name, target.name);
        match link.relation {
            Relation::Needs | Relation::Binds | Relation::NeedsToStart | Relation::Alternative => {
                if target.kind == Kind::Oneshot && target.number(keys::REMAIN) == 0 {
                    let help = match link.relation {
                        Relation::Alternative => "let it remain, or take it out",
                        _ => "only start it (wants, after), or let it remain",
                    };
                    let text = packed!("% % %, which is never up: it has remain = no\n%");
                    error(findings, &link.position, text, &[Text(from), Text(key(link)), Text(to), Text(help)]);
                }
            }
            Relation::Contains => {
                if source.kind != Kind::Bundle {
                    let text = packed!("% contains %, but is no bundle");
                    error(findings, &link.position, text, &[Text(from), Text(to)]);
                }
            }
            Relation::Conflicts => {
                if link.source == link.target {
                    error(findings, &link.position, packed!("% conflicts with itself"), &[Text(from)]);
                }
            }
            Relation::Wants | Relation::After | Relation::Observes | Relation::Listens => {}
        }
    }
    cycles::find(edges, &mut |cycle| {
        let text = path_text(cycle, resolved, sources);
        let message = packed!(
            "dependency cycle: %\n\
             none of them could ever start; take away one of these relations"
        );
        error(findings, &cycle[0].position, message, &[Text(&text)]);
    });
    cycles::contradictions(edges, &mut |path, conflict| {
        let text = path_text(path, resolved, sources);
        let (from, to) = (resolved.name(conflict.source), resolved.name(conflict.target));
        // Who chooses does not know who asks, so it may choose that one.
        let may = path.iter().any(|link| link.relation == Relation::Alternative);
        let what =
            if may { "conflicts with what it may choose" } else { "can never start, it conflicts with what it needs" };
        let parts = [Text(from), Text(what), Text(&text), Text(from), Text(to)];
        error(findings, &path[0].position, packed!("% %: %\n\nhere % conflicts with %"), &parts)
            .related(&conflict.position);
    });
}

/// The word between the two names of a link.
fn key(link: &Link) -> &'static str {
    match link.relation {
        Relation::Observes => "watches",
        Relation::Listens => "listens to",
        Relation::Alternative => "may choose",
        other => other.name(),
    }
}

/// `a needs b (a.svc:3), b after c (before in c.svc:4), ...`
#[inline(never)]
fn path_text(path: &[Link], resolved: &Resolved, sources: &[Source]) -> String {
    let mut out = String::new();
    let skipped = if path.len() > CYCLE_SHOWN_MAX { CYCLE_SHOWN_MAX - 1..path.len() - 1 } else { 0..0 };
    for (at, link) in path.iter().enumerate() {
        if skipped.contains(&at) {
            if at == skipped.start {
                fill(&mut out, packed!(", and % more"), &[Number(skipped.len() as i64)]);
            }
            continue;
        }
        let place = sources.get(link.position.file as usize).map_or("?", |source| source.path.as_str());
        let turned = link.turned && link.relation != Relation::Conflicts;
        let (key_there, within) = if turned { (turned_name(link.relation), " in ") } else { ("", "") };
        let parts = [
            Text(if at > 0 { ", " } else { "" }),
            Text(resolved.name(link.source)),
            Text(key(link)),
            Text(resolved.name(link.target)),
            Text(key_there),
            Text(within),
            Text(place),
            Number(link.position.line.into()),
        ];
        fill(&mut out, packed!("%% % % (%%%:%)"), &parts);
    }
    out
}
