//! Relations, goals, phases, holds: the vocabulary that every layer shares, and the semantics in prose. This page is
//! the one home of what services do to each other; the engine is its one reader that acts.
//!
//! # Goals
//!
//! A service's *goal* is up exactly while something *holds* it and no *mark* keeps it down. Holds have names: the
//! booted bundle, a person's start, a fired trigger, a condition that made the instance, work on a socket, a timer, and
//! *need*: another service that needs, binds, needs to start, wants or contains this one has its goal up. Goals come
//! from holds, marks and pulls alone. They never depend on phases or on `while`: a service that waits or has failed
//! keeps pulling. Only what a choice pulls depends on them.
//!
//! *start* lays the admin hold, and lifts marks and forgets failures on the service and on all that it needs, binds,
//! needs to start or contains, and what those need. *stop* drops the admin hold and lays the mark. *release* drops
//! both. *reset* forgets `failed`, `skipped` and `done`. *restart* leaves holds and marks alone; but of a service that
//! has no process, or has its goal down, it is a start. Events never lift a mark.
//!
//! *switch* says: this service (usually a bundle) and nothing else. The boot hold moves to it; marks are lifted and
//! failures forgotten as by its start; the admin, trigger, demand and schedule holds of all drop. What a condition
//! holds is *set aside*: that hold counts for nothing until its condition comes on anew, somebody starts the instance,
//! or the machine is switched back to what it was booted into. Marks of persons, latches and conditions stay as they
//! are. All of it is one input: what is wished before and after does not move. What comes later is as always.
//!
//! A *shutdown* is a switch to the bundle `shutdown`, or to nothing where there is none, after which no hold counts but
//! the boot hold.
//!
//! Of two that conflict at most one has its goal up: when it rises, the other gets a mark that is lifted when it falls.
//! A person's start displaces whatever conflicts. Anything else that comes to be wished (an event, a condition, a pull)
//! displaces only what is not there for a person, that is: not held by a start, nor pulled by what is; else it waits,
//! until that goal falls. For one input the lower slot wins.
//!
//! # Phases
//!
//! A phase is a pure function of facts, the newest order and the report (`engine/slot.rs`). A slot with an order that
//! the supervisor has not reported on counts as not down and not up: news of an earlier order changes nothing.
//!
//! A service *may start* when its goal is up, it has not failed or ended for good, its `while` is on, all that it
//! needs, binds, needs to start (or, a bundle, contains) is up and not about to go down or to restart, nothing that it
//! wants, is after or observes in `while` is under way, nothing that conflicts with it is active, and nothing that
//! needs, binds or contains it is still going down. It *must stop* when its goal is down, its `while` is off, something
//! that it needs or contains is neither up nor restarting or must stop itself, something that it binds is not up or has
//! had a new life since its own began. It *may stop* when nothing that needs, binds or contains it is active, and
//! nothing that merely orders it (needs-to-start, wants, after, observes) is itself going down. So a stop waits for
//! stops alone, and always ends.
//!
//! *Under way* is: starting for its first life; restarting by command, in its first life; stopping, or having to, with
//! its goal up; or waiting only for what is under way, for a stop, or for something to observe that is under way. A
//! bundle is also under way while any member is. All else is settled, so a soft wait ends.
//!
//! *Restart in place* is neither a start nor a stop: what needs the service stays. What binds to it (for a oneshot: all
//! that needs it) goes down first and comes back after it; so does all that needs it where it was asked to restart
//! *with its dependents*. A bundle has no process: it is up when all its members are, restarting while one of them is
//! not and its goal is up, and going down while members that nothing else holds are; once down it stays so, whoever lets
//! go of its members. With its goal down it is what it was until nothing that needs it is active, as any service is.
//! Restarting it restarts its members.
//!
//! *Done* drops the admin, trigger, demand and schedule holds. `failed`, `skipped` and `done` are left by start, reset
//! or a new trigger, the first two also by a goal that rises again.
//!
//! *A limit on parallel starts* (`pintle supervise --parallel N`) bounds how many are `starting`. What may start then
//! asks for a place. Where there is none it waits in a line, first come first served, and is under way all the while;
//! it loses its turn with whatever lets it start: its goal, its `while`, what it needs. A place is free again when the
//! first life is up or has ended, or is ordered to stop. Restarts in place, stops and bundles take no place.
//!
//! *Overlap* says what a trigger that fires while a oneshot with `remain = no` runs does: `skip` nothing, `restart`
//! ends the run and begins another, `queue` (the default) lets another run follow this one, however this one ends. One
//! run is queued at most, and takes the attributes of the newest event. It is a trigger hold like any other: `stop`,
//! `stop-on` and the shutdown drop it. A trigger that fires before the run is ordered, or while one is being stopped,
//! is that of the run that comes.
//!
//! *Unkillable* is what still has a process some time after SIGKILL. It stays `stopping`, whatever was ordered; nothing
//! waits for it any more but its own next life and what conflicts with it. It is settled, and neither up nor down.
//!
//! # Choices
//!
//! `needs = a|b` is satisfied by one of them, and so is the need of a name that several services provide. Each such
//! list, and each such name, is a *choice*: a slot without a process, one for all who write the same. It takes part in
//! everything as a bundle does whose one member is the *chosen* alternative: it pulls that one alone, is up when it is
//! up, restarts and goes down as it does; it can be started, stopped and released by its name. (A name that one service
//! provides is that service. `after` and `before` have no choice: they order all that is named. So does `conflicts`
//! with a provided name.)
//!
//! An alternative is *usable* if it has not ended for good and has no mark. It is *barred* if a person (or a trigger)
//! has to repair something before it can come up: it has failed or is done, a person's mark keeps it down, or it is not
//! up (or has to go down) and something that it needs, binds, needs to start or contains is barred, or is skipped and
//! not as good as up; a choice, if all its alternatives are. Who waits for a `while`, or for the end of what conflicts
//! with it, is not barred.
//!
//! A choice whose goal rises chooses among those that are usable: the first, as written (of providers: by name), that
//! is up; else the first that is not barred and was not *tried*; else the first that was not tried. It moves when the
//! chosen one is not usable any more, or is barred and there is another that is up, or neither barred nor tried; never
//! back by itself. Tried is an alternative that has failed, or is done, while it was chosen, or was left since it was
//! barred. If another is up, it moves at once: what needs the choice stays; what binds to it goes down, and comes back
//! after that. Else what needs it goes down first, as if there were no other. Where nothing can be chosen, nothing is
//! pulled, and the choice waits until something can be. Its goal down and the chosen one no longer going, it forgets
//! what it chose and tried. Start and reset forget what was tried, and that it failed: of the choice and of what needs
//! it all of it, of an alternative that one. What was left as barred counts as tried until a command or a fact, not a
//! report, ends that it is. A start where every alternative has a mark lifts those of the first.
//!
//! So a choice comes to rest: it leaves for one that is not up only what was not tried, and that is tried then; only a
//! person or the world outside forgets it.
//!
//! # Preconditions and attempts
//!
//! `only-if` is looked at once for a start, when it is due; a restart by command looks again, a restart by policy and a
//! retry are no starts. Unmet, the service is *skipped*: it has no process and is settled, so that what wants it, or is
//! after it, goes on. To what needs, binds or needs it to start it is as if it had failed; where its own file says
//! `skip-ok = yes`, as if it were up. A bundle takes a skipped member for up in any case. Both hold while its goal is
//! up. On its way up from skipped it is as in a restart in place: what may stay with a skipped one stays, and nothing
//! that needs it starts.
//!
//! A oneshot's attempts (`retries`) are one start: it is starting, so under way, until one succeeds or the last has
//! failed. After each life and each failed attempt comes `cleanup`, and until that has ended the next has not begun,
//! nor is it down. A life that a oneshot which remains has brought up ends when it is taken down.
//!
//! # Conditions and triggers
//!
//! A *fact* has a name and attributes, which keep the order in which they were said; two facts are the same if name and
//! attributes are, in whatever order. A leaf matches a fact of its name whose attributes match: a bare GLOB the value
//! in its place (the first the first; where there is none it does not match), `KEY=GLOB` the value of KEY, `KEY!=GLOB`
//! where `KEY=GLOB` does not, so also where there is no KEY.
//!
//! A leaf is on while a matching condition is on or its latch counts, *changing* while one is changing and none is on.
//! A plain event sets the latches of the leaves that it matches; a latch counts until it is cleared, or for as long as
//! `within` says, from the newest event that set it. Ages are compared when an expression is looked at, and at no other
//! time. `up(X)` is on while X is up and changing while it restarts. `and` is the least of two values, `or` the
//! greatest, `not` turns on and off; `changing` starts nothing and stops nothing.
//!
//! An input fires a trigger if and only if, just after it, the expression is true through a leaf that it touched: the
//! value of the leaf goes up to the root unchanged by what stands beside it (`not` turns it), and is on there. What
//! goes off touches the leaves that are off then; conditions whose lease ends go off at once. Firing clears the
//! expression's latches; a start clears those of `stop-on` (what was before it does not stop it), and where no trigger
//! holds it those of `start-on` too. For one fact the order is: latches, `while` and `for-each`, `stop-on`, `start-on`,
//! and goals after all of them.
//!
//! A condition is on while anybody holds it on: plainly, or by a lease. `off` takes it from all of them. What is on can
//! be said to be changing, for a time: then it is so for all who hold it, a lease may end without ending it, and the
//! first who says `on` again (anew: it has a new generation, and touches leaves) ends that, for those who still hold it
//! where he does not by a lease of his own; if nobody does in time, it is off.
//!
//! Derived events have the attributes SERVICE, INSTANCE (of an instance), RESULT and EXIT_STATUS or EXIT_SIGNAL (of
//! `stopped` and `failed`) in this order, and behind them what was passed to the service.
//!
//! An instance lives while it has a hold, a person's mark, a latch, a process or somebody who waits for it; one that
//! failed keeps its slot until that is needed by what does not name it, too: a command or fact that names more
//! instances than there are slots for is refused whole. A derived event cannot be: of what it would make, what there is
//! no slot for is not made.
//!
//! # Transactions
//!
//! A command, and a fact that moves anything, is a transaction with a number. Its services are those that it names or
//! that hear it, those whose goal it raises, and all that it *causes* to move. To move is to become under way, to have
//! to go down, or to lose the goal while not yet down. What moves in the step that takes the command or the fact is
//! caused by it; what moves in a step that takes the report of a service is caused by all transactions in which that
//! service is not decided yet. So causes are passed on to any depth: who binds to what restarts, who waits for what was
//! reset, whose `while` looks at it. What derived events (and `up()`, `failed()` in a trigger) set in motion is a
//! *child*: a transaction of its own, whose parent is the one that the event came of: the one that the step opened,
//! else the newest in which the service that the step is about is not decided. Nobody's parent waits for it: what
//! `started` or `stopped` begins may take an hour, or go round for ever. Each derived event opens its own, if it moves
//! anything; children leave a quarter of the rows to commands and facts.
//!
//! A service is decided when it is not moving: up, down, done, skipped, failed, or waiting for what does not move
//! either (also where its first life has ended and policy begins another: of that nobody knows the end, so the answer
//! is of the first). It is *reached* where it is what was wanted. Up is wanted of what was started or restarted, of
//! what heard its `start-on`, of what a restart takes down with it; down of what was stopped, or loses its goal by a
//! switch. Of all else nothing is wanted but that it does not fail. What is only pulled up may even fail (it may be
//! only a `wants`), but then nothing in the transaction may be left waiting. When all are decided the transaction ends:
//! *done* where all are reached, else *failed*; *full* where all that could be followed are, but there was no room to
//! follow all (or any): what became of the others it does not say. A command that wants the opposite of what is wanted
//! of a service, or a switch that turns its goal, makes its part *superseded*, and with that the whole; that stays,
//! whatever the service does then. A service is listed once; if it moves again before the end, that counts.
//!
//! # Derived events
//!
//! `starting`, `started`, `stopping` and `failed` follow from changes of phase. `stopped` is each life's end, when it has
//! ended and not when that is ordered, so also between the two lives of a restart; what was given up before it lived is
//! told as `stopped`, too, and nothing twice. (The attempts of a oneshot are one start. A bundle has stopped when it
//! leaves up.) A life has failed whose end is neither exit 0, nor by SIGTERM, nor by a stop signal of its file. Lives
//! that ended unseen (the engine was dead, or late) are told as one `stopped`, and
//! one `started` where another is up, with `COUNT` where they are more than one (255: or more). They are taken after
//! everything has settled, before the next input. A process-less slot makes one transition a step and the next a second
//! later: before the input that comes then, as if it were reported, so that what it moves is caused by the transactions
//! in which that slot is not decided, not by that input.
//!
//! # The journal
//!
//! What the engine was told, what it decided of it, and what moved, in the order in which it was: inputs; transactions
//! begun and ended; holds and marks laid and dropped; triggers fired; refusals; changes of a phase. In one step what has
//! come to an end or waits comes first, a bundle behind that, and last what begins to start or to stop, which one of
//! them has made possible. It is bounded, the oldest goes first, and it belongs to the facts: an engine that takes over
//! goes on writing where the last finished step ended. What people are shown of it are *lines*, numbered without gaps.
//! The inputs in it, given to a fresh engine over the same database at the same times, lead to the same state.
//!
//! # Causes
//!
//! Beyond the journal each slot remembers three things, with time and transaction: what a person asked of it last
//! (start, stop, release, restart; with the person's user id), which leaf fired one of its triggers last, and what else
//! took its goal from it last (what pulled it up no longer does, its condition went off, it ended for good). Marks and
//! holds say what counts now; these say since when and by whom.

pub mod relation;
pub mod vocabulary;

pub use relation::Relation;
pub use vocabulary::{Goal, Hold, Holds, Phase, write_change};
