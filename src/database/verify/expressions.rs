//! Checks the expression trees and the index of their leaves.

use super::{Check, LEAF_WORDS, NODE_WORDS, NONE, Section};
use crate::database::{ImageError, leaf, node, service};
use crate::graph::Relation;
use crate::graph::relation::Edge;
use crate::ident::SlotId;
use crate::limits::{ATTRIBUTES_MAX, EXPRESSION_NODES_MAX};

/// The fields of a service that name a root, in the order of `leaf::ROLE` and of the trees in NODES.
const ROLES: [usize; 4] = [service::WHILE, service::START_ON, service::STOP_ON, service::FOR_EACH];

/// Trees one behind the other in the order of services and roles, each in preorder, no node outside a tree; and an index of
/// leaves that has every fact leaf once, in order.
pub(super) fn verify(check: &Check<'_>) -> Result<(), ImageError> {
    let nodes = check.image.count(Section::Nodes, NODE_WORDS);
    let mut next = 0;
    let mut facts = 0;
    for slot in 0..check.services {
        for (role, field) in ROLES.into_iter().enumerate() {
            let root = check.image.service(SlotId(slot), field);
            if root == NONE {
                continue;
            }
            check.require(root == next && root < nodes, Section::Services, slot)?;
            let tree = Tree { check, slot: SlotId(slot), role, nodes };
            let end = tree.verify(root, &mut facts)?;
            next = end;
        }
    }
    check.require(next == nodes, Section::Nodes, next)?;
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
    fn verify(&self, root: u32, facts: &mut u32) -> Result<u32, ImageError> {
        // Children that are still to come: (the index it must have or `NONE`, its parent). Never more than there are nodes.
        let mut pending = [(NONE, NONE); EXPRESSION_NODES_MAX];
        let mut depth = 1;
        let mut at = root;
        let mut latch = 0;
        pending[0] = (root, NONE);
        while depth > 0 {
            depth -= 1;
            let (expected, parent) = pending[depth];
            let field = |field| self.check.image.node(at, field);
            let (a, b) = (field(node::A), field(node::B));
            let here = at < self.nodes
                && expected == at
                && field(node::PARENT) == parent
                && ((at - root) as usize) < EXPRESSION_NODES_MAX
                && depth + 2 <= EXPRESSION_NODES_MAX;
            self.check.require(here, Section::Nodes, at)?;
            let leaf = match field(node::KIND) {
                node::AND | node::OR => {
                    self.check.require(a == at + 1 && b > a, Section::Nodes, at)?;
                    pending[depth] = (b, at);
                    pending[depth + 1] = (a, at);
                    depth += 2;
                    NONE
                }
                node::NOT => {
                    self.check.require(a == at + 1 && b == NONE, Section::Nodes, at)?;
                    pending[depth] = (a, at);
                    depth += 1;
                    NONE
                }
                node::FACT => {
                    *facts += 1;
                    self.check.require(self.fact(a, b).is_some(), Section::Nodes, at)?;
                    latch
                }
                node::UP | node::FAILED => {
                    self.check.require(self.phase(a, b).is_some(), Section::Nodes, at)?;
                    latch
                }
                _ => return Err(ImageError::Record { section: Section::Nodes, index: at }),
            };
            self.check.require(field(node::LEAF) == leaf, Section::Nodes, at)?;
            latch += u32::from(leaf != NONE);
            at += 1;
        }
        // `for-each` is one fact.
        let lone = self.role != 3 || self.check.image.node(root, node::KIND) == node::FACT;
        self.check.require(lone, Section::Nodes, root)?;
        Ok(at)
    }

    fn fact(&self, name: u32, attributes: u32) -> Option<()> {
        self.check.string(name)?;
        (name != 0).then_some(())?;
        if attributes == NONE {
            return Some(());
        }
        let count = self.check.list(attributes, ATTRIBUTES_MAX * 3)?;
        let list = self.check.image.list(attributes);
        for at in (0..count as usize).step_by(3) {
            self.check.string(list.get(at))?;
            self.check.string(list.get(at + 2))?;
            (list.get(at + 1) <= 1).then_some(())?;
        }
        count.is_multiple_of(3).then_some(())
    }

    /// `up()` and `failed()`: the service is there, and so is the edge that tells this one of it.
    fn phase(&self, target: u32, b: u32) -> Option<()> {
        (target < self.check.services && b == NONE).then_some(())?;
        let relation = if self.role == 0 { Relation::Observes } else { Relation::Listens };
        let wanted = Edge { relation, slot: SlotId(target) }.to_word();
        let first = self.check.image.service(self.slot, service::EDGES);
        let (mut low, mut high) = (first, first + self.check.image.service(self.slot, service::EDGES_COUNT));
        let end = high;
        while low < high {
            let middle = low + (high - low) / 2;
            let word = self.check.image.word(Section::Edges, middle as usize);
            if word < wanted { low = middle + 1 } else { high = middle }
        }
        (low < end && self.check.image.word(Section::Edges, low as usize) == wanted).then_some(())
    }
}

/// As many leaves as fact nodes, each a fact node's, in strict order: so each fact node has one.
fn leaves(check: &Check<'_>, nodes: u32, facts: u32) -> Result<(), ImageError> {
    let count = check.image.count(Section::Leaves, LEAF_WORDS);
    check.require(count == facts, Section::Leaves, count.min(facts))?;
    let mut before: (&[u8], [u32; 3]) = (&[], [0; 3]);
    for index in 0..count {
        let field = |field| check.image.leaf(index, field);
        let (slot, role, at) = (field(leaf::SERVICE), field(leaf::ROLE), field(leaf::NODE));
        let there = slot < check.services && role < 4 && at < nodes;
        check.require(there, Section::Leaves, index)?;
        let names_it = check.image.node(at, node::KIND) == node::FACT
            && check.image.node(at, node::A) == field(leaf::NAME)
            && root_of(check, at) == check.image.service(SlotId(slot), ROLES[role as usize]);
        let key = (check.image.bytes_of(field(leaf::NAME)), [slot, role, at]);
        check.require(names_it && (index == 0 || before < key), Section::Leaves, index)?;
        before = key;
    }
    Ok(())
}

/// The root above a node. Every parent lies before its child (checked), so this ends.
fn root_of(check: &Check<'_>, mut at: u32) -> u32 {
    while check.image.node(at, node::PARENT) != NONE {
        at = check.image.node(at, node::PARENT);
    }
    at
}
