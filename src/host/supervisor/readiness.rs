//! How services say that they are ready: a newline on a pipe, or datagrams on a socket of each one's own, so that who
//! speaks does not rest on pids.

use super::held::Of;
use super::{Source, Supervisor, rare};
use crate::host::failure::Failure;
use crate::host::run_directory::{NOTIFY, Place};
use crate::sys::poll::Interest;
use crate::sys::socket::Address;
use crate::sys::{AsFd, Errno, OwnedFd, directory, file, output, pipe, process, socket};
use core::fmt::Write;
use pintle::board::reports;
use pintle::database::{exec, service};
use pintle::ident::SlotId;
use pintle::supervision::{Input, Policy, Ready, notify};
use pintle::words::Short;

/// Bytes of `$NOTIFY_SOCKET`: what a socket address holds, and `@`.
pub const PATH_BYTES: usize = 112;
/// Datagrams of one service taken in one round: one that floods waits for the others.
const NOTICES: usize = 16;
/// Datagrams of a life that has ended that are dropped before the next: net.unix.max_dgram_qlen is 10 or 512 mostly.
const NOTICES_LEFT: usize = 1024;
/// Bytes of a datagram that are read; the rest is cut off.
const NOTICE_BYTES: usize = 4096;

impl Supervisor {
    /// Reads the readiness pipe of a slot, if it has one. What it says is taken out of it only when it is written down.
    pub fn read_ready(&mut self, slot: SlotId) {
        loop {
            let Some(pipe) = self.slots.get(slot.index()).and_then(|private| private.ready.as_ref()) else { return };
            let mut bytes = [0; 64];
            let seen = match pipe::copy(pipe, &self.scratch.1, bytes.len()) {
                Ok(_) => file::read(&self.scratch.0, &mut bytes),
                Err(error) => Err(error),
            };
            match seen {
                Ok(count) if bytes.iter().take(count).any(|byte| *byte == b'\n') => {
                    self.feed(slot, Input::Ready);
                    return self.close_ready(slot);
                }
                Ok(count @ 1..) => {
                    let _ = file::read(pipe, &mut bytes[..count]); // as much is there
                }
                Err(Errno::AGAIN) => return,
                Err(error) if error.may_pass() => return self.watch_later(slot),
                // Closed without a word: start-timeout decides.
                Ok(_) | Err(_) => return self.close_ready(slot),
            }
        }
    }

    /// Nothing more is said about the readiness of a slot's life.
    #[inline(never)]
    pub fn close_ready(&mut self, slot: SlotId) {
        let Some(private) = self.slots.get_mut(slot.index()) else { return };
        if private.ready.is_some() {
            self.held.hold(slot, Of::Ready, None);
            private.ready = None;
        }
    }

    /// Where the service of a slot sends its notices: `$NOTIFY_SOCKET`. Empty if it would be too long.
    #[inline(never)]
    pub fn notify_path<'a>(&self, slot: SlotId, buffer: &'a mut [u8; PATH_BYTES]) -> &'a [u8] {
        let mut digits = Short::new();
        let _ = write!(digits, "/{}", slot.0); // eleven characters at most
        let [first, second, name]: [&[u8]; 3] = match &self.place {
            Place::Directory(directory) => [directory.path(), b"/", NOTIFY.as_bytes()],
            Place::Abstract(name) => [b"@", name, b"/notify"],
        };
        let mut length = 0;
        for part in [first, second, name, digits.as_bytes()] {
            match buffer.get_mut(length..length + part.len()) {
                Some(place) => place.copy_from_slice(part),
                None => return &[],
            }
            length += part.len();
        }
        &buffer[..length]
    }

    /// Makes the notify socket of a slot, if it has none yet. In a run directory it belongs to the service's user, and
    /// nobody else (but root) may send to it; where the service is not to speak itself, root (or who we are) alone.
    #[inline(never)]
    pub fn open_notify(&mut self, slot: SlotId, definition: SlotId, policy: &Policy) -> Result<(), Failure> {
        let Some(rare) = rare::of(&self.slots, &self.rare, slot) else { return Ok(()) };
        if let Some(socket) = &rare.notify {
            // What is there still was said by an earlier life; a queue that never empties has somebody who writes on
            // and on.
            let mut left = NOTICES_LEFT;
            while left > 0 && socket::receive_alone(socket.as_fd(), &mut [0; 1]).is_ok() {
                left -= 1;
            }
            return Ok(());
        }
        let mut buffer = [0; PATH_BYTES];
        let path = self.notify_path(slot, &mut buffer);
        let mut owner = None;
        if !path.starts_with(b"@") && process::uid() == 0 && policy.ready == Ready::Notify {
            let image = self.common.image;
            let record = image.service(definition, service::EXEC);
            let name = |field| image.bytes_of(image.exec(record, field));
            let account = self.common.accounts.resolve(name(exec::USER), name(exec::GROUP))?;
            owner = Some((account.uid, account.gid));
        }
        let bound = bind(path, owner).map_err(Failure::of_notify)?;
        self.poll.add(&bound, Source::Notify(slot.0).token(), Interest::READ).map_err(Failure::of_notify)?;
        if let Some(rare) = rare::of_mut(&self.slots, &mut self.rare, slot) {
            self.held.hold(slot, Of::Notify, Some(&bound));
            rare.notify = Some(bound);
        }
        Ok(())
    }

    /// Whether this is among the words of a key of a slot's service, by the chain-loader's letter.
    fn has_word(&self, slot: SlotId, letter: u8, word: &str) -> bool {
        let image = &self.common.image;
        let Some(definition) = self.definition(slot) else { return false };
        let list = image.list(image.exec(image.service(definition, service::EXEC), exec::SETUP));
        let mut pairs = (0..list.len()).step_by(2);
        pairs.any(|at| list.get(at) == letter.into() && image.text(list.get(at + 1)) == word)
    }

    /// Keeps what a service says of itself.
    pub fn write_status(&self, slot: SlotId, text: &[u8]) {
        let row = rare::of(&self.slots, &self.rare, slot).and_then(|rare| rare.status_row.checked_sub(1));
        row.into_iter().for_each(|row| self.reports.write_status(row, text));
    }

    /// Reads all that a slot has said, before it is judged for what it has not: but not without end.
    pub fn read_all_notices(&mut self, slot: SlotId) {
        for _ in 0..NOTICES_LEFT / NOTICES {
            if !self.read_notices(slot, true) {
                return;
            }
        }
    }

    /// Reads some notices of a slot, if it sends any. Says whether there may be more. One with a descriptor that is to be
    /// kept, and that we cannot have now, is read later, with all behind it; where it is the `last` chance, without.
    pub fn read_notices(&mut self, slot: SlotId, last: bool) -> bool {
        for _ in 0..NOTICES {
            let Some(rare) = rare::of(&self.slots, &self.rare, slot) else { return false };
            let Some(socket) = rare.notify.as_ref() else { return false };
            let mut datagram = [0; NOTICE_BYTES];
            let look = if rare.store_room == 0 { socket::look_alone } else { socket::look };
            let mut received = match look(socket.as_fd(), &mut datagram) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return false,
                Err(_) => {
                    self.watch_later(slot);
                    return false;
                }
            };
            let sender = received.sender.map_or(u32::MAX, |sender| sender.uid);
            let mut notice = notify::parse(datagram.get(..received.length).unwrap_or_default());
            // An abstract name has no permissions: whoever is not us or root is not believed.
            if matches!(self.place, Place::Abstract(_)) && sender != 0 && sender != self.common.uid {
                notice = notify::Notice::default();
            }
            // It will be signalled: nobody names one that is not theirs to signal.
            let trusted = sender == 0 || sender == self.common.uid;
            let named = notice.main_pid.filter(|pid| trusted || belongs_to(*pid, sender));
            // One with numbers of its own means those.
            if let Some(pid) = named.filter(|_| !self.has_word(slot, b'N', "pid")) {
                let current = self.reports.word(slot, reports::PID);
                self.reports.keep(slot, reports::HEIR, if pid == current { 0 } else { pid });
            }
            if notice.fd_store && received.truncated && !last && process::lacks_descriptors() {
                self.watch_later(slot);
                return false;
            }
            if notice.fd_store && received.truncated {
                let name = self.definition(slot).map_or("", |definition| self.common.image.name(definition));
                output::say(format_args!("pintle: {name}: a descriptor that was to be kept is lost"));
            }
            if notice.fd_store || notice.fd_remove || !received.descriptors.is_empty() {
                self.store(slot, &notice, core::mem::take(&mut received.descriptors));
            }
            if let Some(text) = notice.status {
                self.write_status(slot, text);
            }
            if let Some(ms) = notice.extend_ms {
                self.feed(slot, Input::Extend(ms));
            }
            if let Some(ms) = notice.watchdog_ms {
                self.feed(slot, Input::Watchdog(ms));
            }
            if notice.ready {
                self.feed(slot, Input::Ready);
            }
            if notice.ping {
                self.feed(slot, Input::Ping);
            }
            if notice.trigger {
                self.feed(slot, Input::Trigger);
            }
            // Only now: after a crash it is heard once more.
            let socket = rare::of(&self.slots, &self.rare, slot).and_then(|rare| rare.notify.as_ref());
            let _ = socket.map(|socket| socket::receive_alone(socket.as_fd(), &mut [0; 1]));
        }
        true
    }
}

/// A socket for notices; its file, if it has one, is this user's and group's.
fn bind(path: &[u8], owner: Option<(Option<u32>, Option<u32>)>) -> Result<OwnedFd, Errno> {
    if path.is_empty() {
        return Err(Errno::NAMETOOLONG); // see `notify_path`
    }
    let socket = socket::bind_datagrams(&Address::named(path)?, 0o600)?;
    if let Some((uid, gid)) = owner {
        directory::give(path, uid, gid)?;
    }
    Ok(socket)
}

/// Whether a process is this user's, by the word of proc(5): /proc/PID belongs to its effective user, or to root.
fn belongs_to(pid: u32, uid: u32) -> bool {
    file::owner(process::path(pid, "").as_str()).is_ok_and(|owner| owner == uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_its_user_alone() {
        let own = process::uid();
        assert!(belongs_to(process::pid(), own) && !belongs_to(process::pid(), own + 1));
        assert!(!belongs_to(u32::MAX, own));
    }
}
