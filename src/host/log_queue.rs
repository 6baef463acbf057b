//! Lines of one service on their way to syslog, whole ones, each until it has been taken: a ring in memory that outlives the
//! logger. The text that is put in counts for the logger after this one from `commit` on, and what has gone from
//! `took_first` on; between two of these the journal's cursor says more.

use super::syslog::LINE_BYTES_MAX;

/// Bytes of a queue's memory: where its first line begins, where its last one ends, the ring.
pub const QUEUE_BYTES: usize = 4 + RING_BYTES;
/// A power of two that divides 65536, since places are counted on and on in 16 bits.
const RING_BYTES: usize = 2048;
/// Bytes of text that are read at once, where what is there is not yet whole.
pub const TEXT_BYTES: usize = 896;
/// The shortest `log-line`, and what splitting adds to one; the rest of an unfinished line.
const _: () = assert!(TEXT_BYTES + (TEXT_BYTES / 64 + 1) * 7 + LINE_BYTES_MAX + 7 <= RING_BYTES);

/// See above.
pub struct Queue<'a> {
    places: &'a mut [u8; 4],
    ring: &'a mut [u8],
    /// The first line, together, and where it ends.
    line: heapless::Vec<u8, { LINE_BYTES_MAX + 8 }>,
    next: u16,
}

impl<'a> Queue<'a> {
    /// In so many bytes, which zeros make an empty one.
    pub fn of(memory: &'a mut [u8]) -> Option<Queue<'a>> {
        let (places, ring) = memory.split_first_chunk_mut()?;
        Some(Queue { places, ring, line: heapless::Vec::new(), next: 0 })
    }

    fn start(&self) -> u16 {
        u16::from_le_bytes([self.places[0], self.places[1]])
    }

    /// Where the last line ends.
    pub fn end(&self) -> u16 {
        u16::from_le_bytes([self.places[2], self.places[3]])
    }

    fn byte(&mut self, at: u16) -> Option<&mut u8> {
        self.ring.get_mut(usize::from(at) % RING_BYTES)
    }

    pub fn clear(&mut self) {
        *self.places = [0; 4];
    }

    /// Puts text behind what is there up to `end`. There is room: see `TEXT_BYTES`. Were there none, what is there stays.
    pub fn put(&mut self, end: &mut u16, text: &[u8]) {
        if usize::from(end.wrapping_sub(self.start())) + text.len() > RING_BYTES {
            return;
        }
        for byte in text {
            if let Some(place) = self.byte(*end) {
                *place = *byte;
            }
            *end = end.wrapping_add(1);
        }
    }

    /// What has been put up to here is there.
    pub fn commit(&mut self, end: u16) {
        let [low, high] = end.to_le_bytes();
        [self.places[2], self.places[3]] = [low, high];
    }

    /// Bytes of the last line, where it is not whole.
    pub fn part(&mut self, end: u16) -> usize {
        let (mut at, start) = (end, self.start());
        while at != start && self.byte(at.wrapping_sub(1)).is_some_and(|byte| *byte != b'\n') {
            at = at.wrapping_sub(1);
        }
        usize::from(end.wrapping_sub(at))
    }

    /// The first line without its newline, if it is whole. Empty ones are left out.
    pub fn first(&mut self) -> Option<&[u8]> {
        let (mut at, end) = (self.start(), self.end());
        self.line.clear();
        while at != end {
            let byte = *self.byte(at)?;
            at = at.wrapping_add(1);
            if byte != b'\n' {
                let _ = self.line.push(byte); // no line is longer
            } else if self.line.is_empty() {
                self.begin_at(at);
            } else {
                self.next = at;
                return Some(&self.line);
            }
        }
        None
    }

    /// What `first` gave has gone.
    pub fn took_first(&mut self) {
        self.begin_at(self.next);
    }

    fn begin_at(&mut self, start: u16) {
        let [low, high] = start.to_le_bytes();
        [self.places[0], self.places[1]] = [low, high];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_in_order_however_they_went_in() {
        let mut memory = [0; QUEUE_BYTES];
        let (mut end, mut told, mut text) = (0, std::vec::Vec::new(), std::vec::Vec::new());
        for number in 0..3000 {
            text.extend_from_slice(format!("{number} {}\n\n", "x".repeat(number * 7 % 790)).as_bytes());
            let piece: std::vec::Vec<u8> = text.drain(..text.len().min(number * 31 % 500 + 300)).collect();
            // The next logger finds what was committed.
            let mut queue = Queue::of(&mut memory).expect("room");
            queue.put(&mut end, &piece);
            assert!(end == queue.end() || (queue.part(end) > 0) == (piece.last() != Some(&b'\n')));
            assert_eq!(queue.first(), None);
            queue.commit(end);
            while let Some(line) = queue.first() {
                told.push(String::from_utf8_lossy(line).into_owned());
                queue.took_first();
            }
        }
        for (number, line) in told.iter().enumerate() {
            assert_eq!(*line, format!("{number} {}", "x".repeat(number * 7 % 790)));
        }
        assert!(told.len() > 1000);
    }
}
