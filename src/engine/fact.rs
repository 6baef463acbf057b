//! The text of a condition or an event: words divided by NUL, the name first, then `KEY=VALUE` each. The attributes stand as
//! they were said, since expressions may ask for them by place; for whether two facts are the same their order is nothing.

use super::Refusal;
pub use crate::fact::{attribute, key_of, name, words};
use crate::limits::{ATTRIBUTES_MAX, FACT_BYTES_MAX};
use crate::names;
use crate::text::{cut, parts};

/// A fact that was checked, zeros behind its end.
pub struct Fact {
    bytes: [u8; FACT_BYTES_MAX],
    length: usize,
}

impl Fact {
    /// Checks.
    pub fn parse(text: &[u8]) -> Result<Fact, Refusal> {
        if text.len() > FACT_BYTES_MAX {
            return Err(Refusal::FactTooLong);
        }
        let plain = core::str::from_utf8(text).map_err(|fault| {
            if fault.valid_up_to() < name(text).len() { Refusal::BadFactName } else { Refusal::BadAttribute }
        })?;
        let mut at = 0;
        for (count, part) in parts(plain, 0).enumerate() {
            if count == 0 {
                names::check_fact(part).map_err(|_| Refusal::BadFactName)?;
            } else if !is_attribute(part) || attribute(&text[..at], key_of(part.as_bytes())).is_some() {
                return Err(Refusal::BadAttribute);
            } else if count > ATTRIBUTES_MAX {
                return Err(Refusal::TooManyAttributes);
            }
            at += part.len() + 1;
        }
        Ok(Fact::named(text))
    }

    /// Of a name (or more) that is known to be good.
    #[inline(never)]
    pub fn named(name: &[u8]) -> Fact {
        let mut fact = Fact { bytes: [0; FACT_BYTES_MAX], length: name.len().min(FACT_BYTES_MAX) };
        fact.bytes[..fact.length].copy_from_slice(&name[..fact.length]);
        fact
    }

    /// Of a text that is written into zeros, and good. No word of it is empty.
    pub fn written(write: impl FnOnce(&mut [u8; FACT_BYTES_MAX])) -> Fact {
        let mut fact = Fact { bytes: [0; FACT_BYTES_MAX], length: 0 };
        write(&mut fact.bytes);
        fact.length = fact.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        fact
    }

    /// Adds `KEY=` and its value (one text in two parts), or nothing where there is no room.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        if self.length + 1 + key.len() + value.len() > FACT_BYTES_MAX {
            return;
        }
        let mut at = self.length + 1;
        self.bytes[at..at + key.len()].copy_from_slice(key);
        at += key.len();
        self.bytes[at..at + value.len()].copy_from_slice(value);
        self.length = at + value.len();
    }

    #[inline(never)]
    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// With zeros behind, as condition rows have it.
    pub fn padded(&self) -> &[u8; FACT_BYTES_MAX] {
        &self.bytes
    }

    pub fn name(&self) -> &[u8] {
        name(&self.bytes)
    }

    /// Whether another one is the same, in whatever order the attributes stand there. No attribute comes twice in either, so
    /// one that is as long, and has no words but these, has all of them.
    pub fn is(&self, other: &Fact) -> bool {
        let (own, its) = (self.text(), other.text());
        own == its
            || own.len() == its.len()
                && other.name() == self.name()
                && words(its).skip(1).all(|word| words(own).any(|own| own == word))
    }
}

/// `KEY=VALUE` without control characters.
fn is_attribute(text: &str) -> bool {
    cut(text, b'=')
        .is_some_and(|(key, value)| names::is_variable(key) && !value.bytes().any(|byte| byte < b' ' || byte == 0x7f))
}

/// FNV-1a, to compare names by one word first.
pub fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(text: &str) -> Fact {
        Fact::parse(text.replace(' ', "\0").as_bytes()).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"))
    }

    #[test]
    fn the_order_of_attributes_is_kept_and_does_not_make_another_fact() {
        let one = fact("net-up IFACE=eth0 A=b");
        assert_eq!(one.text(), b"net-up\0IFACE=eth0\0A=b");
        assert_eq!(attribute(one.padded(), b"A"), Some(&b"b"[..]));
        assert_eq!(
            [0, 1, 2].map(|place| crate::fact::value_at(one.padded(), place)),
            [Some(&b"eth0"[..]), Some(b"b"), None]
        );
        let table = [
            ("net-up IFACE=eth0 A=b", true),
            ("net-up A=b IFACE=eth0", true),
            ("net-up A=b", false),
            ("net-up", false),
            ("net-up A=b IFACE=eth1", false),
            ("net-up A=b IFACE=eth0 C=", false),
            ("net-up A=bb IFACE=eth", false),
            ("net-dn A=b IFACE=eth0", false),
        ];
        for (other, same) in table {
            assert_eq!(fact(other).is(&one), same, "{other}");
            assert_eq!(one.is(&fact(other)), same, "{other}");
        }
    }

    #[test]
    fn bad_facts_are_refused_by_name() {
        let many: alloc::string::String = (0..17).map(|n| alloc::format!("\0K{n}=")).collect();
        let table: [(&[u8], Refusal); 9] = [
            (b"", Refusal::BadFactName),
            (b"a b", Refusal::BadFactName),
            (b"\xff", Refusal::BadFactName),
            (b"a\0B", Refusal::BadAttribute),
            (b"a\0B=\xff", Refusal::BadAttribute),
            (b"a\0B=\n", Refusal::BadAttribute),
            (b"a\0B=1\0B=2", Refusal::BadAttribute),
            (&[b'a'; 241], Refusal::FactTooLong),
            (&[b"a", many.as_bytes()].concat(), Refusal::TooManyAttributes),
        ];
        for (text, expected) in table {
            assert_eq!(Fact::parse(text).err(), Some(expected), "{text:?}");
        }
    }
}
