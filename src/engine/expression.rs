//! Expressions of `while`, `start-on`, `stop-on`, `for-each`: three values, leaves that match facts, and the firing
//! rule.

use super::fact::{self, Fact};
use super::memory::{Table, condition, latch, slot};
use super::slot::told;
use super::{Engine, Name};
use crate::database::{NONE, leaf, node, service};
use crate::ident::SlotId;
use crate::limits::{EXPRESSION_NODES_MAX, LATCHES_MAX};

/// A value, ordered: `and` is the least, `or` the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Value {
    /// Stops.
    Off = 0,
    /// Starts nothing, stops nothing.
    Changing = 1,
    /// Allows starting.
    On = 2,
}

impl Value {
    pub const fn from_number(number: u32) -> Value {
        match number {
            0 => Value::Off,
            1 => Value::Changing,
            _ => Value::On,
        }
    }

    const fn not(self) -> Value {
        match self {
            Value::Off => Value::On,
            Value::Changing => Value::Changing,
            Value::On => Value::Off,
        }
    }
}

/// Which expression of a service; its leaf records say so by this number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Role {
    /// `while`.
    While = 0,
    /// `start-on`.
    StartOn = 1,
    /// `stop-on`.
    StopOn = 2,
    /// `for-each`.
    ForEach = 3,
}

impl Role {
    const fn root_field(self) -> usize {
        match self {
            Role::While => service::WHILE,
            Role::StartOn => service::START_ON,
            Role::StopOn => service::STOP_ON,
            Role::ForEach => service::FOR_EACH,
        }
    }

    /// The word of latches; `while` and `for-each` have none.
    pub const fn latch_field(self) -> Option<usize> {
        match self {
            Role::StartOn => Some(slot::LATCH_START),
            Role::StopOn => Some(slot::LATCH_STOP),
            Role::While | Role::ForEach => None,
        }
    }

    /// Where a row of `Table::Latches` has the time of a latch.
    pub const fn latch_time(self, bit: u32) -> usize {
        let first = if matches!(self, Role::StopOn) { latch::SET + 2 * LATCHES_MAX } else { latch::SET };
        first + 2 * bit as usize
    }
}

impl Engine<'_> {
    /// Root node of an expression of this slot's definition, if it has one.
    pub(super) fn root(&self, slot: SlotId, role: Role) -> Option<u32> {
        let root = self.image.service(self.record(slot), role.root_field());
        (root != NONE).then_some(root)
    }

    /// The value of a node for a slot.
    pub(super) fn value(&self, slot: SlotId, role: Role, at: u32, depth: usize) -> Value {
        // A chain of terms is as deep as it is long; `Image::open` has checked that no tree is larger.
        if depth > EXPRESSION_NODES_MAX {
            return Value::Off;
        }
        let [kind, _, a, b, _] = self.image.node_record(at);
        let bits = || self.memory.told(SlotId(a));
        match kind {
            node::AND | node::OR | node::NOT => {
                let a = self.value(slot, role, a, depth + 1);
                if kind == node::NOT {
                    return a.not();
                }
                let b = self.value(slot, role, b, depth + 1);
                if kind == node::AND { a.min(b) } else { a.max(b) }
            }
            node::FACT => self.fact_value(slot, role, at),
            node::UP => Value::from_number((bits() & told::UP) >> told::UP_SHIFT),
            node::FAILED if bits() & told::FAILED != 0 => Value::On,
            _ => Value::Off,
        }
    }

    fn fact_value(&self, slot: SlotId, role: Role, at: u32) -> Value {
        let latch = 1_u32.checked_shl(self.image.node(at, node::LEAF)).unwrap_or(0);
        if self.latches(slot, role) & latch != 0 {
            return Value::On;
        }
        if self.conditions_used == 0 {
            return Value::Off;
        }
        let name = self.image.bytes_of(self.image.node(at, node::A));
        let (mut value, mut next) = (Value::Off, 0);
        while let Some(index) = self.next_condition(fact::hash(name), &mut next)
            && value != Value::On
        {
            if self.slot_matches(slot, at, Fact::known(self.memory.condition_fact(index).text())) {
                value = value.max(Value::from_number(self.memory.condition(index, condition::VALUE)));
            }
        }
        value
    }

    /// The latches that are set and count: those that are no older than `within` says.
    pub(super) fn latches(&self, slot: SlotId, role: Role) -> u32 {
        let Some(field) = role.latch_field() else { return 0 };
        let mut counts = self.memory.slot(slot, field);
        if counts == 0 {
            return 0;
        }
        let Some(row) = self.latch_row(slot) else { return counts };
        let within = self.image.service(self.record(slot), service::WITHIN);
        for bit in 0..32 {
            let set = self.memory.time(Table::Latches, row, role.latch_time(bit));
            if set.plus_ms(within) < self.now {
                counts &= !(1 << bit);
            }
        }
        counts
    }

    /// See `Image::leaf_matches`; the name is empty where there is no instance.
    #[inline(never)]
    pub(super) fn leaf_matches(&self, instance: &Name, at: u32, fact: Fact<'_>) -> bool {
        let name = Some(instance.as_bytes()).filter(|name| !name.is_empty());
        self.image.leaf_matches(at, name, fact.text())
    }

    #[inline(never)]
    pub(super) fn slot_matches(&self, at: SlotId, node: u32, fact: Fact<'_>) -> bool {
        self.leaf_matches(&self.instance_part(at), node, fact)
    }

    /// The firing rule: the expression is true through this leaf. Its value goes up to the root unchanged by what
    /// stands beside it, `not` turning it, and is on there.
    pub(super) fn fires(&self, slot: SlotId, role: Role, leaf: u32) -> bool {
        let mut value = self.value(slot, role, leaf, 0);
        let mut at = leaf;
        for _ in 0..EXPRESSION_NODES_MAX + 2 {
            let parent = self.image.node(at, node::PARENT);
            if parent == NONE {
                return value == Value::On;
            }
            let [kind, _, a, b, _] = self.image.node_record(parent);
            if kind == node::NOT {
                value = value.not();
            } else {
                let beside = self.value(slot, role, if a == at { b } else { a }, 0);
                if beside != value && (beside > value) != (kind == node::AND) {
                    return false;
                }
            }
            at = parent;
        }
        false
    }

    /// Nodes of the expression under `root`: they stand together, in preorder.
    pub(super) fn last_node(&self, root: u32) -> u32 {
        let mut at = root;
        for _ in 0..EXPRESSION_NODES_MAX + 2 {
            at = match self.image.node(at, node::KIND) {
                node::AND | node::OR => self.image.node(at, node::B),
                node::NOT => self.image.node(at, node::A),
                _ => return at,
            };
        }
        at
    }

    /// Service, role and node of a leaf record.
    pub(super) fn leaf_record(&self, index: u32) -> (SlotId, Role, u32) {
        let record = self.image.leaf(index);
        let role = [Role::While, Role::StartOn, Role::StopOn, Role::ForEach][record[leaf::ROLE] as usize & 3];
        (SlotId(record[leaf::SERVICE]), role, record[leaf::NODE])
    }
}
