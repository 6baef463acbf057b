//! The text of a condition or an event: words divided by NUL, the name first, then `KEY=VALUE` each, perhaps zeros behind.

/// What stands before the `=`.
pub fn key_of(attribute: &[u8]) -> &[u8] {
    attribute.split(|byte| *byte == b'=').next().unwrap_or(attribute)
}

/// Name and attributes.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == 0)
}

/// The name in a fact's text, which may have zeros behind it.
pub fn name(text: &[u8]) -> &[u8] {
    words(text).next().unwrap_or(b"")
}

/// The value of an attribute.
pub fn attribute<'t>(text: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    words(text).skip(1).find_map(|word| word.strip_prefix(key)?.strip_prefix(b"="))
}

/// The value in this place, from 0.
pub fn value_at(text: &[u8], place: usize) -> Option<&[u8]> {
    let word = words(text).nth(place + 1)?;
    word.get(key_of(word).len() + 1..)
}
