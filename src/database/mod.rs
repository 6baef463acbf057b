//! The database: all definitions, compiled, checked and checksummed, in one read-only file. The format, and its one
//! home.
//!
//! Little-endian 32-bit words throughout, so that a database built on one machine works on any other.
//!
//! ```text
//! header    HEADER_WORDS words, see `header`
//! sections  one after the other, each at a multiple of 4 bytes; the header has (byte offset, word count) of each
//!   SERVICES  SERVICE_WORDS words each, sorted by name (bytes); index = slot; see `service`
//!   EXECS     EXEC_WORDS words each, deduplicated: how a process is set up; see `exec`
//!   POLICIES  POLICY_WORDS words each, deduplicated: readiness, restarts, limits of time; see `policy`
//!   EDGES     forward: for each service its edges (`graph::relation::Edge` words), sorted by (relation, slot)
//!   REVERSE   the same edges from the target's end, sorted by (relation, slot)
//!   NODES     expressions, NODE_WORDS words each, in preorder, see `node`
//!   LEAVES    LEAF_WORDS words each, sorted by the name's hash: every leaf that names a fact; see `leaf`
//!   LISTS     words: lists, each a count and then that many words (or pairs, as the field says)
//!   STRINGS   bytes, UTF-8, each string ended by NUL; a string is named by its byte offset; offset 0 is ""
//! ```
//!
//! Two CRC-32 (IEEE) in the header cover the header and every byte behind it. Opening checks the magic, the version,
//! the length, the checksums, that the sections lie one behind the other, and every index, offset and list in every
//! record; after that no access can be out of bounds. Accessors are total all the same: out of range reads as 0 or
//! empty.
//!
//! The bytes are a function of what the files say: neither the order of the files nor the time of day changes one.
//! Records of EXECS, POLICIES, LISTS and STRINGS are stored once however often they are used.
//!
//! A choice (`flags::CHOICE`) is a record of kind bundle that no file has: for a list `a|b`, with that list as its
//! name, and for a name that several services provide. Its edges are those to its alternatives, in the order in which
//! they are chosen.
//!
//! Text that depends on the instance (a template's) keeps `${NAME}` in its strings and has `flags::EXPANDS` set: the
//! supervisor expands `${INSTANCE}` and passed attributes in arguments, environment and paths when it spawns, each as
//! one word. Static instances (`dhcp@eth0` named by some file) are expanded by the compiler and are ordinary services.

mod compile;
pub mod dump;
pub mod expression;
pub mod image;
mod matching;
mod places;
mod source;
mod verify;

pub use compile::{ENVIRONMENT, compile, compile_with};
pub use dump::dump;
pub use image::Image;
pub use verify::ImageError;

/// First word: "PNTL" as little-endian bytes.
pub const MAGIC: u32 = u32::from_le_bytes(*b"PNTL");
/// Format version. A newer one is refused with both versions named.
pub const VERSION: u32 = 9;
/// "None" where an index is expected.
pub const NONE: u32 = u32::MAX;

/// Words of the header.
pub const HEADER_WORDS: usize = 32;
/// Word numbers of the header.
pub mod header {
    /// `MAGIC`.
    pub const MAGIC: usize = 0;
    /// `VERSION`.
    pub const VERSION: usize = 1;
    /// Length of the file in bytes.
    pub const LENGTH: usize = 2;
    /// CRC-32 of everything behind the header.
    pub const CRC: usize = 3;
    /// Number of services, templates and bundles included.
    pub const SERVICES: usize = 4;
    /// Number of templates (if 0, no instance slots are needed).
    pub const TEMPLATES: usize = 5;
    /// LISTS offset of the environment that every process starts from: string offsets `NAME=VALUE`.
    pub const ENVIRONMENT: usize = 6;
    /// LISTS offset of the distinct account names: string offsets of all `user` and `group` values.
    pub const ACCOUNTS: usize = 7;
    /// First of the section table: for each section in `Section` order (byte offset, length in bytes).
    pub const SECTIONS: usize = 8;
    /// CRC-32 of the header with this word as 0.
    pub const HEADER_CRC: usize = 26;
    /// LISTS offset of the rules of `access`, a string each. The words behind it are 0.
    pub const ACCESS: usize = 27;
}

/// The sections in the order of the file and of the header's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Section {
    /// Service records.
    Services = 0,
    /// Exec records.
    Execs = 1,
    /// Policy records.
    Policies = 2,
    /// Forward edges.
    Edges = 3,
    /// Reverse edges.
    Reverse = 4,
    /// Expression nodes.
    Nodes = 5,
    /// Fact leaves by the hash of their names.
    Leaves = 6,
    /// Lists of words.
    Lists = 7,
    /// Strings.
    Strings = 8,
}
/// Number of sections.
pub const SECTIONS: usize = 9;

/// Words of a service record.
pub const SERVICE_WORDS: usize = 29;
/// Word numbers of a service record.
pub mod service {
    /// String: name.
    pub const NAME: usize = 0;
    /// String: description.
    pub const DESCRIPTION: usize = 1;
    /// `lang::definition::Kind` in the low 8 bits, `flags` above.
    pub const KIND_FLAGS: usize = 2;
    /// First forward edge (index into EDGES) and how many.
    pub const EDGES: usize = 3;
    /// See `EDGES`.
    pub const EDGES_COUNT: usize = 4;
    /// First reverse edge (index into REVERSE) and how many.
    pub const REVERSE: usize = 5;
    /// See `REVERSE`.
    pub const REVERSE_COUNT: usize = 6;
    /// LISTS offset of the argument vector (string offsets); `NONE` for a bundle.
    pub const COMMAND: usize = 7;
    /// LISTS offset of the stop action: see `action`. Never `NONE` for a longrun; `NONE` for a oneshot with nothing to
    /// do.
    pub const STOP: usize = 8;
    /// LISTS offset of the reload action, or `NONE`.
    pub const RELOAD: usize = 9;
    /// Index into EXECS; `NONE` for a bundle.
    pub const EXEC: usize = 10;
    /// Index into POLICIES; `NONE` for a bundle.
    pub const POLICY: usize = 11;
    /// Index into NODES of the root of `while`, or `NONE`.
    pub const WHILE: usize = 12;
    /// Of `start-on`.
    pub const START_ON: usize = 13;
    /// Of `stop-on`.
    pub const STOP_ON: usize = 14;
    /// Of `for-each` (always one fact leaf).
    pub const FOR_EACH: usize = 15;
    /// String: `instance` of a template; of a static instance its instance name; else "".
    pub const INSTANCE: usize = 16;
    /// Index of the template that a static instance was made from, or `NONE`.
    pub const TEMPLATE: usize = 17;
    /// LISTS offset of attribute names to pass as environment (string offsets), or `NONE`.
    pub const PASS: usize = 18;
    /// String: path of the file it came from.
    pub const ORIGIN: usize = 19;
    /// CRC-32 of everything that the definition says, so that two databases can be compared service by service.
    pub const HASH: usize = 20;
    /// LISTS offset of the relations that this service's file writes from the other end (`before`, `needed-by`,
    /// `wanted-by`), or `NONE`: 2 words each, the relation and the name (string) of the service whose edge it is. A
    /// template's hold for each of its static instances.
    pub const WRITTEN: usize = 21;
    /// LISTS offset of the argument vector of `cleanup` (string offsets), or `NONE`.
    pub const CLEANUP: usize = 22;
    /// Index into NODES of the root of `only-if`, or `NONE`.
    pub const ONLY_IF: usize = 23;
    /// How old a latch of `start-on` or `stop-on` may be, in milliseconds; 0 for no bound.
    pub const WITHIN: usize = 24;
    /// LISTS offset of the names that it provides (string offsets), or `NONE`. Where a name has one provider, edges
    /// lead to that; where it has several, there is a choice of that name.
    pub const PROVIDES: usize = 25;
    /// LISTS offset of the argument vector of `ready = check` (string offsets), or `NONE`.
    pub const CHECK: usize = 26;
    /// Of `health`.
    pub const HEALTH: usize = 27;
    /// Of `pre-start`.
    pub const PRE_START: usize = 28;

    /// Flags of `KIND_FLAGS`, above the kind.
    pub mod flags {
        /// A template: its own slot never starts.
        pub const TEMPLATE: u32 = 1 << 8;
        /// `essential = yes`.
        pub const ESSENTIAL: u32 = 1 << 9;
        /// `remain = no`.
        pub const NO_REMAIN: u32 = 1 << 10;
        /// Strings of this service contain `${...}` to expand at spawn.
        pub const EXPANDS: u32 = 1 << 11;
        /// `skip-ok = yes`.
        pub const SKIP_OK: u32 = 1 << 12;
        /// A choice: a bundle of which one alternative stands for all.
        pub const CHOICE: u32 = 1 << 13;
        /// Another service's output comes to its standard input.
        pub const INPUT: u32 = 1 << 14;
        /// All of them.
        pub const ALL: u32 = TEMPLATE | ESSENTIAL | NO_REMAIN | EXPANDS | SKIP_OK | CHOICE | INPUT;
    }
}

/// A list that says how to stop or reload: its first word says which of these it is.
pub mod action {
    /// The following words are signal numbers, sent in turn.
    pub const SIGNALS: u32 = 0;
    /// The following words are the argument vector (string offsets).
    pub const COMMAND: u32 = 1;
}

/// Words of an exec record.
pub const EXEC_WORDS: usize = 20;
/// Word numbers of an exec record.
pub mod exec {
    /// String: user, "" for unchanged.
    pub const USER: usize = 0;
    /// String: group, "" for the user's.
    pub const GROUP: usize = 1;
    /// String: directory, "" for `/`.
    pub const DIRECTORY: usize = 2;
    /// umask.
    pub const UMASK: usize = 3;
    /// nice + 100, or 0 for unchanged.
    pub const NICE: usize = 4;
    /// oom-score-adj + 2000, or 0 for unchanged.
    pub const OOM: usize = 5;
    /// LISTS offset of 5 words a limit: resource, soft low, soft high, hard low, hard high; or `NONE`. The count is in
    /// words.
    pub const LIMITS: usize = 6;
    /// LISTS offset of environment strings `NAME=VALUE` (added to, and winning over, the database's), or `NONE`.
    pub const ENV: usize = 7;
    /// LISTS offset of environment files, or `NONE`.
    pub const ENV_FILES: usize = 8;
    /// 1 if it takes the chain-loader (`pintle-exec`): env-file, oom-score-adj, `ready = fork`, `fd-store-max`,
    /// or what is in `SETUP`.
    pub const RICH: usize = 9;
    /// LISTS offset of what the chain-loader does besides, 2 words each: the letter of its option, and the string behind
    /// it; in the order of the table of keys. Or `NONE`.
    pub const SETUP: usize = 10;
    /// `lang::definition::Log`. This and what follows up to `LOG_STAMP` is what the logger is told of a service.
    pub const LOG: usize = 11;
    /// Bytes; 0 where nothing is said, here and below.
    pub const LOG_SIZE: usize = 12;
    /// One more than `log-keep`.
    pub const LOG_KEEP: usize = 13;
    /// Milliseconds.
    pub const LOG_AGE_MS: usize = 14;
    /// One more than `log-rate`.
    pub const LOG_RATE: usize = 15;
    /// Bytes.
    pub const LOG_LINE: usize = 16;
    /// `lang::definition::Stamp`.
    pub const LOG_STAMP: usize = 17;
    /// One more than the slot of whom its output goes to.
    pub const LOG_TO: usize = 18;
    /// What is removed with `runtime-directory`: 0 nothing, 1 behind each life, 2 at the end of the last.
    pub const CLEARS: usize = 19;
}

/// Words of a policy record.
pub const POLICY_WORDS: usize = 19;
/// Word numbers of a policy record.
pub mod policy {
    /// 0 none, 1 descriptor, 2 notify, 3 check, 4 fork.
    pub const READY: usize = 0;
    pub use crate::lang::keys::{CHECK, FORK, NOTIFY};
    /// The descriptor of `ready = fd N`.
    pub const READY_DESCRIPTOR: usize = 1;
    /// `lang::definition::Restart`.
    pub const RESTART: usize = 2;
    /// Milliseconds. Of a oneshot: `retry-delay`.
    pub const DELAY_MS: usize = 3;
    /// Milliseconds.
    pub const DELAY_MS_MAX: usize = 4;
    /// Deaths, 0 for no limit. Of a oneshot: attempts, one more than `retries`.
    pub const LIMIT: usize = 5;
    /// Milliseconds.
    pub const WINDOW_MS: usize = 6;
    /// Milliseconds.
    pub const START_TIMEOUT_MS: usize = 7;
    /// Milliseconds.
    pub const STOP_TIMEOUT_MS: usize = 8;
    /// `lang::definition::Overlap`.
    pub const OVERLAP: usize = 9;
    /// Milliseconds; 0 for no watchdog.
    pub const WATCHDOG_MS: usize = 10;
    /// Milliseconds; 0 where nothing is said, here and below.
    pub const CHECK_INTERVAL_MS: usize = 11;
    /// Milliseconds.
    pub const HEALTH_INTERVAL_MS: usize = 12;
    /// Milliseconds.
    pub const HEALTH_TIMEOUT_MS: usize = 13;
    /// One more than `health-failures`.
    pub const HEALTH_FAILURES: usize = 14;
    /// LISTS offset of ends, or `NONE`: each `EXIT_CODE` with a code, or `EXIT_SIGNAL` with the number of a signal.
    pub const SUCCESS_EXIT: usize = 15;
    /// The same.
    pub const NO_RESTART_EXIT: usize = 16;
    /// One more than `fd-store-max`; 0 where nothing is said.
    pub const FD_STORE_MAX: usize = 17;
    /// `lang::definition::KillMode`.
    pub const KILL_MODE: usize = 18;
    /// See `SUCCESS_EXIT`.
    pub const EXIT_CODE: u32 = 1 << 8;
    /// See `SUCCESS_EXIT`.
    pub const EXIT_SIGNAL: u32 = 2 << 8;
}

/// Words of an expression node.
pub const NODE_WORDS: usize = 5;
/// Word numbers of an expression node, and its kinds.
pub mod node {
    /// One of the kinds below.
    pub const KIND: usize = 0;
    /// Index of the parent node, `NONE` for the root.
    pub const PARENT: usize = 1;
    /// Left child (`AND`, `OR`), only child (`NOT`), name as string (`FACT`), slot (`UP`, `FAILED`), string (`PATH`,
    /// `ENV`, `KERNEL`).
    pub const A: usize = 2;
    /// Right child (`AND`, `OR`); `FACT`: LISTS offset of 3 words an attribute (key string, 0 for `=` and 1 for `!=`,
    /// glob string) or `NONE`; those for a place, whose key is "", come first; else `NONE`.
    pub const B: usize = 3;
    /// Number of this leaf within its expression, from 0: the bit of its latch. `NONE` for `AND`, `OR` and `NOT`.
    pub const LEAF: usize = 4;

    /// Both children.
    pub const AND: u32 = 0;
    /// Either child.
    pub const OR: u32 = 1;
    /// Not the child.
    pub const NOT: u32 = 2;
    /// A condition or event by name and attributes.
    pub const FACT: u32 = 3;
    /// `up(SERVICE)`.
    pub const UP: u32 = 4;
    /// `failed(SERVICE)`.
    pub const FAILED: u32 = 5;
    /// Of `only-if`, as are the next two: the path is there.
    pub const PATH: u32 = 6;
    /// `NAME`, or `NAME=VALUE`, stands in the supervisor's environment.
    pub const ENV: u32 = 7;
    /// `WORD` (also as the name of `WORD=VALUE`), or `KEY=VALUE`, stands on the kernel's command line.
    pub const KERNEL: u32 = 8;
}

/// Words of a leaf record.
pub const LEAF_WORDS: usize = 4;
/// Word numbers of a leaf record. Only `FACT` leaves: for `up()` and `failed()` there are `Observes` and `Listens`
/// edges. Sorted by (hash, name bytes, service, role, node).
pub mod leaf {
    /// String: the fact's name.
    pub const NAME: usize = 0;
    /// The service whose expression it stands in.
    pub const SERVICE: usize = 1;
    /// 0 while, 1 start-on, 2 stop-on, 3 for-each; the bits of `HASH` are those of the name's `fact::hash`.
    pub const ROLE: usize = 2;
    /// See `ROLE`.
    pub const HASH: u32 = !3;
    /// Index of the node.
    pub const NODE: usize = 3;
}
