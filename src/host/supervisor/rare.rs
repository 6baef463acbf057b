//! What few slots have, so that the others need no room for it: places for descriptors that are kept, a row for what a
//! service says of itself and the socket that it says it to, the pipe to its standard input.

use super::{Private, store};
use crate::sys::OwnedFd;
use alloc::vec::Vec;
use pintle::board::Geometry;
use pintle::database::{Image, service};
use pintle::ident::SlotId;

/// Of one slot.
#[derive(Default)]
pub struct Rare {
    /// The first place of what is kept for it from life to life, and how many there are.
    pub store_first: u32,
    pub store_room: u8,
    /// Its row for what it says of itself, plus one; 0 for none.
    pub status_row: u32,
    /// The pipe to its standard input, where others' output goes there, both ends.
    pub input: Option<(OwnedFd, OwnedFd)>,
    /// Its notify socket, once it has had one.
    pub notify: Option<OwnedFd>,
}

/// Makes it for those that may need it; gives it and how many places there are in all.
#[inline(never)]
pub fn make(image: &Image<'_>, geometry: &Geometry, slots: &mut [Private]) -> (Vec<Rare>, usize) {
    let (mut all, mut places, mut status_rows) = (Vec::new(), 0, 0);
    for ((slot, room), private) in (0..).map(SlotId).zip(store::rooms(image, slots.len() as u32)).zip(slots) {
        let has_status = geometry.has_status(image, slot);
        let is_read = slot.0 < image.services() && image.flags(slot) & service::flags::INPUT != 0;
        if room == 0 && !has_status && !is_read {
            continue;
        }
        let mut rare = Rare { store_first: places as u32, store_room: room as u8, ..Rare::default() }; // 32 at most
        places += room;
        if has_status {
            status_rows += 1;
            rare.status_row = status_rows;
        }
        all.push(rare);
        private.rare = all.len() as u32;
    }
    all.shrink_to_fit();
    (all, places)
}

/// That of a slot, if it has any.
pub fn of<'r>(slots: &[Private], all: &'r [Rare], slot: SlotId) -> Option<&'r Rare> {
    all.get(slots.get(slot.index())?.rare.checked_sub(1)? as usize)
}

/// The same to change.
pub fn of_mut<'r>(slots: &[Private], all: &'r mut [Rare], slot: SlotId) -> Option<&'r mut Rare> {
    all.get_mut(slots.get(slot.index())?.rare.checked_sub(1)? as usize)
}
