//! Where the logs of services are, and their last lines: shared by the logger, `pintle log` and `pintle status`.
//!
//! `DIR/NAME.log` is the current file of a service or instance, `NAME.log.1` the one before it, and so on. A name is
//! escaped so that it is always one plain file name: letters, digits and `_ - . @ : + , =` stand for themselves (but a
//! leading `.`), everything else becomes `%XX`.

use super::run_directory::{KEPT, LOG_DIR};
use crate::sys::file::Identity;
use crate::sys::{Errno, OwnedFd, Result, entry, file, whole};
use alloc::vec::Vec;
use core::fmt::Write;
use pintle::crc32::crc32;
use pintle::lang::definition::Log;
use pintle::stamp::{self, STAMP_BYTES};
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

/// The directory of what is kept in the run directory.
pub fn kept(run: &[u8]) -> &'static [u8] {
    whole::joined(run, KEPT.to_bytes())
}

/// The directory in it of what says how much was lost of services that have a log of their own.
pub fn lost(kept: &[u8]) -> &'static [u8] {
    whole::joined(kept, b"lost")
}

/// The directory of a service's lines, which is logged so (`Log`, where that is known): what it was before leaves files
/// that tell of then. Where there is no log yet, what was lost may be told.
pub fn where_it_is(run: &[u8], kind: Option<u32>, name: &[u8]) -> &'static [u8] {
    let has = |directory| LogPath::new().of(directory, name, 0).is_ok_and(file::exists);
    let (logs, kept) = (directory(run), kept(run));
    match kind {
        Some(kind) if Log::is_kept(kind) => kept,
        None if !has(logs) && has(kept) => kept,
        Some(_) | None if !has(logs) && has(lost(kept)) => lost(kept),
        Some(_) | None => logs,
    }
}

/// Room for the path of a log.
pub struct LogPath(heapless::Vec<u8, PATH_BYTES_MAX>);

impl LogPath {
    pub const fn new() -> LogPath {
        LogPath(heapless::Vec::new())
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
fn escaped(name: &[u8]) -> heapless::Vec<u8, 255> {
    let mut out: heapless::Vec<u8, 255> = heapless::Vec::new();
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

/// The last `lines` lines of a service's log, of those that have been written at `since` (nanoseconds since 1970) or
/// later, oldest first, in pieces as they come; where the current file has too few, those before it help out. Gives the
/// length of the current file up to which it told and the file itself; none: there is no log yet. A line that is not
/// finished yet counts as one; one without a stamp is as old as the one before it. Allocates.
pub fn tail(
    directory: &[u8],
    name: &[u8],
    mut lines: usize,
    since: u64,
    each: &mut dyn FnMut(&[u8]),
) -> Result<Option<(OwnedFd, u64)>> {
    let mut files: Vec<(OwnedFd, u64, u64)> = Vec::new();
    let mut last = Identity::default();
    let mut number = 0;
    while number < 2 || number < 100 && !files.is_empty() {
        let file = match file::open_read(LogPath::new().of(directory, name, number)?) {
            // The logger turns them over just now, or that was the last.
            Err(Errno::NOENT) if number == 0 => {
                number = 1;
                continue;
            }
            Err(Errno::NOENT) => break,
            other => other?,
        };
        number += 1;
        let own = Identity::of_file(&file)?;
        // The names have moved up by one meanwhile.
        if (own.device, own.inode) == (last.device, last.inode) {
            continue;
        }
        last = own;
        let (mut start, found) = start_of_tail(&file, own.bytes, lines)?;
        if since > 0 {
            start = start.max(first_since(&file, own.bytes, since)?);
        }
        lines = lines.saturating_sub(found);
        files.push((file, start, own.bytes));
        if lines == 0 || start > 0 {
            break;
        }
    }
    for (file, start, end) in files.iter().rev() {
        copy(file, *start, *end, each)?;
    }
    Ok(files.into_iter().next().map(|(file, _, end)| (file, end)))
}

/// Where the first line begins that has been written then or later; the end if there is none.
#[inline(never)]
fn first_since(file: &OwnedFd, end: u64, since: u64) -> Result<u64> {
    let mut buffer = [0; 4096];
    let (mut at, mut begins) = (0, true);
    while at < end {
        let count = file::read_at(file, at, &mut buffer)?;
        let text = buffer.get(..count).unwrap_or_default();
        let mut here = 0;
        while here < count {
            let rest = text.get(here..).unwrap_or_default();
            let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
            // A stamp that this piece cuts is read again with the next one, as its beginning.
            if begins && here > 0 && length == rest.len() && length < STAMP_BYTES + 1 && at + (count as u64) < end {
                break;
            }
            let stamp = rest.get(..length).unwrap_or_default().split(|byte| b" \n".contains(byte)).next();
            if begins && stamp::parse(stamp.unwrap_or_default()).is_some_and(|time| time >= since) {
                return Ok(at + here as u64);
            }
            begins = rest.get(length - 1) == Some(&b'\n');
            here += length;
        }
        if count == 0 {
            break; // shorter than it was
        }
        at += here as u64;
    }
    Ok(end)
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
    fn lines_are_found_by_their_time_in_any_file() {
        let directory = std::env::temp_dir().join(format!("pintle-since-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("made");
        let place = directory.as_os_str().as_encoded_bytes();
        let since = |second: u64, lines| {
            let mut text = std::vec::Vec::new();
            tail(place, b"x", lines, second * 1_000_000_000, &mut |bytes| text.extend_from_slice(bytes)).expect("read");
            String::from_utf8(text).expect("text")
        };
        // Lines of many lengths, so that each part of a stamp comes to lie at the end of what is read at once.
        let line = |second: u64| {
            let text = format!("{second}{}", "x".repeat(second as usize * 7 % 200));
            let stamp = stamp::stamp(second * 1_000_000_000);
            format!("{} {text}\n", core::str::from_utf8(&stamp).expect("text"))
        };
        let file = |seconds: core::ops::Range<u64>| seconds.map(line).collect::<String>() + "no stamp\n";
        let files = [file(1..400), file(400..800), file(800..1200)];
        for (name, text) in ["x.log.2", "x.log.1", "x.log"].iter().zip(&files) {
            std::fs::write(directory.join(name), text).expect("written");
        }
        let all = files.concat();
        for second in 1..1200 {
            let from = all.find(&line(second)).expect("it is there");
            assert!(since(second, usize::MAX) == all[from..], "{second}");
        }
        assert_eq!(since(1200, usize::MAX), "");
        assert_eq!(since(1, 2), format!("{}no stamp\n", line(1199)));
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn the_last_lines_come_from_both_files_if_need_be() {
        let directory = std::env::temp_dir().join(format!("pintle-tail-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("made");
        let place = directory.as_os_str().as_encoded_bytes();
        let last = |lines| {
            let mut text = std::vec::Vec::new();
            let told = tail(place, b"x", lines, 0, &mut |bytes| text.extend_from_slice(bytes)).expect("readable");
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
        std::fs::write(directory.join("x.log.2"), "minus\nzero\n").expect("written");
        assert_eq!(last(6), (5010, format!("zero\none\ntwo\n{long}\nfour\nfive")));
        // Between two renames there is none by that name.
        std::fs::remove_file(directory.join("x.log")).expect("removed");
        assert_eq!(last(1), (8, "two\n".into()));
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
