//! The text of a condition or an event: words divided by NUL, the name first, then `KEY=VALUE` each. The attributes
//! stand as they were said, since expressions may ask for them by place; for whether two facts are the same their order
//! is nothing.

use super::Refusal;
pub use crate::fact::{Written, attribute, hash, key_of, name, words};
use crate::limits::{ATTRIBUTES_MAX, FACT_BYTES_MAX};
use crate::names;
use crate::text::{cut, parts};

/// A fact that was checked.
#[derive(Clone, Copy)]
pub struct Fact<'t>(&'t [u8]);

impl<'t> Fact<'t> {
    /// Checks.
    pub fn parse(text: &'t [u8]) -> Result<Fact<'t>, Refusal> {
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
            } else if !is_attribute(part) || count > 1 && attribute(&text[..at], key_of(part.as_bytes())).is_some() {
                return Err(Refusal::BadAttribute);
            } else if count > ATTRIBUTES_MAX {
                return Err(Refusal::TooManyAttributes);
            }
            at += part.len() + 1;
        }
        Ok(Fact::known(text))
    }

    /// Of a text that is known to be good.
    pub fn known(text: &'t [u8]) -> Fact<'t> {
        Fact(text)
    }

    pub fn text(self) -> &'t [u8] {
        self.0
    }

    pub fn name(self) -> &'t [u8] {
        name(self.0)
    }

    /// Of the name.
    pub fn hash(self) -> u32 {
        hash(self.name())
    }

    /// Whether a text is of the same one, in whatever order the attributes stand there. No attribute comes twice in
    /// either, so one that is as long, and has no words but these, has all of them.
    #[inline(never)]
    pub fn is(self, text: &[u8]) -> bool {
        let own = self.0;
        // (A name has no `=`, so that it is no attribute.)
        own == text || own.len() == text.len() && words(text).all(|word| words(own).any(|own| own == word))
    }
}

/// `KEY=VALUE` without control characters.
fn is_attribute(text: &str) -> bool {
    cut(text, b'=')
        .is_some_and(|(key, value)| names::is_variable(key) && !value.bytes().any(|byte| byte < b' ' || byte == 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU32;

    fn fact(text: &str) -> Written {
        let text = text.replace(' ', "\0");
        let fact = Fact::parse(text.as_bytes()).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
        assert_eq!(fact.text(), text.as_bytes());
        Written::named(fact.text())
    }

    #[test]
    fn words_of_memory_are_read_up_to_the_end_of_the_text() {
        for length in [0_usize, 1, 3, 4, 5, 7, 8, 9, 239, 240] {
            // A NUL at every place of a word, none at the end.
            let text: alloc::vec::Vec<u8> =
                (0..length).map(|at| if at % 5 == 1 && at + 1 < length { 0 } else { b'x' }).collect();
            let mut padded = text.clone();
            padded.resize((length.div_ceil(4) * 4 + 4).min(FACT_BYTES_MAX), 0);
            // Behind the word of zeros is what an earlier text has left.
            padded.resize(FACT_BYTES_MAX, b'y');
            let words: alloc::vec::Vec<AtomicU32> =
                padded.as_chunks().0.iter().map(|four| AtomicU32::new(u32::from_le_bytes(*four))).collect();
            let written = Written::of_words(&words);
            // (A text that ends where a word does has one of zeros behind it, if there is room.)
            assert_eq!(written.text(), text, "{length}");
            assert!(written.padded()[length..].iter().all(|byte| *byte == 0), "{length}");
        }
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
            assert_eq!(Fact::known(fact(other).text()).is(one.text()), same, "{other}");
            assert_eq!(Fact::known(one.text()).is(fact(other).text()), same, "{other}");
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
