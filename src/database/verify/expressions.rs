//! Checks the expression trees and the index of their leaves.

use super::{Check, NODE_WORDS, NONE, Rule, Section, holds};
use crate::database::{leaf, node, service};
use crate::fact;
use crate::graph::Relation;
use crate::ident::SlotId;
use crate::limits::{EXPRESSION_NODES_MAX, TESTS_MAX};

/// The fields of a service that name a root, in the order of `leaf::ROLE` and of the trees in NODES.
/// The last has no leaves that are looked up.
const ROLES: [usize; 5] = [service::WHILE, service::START_ON, service::STOP_ON, service::FOR_EACH, service::ONLY_IF];
const TESTS: usize = 4;

/// Trees one behind the other in the order of services and roles, each in preorder, no node outside a tree; and an
/// index of leaves that has every fact leaf once, in order.
pub(super) fn verify(check: &Check<'_>) -> Option<()> {
    let nodes = check.image.count(Section::Nodes, NODE_WORDS);
    let (mut next, mut facts) = (0, 0);
    for slot in (0..check.services).map(SlotId) {
        for (role, field) in ROLES.iter().enumerate() {
            let root = check.image.service(slot, *field);
            if root != NONE {
                check.at.set((Section::Services, slot.0));
                holds(root == next)?;
                next = Tree { check, slot, role, nodes }.verify(root, &mut facts)?;
            }
        }
    }
    check.at.set((Section::Nodes, next));
    holds(next == nodes)?;
    leaves(check, nodes, facts)
}

/// One expression of one service.
struct Tree<'a> {
    check: &'a Check<'a>,
    slot: SlotId,
    role: usize,
    nodes: u32,
}

impl Tree<'_> {
    /// Walks the tree at `root` in preorder; gives the index behind its last node.
    fn verify(&self, root: u32, facts: &mut u32) -> Option<u32> {
        // The parents of the nodes that are still to come, the next one's last. Never more than there are nodes.
        let mut parents = [NONE; EXPRESSION_NODES_MAX];
        let mut depth = 1;
        let mut at = root;
        let mut latch = 0;
        while depth > 0 {
            depth -= 1;
            self.check.at.set((Section::Nodes, at));
            let field = |field| self.check.image.node(at, field);
            let (kind, a, b) = (field(node::KIND), field(node::A), field(node::B));
            let inside = at < self.nodes && ((at - root) as usize) < EXPRESSION_NODES_MAX;
            let parent = parents[depth];
            // What is not the first below its parent is the second.
            let follows = parent == NONE || parent + 1 == at || self.check.image.node(parent, node::B) == at;
            holds(inside && parent == field(node::PARENT) && follows && depth + 2 <= EXPRESSION_NODES_MAX)?;
            let is_leaf = kind > node::NOT;
            match kind {
                node::AND | node::OR | node::NOT => {
                    holds(a == at + 1 && (kind != node::NOT || b == NONE))?;
                    let children = if kind == node::NOT { 1 } else { 2 };
                    parents[depth..depth + children].fill(at);
                    depth += children;
                }
                node::PATH | node::ENV | node::KERNEL => {
                    self.check.word(Rule::Text, a)?;
                    holds(self.role == TESTS && a != 0 && b == NONE && (latch as usize) < TESTS_MAX)?;
                }
                _ if self.role == TESTS => return None,
                node::FACT => {
                    *facts += 1;
                    self.check.word(Rule::Text, a)?;
                    holds(a != 0)?;
                    self.check.word(Rule::Attributes, b)?;
                    self.places(b)?;
                }
                node::UP | node::FAILED => self.phase(a, b)?,
                _ => return None,
            }
            // `for-each` is one fact.
            holds(field(node::LEAF) == if is_leaf { latch } else { NONE } && (self.role != 3 || kind == node::FACT))?;
            latch += u32::from(is_leaf);
            at += 1;
        }
        Some(at)
    }

    /// Values for a place stand before those with a key, and are not negated.
    fn places(&self, list: u32) -> Option<()> {
        let list = self.check.image.list(list);
        let mut named = false;
        let mut at = 0;
        while at < list.len() {
            named |= list.get(at) != 0;
            holds(named == (list.get(at) != 0) && (named || list.get(at + 1) == 0))?;
            at += 3;
        }
        Some(())
    }

    /// `up()` and `failed()`: the service is there, and so is the edge that tells this one of it.
    fn phase(&self, target: u32, b: u32) -> Option<()> {
        holds(target < self.check.services && b == NONE)?;
        let relation = if self.role == 0 { Relation::Observes } else { Relation::Listens };
        // Only such terms have edges of these relations, so there are few.
        holds(self.check.image.edges(self.slot).only(relation).any(|edge| edge.slot == SlotId(target)))
    }
}

/// As many leaves as fact nodes, each a fact node's, in strict order: so each fact node has one.
fn leaves(check: &Check<'_>, nodes: u32, facts: u32) -> Option<()> {
    let count = check.image.leaves();
    check.at.set((Section::Leaves, count.min(facts)));
    holds(count == facts)?;
    let mut before: (u32, &[u8], [u32; 3]) = (0, &[], [0; 3]);
    for index in 0..count {
        check.at.set((Section::Leaves, index));
        let record = check.image.leaf(index);
        let (slot, at) = (record[leaf::SERVICE], record[leaf::NODE]);
        let (hash, role) = (record[leaf::ROLE] & leaf::HASH, record[leaf::ROLE] & !leaf::HASH);
        let name = check.image.bytes_of(record[leaf::NAME]);
        holds(slot < check.services && at < nodes && hash == fact::hash(name) & leaf::HASH)?;
        let names_it = check.image.node(at, node::KIND) == node::FACT
            && check.image.node(at, node::A) == record[leaf::NAME]
            && root_of(check, at) == check.image.service(SlotId(slot), ROLES[role as usize]);
        let key = (hash, name, [slot, role, at]);
        holds(names_it && (index == 0 || before < key))?;
        before = key;
    }
    Some(())
}

/// The root above a node. Every parent lies before its child (checked), so this ends.
fn root_of(check: &Check<'_>, mut at: u32) -> u32 {
    while check.image.node(at, node::PARENT) != NONE {
        at = check.image.node(at, node::PARENT);
    }
    at
}
