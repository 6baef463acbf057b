//! Who may ask for what, and see what, of those who are neither root nor the user of pintle: the rules of a file
//! `access`.
//!
//! `allow WHO VERB[,VERB...] PATTERN...` is a line of it. WHO is a user or, behind `@`, a group, each by name or number;
//! `*` is everybody. VERB is one of pintle-control(7), `*` is all of them. Each service that a request names has to
//! match one of the patterns (glob(7)), and of `emit`, `on`, `off`, `hold` and `changing` the event or condition,
//! without its attributes. `shutdown` names nothing: there a rule has no pattern. A rule is about what is named: what
//! that needs is started with it, and what needs it is stopped with it, as ever. What no rule allows is refused.
//!
//! Everybody may look, until there is a line `status private`: then only root and the user of pintle may, and who is
//! allowed something is told how that went.

use crate::database::{Image, header};
use crate::glob::glob_matches;
use crate::protocol::Verb;
use crate::text::parts;

/// Everybody, or every verb.
pub const ALL: &str = "*";
/// The rule that lets nobody else look.
pub const PRIVATE: &str = "status private";

/// Whether a verb names something; `None`: it is none that is asked for.
pub fn verb_named(verb: &str) -> Option<bool> {
    if verb == ALL {
        return Some(true);
    }
    Verb::named(verb).filter(|verb| is_asked_for(*verb)).map(|verb| verb != Verb::Shutdown)
}

/// Whether rules are about it. The engine's memory is for nobody else.
fn is_asked_for(verb: Verb) -> bool {
    !verb.looks() && verb != Verb::Memory
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
    let mut patterns = parts(rule, b' ');
    let (Some("allow"), Some(who), Some(verbs)) = (patterns.next(), patterns.next(), patterns.next()) else {
        return false;
    };
    parts(verbs, b',').any(|allowed| allowed == ALL || Verb::named(allowed) == Some(verb))
        && is_asked_for(verb)
        && core::iter::from_fn(|| named.next())
            .all(|name| patterns.clone().any(|pattern| glob_matches(pattern.as_bytes(), name)))
        && (who == ALL || is_one(who))
}

/// Whether a rule lets somebody ask for anything.
pub fn is_for(rule: &str, is_one: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut words = parts(rule, b' ');
    words.next() == Some("allow") && words.next().is_some_and(|who| who == ALL || is_one(who))
}

/// Whether a rule says that nobody else may look.
pub fn is_private(rule: &str) -> bool {
    rule == PRIVATE
}

/// What holds of some rule of a database.
fn any(image: &Image<'_>, holds: fn(&str) -> bool) -> bool {
    image.list(image.header(header::ACCESS)).iter().any(|rule| holds(image.text(rule)))
}

/// The permissions of files that show how services are.
pub fn file_mode(image: &Image<'_>) -> u32 {
    if any(image, is_private) { 0o600 } else { 0o644 }
}

/// The permissions of the control socket: of those who may connect, the engine knows what each may ask.
pub fn socket_mode(image: &Image<'_>) -> u32 {
    if any(image, is_private) && !any(image, |rule| !is_private(rule)) { 0o600 } else { 0o666 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_named_has_to_match() {
        let allowed = |rule: &str, verb, named: &[&str]| {
            allows(rule, verb, &mut named.iter().map(|name| name.as_bytes()), &mut |who| who == "www")
        };
        assert!(allowed("allow www restart nginx php-*", Verb::Restart, &["nginx", "php-fpm"]));
        assert!(!allowed("allow www restart nginx php-*", Verb::Restart, &["nginx", "sshd"]));
        assert!(!allowed("allow www restart nginx", Verb::Stop, &["nginx"]));
        assert!(!allowed("allow www restart nginx", Verb::RestartWithDependents, &["nginx"]));
        assert!(!allowed("allow @www restart nginx", Verb::Restart, &["nginx"]));
        assert!(allowed("allow * emit net-*", Verb::Emit, &["net-up"]));
        assert!(allowed("allow www * *", Verb::Signal, &["nginx"]));
        assert!(allowed("allow www shutdown", Verb::Shutdown, &[]) && allowed("allow * * *", Verb::Shutdown, &[]));
        assert!(allowed("allow www stop,restart nginx", Verb::Restart, &["nginx"]));
        assert!(!allowed("allow * * *", Verb::Memory, &[]) && !allowed("status private", Verb::Stop, &[]));
        assert!(is_for("allow www stop x", &mut |who| who == "www") && !is_for("status private", &mut |_| true));
    }
}
