//! What a name may look like: services, instances, conditions and events, attributes. No allocation.

use crate::limits::{INSTANCE_BYTES_MAX, NAME_BYTES_MAX};
use crate::text::cut;

/// What is wrong with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameFault {
    /// Nothing there.
    Empty,
    /// The part before `@` has more than NAME_BYTES_MAX bytes.
    TooLong,
    /// The part behind `@` has more than INSTANCE_BYTES_MAX bytes.
    InstanceTooLong,
    /// Begins with `.`, `-` or `@`.
    Start,
    /// This character may not stand in it.
    Character(char),
}

/// Characters of names of services, conditions and events: letters and digits of ASCII, and `. _ - + :`.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b':')
}

fn check(text: &str, bytes_max: usize) -> Result<(), NameFault> {
    // Before the first that may not be there all are ASCII, so that it begins a character.
    match text.bytes().position(|byte| !is_name_byte(byte)) {
        _ if text.is_empty() => Err(NameFault::Empty),
        Some(at) => Err(NameFault::Character(text[at..].chars().next().unwrap_or_default())),
        None if text.len() > bytes_max => Err(NameFault::TooLong),
        None => Ok(()),
    }
}

/// A service's name: `NAME`, `NAME@INSTANCE`, or `NAME@` for a template.
pub fn check_service(text: &str) -> Result<(), NameFault> {
    if matches!(text.as_bytes().first(), Some(b'.' | b'-' | b'@')) {
        return Err(NameFault::Start);
    }
    let (name, instance) = cut(text, b'@').unwrap_or((text, ""));
    check(name, NAME_BYTES_MAX)?;
    if instance.is_empty() { Ok(()) } else { check_instance(instance) }
}

/// The part behind `@`.
pub fn check_instance(text: &str) -> Result<(), NameFault> {
    check(text, INSTANCE_BYTES_MAX).map_err(|fault| match fault {
        NameFault::TooLong => NameFault::InstanceTooLong,
        other => other,
    })
}

/// The name of a condition or an event.
pub fn check_fact(text: &str) -> Result<(), NameFault> {
    if matches!(text.as_bytes().first(), Some(b'.' | b'-')) {
        Err(NameFault::Start)
    } else {
        check(text, NAME_BYTES_MAX)
    }
}

/// True for the name of an attribute or of an environment variable: a letter or `_`, then letters, digits, `_`.
pub fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// True for a template's name, `NAME@`.
#[inline(never)]
pub fn is_template(name: &str) -> bool {
    name.as_bytes().last() == Some(&b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services() {
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        let table = [
            ("web", Ok(())),
            ("dhcp@", Ok(())),
            ("dhcp@eth0", Ok(())),
            ("a.b_c-d+e:f", Ok(())),
            ("", Err(NameFault::Empty)),
            (".web", Err(NameFault::Start)),
            ("-web", Err(NameFault::Start)),
            ("@eth0", Err(NameFault::Start)),
            ("a@b@c", Err(NameFault::Character('@'))),
            ("a/b", Err(NameFault::Character('/'))),
            ("a b", Err(NameFault::Character(' '))),
            ("caf\u{e9}", Err(NameFault::Character('\u{e9}'))),
            (&long, Err(NameFault::TooLong)),
        ];
        for (name, expected) in table {
            assert_eq!(check_service(name), expected, "{name}");
        }
        assert_eq!(check_instance(&"i".repeat(INSTANCE_BYTES_MAX + 1)), Err(NameFault::InstanceTooLong));
        assert_eq!(check_fact("net-up"), Ok(()));
        assert_eq!(check_fact("up@x"), Err(NameFault::Character('@')));
    }

    #[test]
    fn names_of_variables() {
        assert!(is_variable("IFACE") && is_variable("_x1"));
        assert!(!is_variable("") && !is_variable("1a") && !is_variable("A-B"));
    }
}
