//! The file `access` read: its rules in the form that `access` has, or what is wrong with it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::access::{PRIVATE, verb_named};
use crate::lang::definition::Position;
use crate::lang::diagnostic::{Diagnostic, Meant, Part, error, told};
use crate::nearest::among;
use crate::packed;
use crate::protocol::Verb;
use crate::text::parts;

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
            ["allow", "@" | "@*", ..] => wrong(packed!("no group is named"), &[]),
            ["allow", who, ..] if who.contains(',') => wrong(packed!("one user or group a rule"), &[]),
            ["allow", _, verbs, ref patterns @ ..] => {
                let mut is_right = true;
                for verb in parts(verbs, b',') {
                    match (verb_named(verb), patterns.is_empty()) {
                        (None, _) if Verb::named(verb).is_some() => {
                            wrong(packed!("no rule is about ~: see `status`"), &[Part::Text(verb)]);
                        }
                        (None, _) => {
                            let meant = told(format_args!(
                                "{}",
                                Meant(among(verb, &mut Verb::names().filter(|verb| verb_named(verb).is_some())))
                            ));
                            wrong(packed!("no verb ~%"), &[Part::Text(verb), Part::Text(&meant)]);
                        }
                        (Some(false), false) => {
                            wrong(packed!("~ names nothing: no pattern is wanted"), &[Part::Text(verb)]);
                        }
                        (Some(true), true) => wrong(packed!("what may be named? `*` is all"), &[]),
                        _ => continue,
                    }
                    is_right = false;
                    break;
                }
                if is_right {
                    rules.push(words.join(" "));
                }
            }
            ["allow", ..] => wrong(packed!("a rule is `allow WHO VERB PATTERN...`"), &[]),
            ["status", "private"] => rules.push(String::from(PRIVATE)),
            ["status", "world-readable"] => {}
            ["status", ..] => wrong(packed!("a status is `private` or `world-readable`"), &[]),
            _ => {
                wrong(packed!("~ is no rule: `allow WHO VERB PATTERN...` or `status private`"), &[Part::Text(words[0])])
            }
        }
    }
    rules
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
        let (rules, wrong) = texts(
            "# who\n\nallow  @netdev\temit net-*  # by hand\nallow www restart,stop nginx php-*\nallow 7 shutdown\nstatus world-readable\nstatus  private",
        );
        assert_eq!(
            rules,
            ["allow @netdev emit net-*", "allow www restart,stop nginx php-*", "allow 7 shutdown", "status private"]
        );
        assert!(wrong.is_empty(), "{wrong:?}");
        for (text, expected) in [
            ("deny www stop nginx", "\"deny\" is no rule: `allow WHO VERB PATTERN...` or `status private`"),
            ("allow www", "a rule is `allow WHO VERB PATTERN...`"),
            ("allow www strat nginx", "no verb \"strat\", did you mean \"start\"?"),
            ("allow www memory x", "no rule is about \"memory\": see `status`"),
            ("allow www,root stop x", "one user or group a rule"),
            ("allow www start", "what may be named? `*` is all"),
            ("allow www shutdown now", "\"shutdown\" names nothing: no pattern is wanted"),
            ("allow www stop,events nginx", "no rule is about \"events\": see `status`"),
            ("allow www stop, nginx", "no verb \"\""),
            ("allow www stop,shutdown nginx", "\"shutdown\" names nothing: no pattern is wanted"),
            ("allow @ start x", "no group is named"),
            ("status public", "a status is `private` or `world-readable`"),
        ] {
            assert_eq!(texts(text).1, [expected], "{text}");
        }
    }
}
