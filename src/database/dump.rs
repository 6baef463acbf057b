//! A database as text. Each service as the text of its file, all keys that apply with their values; what the compiler
//! made of the files as comments. `parts` takes the text apart again, and the parts compile to the same database.
//!
//! ```text
//! # pintle dump
//! # format 2, 2000 bytes, checksum 01234567
//! #@ web /etc/pintle/services/web.svc
//! # slot 1, definition 89abcdef
//! type = longrun
//! command = /usr/sbin/web
//! ```

use alloc::string::String;
use core::fmt::{self, Write};

use super::source::{self, Line};
use super::{Image, NONE, header, service};
use crate::graph::Relation;
use crate::ident::SlotId;
use crate::lang::diagnostic::Part::{Number, Text};
use crate::lang::diagnostic::fill;
use crate::packed;
use crate::text::{cut, ended, nth, put};

/// What the text of a dump begins with.
pub const FIRST_LINE: &str = "# pintle dump\n";
/// What the line before each service begins with; its name and the path of its file follow.
const PART: &str = "#@ ";

/// The name of the part that has the rules of `access`: no service is called so.
pub const ACCESS: &str = "@access";

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

/// The services of a dump; none where the text is not one. No line of a service's text begins as the line before a
/// service does: what is not a key or a comment of ours is indented.
pub fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let services = if text.starts_with(FIRST_LINE) { text } else { "" };
    let (_, mut rest) = next_part(services);
    core::iter::from_fn(move || {
        let (head, behind) = cut(rest?, b'\n').unwrap_or((rest?, ""));
        let (name, origin) = cut(head, b' ').unwrap_or((head, ""));
        let text;
        (text, rest) = next_part(behind);
        Some(Part { name, origin, text })
    })
}

/// The text up to the first `PART` that stands at the start of a line, and what is behind that.
#[inline(never)]
fn next_part(text: &str) -> (&str, Option<&str>) {
    let mut rest = text;
    loop {
        if let Some(behind) = rest.strip_prefix(PART) {
            return (&text[..text.len() - rest.len()], Some(behind));
        }
        match cut(rest, b'\n') {
            Some((_, next)) => rest = next,
            None => return (text, None),
        }
    }
}

/// Writes all of it.
///
/// # Errors
/// Those of `out`.
#[inline(never)]
pub fn dump(image: &Image<'_>, out: &mut dyn Write) -> fmt::Result {
    let header = |word| Number(image.header(word).into());
    // A service at a time.
    let (mut text, mut own) = (String::from(FIRST_LINE), String::new());
    fill(
        &mut text,
        packed!("# format %, % bytes, checksum &\n# % services, % of them templates\n"),
        &[
            header(header::VERSION),
            Number(image.bytes().len() as i64),
            header(header::CRC),
            header(header::SERVICES),
            header(header::TEMPLATES),
        ],
    );
    for (title, list) in &[("environment", header::ENVIRONMENT), ("accounts", header::ACCOUNTS)] {
        let mut line = Line::new(&mut text, "# ", title, ":");
        line.words(image, image.header(*list));
        line.end();
    }
    let rules = image.list(image.header(header::ACCESS));
    if !rules.is_empty() {
        put(&mut text, &["\n", PART, ACCESS, " access\n"]);
    }
    for at in 0..rules.len() {
        put(&mut text, &[image.text(rules.get(at)), "\n"]);
    }
    for slot in (0..image.services()).map(SlotId) {
        let (name, template) = (image.name(slot), image.service(slot, service::TEMPLATE));
        let is_choice = image.flags(slot) & service::flags::CHOICE != 0;
        let made = template != NONE || is_choice;
        own.clear();
        source::write(image, slot, &mut own);
        let (head, other) = if !made {
            // A path may have any character, a newline too: not in a part.
            (packed!("\n#@ % %"), image.text(image.service(slot, service::ORIGIN)))
        } else if is_choice {
            // Whoever names or provides it makes it again.
            (packed!("\n# %, a choice of"), "")
        } else {
            // Whoever names it makes it again; to read it as a file would be a second definition.
            (packed!("\n# %, made of %"), image.name(SlotId(template)))
        };
        fill(&mut text, head, &[Text(name), Text(other)]);
        if is_choice {
            for edge in image.edges(slot) {
                put(&mut text, &[" ", image.name(edge.slot)]);
            }
        }
        let hash = image.service(slot, service::HASH);
        fill(&mut text, packed!("\n# slot %, definition &\n"), &[Number(slot.0.into()), Number(hash.into())]);
        for &relation in &Relation::ALL {
            let mut line = Line::new(&mut text, "# ", of_others(relation), ":");
            for edge in image.reverse(slot) {
                if edge.relation == relation {
                    line.word(image.name(edge.slot));
                }
            }
            line.end();
        }
        if !made {
            text.push_str(&own);
        } else if !is_choice {
            for line in ended(&own, b'\n') {
                put(&mut text, &["#   ", line, "\n"]);
            }
        }
        out.write_str(&text)?;
        text.clear();
    }
    out.write_str(&text)
}

/// How a relation is called from the target's end.
fn of_others(relation: Relation) -> &'static str {
    const WORDS: &str = "needed by,bound by,needed to start by,wanted by,before,in conflict with,member of,in while of,\
                         in start-on or stop-on of,alternative of";
    nth(WORDS, b',', relation as usize)
}
