//! Every capacity, with its reason. A request beyond one is refused with its name; nothing else changes.
//! `PINTLE_SLOTS_MAX` and its kin, set when building, replace the defaults for small targets.

/// Slots on the board: static services and instance slots together. The board and the engine's memory are sized by what
/// a database really has; this only bounds it. 14 bits, so that an edge (relation and slot) stays one word.
pub const SLOTS_MAX: u32 = env_or(option_env!("PINTLE_SLOTS_MAX"), 16_384);

/// Instance slots kept for templates' run-time instances, out of `SLOTS_MAX`; none where no template exists.
pub const INSTANCES_MAX: u32 = env_or(option_env!("PINTLE_INSTANCES_MAX"), 256);

/// Edges of one database, all relations together: 100 layers of 100 fully joined are 990,000.
pub const EDGES_MAX: u32 = env_or(option_env!("PINTLE_EDGES_MAX"), 1_048_576);

/// Alternatives of one choice (`needs = a|b`, a name that several services provide). Each has a bit in one word of the
/// engine, beside five for the one that is chosen.
pub const ALTERNATIVES_MAX: usize = 24;

/// Conditions that can be on (or leased) at the same time.
pub const CONDITIONS_MAX: u32 = env_or(option_env!("PINTLE_CONDITIONS_MAX"), 256);

/// Transactions that the engine remembers: those under way and those that ended last. One for each connection that may
/// wait, and as many that ended while their client was away.
pub const TRANSACTIONS_MAX: u32 = env_or(option_env!("PINTLE_TRANSACTIONS_MAX"), 128);

/// Services in all remembered transactions together that there is room for, at least; the engine makes room for every
/// slot eight times. Of transactions that ended so many are remembered, or as many as there are slots.
pub const TRANSACTION_ENTRIES_MAX: u32 = env_or(option_env!("PINTLE_TRANSACTION_ENTRIES_MAX"), 1024);

/// Words of a block of the engine's journal, of which there is one for two transactions: 64 KB for 128, which is what
/// 1,000 services need to come up, and no more than a processor's cache has. A record lies in one block; the longest,
/// with what it refers to, has 90 words.
pub const JOURNAL_BLOCK_WORDS: u32 = 256;

/// Bytes of a service name without instance; a file name of `NAME.svc` must fit NAME_MAX (255) of the kernel.
pub const NAME_BYTES_MAX: usize = 96;

/// Bytes of an instance name, the part behind `@`. 16 words on the board.
pub const INSTANCE_BYTES_MAX: usize = 63;

/// Bytes of the text of one condition or event: its name and attributes as they are written on a line.
pub const FACT_BYTES_MAX: usize = 240;

/// Attributes of one condition or event.
pub const ATTRIBUTES_MAX: usize = 16;

/// The longest that a condition may be changing, in milliseconds. What takes longer is no reload.
pub const CHANGING_MS_MAX: u32 = 3_600_000;

/// Bytes of a line of the control protocol, newline included. A longer one ends that connection.
pub const LINE_BYTES_MAX: usize = 4096;

/// Connections to the control socket that are served at once; more wait in the listening socket's backlog.
pub const CLIENTS_MAX: usize = 64;

/// Of those, kept for requests that are answered at once: connections that wait, follow or hold never take them, so
/// that a command is always taken, however many wait.
pub const CLIENTS_KEPT: usize = 16;

/// Entries of a doorbell's ring of changed slots. A reader that fell behind by more looks at every slot.
pub const RING_ENTRIES: u32 = 1024;

/// Stacks of the fast spawning path: how many children may be between clone and exec at once.
pub const STACKS: usize = 16;

/// Bytes of a service file, a drop-in, or a here-document. A larger file is refused before it is read whole.
pub const SOURCE_BYTES_MAX: usize = 1 << 20;

/// Bytes of one line of a service file. A long value goes on in indented lines.
pub const SOURCE_LINE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one argument, a script included: MAX_ARG_STRLEN of the kernel (execve(2)), its NUL not counted.
pub const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;

/// Nodes of one expression (`while`, `start-on`, ...), and how deep parentheses may nest.
pub const EXPRESSION_NODES_MAX: usize = 256;
/// See `EXPRESSION_NODES_MAX`.
pub const EXPRESSION_DEPTH_MAX: usize = 32;

/// Conditions and events in one `start-on` or `stop-on`: each has a latch, and the latches of one are a word.
pub const LATCHES_MAX: usize = 32;

/// Tests in one `only-if`: the child that looks at them has them on its stack.
pub const TESTS_MAX: usize = 32;

/// Descriptors that are kept for one service over its lives: those that listen, and those that it has given into keeping.
pub const STORED_MAX: usize = 32;
/// Bytes of the name of one of them.
pub const STORED_NAME_BYTES: usize = 56;

/// Arguments of one command, and of the environment of one service. Vectors are built on a spawning stack.
pub const ARGUMENTS_MAX: usize = 512;

/// Supplementary groups of one account.
pub const GROUPS_MAX: usize = 32;

/// Distinct user and group names in one database that the supervisor keeps resolved.
pub const ACCOUNTS_MAX: usize = 256;

/// Rules of who may ask for what in one database.
pub const ACCESS_RULES_MAX: usize = 256;

const fn env_or(text: Option<&str>, default: u32) -> u32 {
    let Some(text) = text else { return default };
    let bytes = text.as_bytes();
    assert!(!bytes.is_empty(), "a capacity from the environment is empty");
    let mut value: u32 = 0;
    let mut at = 0;
    while at < bytes.len() {
        assert!(bytes[at].is_ascii_digit(), "a capacity from the environment is not a number");
        value = value * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    assert!(value > 0);
    value
}
