//! The descriptors that the supervisor hands to the engine, by number. Everything else is closed in it.

/// The database: the run directory's copy, read-only.
pub const DATABASE: i32 = 3;
/// Orders: a sealed memfd, read and write.
pub const ORDERS: i32 = 4;
/// Reports, read-only.
pub const REPORTS: i32 = 5;
/// What the engine publishes, read and write.
pub const PUBLISHED: i32 = 6;
/// The engine's own recoverable state: a memfd, read and write; the supervisor only keeps it.
pub const STATE: i32 = 7;
/// The listening control socket, non-blocking.
pub const CONTROL: i32 = 8;
/// The supervisor's doorbell, the end that rings.
pub const TO_SUPERVISOR: i32 = 9;
/// The engine's doorbell, the end that answers.
pub const TO_ENGINE: i32 = 10;

/// The exit code of an engine that cannot use one of them: the next ones could not, either.
pub const SPOILED: u8 = 112;

/// All of them, in order.
pub const ALL: [i32; 8] = [DATABASE, ORDERS, REPORTS, PUBLISHED, STATE, CONTROL, TO_SUPERVISOR, TO_ENGINE];
