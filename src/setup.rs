//! What a process is made before its program runs, word by word, as service files write it and the chain-loader takes
//! it: forms of values, names and their numbers. Plain text: who means it does it.

use crate::limits::STORED_NAME_BYTES;
use crate::text::{cut, number, parts, small_number};
use core::net::{Ipv6Addr, SocketAddr};

/// What the words of a key are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `yes` or `no`.
    Switch,
    /// Names of capabilities(7), or `none` alone.
    Capabilities,
    /// Names of capabilities(7).
    Ambient,
    /// Secure bits of capabilities(7).
    SecureBits,
    /// A class of ioprio_set(2) and its level.
    IoPriority,
    /// A policy of sched(7) and its priority.
    Scheduler,
    /// Numbers of processors.
    Processors,
    /// Bits of personality(2).
    Personality,
    /// A time from nanoseconds on.
    Slack,
    /// An absolute path.
    Path,
    /// An absolute path, or `null`.
    Input,
    /// Absolute paths, a `-` before one that may be missing.
    Paths,
    /// The same, or two of them with a `:` between.
    Binds,
    /// Absolute paths, each with a `:` and octal permission bits behind it or without.
    Directories,
    /// What of the machine is its own.
    Private,
    /// Names of environment variables.
    Variables,
    /// Names or numbers of groups.
    Groups,
    /// Bytes, or `max`.
    Memory,
    /// A number from 1 on, or `max`.
    Count,
    /// A share among others, from 1 to 10000.
    Weight,
    /// Per cent of a processor, or `max`.
    Percent,
    /// Absolute paths of block devices, with what each may take.
    Devices,
    /// Sockets that listen.
    Listen,
}

/// Words that one such key may have: a failure says which one, among those of all keys.
pub const WORDS_MAX: usize = 64;

/// Words that all such keys and `env-file` of a service may have together: a failure has 8 bits to say which one, and
/// most of them are two of the chain-loader's arguments, which are as few as `limits::ARGUMENTS_MAX`.
pub const ALL_WORDS_MAX: usize = 192;

/// Of `Form::Private`, `tmp`, which is no namespace; the others are bits of CLONE_NEW* in namespaces(7).
pub const TEMPORARY: u32 = 0;
/// `dev`, which is none, either.
pub const DEVICES: u32 = 1;

/// There are never more processes: PID_MAX_LIMIT of the kernel, which pids.max takes at most.
const PIDS_MAX: u64 = 1 << 22;

/// No processor has a higher number: CONFIG_NR_CPUS is at most that.
pub const PROCESSORS_MAX: u32 = 8192;

/// Bytes of the path of a socket, see unix(7): one more is for its end.
const SOCKET_PATH_MAX: usize = 107;

/// The first number that is not one of a capability: the kernel's sets are of 64 bits.
pub const CAPABILITIES_END: u32 = 64;

const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE \
                            NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO \
                            SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
                            SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG \
                            WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

impl Form {
    /// Whether the value is one word.
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Form::Switch
                | Form::IoPriority
                | Form::Scheduler
                | Form::Processors
                | Form::Slack
                | Form::Path
                | Form::Input
                | Form::Memory
                | Form::Count
                | Form::Weight
                | Form::Percent
        )
    }

    /// The words that there are, in the order of their numbers (of bits: which bit), `-` where there is none; behind a
    /// `:`, from which to which number one has to follow. Empty where they are not just these.
    pub const fn names(self) -> &'static str {
        match self {
            Form::Switch => "no yes",
            Form::Capabilities | Form::Ambient => CAPABILITIES,
            Form::SecureBits => {
                "noroot noroot-locked no-setuid-fixup no-setuid-fixup-locked keep-caps keep-caps-locked \
                 no-cap-ambient-raise no-cap-ambient-raise-locked"
            }
            Form::IoPriority => "- realtime:0-7 best-effort:0-7 idle",
            Form::Scheduler => "other fifo:1-99 rr:1-99 batch - idle",
            Form::Personality => {
                "- - - linux32 - - - - - - - - - - - - - uname-2.6 addr-no-randomize fdpic-funcptrs mmap-page-zero \
                 addr-compat-layout read-implies-exec addr-limit-32bit short-inode whole-seconds sticky-timeouts \
                 addr-limit-3gb"
            }
            Form::Listen => "tcp udp unix unix-dgram unix-seqpacket",
            Form::Private => "tmp dev - - - - - - - - - - - - - - - mount - - - - - - - - uts ipc user pid net",
            Form::Processors
            | Form::Slack
            | Form::Path
            | Form::Input
            | Form::Paths
            | Form::Binds
            | Form::Directories
            | Form::Variables
            | Form::Groups
            | Form::Memory
            | Form::Count
            | Form::Weight
            | Form::Percent
            | Form::Devices => "",
        }
    }

    /// The words that there are, with their bounds.
    pub fn words(self) -> impl Iterator<Item = &'static str> + Clone {
        parts(self.names(), b' ').filter(|word| *word != "-")
    }

    /// Which of the words it is, and the number behind its `:`.
    #[inline(never)]
    pub fn find(self, word: &str) -> Option<(u32, u32)> {
        let (name, level) = cut(word, b':').map_or((word, None), |(name, level)| (name, Some(level)));
        for (at, known) in (0..).zip(parts(self.names(), b' ')) {
            let (known, bounds) = cut(known, b':').map_or((known, None), |(known, bounds)| (known, Some(bounds)));
            if known != name || name == "-" {
                continue;
            }
            return match (bounds.and_then(|bounds| cut(bounds, b'-')), level) {
                (None, None) => Some((at, 0)),
                (Some((least, most)), Some(level)) => {
                    let number = |text: &str| small_number(text.as_bytes());
                    let level = number(level)?;
                    (number(least)? <= level && level <= number(most)?).then_some((at, level))
                }
                (None, Some(_)) | (Some(_), None) => None,
            };
        }
        None
    }
}

/// The number of `NET_ADMIN`, `CAP_NET_ADMIN` or `12`.
pub fn capability(word: &str) -> Option<u32> {
    match small_number(word.as_bytes()) {
        Some(number) => Some(number).filter(|number| *number < CAPABILITIES_END),
        None => Form::Ambient.find(word.strip_prefix("CAP_").unwrap_or(word)).map(|(number, _)| number),
    }
}

/// Whether a path is `/`, however it is written: `//`, `/.`, `/usr/..`. Links are not looked at.
pub fn is_root(path: &str) -> bool {
    let mut depth = 0_u32;
    for part in parts(path, b'/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    depth == 0
}

/// Whether the value of an attribute may stand in a word of the key of this letter: one that is empty or has `.` or `..`
/// between slashes would make another directory of it than the file names, and a `:` another path, or permissions.
pub fn may_stand(letter: u8, value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b'/');
    let is_part = matches!(letter, b'B' | b'D' | b'Z' | b'l') && value.contains(&b':');
    parts.clone().any(|part| !part.is_empty()) && !parts.any(|part| matches!(part, b"." | b"..")) && !is_part
}

/// The path and the permission bits of `/run/web:0750`; 755 where it has none. `None` where they are no such bits.
pub fn directory(word: &str) -> Option<(&str, u32)> {
    path_and_mode(word, 0o755)
}

fn path_and_mode(word: &str, else_mode: u32) -> Option<(&str, u32)> {
    let Some((path, bits)) = cut(word, b':') else { return Some((word, else_mode)) };
    let octal = !bits.is_empty() && bits.len() <= 5 && bits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = bits.bytes().fold(0, |mode, digit| mode << 3 | u32::from(digit & 7));
    (octal && mode <= 0o7777).then_some((path, mode))
}

/// A word of `listen`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Socket<'w> {
    /// By which the service knows it, and we do.
    pub name: &'w str,
    /// Which of the words of `Form::Listen`: `UDP` and so on.
    pub kind: u32,
    /// What stands behind the kind.
    address: &'w str,
}

/// A kind of socket.
pub const UDP: u32 = 1;
/// A kind of socket; those from here on have a path.
pub const UNIX: u32 = 2;
/// A kind of socket.
pub const UNIX_DGRAM: u32 = 3;
/// A kind of socket.
pub const UNIX_SEQPACKET: u32 = 4;

/// Where a socket listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place<'w> {
    /// At this address, and with `true`, where it is that of all of IPv6, at all of IPv4, too.
    Net(SocketAddr, bool),
    /// At this path with these permission bits; behind `@` it is a name in no file system.
    Path(&'w str, u32),
}

/// `NAME=KIND:ADDRESS` or `KIND:ADDRESS`; a kind that there is not.
pub fn socket(word: &str) -> Result<Socket<'_>, &str> {
    let (name, rest) = match cut(word, b'=') {
        Some((name, rest)) if is_stored_name(name.as_bytes()) => (name, rest),
        _ => ("", word),
    };
    let (kind, address) = cut(rest, b':').unwrap_or((rest, ""));
    match Form::Listen.find(kind) {
        Some((number, _)) => Ok(Socket { name: if name.is_empty() { kind } else { name }, kind: number, address }),
        None => Err(kind),
    }
}

impl<'w> Socket<'w> {
    /// `None` where its address is none of its kind.
    pub fn where_it_is(&self) -> Option<Place<'w>> {
        if self.kind >= UNIX {
            let (path, mode) = path_and_mode(self.address, 0o666)?;
            let is_path = path.len() > 1 && path.len() <= SOCKET_PATH_MAX && matches!(path.as_bytes()[0], b'/' | b'@');
            return is_path.then_some(Place::Path(path, mode));
        }
        let all = self.address.strip_prefix("*:").unwrap_or(self.address);
        let place = match small_number(all.as_bytes()) {
            Some(port) => Place::Net((Ipv6Addr::UNSPECIFIED, u16::try_from(port).ok()?).into(), true),
            None => Place::Net(self.address.parse().ok()?, false),
        };
        Some(place).filter(|place| !matches!(place, Place::Net(address, _) if address.port() == 0))
    }
}

/// Whether descriptors can have this name, by sd_listen_fds_with_names(3), but for its length.
pub fn is_stored_name(name: &[u8]) -> bool {
    (1..=STORED_NAME_BYTES).contains(&name.len())
        && name.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b':')
}

/// Gives each processor of `0-3,5` its turn; `None` where it is no such list.
pub fn processors(list: &str, each: &mut dyn FnMut(u32)) -> Option<()> {
    for part in parts(list, b',') {
        let (first, last) = cut(part, b'-').unwrap_or((part, part));
        let (first, last) = (small_number(first.as_bytes())?, small_number(last.as_bytes())?);
        if first > last || last >= PROCESSORS_MAX {
            return None;
        }
        (first..=last).for_each(&mut *each);
    }
    Some(())
}

/// Whether pintle itself sets an environment variable of this name.
pub fn is_own(name: &str) -> bool {
    const OWN: &str =
        "PINTLE_SERVICE INSTANCE NOTIFY_SOCKET MAINPID WATCHDOG_USEC WATCHDOG_PID LISTEN_PID LISTEN_FDS LISTEN_FDNAMES";
    parts(OWN, b' ').any(|own| own == name)
}

/// The controllers of a control group that services can ask for.
pub const CONTROLLERS: [&str; 4] = ["memory", "cpu", "pids", "io"];

/// Of the key of this letter: which controller it is about, and the file of the control group that takes its values.
pub fn controller(letter: u8) -> Option<(usize, &'static str)> {
    Some(match letter {
        b'M' => (0, "memory.max"),
        b'h' => (0, "memory.high"),
        b'w' => (1, "cpu.weight"),
        b'q' => (1, "cpu.max"),
        b'f' => (2, "pids.max"),
        b'W' => (3, "io.weight"),
        b'x' => (3, "io.max"),
        _ => return None,
    })
}

/// What a value for a control group is to the kernel: a number, and what stands behind it; `u64::MAX` is `max`. Of
/// `Form::Devices` it is that of one device, see `device`.
pub fn group_value(form: Form, text: &str) -> Option<(u64, &'static str)> {
    let bytes = text.as_bytes();
    match form {
        Form::Weight => number(bytes).filter(|weight| (1..=10_000).contains(weight)).map(|weight| (weight, "")),
        Form::Memory | Form::Count | Form::Percent | Form::Devices if text == "max" => Some((u64::MAX, "")),
        Form::Count => number(bytes).filter(|count| (1..=PIDS_MAX).contains(count)).map(|count| (count, "")),
        // Of each tenth of a second, in microseconds.
        Form::Percent => {
            let share = number(bytes.strip_suffix(b"%")?).filter(|share| (1..=1_000_000).contains(share))?;
            Some((share * 1000, " 100000"))
        }
        Form::Memory | Form::Devices => {
            let (digits, unit) =
                bytes.split_at(bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len()));
            let shift = match unit {
                b"" => 0,
                b"K" => 10,
                b"M" => 20,
                b"G" => 30,
                b"T" => 40,
                _ => return None,
            };
            number(digits)?.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(|bytes| (bytes, ""))
        }
        _ => None,
    }
}

/// The path, the limit and its value of `/dev/sda:rbps=10M`. A path may have a `:`.
pub fn device(word: &str) -> Option<(&str, &str, &str)> {
    let (path, limit) = word.rsplit_once(':')?;
    let (name, value) = cut(limit, b'=')?;
    let is_known = parts("rbps wbps riops wiops", b' ').any(|known| known == name);
    (is_known && group_value(Form::Devices, value).is_some()).then_some((path, name, value))
}

/// The nanoseconds of `50us`: a number with `ns`, `us`, `ms` or `s`; from 1 to 4 seconds, which every machine takes.
pub fn nanoseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let (digits, unit) = text.as_bytes().split_at(digits);
    let factor = match unit {
        b"ns" => 1,
        b"us" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        _ => return None,
    };
    number(digits)?.checked_mul(factor).filter(|time| (1..=4_000_000_000).contains(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn words_have_the_kernels_numbers() {
        for (form, word, expected) in [
            (Form::Switch, "yes", Some((1, 0))),
            (Form::IoPriority, "best-effort:7", Some((2, 7))),
            (Form::IoPriority, "idle", Some((3, 0))),
            (Form::IoPriority, "idle:1", None),
            (Form::IoPriority, "realtime", None),
            (Form::IoPriority, "-", None),
            (Form::Scheduler, "rr:99", Some((2, 99))),
            (Form::Scheduler, "rr:100", None),
            (Form::Scheduler, "fifo:0", None),
            (Form::Scheduler, "fifo:", None),
            (Form::Scheduler, "idle", Some((5, 0))),
            (Form::SecureBits, "no-cap-ambient-raise", Some((6, 0))),
            (Form::Private, "tmp", Some((TEMPORARY, 0))),
            (Form::Private, "dev", Some((DEVICES, 0))),
            (Form::Private, "mount", Some((17, 0))),
            (Form::Private, "uts", Some((26, 0))),
            (Form::Private, "ipc", Some((27, 0))),
            (Form::Private, "user", Some((28, 0))),
            (Form::Private, "pid", Some((29, 0))),
            (Form::Private, "net", Some((30, 0))),
            (Form::Personality, "linux32", Some((3, 0))),
            (Form::Personality, "addr-no-randomize", Some((18, 0))),
            (Form::Personality, "addr-limit-3gb", Some((27, 0))),
        ] {
            assert_eq!(form.find(word), expected, "{word}");
        }
    }

    #[test]
    fn capabilities_by_name_and_number() {
        for (word, number) in [
            ("CHOWN", Some(0)),
            ("CAP_SYS_ADMIN", Some(21)),
            ("AUDIT_READ", Some(37)),
            ("CHECKPOINT_RESTORE", Some(40)),
            ("63", Some(63)),
            ("64", None),
            ("chown", None),
            ("CAP_", None),
            ("", None),
        ] {
            assert_eq!(capability(word), number, "{word}");
        }
    }

    #[test]
    fn directories_have_permissions() {
        for (word, expected) in [
            ("/run/web", Some(("/run/web", 0o755))),
            ("/run/web:0750", Some(("/run/web", 0o750))),
            ("/run/web:2770", Some(("/run/web", 0o2770))),
            ("/run/web:", None),
            ("/run/web:10000", None),
            ("/run/web:0780", None),
            ("/run/web:75:0", None),
        ] {
            assert_eq!(directory(word), expected, "{word}");
        }
    }

    #[test]
    fn values_of_control_groups_are_the_kernels() {
        for (form, text, expected) in [
            (Form::Memory, "64M", Some((64 << 20, ""))),
            (Form::Memory, "4096", Some((4096, ""))),
            (Form::Memory, "max", Some((u64::MAX, ""))),
            (Form::Memory, "0", None),
            (Form::Memory, "64MB", None),
            (Form::Memory, "M", None),
            (Form::Memory, "20000000T", None),
            (Form::Memory, "50%", None),
            (Form::Count, "1", Some((1, ""))),
            (Form::Count, "4194304", Some((4_194_304, ""))),
            (Form::Count, "4194305", None),
            (Form::Count, "0", None),
            (Form::Count, "1K", None),
            (Form::Weight, "10000", Some((10_000, ""))),
            (Form::Weight, "10001", None),
            (Form::Weight, "max", None),
            (Form::Percent, "50%", Some((50_000, " 100000"))),
            (Form::Percent, "250%", Some((250_000, " 100000"))),
            (Form::Percent, "0%", None),
            (Form::Percent, "50", None),
            (Form::Percent, "max", Some((u64::MAX, ""))),
        ] {
            assert_eq!(group_value(form, text), expected, "{text}");
        }
        for (word, expected) in [
            ("/dev/sda:rbps=10M", Some(("/dev/sda", "rbps", "10M"))),
            ("/dev/sda:wiops=max", Some(("/dev/sda", "wiops", "max"))),
            ("/dev/sda", None),
            ("/dev/disk/by-path/pci-0000:00:1f.2:riops=7", Some(("/dev/disk/by-path/pci-0000:00:1f.2", "riops", "7"))),
            ("/dev/sda:bps=1", None),
            ("/dev/sda:rbps=", None),
        ] {
            assert_eq!(device(word), expected, "{word}");
        }
    }

    #[test]
    fn sockets_have_a_name_a_kind_and_a_place() {
        let net = |text: &str, both| Some(Place::Net(text.parse().expect("an address"), both));
        for (word, name, kind, place) in [
            ("tcp:80", "tcp", 0, net("[::]:80", true)),
            ("udp:*:53", "udp", UDP, net("[::]:53", true)),
            ("http=tcp:127.0.0.1:8080", "http", 0, net("127.0.0.1:8080", false)),
            ("tcp:[::1]:80", "tcp", 0, net("[::1]:80", false)),
            ("unix:/run/a=b.sock", "unix", UNIX, Some(Place::Path("/run/a=b.sock", 0o666))),
            ("log=unix-dgram:/dev/log:0600", "log", UNIX + 1, Some(Place::Path("/dev/log", 0o600))),
            ("unix-seqpacket:@name", "unix-seqpacket", UNIX + 2, Some(Place::Path("@name", 0o666))),
            ("tcp:0", "tcp", 0, None),
            ("tcp:65536", "tcp", 0, None),
            ("tcp:localhost:80", "tcp", 0, None),
            ("tcp", "tcp", 0, None),
            ("unix:run/x", "unix", UNIX, None),
            ("unix:/run/x:999", "unix", UNIX, None),
        ] {
            let socket = socket(word).unwrap_or_else(|kind| panic!("{word}: {kind}"));
            assert_eq!((socket.name, socket.kind, socket.where_it_is()), (name, kind, place), "{word}");
        }
        assert_eq!(socket("sctp:80"), Err("sctp"));
        assert_eq!(socket("a:b=tcp:80"), Err("a"));
    }

    #[test]
    fn the_root_is_known_in_any_writing() {
        for (path, expected) in
            [("/", true), ("//", true), ("/./", true), ("/usr/..", true), ("/usr", false), ("/../usr", false)]
        {
            assert_eq!(is_root(path), expected, "{path}");
        }
    }

    #[test]
    fn an_attribute_makes_no_other_path_of_a_word() {
        for (letter, value, expected) in [
            (b'D', "web", true),
            (b'D', "a/b", true),
            (b'D', "..b", true),
            (b'D', "", false),
            (b'D', "//", false),
            (b'D', "..", false),
            (b'D', "a/..", false),
            (b'D', ".", false),
            (b'D', "a:4777", false),
            (b'Z', "a:4777", false),
            (b'B', "a:/etc", false),
            (b'l', "a:0777", false),
            (b'T', "serial/pci-0000:00", true),
            (b'R', "../etc", false),
        ] {
            assert_eq!(may_stand(letter, value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn lists_of_processors_and_times() {
        let list = |text| {
            let mut all = Vec::new();
            processors(text, &mut |number| all.push(number)).map(|()| all)
        };
        assert_eq!(list("0-3,5"), Some(alloc::vec![0, 1, 2, 3, 5]));
        for bad in ["", "1,", "3-1", "-1", "8192", "a", "1-"] {
            assert_eq!(list(bad), None, "{bad}");
        }
        for (text, time) in [("50us", Some(50_000)), ("1ns", Some(1)), ("4s", Some(4_000_000_000))] {
            assert_eq!(nanoseconds(text), time);
        }
        for bad in ["", "0ns", "5s", "10", "us", "-1us"] {
            assert_eq!(nanoseconds(bad), None, "{bad}");
        }
    }
}
