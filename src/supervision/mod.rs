//! What the supervisor does about one slot: process facts in, spawn and kill requests out. Pure: no clock, no system
//! call, no heap; what happens is a function of the slot, its policy and the input.
//!
//! The semantics, and their one home:
//!
//! - **An order** is acted on when its number is new. `Down` stops what runs. `Up` takes down what an earlier order
//!   brought up, as its definition says, then starts anew; what is down starts at once, without the delay of a restart
//!   by policy, and with the tally of deaths forgotten.
//! - **No second copy.** The next main process is asked for only after the one before has been reaped, its stop command
//!   too.
//! - **Stopping** a longrun: its stop signals to the main process, or its stop command; after `stop-timeout`, SIGKILL to
//!   the process group. A stop command that fails is followed by SIGTERM, for going down cannot fail. A longrun that is
//!   not ready yet, and a oneshot whose command runs, get SIGTERM at once instead of the stop command; a oneshot that ends
//!   well all the same has been brought up. A oneshot that is up runs its stop command, bounded by `stop-timeout`; whatever
//!   comes of it, the oneshot is down then.
//! - **What is still there `KILL_GRACE_MS` after SIGKILL** (it hangs in the kernel) is reported as stuck. It stays
//!   `Stopping` until it is gone; then what was ordered goes on.
//! - **`cleanup`** runs when a life has ended and been reaped, its stop command too, before anything else begins: after a
//!   failed attempt of a oneshot, and when one that was up has been taken down. It has `stop-timeout`, then its group is
//!   killed; how it ends is noted, and changes nothing. It is also when what the service has at run time only is removed
//!   (`Clears`): behind each life, or only where none follows, also when that was waited for; the command runs then, too. What never ran its program is not cleaned up after. Where everything
//!   is killed at the end of a shutdown, nothing is.
//! - **`pre-start`** runs before each life of a longrun, for which it is `Starting` already; it has `start-timeout`, and the
//!   life has it anew. If it does not exit with 0, the life has died as `PreStart` before it began, and counts as a death; it
//!   is cleaned up after. Told to stop, it is killed at once. Preconditions are looked at before it.
//! - **A precondition** is looked at by the child, before anything else that can fail, and once for an order: not for what
//!   policy begins after it. If it does not hold, the slot is `Skipped`, and nothing has lived or died.
//! - **Whatever is left of the group** of a dead main process is killed before the process is reaped (its number cannot
//!   have been given away yet), except behind a oneshot that ended well: what it started is its purpose.
//! - **What is left** (`Occupied`): where the host can tell that processes are a service's, whoever made them, and finds some
//!   when main process and commands are gone, they get SIGKILL at once, and the slot stays `Stopping` until they are gone
//!   (`Emptied`), or is stuck as above. Only then comes the cleanup, then the next life. What a oneshot that ended well has
//!   left stays while it is up, and goes when it is taken down, behind its stop command.
//! - **What a service says of itself** (`STATUS=` of a service with `ready = notify`) is kept: the whole characters of the
//!   first `reports::STATUS_BYTES` bytes, up to what is no UTF-8 or a NUL. The newest text counts, an empty one too. It
//!   stays when the life ends, for it may say why, and goes when the next one begins. Nothing is decided by it.
//! - **A check** (`ready = check`) is run when the program has been executed, and `check-interval` after one that has failed
//!   again, until one exits with 0: then the service is up. There is never more than one, and it is gone before the next
//!   life begins. One that takes longer than `check-interval` is killed and has failed; the end of `start-timeout` ends
//!   both. What it says goes where the service's output goes.
//! - **What goes into the background** (`ready = fork`) is up when its first process has ended and the host knows the one
//!   that is to be the main process from then on. Until then the main process is who waits for it: at the end of
//!   `start-timeout` that gets SIGTERM, so that it can end what only it knows, and SIGKILL after `stop-timeout`.
//! - **Health** (`health`) is looked at `health-interval` after the service is up, and after each look. A look that does not
//!   exit with 0 within `health-timeout` has failed; `health-failures` in a row end the life as a stop does, and the death
//!   counts as `Unhealthy`. One that could not be spawned says nothing. A reload command and a look wait for each other.
//! - **The watchdog** of a service with `ready = notify`: from `READY=1` on each `WATCHDOG=1` gives it its time anew
//!   (`watchdog`, or what `WATCHDOG_USEC=` has said in this life; 0 is no watchdog). When that is over the life has failed:
//!   SIGABRT to the main process, after `stop-timeout` SIGKILL to the group, no stop command; the death counts as
//!   `Watchdog`. `WATCHDOG=trigger` does the same at once, also before it is up and without `watchdog`. What was sent
//!   counts before it is judged, however late we read it; and a supervisor that comes more than `LATE_MS` too late, since
//!   it was stopped itself, does not judge but gives the time anew: the service may have stood still with it. Suspended
//!   time does not count at all.
//!   The reason of either, the watchdog's or health's, stands in the report from the moment at which it ends the life.
//! - **`start-timeout`** covers clone to readiness (longrun) or end (oneshot). At its end the group is killed; the death
//!   counts as `TimedOut`.
//! - **A death that nobody asked for** goes by policy. A longrun with `restart = always`, or `on-failure` after an end
//!   that is not exit 0, lives again, not earlier than its delay after the last start: at once if that is past. The
//!   delay doubles with each death in a row up to its maximum, plus up to an eighth at random, and starts over once a
//!   life was up for `STABLE_MS` or the largest delay, whichever is longer. `restart-limit` deaths within
//!   `restart-window` (which begins with a death) make it failed. A oneshot that did not end well is tried again, `delay_ms`
//!   after that, until `limit` attempts of this order have failed.
//! - **Ends that a service's file names**: `success-exit` are as good as exit 0, here and above; after one of
//!   `no-restart-exit` nothing lives again and nothing is tried again: it has failed, or where the end is a good one, it is
//!   done. What the supervisor ended for its own reasons (`TimedOut`, `Watchdog`, `Unhealthy`) is none of them.
//! - **What could not be spawned** has died as `NotSpawned`. If the reason may pass (no memory, no descriptor), it is
//!   tried again whatever the policy says, after its delay, but not sooner than `RETRY_MS`, nor later than `RETRY_MS_MAX`
//!   where the least delay is not longer, and counts as no death, nor, once it is up, for the delay of the next; if not (no
//!   such program, user or directory), it has failed. A stop, reload or cleanup command that cannot be spawned for now is
//!   tried again by the host, which tells of it as of one that still waits; where it is given up, the end of what it was for
//!   is `NotSpawned`, with that reason.
//! - **A crash of the supervisor** loses nothing: a slot's row has all that is remembered of it (`Record`), it changes whole
//!   or not at all, and what follows from a change is owed until it is done, so that it is done once more rather than never.
//!   `recover` goes on from the row: what was to be spawned is, a child that was cloned and not noted is noted, one that is
//!   gone without a death (another had reaped it) has ended as `Unknown`. Whether a child had come to its program when the
//!   supervisor crashed is not known: it counts as executed.

mod kept;
mod machine;
pub mod notify;
mod policy;
pub mod precondition;

pub use kept::{Found, recover};
pub use machine::{Input, Requests, Role, SIGENDS, Slot, is_on_the_way, step};
pub use policy::{Clears, Ends, KILL_GRACE_MS, LATE_MS, Means, Policy, RETRY_MS, RETRY_MS_MAX, Ready, STABLE_MS};

use crate::board::orders::Wish;
use crate::board::reports::{ReportRow, State};
use crate::time::Instant;

/// What the supervisor remembers of a slot beside its report. Zero is a slot that was never ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// When the window of `ReportRow::deaths` began.
    pub window: Instant,
    /// Deaths since the last stable life; the delay doubles with each.
    pub in_a_row: u16,
    /// What the newest order wishes.
    pub wish: Wish,
    /// Why it is `Stopping`, while it is.
    pub cause: Cause,
    /// The command that runs (or is about to) beside or instead of the main process.
    pub role: Option<Role>,
    /// SIGKILL has been sent: there is nothing left to try.
    pub killed: bool,
    /// Of the current life: its program will not run, or did not.
    pub trouble: Option<Trouble>,
    /// A life has begun of which the cleanup has not.
    pub dirty: bool,
    /// A reload was asked for while a reload command ran.
    pub reload_again: bool,
    /// When it was last looked, there were processes of it beside the main one and the command.
    pub rest: bool,
    /// What a life had at run time only is kept for another one.
    pub keeps: bool,
    /// Of the current life: how long its watchdog waits, in milliseconds; 0 is for ever.
    pub watchdog_ms: u32,
    /// While it is `Up`, and the watchdog waits: until when.
    pub watchdog: Instant,
    /// While it is `Starting` or `Up`: when the check that runs has had its time, or the next one is due; 0 for neither.
    pub check: Instant,
    /// Health checks that have failed in a row.
    pub sick: u32,
}

impl Record {
    /// When this slot is next to be looked at: the deadline of its state, or an earlier one of its life.
    pub fn due(&self, row: &ReportRow) -> Instant {
        let watched = row.state == State::Up && self.watchdog_ms != 0;
        let checked = matches!(row.state, State::Starting | State::Up) && self.check != Instant(0);
        let of = |is, due| if is { due } else { Instant::NEVER };
        row.deadline.min(of(watched, self.watchdog)).min(of(checked, self.check))
    }
}

/// Why a slot is `Stopping`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cause {
    /// An order says so; once gone, it is down, or starts anew.
    #[default]
    Ordered,
    /// It was not ready in time; once gone, policy decides.
    TimedOut,
    /// It has ended by itself; once all is cleaned up, policy decides.
    Died,
    /// Its watchdog ends it; once gone, policy decides.
    Watchdog,
    /// Its health checks have failed; once gone, policy decides.
    Unhealthy,
}

/// Why a spawn came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The reason does not pass by itself.
    Lasting = 1,
    /// It may: no memory, no descriptor.
    Passing,
    /// A precondition does not hold.
    Unmet,
}
