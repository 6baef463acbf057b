//! What one service file says, as values. `keys.rs` is the one table that says which key fills which field.

use alloc::string::String;
use alloc::vec::Vec;

use crate::graph::Relation;

/// Where a text stands: a file (index into the list of sources of this run), a line and a column, both from 1; the
/// column counts characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Index of the source.
    pub file: u32,
    /// Line, from 1; 0 says the file as a whole.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters of what stands there, at least 1.
    pub length: u32,
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub position: Position,
}

/// The three kinds of service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Kind {
    /// A daemon.
    #[default]
    Longrun = 0,
    /// A command that brings something up, with an optional one that takes it down.
    Oneshot = 1,
    /// A name for a set.
    Bundle = 2,
}

/// How a service says that it now does its job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Readiness {
    /// Up when exec has happened.
    #[default]
    None,
    /// A newline on this descriptor (3 to 255).
    Descriptor(u32),
    /// The sd_notify datagram protocol.
    Notify,
}

/// When the supervisor starts a longrun again by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Restart {
    /// After every end.
    #[default]
    Always = 0,
    /// After an end that is not exit 0.
    OnFailure = 1,
    /// Not at all.
    Never = 2,
}

/// Where output goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Log {
    /// A file of its own, through the logger.
    #[default]
    File = 0,
    /// The supervisor's own output.
    Console = 1,
    /// Nowhere.
    Null = 2,
}

/// How a service is stopped, or told to reload: signals in turn, or a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send this signal (number of this architecture's Linux, 1 to 64).
    Signal(u32),
    /// Run this command; `argv[0]` is the program.
    Command(Vec<String>),
}

/// One resource limit: `limit-nofile = SOFT[:HARD]`, `unlimited` is `u64::MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// RLIMIT_* number of setrlimit(2) on Linux (the generic numbering).
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// How an attribute is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// The attribute's name.
    pub key: String,
    /// `KEY!=GLOB` instead of `KEY=GLOB`.
    pub negated: bool,
    /// Glob with `*`, `?`, `[...]`, as fnmatch(3) without flags.
    pub glob: String,
}

/// An expression over conditions and events: `while`, `start-on`, `stop-on`, `for-each`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expression {
    /// Both.
    And(alloc::boxed::Box<Expression>, alloc::boxed::Box<Expression>),
    /// Either.
    Or(alloc::boxed::Box<Expression>, alloc::boxed::Box<Expression>),
    /// Not.
    Not(alloc::boxed::Box<Expression>),
    /// A condition that is on, or (in `start-on`, `stop-on`) an event that happened.
    Fact {
        /// The name of the condition or event.
        name: At<String>,
        /// What its attributes must match, all of them.
        attributes: Vec<Attribute>,
    },
    /// `up(SERVICE)`: the service is up.
    Up(At<String>),
    /// `failed(SERVICE)`: the service has failed.
    Failed(At<String>),
}

impl Expression {
    /// How many conditions, events, `up()` and `failed()` stand in it. Recursion is bounded by EXPRESSION_NODES_MAX.
    pub fn leaves(&self) -> usize {
        match self {
            Expression::And(left, right) | Expression::Or(left, right) => left.leaves() + right.leaves(),
            Expression::Not(inner) => inner.leaves(),
            Expression::Fact { .. } | Expression::Up(_) | Expression::Failed(_) => 1,
        }
    }
}

/// One service of one file, all defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Name without `.svc`; a template's ends in `@`; an instance made by the compiler is `NAME@INSTANCE`.
    pub name: String,
    /// Where the file begins.
    pub origin: Position,
    /// One line for people.
    pub description: String,
    /// `type`.
    pub kind: Kind,
    /// `command`, split into words; empty for a bundle.
    pub command: Vec<String>,
    /// `stop`: signals in turn (usually one, TERM), or a command.
    pub stop: Vec<Action>,
    /// `reload`: nothing, a signal or a command.
    pub reload: Option<Action>,
    /// Every edge as written from this end; names may carry `@INSTANCE`.
    pub relations: Vec<(Relation, At<String>)>,
    /// `needed-by`, `wanted-by`, `before`: the relation that the *other* has to this one.
    pub inverse_relations: Vec<(Relation, At<String>)>,
    /// `while`.
    pub while_on: Option<At<Expression>>,
    /// `start-on`.
    pub start_on: Option<At<Expression>>,
    /// `stop-on`.
    pub stop_on: Option<At<Expression>>,
    /// `for-each` of a template: one condition with its attributes, a `Fact`.
    pub for_each: Option<At<Expression>>,
    /// `instance` of a template: the text with `${KEY}` that names the instance.
    pub instance: String,
    /// `pass`: attributes that become environment variables.
    pub pass: Vec<String>,
    /// `ready`.
    pub ready: Readiness,
    /// `restart`.
    pub restart: Restart,
    /// `restart-delay`: least time between two starts, milliseconds.
    pub restart_delay_ms: u32,
    /// `restart-delay-max`: the delay doubles with each death in a row up to this, milliseconds.
    pub restart_delay_ms_max: u32,
    /// `restart-limit`: deaths within `restart-window` after which it is failed; 0 is no limit.
    pub restart_limit: u32,
    /// `restart-window`, milliseconds.
    pub restart_window_ms: u32,
    /// `start-timeout`, milliseconds, from clone to readiness (longrun) or end (oneshot).
    pub start_timeout_ms: u32,
    /// `stop-timeout`, milliseconds, then SIGKILL to the group.
    pub stop_timeout_ms: u32,
    /// `remain` of a oneshot: counts as up after success. True unless said otherwise.
    pub remain: bool,
    /// `essential`: a boot without it is not good.
    pub essential: bool,
    /// `user`: a name or a number; empty is unchanged.
    pub user: String,
    /// `group`: a name or a number; empty is the user's.
    pub group: String,
    /// `directory`; empty is `/`.
    pub directory: String,
    /// `umask`, 0 to 0o777.
    pub umask: u32,
    /// `nice`, -20 to 19; none is unchanged.
    pub nice: Option<i32>,
    /// `oom-score-adj`, -1000 to 1000; none is unchanged.
    pub oom_score_adj: Option<i32>,
    /// `env`: `NAME=VALUE` each.
    pub env: Vec<String>,
    /// `env-file`: paths read at each start; a leading `-` says that it may be missing.
    pub env_file: Vec<String>,
    /// `limit-*`.
    pub limits: Vec<Limit>,
    /// `log`.
    pub log: Log,
    /// True if a string of `command`, `stop`, `reload`, `env`, `env_file` or `directory` has a placeholder: these strings
    /// are then read with `crate::expand::pieces` (`${NAME}` to expand, `$${` for a plain `${`). False: all are plain text.
    /// The names are those of `pass`, and `INSTANCE` in a template.
    pub expands: bool,
}
