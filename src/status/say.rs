//! What is said of a service or of the machine, to people and to programs: templates with fields.
//!
//! A field is a letter: `$x` says it, `%x` as a string of JSON (RFC 8259), `#x` as another value of JSON, `null` where
//! it has nothing to say. Of `<...|...>` the part before the bar is said if its first field has something to say, else
//! the part behind the bar, if there is one. All else is said as it is. Templates are ASCII and not nested.

use core::fmt::{self, Write};

use super::words::{Age, Span};
use super::{Paint, Row, View};
use crate::board::published::ConditionRow;
use crate::ident::SlotId;
use crate::packed;
use crate::packed::Packed;
use crate::text::Hex;
use crate::time::Instant;

/// Everything about one service, without the lines of its log.
const SERVICE: Packed = packed!(
    "\
    $n: $p< for $a, since $c><\n  $D>\n\
    <  process    $i\n>\
    <  command    $x (pre-start, stop, reload, cleanup or check)\n>\
    \x20 goal       $g$h\
    <\n  since      $6>\
    <\n  chosen     $Y>\
    <\n  because    $b>\
    <\n  status     $0>\
    <\n  deadline   in $l>\
    <\n  last exit  $e>\
    <\n  attempt    $A of $M>\
    <\n  queued     $8>\
    <\n  cleanup    $O>\
    <\n  restarts   $r><; $d of $M deaths within $W>\
    <$B\n  limits     start $S, stop $T>\
    <, watchdog $+>\
    \n  file       <$f|none>\n"
);

/// The same for programs. Times are seconds since 1970 (UTC).
const SERVICE_JSON: Packed = packed!(
    "{\
    \"name\":%n,\"type\":%k,\"phase\":%P,\"since\":#u,\"goal\":%g,\"transaction\":#3,\"holds\":[$H],\"marks\":[$m],\"pid\":#i,\"why\":%w,\"chosen\":<%Y|null>,\"status\":<%!|null>,\
    \"last_exit\":<{$K\"text\":%E}|null>,\"restarts\":$R,\"attempt\":#A,\"queued\":$9,\"lives\":$y,\"start_timeout_ms\":$1,\"stop_timeout_ms\":$2,\
    \"watchdog_ms\":#=,\"deadline_in_ms\":#j,\"description\":%D,\"file\":%f,\"log\":%G}"
);

/// The machine at a glance.
const MACHINE: Packed = packed!(
    "\
    boot        <$0no bundle was booted><$1: under way for $A><$2: $G, $a after start, at $c>$d\n\
    <current     $C\n>\
    services    $n$s<; at most $L start at once>$f\n\
    supervisor  <process $v for $A|not running$x; this is what it reported last>; $r recoveries, \
    $m allocations after start<, $o orphans reaped><$w>\n\
    engine      <process $e|not running$X>; $l so far, $k allocations after start\n\
    <$Nnote        supervisor and engine share one uid: they are separated against faults, not attack\n>\
    <stray       $z\n>"
);

/// The same for programs.
const MACHINE_JSON: Packed = packed!(
    "{\
    \"boot\":<{\"bundle\":%b,\"reached\":$R,\"good\":$g,\"since\":#u}|null>,\"current\":<%B|null>,\"shutting_down\":$D,\
    \"services\":{$S},\"failed\":[$F],\
    \"supervisor\":{\"alive\":$V,\"pid\":#v,\"recoveries\":$r,\"allocations\":$m,\"orphans\":$o,\"since\":#U},\
    \"parallel\":$P,\"engine\":{\"alive\":$E,\"pid\":#e,\"lives\":$l,\"allocations\":$k},\"one_uid\":$O,\"control_groups\":$W,\"stray\":[$z]}"
);

/// The first columns of a line of `list`, each with its width; 0 is that of the longest name.
const COLUMNS: [(Packed, usize); 4] =
    [(packed!("$n"), 0), (packed!("  $p"), 2 + 10), (packed!("<  $a>"), 2 + 12), (packed!("<  $i>"), 2 + 7)];

/// A condition that is on or changing.
const CONDITION: Packed =
    packed!("$f  $v for $a, since $c, by process $i< ($P)> of uid $o<$l, while it lives>; generation $g\n");

/// The same for programs.
const CONDITION_JSON: Packed = packed!(
    "{\
    \"name\":%n,\"attributes\":{$A},\"value\":%v,\"since\":$u,\"generation\":$g,\"pid\":$i,\"uid\":$o,\
    \"leased\":$L,\"program\":<%P|null>}"
);

/// What a template is about.
#[derive(Clone, Copy)]
pub struct Saying<'v> {
    /// All there is to look at.
    pub view: &'v View<'v>,
    /// What is looked at.
    pub about: About<'v>,
    /// Whether phases are coloured.
    pub paint: Paint,
    /// What the view does not know: where the service's log is, the name of the program that holds the condition, what
    /// services have left behind.
    pub known: &'v str,
}

/// What fields belong to.
#[derive(Clone, Copy)]
pub enum About<'v> {
    /// The machine.
    Machine,
    /// A service.
    Service(&'v Row<'v>),
    /// A condition.
    Condition(&'v ConditionRow),
}

/// What a field has to say.
pub enum Said<'s> {
    /// It has said it, if it had something to say.
    Done(bool),
    /// Nothing, if it is empty.
    Text(&'s str),
    /// A number or a time.
    Value(How, u64),
}

/// How a number or a time is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// As a number.
    Number,
    /// A time in seconds.
    Seconds,
    /// A time in milliseconds.
    Span,
    /// As a number; 0 counts as nothing, here and in the next ones.
    Count,
    /// How long ago an instant was.
    Age,
    /// When, by the clock.
    Clock,
    /// When, in seconds since 1970.
    Unix,
}

/// Takes everything and counts its characters.
struct Width(usize);

impl Write for Width {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.bytes().filter(|byte| byte & 0xc0 != 0x80).count();
        Ok(())
    }
}

/// Writes a text as a string of JSON.
pub fn write_json_text(out: &mut dyn Write, text: &str) {
    let _ = out.write_char('"').and_then(|()| Escaped(out).write_str(text)).and_then(|()| out.write_char('"'));
}

struct Escaped<'w>(&'w mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.write_char('\\').and_then(|()| self.0.write_char(character)),
                '\n' => self.0.write_str("\\n"),
                '\t' => self.0.write_str("\\t"),
                '\0'..' ' | '\x7f' => write!(self.0, "\\u{}", Hex(character.into(), 4)),
                plain => self.0.write_char(plain),
            }?;
        }
        Ok(())
    }
}

impl View<'_> {
    /// Says a template about a service. What `out` refuses is `out`'s to remember, here and in the next ones.
    #[inline(never)]
    pub fn say(&self, out: &mut dyn Write, row: &Row<'_>, template: Packed) {
        Saying { view: self, about: About::Service(row), paint: Paint::Plain, known: "" }.say(out, template);
    }

    /// Everything about one service, without the lines of its log.
    pub fn write_service(&self, out: &mut dyn Write, row: &Row<'_>, paint: Paint) {
        Saying { view: self, about: About::Service(row), paint, known: "" }.say(out, SERVICE);
    }

    /// The same for programs, an object of JSON. `log` is where its log is.
    pub fn write_service_json(&self, out: &mut dyn Write, row: &Row<'_>, log: &str) {
        Saying { view: self, about: About::Service(row), paint: Paint::Plain, known: log }.say(out, SERVICE_JSON);
    }

    /// One line a service: name, phase, age, process, and why it is not up.
    #[inline(never)]
    pub fn write_lines(&self, out: &mut dyn Write, slots: &[SlotId], paint: Paint) {
        let mut longest = 0;
        for (_, name) in slots.iter().filter_map(|slot| self.name(*slot)) {
            let mut width = Width(0);
            name.write(&mut width);
            longest = longest.max(width.0);
        }
        for row in slots.iter().filter_map(|slot| self.row(*slot)) {
            let mut saying = Saying { view: self, about: About::Service(&row), paint, known: "" };
            for (template, width) in COLUMNS {
                saying.paint = Paint::Plain;
                let mut taken = Width(0);
                saying.say(&mut taken, template);
                saying.paint = paint;
                // Numbers, which may be missing, stand on the right.
                let right = template.bytes().next() == Some(b'<');
                if !right {
                    saying.say(out, template);
                }
                for _ in taken.0..width.max(longest * usize::from(width == 0)) {
                    let _ = out.write_char(' ');
                }
                if right {
                    saying.say(out, template);
                }
            }
            saying.say(out, packed!("<  $X><  $Z><  by $Y>\n"));
        }
    }

    /// The machine at a glance. `strays` are processes that services have left behind, in words.
    pub fn write_machine(&self, out: &mut dyn Write, strays: &str, paint: Paint) {
        Saying { view: self, about: About::Machine, paint, known: strays }.say(out, MACHINE);
    }

    /// The same for programs, an object of JSON. `strays` are objects with commas between.
    pub fn write_machine_json(&self, out: &mut dyn Write, strays: &str) {
        Saying { view: self, about: About::Machine, paint: Paint::Plain, known: strays }.say(out, MACHINE_JSON);
    }

    /// A condition, as a line for people or as an object of JSON. `program` is the name of the program that holds it,
    /// empty where that is not known.
    pub fn write_condition(&self, out: &mut dyn Write, row: &ConditionRow, program: &str, json: bool) {
        self.say_condition(out, row, program, if json { CONDITION_JSON } else { CONDITION });
    }

    /// Says a template about a condition.
    #[inline(never)]
    pub(super) fn say_condition(&self, out: &mut dyn Write, row: &ConditionRow, program: &str, template: Packed) {
        Saying { view: self, about: About::Condition(row), paint: Paint::Plain, known: program }.say(out, template);
    }
}

impl Saying<'_> {
    /// Says a template.
    pub fn say(&self, out: &mut dyn Write, template: Packed) {
        let mut rest = template.bytes();
        // In the part of `<...|...>` that is left out.
        let mut silent = false;
        while let Some(byte) = rest.next() {
            let _ = match byte {
                b'<' => {
                    let mut inner = rest.clone();
                    let field = inner.find(|byte| matches!(byte, b'$' | b'%' | b'#')).and_then(|_| inner.next());
                    silent = !field.is_some_and(|field| self.field(&mut Width(0), field));
                    Ok(())
                }
                b'|' => {
                    silent = !silent;
                    Ok(())
                }
                b'>' => {
                    silent = false;
                    Ok(())
                }
                _ if silent => Ok(()),
                b'$' | b'%' | b'#' => {
                    let field = rest.next().unwrap_or_default();
                    match byte {
                        b'%' => {
                            let _ = out.write_char('"');
                            self.field(&mut Escaped(out), field);
                            out.write_char('"')
                        }
                        b'#' if !self.field(&mut Width(0), field) => out.write_str("null"),
                        _ => {
                            self.field(out, field);
                            Ok(())
                        }
                    }
                }
                plain => out.write_char(plain.into()),
            };
        }
    }

    /// Says a field; gives whether it has something to say.
    fn field(&self, out: &mut dyn Write, field: u8) -> bool {
        let said = match self.about {
            About::Service(row) => self.of_service(out, row, field),
            About::Machine => self.of_machine(out, field),
            About::Condition(row) => self.of_condition(out, row, field),
        };
        let (how, value) = match said {
            Said::Done(there) => return there,
            Said::Text(text) => return out.write_str(text).is_ok() && !text.is_empty(),
            Said::Value(how, value) => (how, value),
        };
        let clock = self.view.clock(Instant(value));
        let _ = match how {
            How::Number | How::Count => write!(out, "{value}"),
            How::Seconds => write!(out, "{}", Age(value)),
            How::Span => write!(out, "{}", Span(value as u32)),
            How::Age => write!(out, "{}", self.view.age(Instant(value))),
            How::Clock => write!(out, "{clock}"),
            How::Unix => write!(out, "{}", clock.at),
        };
        value != 0 || matches!(how, How::Number | How::Seconds | How::Span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn strings_of_json_are_escaped() {
        let mut out = String::new();
        let _ = Escaped(&mut out).write_str("q\" b\\ n\n t\t e\x1b d\x7f \u{e4}\u{20ac}");
        assert_eq!(out, "q\\\" b\\\\ n\\n t\\t e\\u001b d\\u007f \u{e4}\u{20ac}");
    }
}
