//! A database as text. Each service as the text of its file, all keys that apply with their values; what the compiler made
//! of the files as comments. `parts` takes the text apart again, and the parts compile to the same database.
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
use crate::text::{Hex, cut, ended, nth};

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
    let (format, crc) = (image.header(header::VERSION), image.header(header::CRC));
    let (services, templates, bytes) = (image.services(), image.header(header::TEMPLATES), image.bytes().len());
    writeln!(out, "{FIRST_LINE}# format {format}, {bytes} bytes, checksum {}", Hex(crc.into(), 8))?;
    writeln!(out, "# {services} services, {templates} of them templates")?;
    // A service at a time.
    let (mut text, mut own) = (String::new(), String::new());
    for (title, list) in &[("environment", header::ENVIRONMENT), ("accounts", header::ACCOUNTS)] {
        let mut line = Line::new(&mut text, "# ", title, ":");
        line.words(image, image.header(*list));
        line.end();
    }
    for slot in (0..services).map(SlotId) {
        let (name, template) = (image.name(slot), image.service(slot, service::TEMPLATE));
        let is_choice = image.flags(slot) & service::flags::CHOICE != 0;
        let made = template != NONE || is_choice;
        own.clear();
        source::write(image, slot, &mut own);
        if !made {
            text.extend(["\n", PART, name, " "]);
            // A path may have any character, a newline too.
            for c in image.text(image.service(slot, service::ORIGIN)).chars() {
                text.push(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
            }
        } else if is_choice {
            // Whoever names or provides it makes it again.
            text.extend(["\n# ", name, ", a choice of"]);
            for edge in image.edges(slot) {
                text.push(' ');
                text.push_str(image.name(edge.slot));
            }
        } else {
            // Whoever names it makes it again; to read it as a file would be a second definition.
            text.extend(["\n# ", name, ", made of ", image.name(SlotId(template))]);
        }
        let _ = writeln!(text, "\n# slot {}, definition {}", slot.0, Hex(image.service(slot, service::HASH).into(), 8));
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
                text.push_str("#   ");
                text.push_str(line);
                text.push('\n');
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
