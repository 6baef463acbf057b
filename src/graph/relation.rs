//! The relations between two services, as they stand in a database: all written from the end that needs.

use crate::ident::SlotId;
use crate::text::nth;

/// What the source of an edge asks of its target.
/// `needed-by`, `wanted-by` and `before` are the same edges written from the other end; the compiler turns them round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Relation {
    /// Pulls up; start waits for up; stops before it; waits when it fails.
    Needs = 0,
    /// As `Needs`, and ends and starts again when the target's life ends.
    Binds = 1,
    /// Pulls up; start waits for up; nothing afterwards.
    NeedsToStart = 2,
    /// Pulls up; start waits until it is not under way.
    Wants = 3,
    /// Does not pull; start waits until it is not under way.
    After = 4,
    /// Never both at once. Stored in both directions.
    Conflicts = 5,
    /// A bundle's member.
    Contains = 6,
    /// `up()` or `failed()` of the target stands in the source's `while`. Orders, does not pull.
    Observes = 7,
    /// `up()` or `failed()` of the target stands in the source's `start-on` or `stop-on`. Neither orders nor pulls.
    Listens = 8,
    /// One that a choice may choose. It is there for the source only while it is the chosen one.
    Alternative = 9,
}

impl Relation {
    /// All relations, in the order of their numbers.
    pub const ALL: [Relation; 10] = [
        Relation::Needs,
        Relation::Binds,
        Relation::NeedsToStart,
        Relation::Wants,
        Relation::After,
        Relation::Conflicts,
        Relation::Contains,
        Relation::Observes,
        Relation::Listens,
        Relation::Alternative,
    ];

    /// Those by which a goal pulls its target up.
    pub const PULLS: u32 = Relation::set(&[
        Relation::Needs,
        Relation::Binds,
        Relation::NeedsToStart,
        Relation::Wants,
        Relation::Contains,
        Relation::Alternative,
    ]);
    /// Those by which a start of the source waits for something of the target, so that a cycle of them never starts.
    pub const ORDERS: u32 = Relation::PULLS | Relation::set(&[Relation::After, Relation::Observes]);

    /// These as a set, for `is_in`.
    pub const fn set(of: &[Relation]) -> u32 {
        let (mut set, mut at) = (0, 0);
        while at < of.len() {
            set |= 1 << of[at] as u32;
            at += 1;
        }
        set
    }

    /// Whether it is in a set.
    pub const fn is_in(self, set: u32) -> bool {
        set >> self as u32 & 1 == 1
    }

    /// The relation with this number, if there is one.
    #[inline]
    pub const fn from_number(number: u32) -> Option<Relation> {
        if number < Relation::ALL.len() as u32 { Some(Relation::ALL[number as usize]) } else { None }
    }

    /// The key that writes it in a service file; `provides` writes an alternative too.
    pub fn name(self) -> &'static str {
        const NAMES: &str = "needs binds needs-to-start wants after conflicts contains while start-on alternative";
        nth(NAMES, b' ', self as usize)
    }
}

/// One edge as one word: relation in the top 4 bits, the other end's slot in the lower 28.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// What is asked.
    pub relation: Relation,
    /// The target in a forward list, the source in a reverse list.
    pub slot: SlotId,
}

impl Edge {
    /// The word of this edge.
    pub const fn to_word(self) -> u32 {
        (self.relation as u32) << 28 | self.slot.0 & 0x0fff_ffff
    }

    /// The edge of this word; `None` where no relation has that number.
    #[inline(always)] // of very many
    pub const fn from_word(word: u32) -> Option<Edge> {
        match Relation::from_number(word >> 28) {
            Some(relation) => Some(Edge { relation, slot: SlotId(word & 0x0fff_ffff) }),
            None => None,
        }
    }
}
