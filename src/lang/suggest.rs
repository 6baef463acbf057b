//! "Did you mean": the nearest of a list of words by edit distance.

/// Longer words are not compared.
const BYTES_MAX: usize = 24;

/// The candidate nearest to `word`, if it is near enough to be meant: one mistake in three letters. The first of equals.
pub fn nearest<'a>(word: &str, candidates: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = None;
    let mut best_distance = word.len() / 3 + 1;
    for candidate in candidates {
        let distance = distance(word.as_bytes(), candidate.as_bytes());
        if distance < best_distance {
            (best, best_distance) = (Some(candidate), distance);
        }
    }
    best
}

/// Letters to add, drop, change, or swap with their neighbour (once each) to make `b` of `a`; without regard to case and
/// with `_` the same as `-`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len() > BYTES_MAX || b.len() > BYTES_MAX {
        return usize::MAX;
    }
    let same = |x: u8, y: u8| x.eq_ignore_ascii_case(&y) || (x == b'_' && y == b'-');
    // Three rows of the usual table: two back (for swaps), the one before, this one.
    let mut rows = [[0_usize; BYTES_MAX + 1]; 3];
    for (column, cell) in rows[1].iter_mut().enumerate() {
        *cell = column;
    }
    for i in 0..a.len() {
        rows[2][0] = i + 1;
        for j in 0..b.len() {
            let change = rows[1][j] + usize::from(!same(a[i], b[j]));
            let mut least = change.min(rows[1][j + 1] + 1).min(rows[2][j] + 1);
            if i > 0 && j > 0 && same(a[i], b[j - 1]) && same(a[i - 1], b[j]) {
                least = least.min(rows[0][j - 1] + 1);
            }
            rows[2][j + 1] = least;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let table = [
            ("", "", 0),
            ("a", "", 1),
            ("needs", "needs", 0),
            ("neds", "needs", 1),
            ("nedes", "needs", 1),
            ("Needs", "needs", 0),
            ("stop_timeout", "stop-timeout", 0),
            ("kitten", "sitting", 3),
        ];
        for (a, b, expected) in table {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let words = ["needs", "wants", "user"];
        assert_eq!(nearest("nedes", &mut words.into_iter()), Some("needs"));
        assert_eq!(nearest("frobnicate", &mut words.into_iter()), None);
        assert_eq!(nearest("x", &mut words.into_iter()), None);
        assert_eq!(nearest(&"n".repeat(1000), &mut words.into_iter()), None);
    }
}
