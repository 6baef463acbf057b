//! The CRC-32 of Ethernet, gzip and PNG (IEEE 802.3; polynomial 0x04C11DB7, reflected), for databases and names: a byte at
//! a time over a table of 1 KB. Faster ways take 4 to 20 KB, for databases that are read in less than a millisecond.

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

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
        for byte in bytes {
            self.0 = TABLE[usize::from(self.0 as u8 ^ byte)] ^ self.0 >> 8;
        }
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
        let bytes: alloc::vec::Vec<u8> = (0..4099u32).map(|at| ((at * 7) >> 3) as u8).collect();
        assert_eq!(crc32(&bytes), crc32fast::hash(&bytes));
        let mut pieces = Crc32::default();
        bytes.chunks(13).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.sum(), crc32fast::hash(&bytes));
    }
}
