//! The text of a condition or an event: words divided by NUL, the name first, then `KEY=VALUE` each. In its canonical form
//! the attributes are sorted by bytes, so that two facts are the same exactly when their texts are.

use super::Refusal;
use crate::limits::{ATTRIBUTES_MAX, FACT_BYTES_MAX};
use crate::names;

/// A canonical fact, zeros behind its end.
#[derive(Clone, Copy)]
pub struct Fact {
    bytes: [u8; FACT_BYTES_MAX],
    length: usize,
}

impl Fact {
    /// Checks and sorts.
    pub fn parse(text: &[u8]) -> Result<Fact, Refusal> {
        if text.len() > FACT_BYTES_MAX {
            return Err(Refusal::FactTooLong);
        }
        let mut parts = text.split(|byte| *byte == 0);
        let name = parts.next().unwrap_or(b"");
        let plain = core::str::from_utf8(name).map_err(|_| Refusal::BadFactName)?;
        names::check_fact(plain).map_err(|_| Refusal::BadFactName)?;
        let mut fact = Fact::named(name);
        for (count, part) in parts.enumerate() {
            if !is_attribute(part) {
                return Err(Refusal::BadAttribute);
            }
            if count == ATTRIBUTES_MAX {
                return Err(Refusal::TooManyAttributes);
            }
            fact.insert(name.len(), part)?;
        }
        Ok(fact)
    }

    /// Puts an attribute where it belongs by its bytes, behind the name. There is room: all that is put in is shorter than
    /// what was said. Those of one key stand together.
    fn insert(&mut self, mut at: usize, part: &[u8]) -> Result<(), Refusal> {
        while at < self.length {
            let next = name(&self.bytes[at + 1..self.length]);
            if key_of(next) == key_of(part) {
                return Err(Refusal::BadAttribute);
            }
            if next > part {
                break;
            }
            at += 1 + next.len();
        }
        self.bytes.copy_within(at..self.length, at + 1 + part.len());
        self.bytes[at] = 0;
        self.bytes[at + 1..at + 1 + part.len()].copy_from_slice(part);
        self.length += 1 + part.len();
        Ok(())
    }

    /// A fact without attributes; of a name that is known to be good.
    pub fn named(name: &[u8]) -> Fact {
        let mut fact = Fact { bytes: [0; FACT_BYTES_MAX], length: 0 };
        let length = name.len().min(FACT_BYTES_MAX);
        fact.bytes[..length].copy_from_slice(&name[..length]);
        fact.length = length;
        fact
    }

    /// Of a condition row's text, which is canonical.
    pub fn of_padded(bytes: &[u8; FACT_BYTES_MAX]) -> Fact {
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Fact { bytes: *bytes, length }
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

    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// With zeros behind, as condition rows have it.
    pub fn padded(&self) -> &[u8; FACT_BYTES_MAX] {
        &self.bytes
    }
}

/// `KEY=VALUE` without control characters.
fn is_attribute(text: &[u8]) -> bool {
    let Ok(plain) = core::str::from_utf8(text) else { return false };
    let key = key_of(text).len();
    let control = |byte: &u8| *byte < b' ' || *byte == 0x7f;
    key < text.len() && plain.get(..key).is_some_and(names::is_variable) && !text[key..].iter().any(control)
}

fn key_of(attribute: &[u8]) -> &[u8] {
    attribute.split(|byte| *byte == b'=').next().unwrap_or(attribute)
}

/// The name in a fact's text, which may have zeros behind it.
pub fn name(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(b"")
}

/// The value of an attribute.
pub fn attribute<'t>(text: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    text.split(|byte| *byte == 0).skip(1).find_map(|word| word.strip_prefix(key)?.strip_prefix(b"="))
}

/// FNV-1a, to compare names by one word first.
pub fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_attributes_does_not_matter() {
        let one = Fact::parse(b"net-up\0IFACE=eth0\0A=b c").map(|fact| *fact.padded());
        let two = Fact::parse(b"net-up\0A=b c\0IFACE=eth0").map(|fact| *fact.padded());
        assert!(one.is_ok() && one == two);
        assert_eq!(attribute(&one.unwrap_or([0; FACT_BYTES_MAX]), b"A"), Some(&b"b c"[..]));
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
