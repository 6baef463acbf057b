//! What engines that die at once begin anew with: what they inherit may be what they die of. One that was not ours any
//! more, or one with a bug, can leave a memory that no engine survives, seal it, truncate what is published, shut the
//! control socket down. The next engine takes over from the reports what is there; holds, conditions and marks are lost.
//!
//! All is made before anything is put in its place: where something cannot be made, everything stays as it was.

use super::start::control_mode;
use super::{Place, Supervisor};
use crate::host::descriptors;
use crate::host::run_directory::{PUBLISHED, PUBLISHED_NEW};
use crate::sys::errno::Words;
use crate::sys::{AsFd, Errno, mapping, output, process, socket};
use pintle::access;
use pintle::board::words::Follower;
use pintle::board::{orders, published};
use pintle::engine::{Capacities, words_needed};

/// Behind so many deaths in a row that came at once and of themselves.
pub const SPOILED_DEATHS: u32 = 4;

impl Supervisor {
    /// There is no engine now.
    #[inline(never)]
    pub(super) fn renew_engine(&mut self) {
        match self.renew() {
            Ok(()) => output::say_now(format_args!(
                "pintle: the engine dies again and again: the next one begins with an empty memory"
            )),
            Err(error) => output::say_now(format_args!(
                "pintle: the engine dies again and again, and gets no new memory: {}",
                Words(error)
            )),
        }
    }

    fn renew(&mut self) -> Result<(), Errno> {
        let image = &self.common.image;
        let geometry = self.reports.geometry();
        let state = mapping::sparse_memory(c"pintle-engine", words_needed(image, geometry, Capacities::of(image)))?;
        let orders = mapping::sealed_memory(c"pintle-orders", orders::words(&geometry))?;
        let count = published::words(&geometry);
        let published = match &self.place {
            Place::Directory(run) => {
                let file = run.directory().create_file(PUBLISHED_NEW, access::file_mode(image))?;
                mapping::preallocate(&file, count as u64 * 4)?;
                file
            }
            Place::Abstract(_) => mapping::sealed_memory(c"pintle-board", count)?,
        };
        // A name that is no file's is free only when nobody has the old one.
        let control = self.control.as_ref().and_then(|address| socket::listen(address, control_mode(image)).ok());
        if let Place::Directory(run) = &self.place {
            run.directory().rename(PUBLISHED_NEW, PUBLISHED)?;
        }
        mapping::replace_view(self.orders.words(), &orders)?;
        self.follower = Follower::at_head(self.orders.words());
        for (number, fresh) in [
            (descriptors::ORDERS, Some(orders)),
            (descriptors::PUBLISHED, Some(published)),
            (descriptors::STATE, Some(state)),
            (descriptors::CONTROL, control),
        ] {
            if let Some(fresh) = fresh {
                process::place_at(fresh.as_fd(), number, true)?;
            }
        }
        Ok(())
    }
}
