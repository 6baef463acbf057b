//! The CRC-32 of Ethernet, gzip and PNG (IEEE 802.3; polynomial 0x04C11DB7, reflected), for databases and names: half a
//! byte at a time over a table of 64 bytes; eight bytes at a time ("slicing by 8") where it is worth making eight
//! tables on the stack, so that they are not in the program.

const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut half = 0;
    while half < 16 {
        let (mut sum, mut bit) = (half as u32, 0);
        while bit < 4 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[half] = sum;
        half += 1;
    }
    table
};

/// From so many bytes on the eight tables pay.
const LONG: usize = 4 * 1024;

/// The sum with one byte more.
#[inline(always)]
fn step(sum: u32, byte: u8) -> u32 {
    let sum = sum ^ u32::from(byte);
    let sum = TABLE[(sum & 15) as usize] ^ sum >> 4;
    TABLE[(sum & 15) as usize] ^ sum >> 4
}

/// The checksum of bytes that come in pieces.
pub struct Crc32(u32);

impl Default for Crc32 {
    fn default() -> Crc32 {
        Crc32(u32::MAX)
    }
}

impl Crc32 {
    /// The bytes that follow.
    #[inline(never)]
    pub fn update(&mut self, bytes: &[u8]) {
        let bytes = if bytes.len() >= LONG { self.update_long(bytes) } else { bytes };
        for byte in bytes {
            self.0 = step(self.0, *byte);
        }
    }

    /// Takes eight bytes at a time; gives the rest.
    #[inline(never)]
    fn update_long<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        // Of each byte, with no, one, ... seven bytes of zero behind it.
        let mut tables = [[0; 256]; 8];
        for byte in 0..=u8::MAX {
            let (mut sum, mut next) = (0, byte);
            for table in &mut tables {
                sum = step(sum, next);
                table[usize::from(byte)] = sum;
                next = 0;
            }
        }
        while let Some((eight, rest)) = bytes.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*eight) ^ u64::from(self.0);
            let mut sum = 0;
            for (byte, table) in word.to_be_bytes().iter().zip(&tables) {
                sum ^= table[usize::from(*byte)];
            }
            self.0 = sum;
            bytes = rest;
        }
        bytes
    }

    /// The checksum of what has come so far.
    pub fn sum(&self) -> u32 {
        !self.0
    }
}

/// The checksum of these bytes.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = Crc32::default();
    sum.update(bytes);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_everybody_else() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926); // the check value of the catalogues
        assert_eq!(crc32(b""), 0);
        let bytes: alloc::vec::Vec<u8> = (0..40_099u32).map(|at| ((at * 7) >> 3) as u8).collect();
        assert_eq!(crc32(&bytes), crc32fast::hash(&bytes));
        let mut pieces = Crc32::default();
        bytes.chunks(13).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.sum(), crc32fast::hash(&bytes));
    }
}
