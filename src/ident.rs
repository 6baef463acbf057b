//! Identities: small numbers with a type each, so that a slot is never taken for an order or a life.

/// A slot: index into the board. Slots `0..services` are the database's services in name order (a template has one too,
/// which never starts); the slots behind them are run-time instances of templates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlotId(pub u32);

impl SlotId {
    /// As an index of an array with one entry a slot.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of what the engine asked of a slot. Grows by one with each order; 0 is "never ordered".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Order(pub u32);

impl Order {
    /// The next order. Wraps past 0, which stays "never ordered".
    pub const fn next(self) -> Order {
        match self.0.wrapping_add(1) {
            0 => Order(1),
            n => Order(n),
        }
    }
}

/// The number of one spawn of a slot's main process, counted by the supervisor. 0 is "never spawned".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Life(pub u32);
