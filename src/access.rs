//! Who may ask for what, and see what, of those who are neither root nor the user of pintle: the rules of a file
//! `access`.
//!
//! `allow WHO VERB[,VERB...] PATTERN...` is a line of it. WHO is a user or, behind `@`, a group, each by name or number;
//! `*` is everybody. VERB is one of pintle-control(7) that does something; `*` is all of these but `shutdown`
//! and `switch`. Each service that a request names has to match one of the patterns (glob(7)) of some rule, and of
//! `emit`, `on`, `off`, `hold` and `changing` the event or condition, without its attributes. `shutdown` names nothing:
//! there a rule has no pattern. A rule is about what is named: what that needs is started with it, and what needs it is
//! stopped with it, as ever. What no rule allows is refused.
//!
//! Everybody may look, until there is a line `status private`: then only root and the user of pintle may, and who waits
//! for what he is allowed is told how that went.

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

/// Whom a rule is for; none where it allows nothing.
pub fn who(rule: &str) -> Option<&str> {
    rule.strip_prefix("allow ").and_then(|rule| parts(rule, b' ').next())
}

/// Whether a rule allows, to whom it is for, this verb of what has this name; of nothing, where it names nothing.
#[inline(never)]
pub fn allows(rule: &str, verb: Verb, name: Option<&[u8]>) -> bool {
    let mut patterns = parts(rule, b' ');
    let (Some("allow"), Some(_), Some(verbs)) = (patterns.next(), patterns.next(), patterns.next()) else {
        return false;
    };
    // What it does is to everything that is not named.
    let is_of_all = !matches!(verb, Verb::Shutdown | Verb::Switch);
    let is_said = |allowed| (allowed == ALL && is_of_all) || Verb::named(allowed) == Some(verb);
    let is_meant = match name {
        None => patterns.next().is_none(),
        Some(name) => patterns.any(|pattern| glob_matches(pattern.as_bytes(), name)),
    };
    is_meant && is_asked_for(verb) && parts(verbs, b',').any(is_said)
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
    if any(image, is_private) && !any(image, |rule| who(rule).is_some()) { 0o600 } else { 0o666 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_has_to_match() {
        let allowed = |rule: &str, verb, name: &str| allows(rule, verb, Some(name.as_bytes()));
        assert!(allowed("allow www restart nginx php-*", Verb::Restart, "php-fpm"));
        assert!(!allowed("allow www restart nginx php-*", Verb::Restart, "sshd"));
        assert!(!allowed("allow www restart nginx", Verb::Stop, "nginx"));
        assert!(!allowed("allow www restart nginx", Verb::RestartWithDependents, "nginx"));
        assert!(allowed("allow www stop,restart nginx", Verb::Restart, "nginx"));
        assert!(allowed("allow * emit net-*", Verb::Emit, "net-up"));
        assert!(allowed("allow www * *", Verb::Signal, "nginx"));
        assert!(!allowed("allow www * *", Verb::Switch, "nginx") && allowed("allow www switch *", Verb::Switch, "a"));
        assert!(!allowed("allow www * *", Verb::Events, "nginx") && !allowed("allow www * *", Verb::Memory, "nginx"));
        let nothing = |rule: &str, verb| allows(rule, verb, None);
        assert!(nothing("allow www shutdown", Verb::Shutdown) && nothing("allow www stop,shutdown", Verb::Shutdown));
        assert!(!nothing("allow www * *", Verb::Shutdown) && !nothing("allow www * nginx", Verb::Shutdown));
        assert!(!nothing("allow www *", Verb::Memory) && !nothing("status private", Verb::Shutdown));
        assert!(who("allow www stop x") == Some("www") && who("status private").is_none());
    }
}
