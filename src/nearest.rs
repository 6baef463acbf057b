//! The nearest known word to one that is not known: "did you mean ...?". No allocation.

use crate::limits::NAME_BYTES_MAX;

/// Longer words get no suggestion.
const BYTES_MAX: usize = NAME_BYTES_MAX;

/// Collects the candidate with the smallest distance.
#[derive(Clone, Copy, Debug)]
pub struct Nearest<'w, 'c> {
    word: &'w str,
    best: Option<(usize, &'c str)>,
}

impl<'w, 'c> Nearest<'w, 'c> {
    /// Looks for what `word` may have meant.
    pub const fn to(word: &'w str) -> Nearest<'w, 'c> {
        Nearest { word, best: None }
    }

    /// One known word. Of two equally near ones the first offered stays.
    pub fn offer(&mut self, candidate: &'c str) {
        // One slip in three letters is a slip; more is another word.
        let acceptable = 1 + self.word.len().min(candidate.len()) / 4;
        // Each letter more is a slip. This spares most of the work among many names.
        if self.word.len().abs_diff(candidate.len()) > acceptable {
            return;
        }
        let found = distance(self.word.as_bytes(), candidate.as_bytes());
        if found <= acceptable && found < candidate.len() && self.best.is_none_or(|(best, _)| found < best) {
            self.best = Some((found, candidate));
        }
    }

    /// The nearest, if one is near enough.
    pub fn found(&self) -> Option<&'c str> {
        self.best.map(|(_, word)| word)
    }
}

/// The nearest of `candidates` to `word`, if one is near enough.
pub fn among<'c>(word: &str, candidates: &mut dyn Iterator<Item = &'c str>) -> Option<&'c str> {
    let mut nearest = Nearest::to(word);
    candidates.for_each(|candidate| nearest.offer(candidate));
    nearest.found()
}

/// Small and capital letters are the same, and so are `_` and `-`: as much is a slip of the fingers.
fn same(a: u8, b: u8) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    plain(a) == plain(b)
}

/// Insertions, deletions, substitutions and swaps of neighbours that make one word the other.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len() > BYTES_MAX || b.len() > BYTES_MAX {
        return usize::MAX;
    }
    let mut before = [0usize; BYTES_MAX + 1];
    let mut above = [0usize; BYTES_MAX + 1];
    let mut row = [0usize; BYTES_MAX + 1];
    for (at, cell) in above.iter_mut().enumerate() {
        *cell = at;
    }
    for (i, x) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let mut least = (above[j + 1] + 1).min(row[j] + 1).min(above[j] + usize::from(!same(*x, *y)));
            if i > 0 && j > 0 && same(*x, b[j - 1]) && same(a[i - 1], *y) {
                least = least.min(before[j - 1] + 1);
            }
            row[j + 1] = least;
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let table = [
            ("ngnix", Some("nginx")),
            ("strat", Some("start")),
            ("sshdd", Some("sshd")),
            ("SSHD", Some("sshd")),
            ("depnds", None),
            ("x", None),
            ("", None),
        ];
        for (word, expected) in table {
            let mut nearest = Nearest::to(word);
            for known in ["nginx", "start", "stop", "sshd", "a"] {
                nearest.offer(known);
            }
            assert_eq!(nearest.found(), expected, "{word}");
        }
    }

    #[test]
    fn distance_counts_slips() {
        for (a, b, expected) in
            [("", "", 0), ("ab", "ba", 1), ("abc", "abd", 1), ("abc", "", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }
}
