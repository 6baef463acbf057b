//! Where the logs of services are, and their last lines: shared by the logger, `pintle log` and `pintle status`.
//!
//! `DIR/NAME.log` is the current file of a service or instance, `NAME.log.1` the one before it, and so on. A name is
//! escaped so that it is always one plain file name: letters, digits and `_ - . @ : + , =` stand for themselves (but a
//! leading `.`), everything else becomes `%XX`.

use super::run_directory::LOG_DIR;
use crate::sys::{AsFd, Errno, OwnedFd, Result, entry, file, whole};
use core::fmt::Write;
use heapless::Vec;
use pintle::crc32::crc32;
use pintle::words::Short;

/// Bytes of a path to a log, its directory included; a longer one is refused with ENAMETOOLONG.
pub const PATH_BYTES_MAX: usize = 1024;
/// Bytes of an escaped name, so that `.log.99` still fits into NAME_MAX (255).
const ESCAPED_BYTES_MAX: usize = 230;

/// The directory: `$PINTLE_LOG`; else, for those who look, where the supervisor says that its logs go (`link`, which
/// may be nothing); else `/var/log/pintle` for the machine's own pintle (run directory `/run/pintle`), else `log` in
/// the run directory.
fn directory_of(run: &[u8], link: Option<&'static [u8]>) -> &'static [u8] {
    match entry::variable(b"PINTLE_LOG").filter(|value| !value.is_empty()).or(link) {
        Some(value) => value,
        None if run.strip_suffix(b"/").unwrap_or(run) == b"/run/pintle" => b"/var/log/pintle",
        None => whole::joined(run, b"log"),
    }
}

/// For the supervisor, which passes it to the logger and makes the link.
pub fn own_directory(run: &[u8]) -> &'static [u8] {
    directory_of(run, None)
}

/// For those who look.
pub fn directory(run: &[u8]) -> &'static [u8] {
    directory_of(run, whole::link(whole::joined(run, LOG_DIR.to_bytes())).ok())
}

/// Room for the path of a log.
pub struct LogPath(Vec<u8, PATH_BYTES_MAX>);

impl LogPath {
    pub const fn new() -> LogPath {
        LogPath(Vec::new())
    }

    /// Of a service's log in a directory: of the current one for `number` 0, else of the numbered one.
    #[inline(never)]
    pub fn of(&mut self, directory: &[u8], name: &[u8], number: u32) -> Result<&[u8]> {
        let mut suffix = Short::new();
        let _ = suffix.push_str(".log");
        if number > 0 {
            let _ = write!(suffix, ".{number}"); // a point and ten digits at most
        }
        self.0.clear();
        for part in [directory, b"/", &escaped(name), suffix.as_bytes()] {
            self.0.extend_from_slice(part).map_err(|_| Errno::NAMETOOLONG)?;
        }
        Ok(&self.0)
    }
}

/// One plain file name for a service's name; two names never give one.
#[inline(never)]
fn escaped(name: &[u8]) -> Vec<u8, 255> {
    let mut out: Vec<u8, 255> = Vec::new();
    let digit = |value: u32| b"0123456789ABCDEF"[value as usize % 16];
    for (at, byte) in name.iter().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || (b"_-.@:+,=".contains(byte) && !(at == 0 && *byte == b'.'));
        let number = u32::from(*byte);
        let three = [b'%', digit(number >> 4), digit(number)];
        let text = if plain { core::slice::from_ref(byte) } else { &three[..] };
        if out.len() + text.len() > ESCAPED_BYTES_MAX {
            // Cut, and told apart by the checksum of the whole.
            let mut sum = crc32(name);
            let _ = out.push(b'%');
            for _ in 0..8 {
                sum = sum.rotate_left(4);
                let _ = out.push(digit(sum));
            }
            break;
        }
        let _ = out.extend_from_slice(text); // there is room: asked above
    }
    out
}

/// The last `lines` lines of a service's log, oldest first, in pieces as they come; where the current file has too few,
/// the one before it helps out. Gives the length of the current file up to which it told (0: there is no log yet) and
/// the file itself. A line that is not finished yet counts as one.
pub fn tail(
    directory: &[u8],
    name: &[u8],
    lines: usize,
    each: &mut dyn FnMut(&[u8]),
) -> Result<Option<(OwnedFd, u64)>> {
    let open = |number| file::open_read(LogPath::new().of(directory, name, number)?);
    // The names move up by one when the logger turns them over meanwhile: at worst some lines come twice.
    let current = match open(0) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let end = file::length(current.as_fd())?;
    let (start, found) = start_of_tail(&current, end, lines)?;
    if found < lines {
        match open(1) {
            Err(Errno::NOENT) => {}
            before => {
                let before = before?;
                let end = file::length(before.as_fd())?;
                let (start, _) = start_of_tail(&before, end, lines - found)?;
                copy(&before, start, end, each)?;
            }
        }
    }
    copy(&current, start, end, each)?;
    Ok(Some((current, end)))
}

/// Where the last `lines` lines begin, and how many there are.
fn start_of_tail(file: &OwnedFd, end: u64, lines: usize) -> Result<(u64, usize)> {
    let mut buffer = [0; 4096];
    let (mut at, mut found) = (end, 0);
    if lines == 0 || end == 0 {
        return Ok((end, 0));
    }
    while at > 0 {
        let from = at.saturating_sub(buffer.len() as u64);
        let count = file::read_at(file, from, buffer.get_mut(..(at - from) as usize).unwrap_or_default())?;
        for (index, byte) in buffer.get(..count).unwrap_or_default().iter().enumerate().rev() {
            let here = from + index as u64;
            // The newline at the very end ends the last line and begins none.
            if *byte == b'\n' && here + 1 < end {
                found += 1;
                if found == lines {
                    return Ok((here + 1, found));
                }
            }
        }
        at = from;
    }
    Ok((0, found + 1))
}

/// Gives the bytes of a file from one place to another.
pub fn copy(file: &OwnedFd, mut from: u64, to: u64, each: &mut dyn FnMut(&[u8])) -> Result<()> {
    let mut buffer = [0; 4096];
    while from < to {
        let room = buffer.len().min((to - from) as usize);
        let count = file::read_at(file, from, buffer.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            break; // shorter than it was
        }
        each(buffer.get(..count).unwrap_or_default());
        from += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_plain_file_name() {
        let path = |name: &str| {
            let mut room = LogPath::new();
            let path = room.of(b"/log", name.as_bytes(), 0).expect("short");
            core::str::from_utf8(path).expect("text").to_string()
        };
        assert_eq!(path("nginx"), "/log/nginx.log");
        assert_eq!(path("dhcp@eth0.1"), "/log/dhcp@eth0.1.log");
        assert_eq!(path("mount@/dev/sda 1"), "/log/mount@%2Fdev%2Fsda%201.log");
        assert_eq!(path("../x"), "/log/%2E.%2Fx.log");
        let (one, other) = ("/".repeat(100) + "a", "/".repeat(100) + "b");
        assert!(path(&one).len() < 250 && path(&one) != path(&other));
        assert_eq!(LogPath::new().of(b"/log", b"x", 3), Ok(&b"/log/x.log.3"[..]));
        assert_eq!(LogPath::new().of(&[b'd'; 2000], b"x", 0), Err(Errno::NAMETOOLONG));
    }

    #[test]
    fn the_last_lines_come_from_both_files_if_need_be() {
        let directory = std::env::temp_dir().join(format!("pintle-tail-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("made");
        let place = directory.as_os_str().as_encoded_bytes();
        let last = |lines| {
            let mut text = std::vec::Vec::new();
            let told = tail(place, b"x", lines, &mut |bytes| text.extend_from_slice(bytes)).expect("readable");
            (told.map_or(0, |(_, end)| end), String::from_utf8(text).expect("text"))
        };
        assert_eq!(last(3), (0, String::new()));
        let long = "l".repeat(5000);
        std::fs::write(directory.join("x.log"), format!("{long}\nfour\nfive")).expect("written");
        std::fs::write(directory.join("x.log.1"), "one\ntwo\n").expect("written");
        assert_eq!(last(0), (5010, String::new()));
        assert_eq!(last(1), (5010, "five".into()));
        assert_eq!(last(3), (5010, format!("{long}\nfour\nfive")));
        assert_eq!(last(4), (5010, format!("two\n{long}\nfour\nfive")));
        assert_eq!(last(9), (5010, format!("one\ntwo\n{long}\nfour\nfive")));
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
