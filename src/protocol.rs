//! The control protocol: lines of text over a Unix stream socket (`control` in the run directory). Its one home.
//!
//! A line is words divided by blanks and ended by a newline, at most `LINE_BYTES_MAX` bytes. Words may be quoted as in a
//! POSIX shell, without expansion. Requests are answered in order, each by one line:
//!
//! ```text
//! ok N [TEXT]   accepted and kept; N is the number of its transaction, 0 where nothing can be waited for
//! no TEXT       understood and refused, or it failed; nothing has changed
//! bad TEXT      not understood: unknown verb, no such service, malformed attribute; nothing has changed
//! ```
//!
//! | request | does |
//! |---|---|
//! | `start NAME...` | lays the admin hold; lifts marks and resets failures on them and on their hard dependencies |
//! | `stop NAME...` | drops the admin hold and lays the mark |
//! | `restart NAME...` | restart in place, one transaction |
//! | `reload NAME...` | as the service's `reload` says; `no` where it says nothing or it is not up |
//! | `signal SIGNAL NAME...` | sends a signal to the main process |
//! | `reset NAME...` | forgets `failed`, `skipped`, `done`: what is still wished starts again |
//! | `release NAME...` | drops the admin hold and lifts the mark |
//! | `on FACT [KEY=VALUE...]` | the condition is on |
//! | `off FACT [KEY=VALUE...]` | the condition is off |
//! | `hold FACT [KEY=VALUE...]` | on for as long as this connection lives |
//! | `emit FACT [KEY=VALUE...]` | the event happened |
//! | `shutdown` | everything goes down in order, then the supervisor ends |
//! | `wait REQUEST` | as REQUEST, then reports its transaction until it ends, see below |
//! | `await N` | reports transaction N until it ends: for a client whose engine died while it waited |
//! | `follow` | every change of a phase from now on, until the connection ends |
//!
//! After the `ok N` of `wait` and `await` come, as they happen, and `end` comes last:
//!
//! ```text
//! phase NAME PHASE [TEXT]    a service of the transaction changed its phase
//! result NAME RESULT [TEXT]  at the end, for each service that the request named: up, down, done, skipped, failed,
//!                            waiting, superseded; TEXT says why
//! end N RESULT               done: all reached; failed: not all; superseded: a later request contradicted it;
//!                            unknown: this number is too old
//! ```
//!
//! A client that sends more than a line's bytes without a newline, or does not read its answers, is dropped.
