//! Relations, goals, phases, holds: the vocabulary that every layer shares, and (below) the semantics in prose.

pub mod relation;
pub mod vocabulary;

pub use relation::Relation;
pub use vocabulary::{Goal, Hold, Holds, Phase};
