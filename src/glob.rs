//! Shell patterns: `*`, `?`, `[...]`, backslash, as fnmatch(3) without flags, over bytes.
//!
//! No allocation, no recursion; time at most the product of both lengths, whatever the pattern.

/// True if `pattern` matches all of `text`. A `[` that is never closed, and a backslash at the end, stand for
/// themselves; `[!...]` and `[^...]` match what is not listed; `?` and `[...]` take one byte.
pub fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // The last `*` seen, and the place in the text up to which it has eaten. An earlier star never needs to eat more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if let Some(next) = step(pattern, p, text[t]) {
            p = next;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// If the element at `pattern[at]` (not a star) takes `byte`: where the next element begins.
fn step(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    let (takes, next) = match *pattern.get(at)? {
        b'?' => (true, at + 1),
        b'[' => match bracket(pattern, at, byte) {
            Some(found) => found,
            None => (byte == b'[', at + 1),
        },
        b'\\' => match pattern.get(at + 1) {
            Some(&escaped) => (byte == escaped, at + 2),
            None => (byte == b'\\', at + 1),
        },
        plain => (byte == plain, at + 1),
    };
    takes.then_some(next)
}

/// The bracket at `pattern[at]`: whether it takes `byte`, and where it ends; `None` if it is never closed.
fn bracket(pattern: &[u8], at: usize, byte: u8) -> Option<(bool, usize)> {
    let mut i = at + 1;
    let negated = matches!(pattern.get(i), Some(b'!' | b'^'));
    if negated {
        i += 1;
    }
    let first = i;
    let mut listed = false;
    loop {
        let mut low = *pattern.get(i)?;
        // A `]` that comes first stands for itself.
        if low == b']' && i > first {
            return Some((listed != negated, i + 1));
        }
        if low == b'\\' {
            i += 1;
            low = *pattern.get(i)?;
        }
        i += 1;
        let mut high = low;
        if pattern.get(i) == Some(&b'-') && !matches!(pattern.get(i + 1), Some(b']') | None) {
            i += 1;
            high = *pattern.get(i)?;
            if high == b'\\' {
                i += 1;
                high = *pattern.get(i)?;
            }
            i += 1;
        }
        listed |= low <= byte && byte <= high;
    }
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn matches_as_fnmatch() {
        let table: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("eth*", "eth0", true),
            ("eth*", "et", false),
            ("eth?", "eth", false),
            ("eth?", "eth0", true),
            ("*0", "eth0", true),
            ("*0", "eth01", false),
            ("*a*b*c", "xxaxxbxxbxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("eth[0-9]", "eth7", true),
            ("eth[0-9]", "ethx", false),
            ("eth[!0-9]", "ethx", true),
            ("eth[^0-9]", "eth1", false),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[a-]", "-", true),
            ("[a-", "[a-", true),
            ("[", "[", true),
            ("[", "x", false),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a\\", "a\\", true),
            ("[*]", "*", true),
            ("[*]", "x", false),
        ];
        for &(pattern, text, expected) in table {
            assert_eq!(glob_matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_do_not_blow_up() {
        let pattern = [b"*a".repeat(200), b"b".to_vec()].concat();
        assert!(!glob_matches(&pattern, &b"a".repeat(4000)));
    }
}
