//! Descriptors that are kept for services from life to life: sockets that listen, which the chain-loader has opened, and
//! what a service has given into keeping (FDSTORE=1, see sd_pid_notify_with_fds(3)). The next life gets them from
//! descriptor 3 on. They are let go when the slot is down, and written down in `Held`, so that a crash loses none.
//!
//! Each slot has the room that its definition says: what goes beyond is closed.

use super::{Source, Supervisor, rare};
use crate::sys::poll::{self, Interest};
use crate::sys::{AsFd, BorrowedFd, OwnedFd, file, socket};
use core::ops::Range;
use pintle::database::{Image, NONE, exec, policy, service};
use pintle::ident::SlotId;
use pintle::limits::{STORED_MAX, STORED_NAME_BYTES};
use pintle::setup::socket as socket_of;
use pintle::supervision::notify::Notice;

/// What one child gets of it.
#[derive(Default)]
pub struct Stored<'a> {
    /// In the order of their numbers.
    pub descriptors: heapless::Vec<BorrowedFd<'a>, STORED_MAX>,
    /// Their names, with a `:` between.
    pub names: heapless::Vec<u8, { STORED_MAX * (STORED_NAME_BYTES + 1) }>,
    /// How many there can be.
    pub room: usize,
}

/// The names of the sockets of `listen`, in their order.
fn listening<'i>(image: &Image<'i>, definition: SlotId) -> impl Iterator<Item = &'i str> {
    let setup = image.list(image.exec(image.service(definition, service::EXEC), exec::SETUP));
    let image = *image;
    let words = (0..setup.len()).step_by(2).filter_map(move |at| {
        let listens = setup.get(at) == u32::from(b'l');
        listens.then(|| image.text(setup.get(at + 1)))
    });
    words.map(|word| socket_of(word).map_or("", |socket| socket.name))
}

/// How many descriptors can be kept for a service: those of `listen`, and `fd-store-max`.
#[inline(never)]
pub fn room(image: &Image<'_>, definition: SlotId) -> usize {
    let of_policy = image.service(definition, service::POLICY);
    if of_policy == NONE {
        return 0;
    }
    let given = image.policy(of_policy, policy::FD_STORE_MAX).saturating_sub(1);
    STORED_MAX.min(listening(image, definition).count() + given as usize)
}

impl Supervisor {
    /// The places of a slot.
    pub(super) fn places(&self, slot: SlotId) -> Range<usize> {
        let Some(rare) = rare::of(&self.slots, &self.rare, slot) else { return 0..0 };
        let first = rare.store_first as usize;
        first..first + usize::from(rare.store_room)
    }

    /// Keeps what has come with a notice, or lets go what it names. The first places are those of `listen`, in its order.
    #[inline(never)]
    pub(super) fn store(&mut self, slot: SlotId, notice: &Notice<'_>, descriptors: heapless::Vec<OwnedFd, STORED_MAX>) {
        let image = self.common.image;
        let definition = self.definition(slot);
        let listening = definition.map_or(0, |at| listening(&image, at).count());
        if let (true, Some(name)) = (notice.fd_remove, notice.fd_name) {
            self.places(slot).skip(listening).for_each(|at| self.drop_named_stored(at, name));
        }
        let name = notice.fd_name.unwrap_or(b"stored");
        let listens = definition.and_then(|at| self::listening(&image, at).position(|one| one.as_bytes() == name));
        let room = definition.map_or(0, |at| room(&image, at));
        let keeps = notice.fd_store && !self.reports.get(slot).state.is_down();
        let all = self.places(slot).take(if keeps { room } else { 0 });
        let places = match listens {
            Some(at) => all.skip(at).take(1),
            None => all.skip(listening).take(room),
        };
        for fd in descriptors {
            let mut kept = places.clone().filter_map(|at| self.stored.get(at)?.as_ref());
            let place = places.clone().find(|at| self.stored.get(*at).is_some_and(Option::is_none));
            match place {
                // It stands for the same: given once more, by a service or after a crash of ours.
                Some(at) if file::is_prompt(&fd) && !kept.any(|old| file::is_same(old, &fd)) => {
                    self.held.store(at, &fd, name, notice.fd_stays);
                    self.watch_stored(at, Some(fd), notice.fd_stays);
                }
                Some(_) | None => socket::close_foreign(fd),
            }
        }
    }

    fn watch_stored(&mut self, at: usize, fd: Option<OwnedFd>, stays: bool) {
        if let Some(fd) = fd.as_ref().filter(|_| !stays) {
            let _ = self.poll.add(fd, Source::Stored(at as u32).token(), Interest::NONE); // EPERM: it never hangs up
        }
        if let Some(place) = self.stored.get_mut(at) {
            *place = fd;
        }
    }

    /// Lets go those of a slot.
    #[inline(never)]
    pub(super) fn drop_stored(&mut self, slot: SlotId) {
        self.places(slot).for_each(|at| self.drop_one_stored(at));
    }

    fn drop_named_stored(&mut self, at: usize, name: &[u8]) {
        if self.held.stored_name(at, &mut [0; STORED_NAME_BYTES]) == name {
            self.drop_one_stored(at);
        }
    }

    fn drop_one_stored(&mut self, at: usize) {
        if let Some(fd) = self.stored.get_mut(at).and_then(Option::take) {
            self.held.forget_stored(at);
            // The service may hold another copy, and the watch would stay.
            let _ = self.poll.remove(&fd);
            socket::close_foreign(fd);
        }
    }

    /// News of one. They may be of an earlier one at its place.
    pub(super) fn mind_stored(&mut self, at: usize) {
        let fd = self.stored.get(at).and_then(Option::as_ref);
        if fd.is_some_and(|fd| poll::is_hung_up(fd.as_fd())) {
            self.drop_one_stored(at);
        }
    }

    /// After a crash.
    pub(super) fn take_over_stored(&mut self) {
        for at in 0..self.stored.len() {
            let (fd, stays) = self.held.take_stored(at);
            self.watch_stored(at, fd, stays);
        }
    }
}

/// Those that instances are made of.
pub fn templates(image: &Image<'_>) -> impl Iterator<Item = SlotId> {
    (0..image.services()).map(SlotId).filter(|at| image.flags(*at) & service::flags::TEMPLATE != 0)
}

/// How much room each slot has.
pub fn rooms(image: &Image<'_>, slots: u32) -> impl Iterator<Item = usize> {
    let of_instance = templates(image).map(|at| room(image, at)).max().unwrap_or(0);
    (0..slots).map(SlotId).map(move |slot| if slot.0 < image.services() { room(image, slot) } else { of_instance })
}
