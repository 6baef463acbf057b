//! The board: a fixed-size arena of slots in three mappings, each with exactly one writer.
//!
//! | mapping | writer | readers | holds |
//! |---|---|---|---|
//! | orders (`orders.rs`) | engine | supervisor | what each slot's processes are to be |
//! | reports (`reports.rs`) | supervisor | engine, tools | what each slot's processes are |
//! | published (`published.rs`) | engine | tools | phases, goals, holds, conditions: what the engine thinks |
//!
//! Each begins with a header and a ring of the slots changed last; then come rows with a sequence counter each
//! (`words.rs`). State, not messages: a reader that comes late sees the newest truth, nothing queues, nothing is lost.
//! A reader never trusts a row: a writer that garbles it, or leaves its counter odd for ever, is seen as "no news".
//!
//! There is a doorbell in each direction. Before it sleeps a side stores 1 into its own `ASLEEP` word and looks at
//! the other's ring once more; the other rings only when it finds 1 after pushing. Both orderings are sequentially
//! consistent, so one of the two always sees the other.

pub mod orders;
pub mod published;
pub mod reports;
pub mod words;

use crate::database::{Image, NONE, header, policy, service};
use crate::ident::SlotId;
use crate::limits;

/// How many rows of each kind a board has; a function of the database alone, so that both sides agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Services of the database: slots `0..services`.
    pub services: u32,
    /// Instance slots behind them: `services..slots()`.
    pub instances: u32,
    /// Text rows: one for each instance slot, then one for each service with `pass`.
    pub texts: u32,
    /// Services with `within`, templates too: the times of their latches are kept.
    pub timed: u32,
    /// Rows for what services with `ready = notify` or `fork` say of themselves: one for each.
    pub statuses: u32,
    /// And behind them one for each instance slot, if a template has it; else 0.
    pub instance_statuses: u32,
}

impl Geometry {
    /// The board that this database needs.
    pub fn of(image: &Image<'_>) -> Geometry {
        let services = image.services();
        let instances = if image.header(header::TEMPLATES) > 0 { limits::INSTANCES_MAX } else { 0 };
        let passing = (0..services).filter(|at| image.service(SlotId(*at), service::PASS) != NONE).count() as u32;
        let timed = (0..services).filter(|at| image.service(SlotId(*at), service::WITHIN) != 0).count() as u32;
        let speaking = |template| (0..services).filter(move |at| speaks(image, *at, template)).count() as u32;
        let instance_statuses = if speaking(true) > 0 { instances } else { 0 };
        Geometry {
            services,
            instances,
            texts: instances + passing,
            timed,
            statuses: speaking(false),
            instance_statuses,
        }
    }

    /// Whether a slot has a row for what its service says of itself. These rows are in the order of the slots.
    pub fn has_status(&self, image: &Image<'_>, slot: SlotId) -> bool {
        if slot.0 < self.services { speaks(image, slot.0, false) } else { self.instance_statuses > 0 }
    }

    /// Rows of times of latches: one for each service with `within`, then, if there is any, one for each instance slot.
    pub const fn latches(&self) -> u32 {
        if self.timed == 0 { 0 } else { self.timed + self.instances }
    }

    /// All slots.
    pub const fn slots(&self) -> u32 {
        self.services + self.instances
    }
}

/// Words that rows have to spare: none, but for the test that goes from one layout to another.
pub const SPARE: usize = if cfg!(feature = "wide") { 8 } else { 0 };

/// Whether a service, or else a template, says of itself how it is, or somebody for it: by `ready = notify` or `fork`.
fn speaks(image: &Image<'_>, at: u32, template: bool) -> bool {
    let slot = SlotId(at);
    let index = image.service(slot, service::POLICY);
    let is_template = image.flags(slot) & service::flags::TEMPLATE != 0;
    let says = |ready| matches!(ready, policy::NOTIFY | policy::FORK);
    is_template == template && index != NONE && says(image.policy(index, policy::READY))
}
