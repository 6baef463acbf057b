//! `pintle notify` (`pintle-notify`): a service that is a script tells its supervisor how it is, as sd_notify(3) does.
//! It needs no pintle: whoever listens at `$NOTIFY_SOCKET` is told.

use alloc::vec::Vec;

use super::options::Given;
use super::{exit, failed};
use crate::host::refuse::refuse;
use crate::sys::poll::{self, Interest};
use crate::sys::socket::{self, Address};
use crate::sys::{AsFd, clock, entry, pipe};
use pintle::lang::{diagnostic::told, duration_ms};
use pintle::packed;

/// How long it waits until all that it has said is read. Milliseconds.
const READ_MS: u32 = 5000;

/// Options, and what each says.
static FLAGS: [(&str, &[u8]); 4] = [
    ("--ready", b"READY=1"),
    ("--reloading", b"RELOADING=1"),
    ("--stopping", b"STOPPING=1"),
    ("--watchdog", b"WATCHDOG=1"),
];

pub fn run(given: &Given) -> i32 {
    let mut text = Vec::new();
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, value] {
            if part.contains(&b'\n') {
                given.misuse_of(packed!("a line break would end what is said in"), part);
            }
            text.extend_from_slice(part);
        }
        text.push(b'\n');
    };
    for (option, says) in &FLAGS {
        if given.has(option) {
            line(says, b"");
        }
    }
    if given.has("--reloading") {
        line(b"MONOTONIC_USEC=", told(format_args!("{}", clock::now().0 / 1000)).as_bytes());
    }
    if let Some(status) = given.value("--status") {
        line(b"STATUS=", status);
    }
    if given.has("--main-pid") {
        let pid = given.number("--main-pid", 0, u32::MAX.into());
        line(b"MAINPID=", told(format_args!("{pid}")).as_bytes());
    }
    if let Some(time) = given.value("--extend") {
        let ms = str::from_utf8(time).ok().and_then(duration_ms);
        let Some(ms) = ms else { given.misuse_of(packed!("bad time"), time) };
        line(b"EXTEND_TIMEOUT_USEC=", told(format_args!("{}", ms.saturating_mul(1000))).as_bytes());
    }
    for word in &given.words {
        if !word.contains(&b'=') {
            given.misuse_of(packed!("expected NAME=VALUE, not"), word);
        }
        line(word, b"");
    }
    if text.is_empty() {
        given.misuse(packed!("what is there to tell?"));
    }
    let Some(path) = entry::variable(b"NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
        let text = packed!("there is nobody to tell: NOTIFY_SOCKET is not set (a service has it with ready = notify)");
        refuse(exit::NO as u8, format_args!("{text}"));
    };
    let cannot = |error| -> ! { failed(packed!("cannot tell"), error) };
    let socket = Address::named(path).and_then(|address| socket::connect_datagrams(&address));
    let socket = socket.unwrap_or_else(|error| cannot(error));
    socket::send(socket.as_fd(), &text, &[]).unwrap_or_else(|error| cannot(error));
    if given.has("--no-wait") {
        return exit::DONE;
    }
    // Whoever reads this closes its end of the pipe: then all that came before has been read.
    let (near, far) = pipe::pair().unwrap_or_else(|error| cannot(error));
    socket::send(socket.as_fd(), b"BARRIER=1", &[far.as_fd()]).unwrap_or_else(|error| cannot(error));
    drop(far);
    if poll::wait_for(Some(near.as_fd()), Interest::HANG_UP, READ_MS) { exit::DONE } else { exit::NO }
}
