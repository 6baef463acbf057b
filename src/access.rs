//! Who may ask for what, of those who are neither root nor the user of pintle: the rules of a file `access`.
//!
//! A rule is a line, `allow WHO VERB PATTERN...`. WHO is a user or, behind `@`, a group, each by name or number; `*` is
//! everybody. VERB is one of pintle-control(7), `*` is all of them. Each service that a request names has to match one
//! of the patterns (glob(7)), and of `emit`, `on`, `off`, `hold` and `changing` the event or condition, without its
//! attributes. `shutdown` names nothing: there a rule has no pattern. A rule is about what is named: what that needs is
//! started with it, and what needs it is stopped with it, as ever.
//!
//! What no rule allows is refused. To look is not asked for here.

use alloc::string::String;
use alloc::vec::Vec;

use crate::glob::glob_matches;
use crate::lang::definition::Position;
use crate::lang::diagnostic::{Diagnostic, Meant, Part, error, told};
use crate::limits::ACCESS_RULES_MAX;
use crate::nearest::among;
use crate::packed;
use crate::protocol::Verb;
use crate::text::parts;

/// Everybody, or every verb.
const ALL: &str = "*";

/// The rules of a text, each with one blank between its words. What is wrong is added to `findings`, by `file`.
#[inline(never)]
pub fn parse(text: &str, file: u32, findings: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut rules = Vec::new();
    for (line, text) in (1..).zip(parts(text, b'\n')) {
        let words: Vec<&str> = text.split_ascii_whitespace().take_while(|word| !word.starts_with('#')).collect();
        if words.is_empty() {
            continue;
        }
        let position = Position { file, line, column: 1, length: text.len() as u32 };
        let mut wrong = |text, parts: &[Part<'_>]| {
            error(findings, &position, text, parts);
        };
        match words[..] {
            ["allow", who, verb, ref patterns @ ..] => match (verb_named(verb), patterns.is_empty()) {
                _ if matches!(who, "@" | "@*") => wrong(packed!("no group is named"), &[]),
                (None, _) => {
                    let meant = told(format_args!("{}", Meant(among(verb, &mut Verb::names()))));
                    wrong(packed!("no verb ~%"), &[Part::Text(verb), Part::Text(&meant)]);
                }
                (Some(false), false) => wrong(packed!("~ names nothing: no pattern is wanted"), &[Part::Text(verb)]),
                (Some(true), true) => wrong(packed!("what may be named? `*` is all"), &[]),
                _ => rules.push(words[1..].join(" ")),
            },
            ["allow", ..] => wrong(packed!("a rule is `allow WHO VERB PATTERN...`"), &[]),
            _ => wrong(packed!("~ is no rule: `allow WHO VERB PATTERN...`"), &[Part::Text(words[0])]),
        }
    }
    if rules.len() > ACCESS_RULES_MAX {
        let position = Position { file, line: 1, column: 1, length: 0 };
        let parts = [Part::Number(rules.len() as i64), Part::Number(ACCESS_RULES_MAX as i64)];
        error(findings, &position, packed!("% rules are more than this pintle holds: %"), &parts);
    }
    rules
}

/// Whether a verb names something; `None`: it is none that is asked for.
fn verb_named(verb: &str) -> Option<bool> {
    match Verb::named(verb) {
        _ if verb == ALL => Some(true),
        Some(Verb::Shutdown) => Some(false),
        Some(Verb::Await | Verb::Follow | Verb::Events | Verb::Journal | Verb::Memory) | None => None,
        Some(_) => Some(true),
    }
}

/// Whether a rule lets somebody ask this verb of what is named. `is_one` says whether he is the user, or in the group
/// behind `@`.
#[inline(never)]
pub fn allows<'n>(
    rule: &str,
    verb: Verb,
    named: &mut dyn Iterator<Item = &'n [u8]>,
    is_one: &mut dyn FnMut(&str) -> bool,
) -> bool {
    let mut words = parts(rule, b' ');
    let (Some(who), Some(allowed)) = (words.next(), words.next()) else { return false };
    let patterns = words;
    (allowed == ALL || Verb::named(allowed) == Some(verb))
        && verb != Verb::Memory
        && core::iter::from_fn(|| named.next())
            .all(|name| patterns.clone().any(|pattern| glob_matches(pattern.as_bytes(), name)))
        && (who == ALL || is_one(who))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> (Vec<String>, Vec<String>) {
        let mut findings = Vec::new();
        let rules = parse(text, 0, &mut findings);
        (rules, findings.into_iter().map(|finding| finding.text).collect())
    }

    #[test]
    fn a_rule_is_a_line() {
        let (rules, wrong) =
            texts("# who\n\nallow  @netdev\temit net-*  # by hand\nallow www restart nginx php-*\nallow 7 shutdown");
        assert_eq!(rules, ["@netdev emit net-*", "www restart nginx php-*", "7 shutdown"]);
        assert!(wrong.is_empty(), "{wrong:?}");
        for (text, expected) in [
            ("deny www stop nginx", "\"deny\" is no rule: `allow WHO VERB PATTERN...`"),
            ("allow www", "a rule is `allow WHO VERB PATTERN...`"),
            ("allow www strat nginx", "no verb \"strat\", did you mean \"start\"?"),
            ("allow www memory", "no verb \"memory\""),
            ("allow www start", "what may be named? `*` is all"),
            ("allow www shutdown now", "\"shutdown\" names nothing: no pattern is wanted"),
            ("allow @ start x", "no group is named"),
        ] {
            assert_eq!(texts(text).1, [expected], "{text}");
        }
    }

    #[test]
    fn all_that_is_named_has_to_match() {
        let allowed = |rule: &str, verb, named: &[&str]| {
            allows(rule, verb, &mut named.iter().map(|name| name.as_bytes()), &mut |who| who == "www")
        };
        assert!(allowed("www restart nginx php-*", Verb::Restart, &["nginx", "php-fpm"]));
        assert!(!allowed("www restart nginx php-*", Verb::Restart, &["nginx", "sshd"]));
        assert!(!allowed("www restart nginx", Verb::Stop, &["nginx"]));
        assert!(!allowed("www restart nginx", Verb::RestartWithDependents, &["nginx"]));
        assert!(!allowed("@www restart nginx", Verb::Restart, &["nginx"]));
        assert!(allowed("* emit net-*", Verb::Emit, &["net-up"]));
        assert!(allowed("www * *", Verb::Signal, &["nginx"]));
        assert!(allowed("www shutdown", Verb::Shutdown, &[]) && allowed("* * *", Verb::Shutdown, &[]));
        assert!(!allowed("* * *", Verb::Memory, &[]));
    }
}
