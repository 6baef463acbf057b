//! What can happen next, and the supervisor's part of it: of each slot what it acts on, and what its process does.

use pintle::board::orders::{OrderRow, Wish};
use pintle::board::reports::{Exit, ReportRow, State};
use pintle::engine::{Engine, Input, NOBODY, Sender, Target, Verb};
use pintle::graph::Phase;
use pintle::ident::{Order, SlotId};

use super::graphs::Kind;

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    Start(u8),
    Stop(u8),
    Restart(u8),
    Reset(u8),
    Release(u8),
    Boot(u8),
    Switch(u8),
    RestartWithDependents(u8),
    On,
    Off,
    /// The condition is being changed, for a time; and that is over.
    Changing,
    ChangedTooLong,
    Shutdown,
    /// A second has passed.
    Tick,
    /// The supervisor acts on the newest order, and the engine hears it.
    Obey(u8),
    /// ... and hears it only when the new life is ready.
    ObeyReady(u8),
    /// A process becomes ready; a oneshot ends well.
    Ready(u8),
    /// A process that was told to go is gone.
    Gone(u8),
    /// It was killed, and is still there after a while.
    Stick(u8),
    /// ... and is gone after all.
    GoneAtLast(u8),
    /// A process that was told to go was not ready in time: it is not tried again.
    GoneFailed(u8),
    /// Policy begins the next life.
    Again(u8),
    /// A process ends, and policy will begin another life.
    Die(u8),
    /// ... and did, before the engine has heard of it.
    Reborn(u8),
    /// A process ends, and policy gives up.
    Fail(u8),
    /// A process ends well and for good.
    End(u8),
    /// A process is not ready in time and is told to go.
    TimeOut(u8),
    /// A precondition does not hold.
    Skip(u8),
}

impl Move {
    /// Whether it comes from outside, or is a process's death: without these, the world comes to rest.
    pub fn is_input(self) -> bool {
        use Move::{
            Again, Boot, ChangedTooLong, Changing, Die, End, Fail, Gone, GoneAtLast, GoneFailed, Obey, ObeyReady, Off,
            On, Ready, Reborn, Release, Reset, Restart, RestartWithDependents, Shutdown, Skip, Start, Stick, Stop,
            Switch, Tick, TimeOut,
        };
        match self {
            Tick | Obey(_) | ObeyReady(_) | Ready(_) | Gone(_) | GoneFailed(_) | Again(_) => false,
            Start(_)
            | Stop(_)
            | Restart(_)
            | Reset(_)
            | Release(_)
            | Boot(_)
            | Switch(_)
            | RestartWithDependents(_)
            | On
            | Off
            | Changing
            | ChangedTooLong
            | Shutdown
            | Die(_)
            | Reborn(_)
            | Fail(_)
            | End(_)
            | TimeOut(_)
            | Skip(_)
            | Stick(_)
            | GoneAtLast(_) => true,
        }
    }

    /// The slot that the supervisor tells of.
    pub fn told(self) -> Option<u8> {
        use Move::{
            Again, Die, End, Fail, Gone, GoneAtLast, GoneFailed, Obey, ObeyReady, Ready, Reborn, Skip, Stick, TimeOut,
        };
        match self {
            Obey(at) | ObeyReady(at) | Ready(at) | Gone(at) | GoneFailed(at) | Again(at) | Die(at) | Reborn(at)
            | Fail(at) | End(at) | TimeOut(at) | Skip(at) | Stick(at) | GoneAtLast(at) => Some(at),
            _ => None,
        }
    }
}

/// The condition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Net {
    Off,
    Changing,
    On,
}

/// The supervisor's row of one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Row {
    pub state: State,
    pub order: u32,
    pub attempt: u32,
    pub began: u32,
    pub ready: u32,
    /// The order acted on wishes it up.
    pub wishes_up: bool,
    pub stuck: bool,
}

impl Row {
    pub fn report(&self) -> ReportRow {
        ReportRow {
            state: self.state,
            order: Order(self.order),
            attempt: self.attempt,
            began: u64::from(self.began),
            ready: u64::from(self.ready),
            stuck: self.stuck,
            exit: if self.state == State::Failed { Exit::Code(1) } else { Exit::None },
            ..ReportRow::default()
        }
    }

    fn begin(&mut self, stamp: &mut u32) {
        *stamp += 1;
        (self.state, self.began, self.ready, self.attempt) = (State::Starting, *stamp, 0, (self.attempt + 1).min(2));
    }

    fn ready(&mut self, kind: Kind, stamp: &mut u32) {
        if kind == Kind::Once {
            self.state = State::Done;
        } else {
            *stamp += 1;
            (self.state, self.ready) = (State::Up, *stamp);
        }
    }

    fn obey(&mut self, order: &OrderRow, stamp: &mut u32) {
        (self.order, self.attempt, self.wishes_up) = (order.number.0, 0, order.wish == Wish::Up);
        match (self.state.has_process(), order.wish) {
            (true, _) => self.state = State::Stopping,
            (false, Wish::Down) => self.state = State::Down,
            (false, Wish::Up) => self.begin(stamp),
        }
    }

    /// The supervisor's part of a move about this slot.
    pub fn turn(&mut self, next: Move, order: &OrderRow, kind: Kind, stamp: &mut u32) {
        match next {
            Move::Obey(_) => self.obey(order, stamp),
            Move::ObeyReady(_) => {
                self.obey(order, stamp);
                self.ready(kind, stamp);
            }
            Move::Stick(_) => self.stuck = true,
            Move::Gone(_) | Move::GoneAtLast(_) if !self.wishes_up => self.state = State::Down,
            // Not ready in time: it waits for its delay. Else it was told to restart.
            Move::Gone(_) | Move::GoneAtLast(_) if self.attempt > 0 => self.state = State::Delayed,
            Move::Gone(_) | Move::GoneAtLast(_) | Move::Again(_) => self.begin(stamp),
            Move::Ready(_) => self.ready(kind, stamp),
            Move::Die(_) => self.state = State::Delayed,
            Move::Reborn(_) => {
                self.begin(stamp);
                self.ready(kind, stamp);
            }
            Move::Fail(_) | Move::GoneFailed(_) => self.state = State::Failed,
            Move::End(_) => self.state = State::Done,
            Move::TimeOut(_) => self.state = State::Stopping,
            Move::Skip(_) => self.state = State::Skipped,
            Move::Start(_)
            | Move::Stop(_)
            | Move::Restart(_)
            | Move::Reset(_)
            | Move::Release(_)
            | Move::Boot(_)
            | Move::Switch(_)
            | Move::RestartWithDependents(_)
            | Move::On
            | Move::Off
            | Move::Changing
            | Move::ChangedTooLong
            | Move::Shutdown
            | Move::Tick => {}
        }
        self.stuck &= self.state == State::Stopping;
    }

    /// What the supervisor and the processes of this slot may do next; `deaths`: also what nobody asked for.
    pub fn moves(&self, at: u8, order: &OrderRow, kind: Kind, deaths: bool, moves: &mut Vec<Move>) {
        if order.number.0 != self.order {
            moves.push(Move::Obey(at));
            if order.wish == Wish::Up && !self.state.has_process() {
                moves.push(Move::ObeyReady(at));
            }
        }
        match self.state {
            State::Starting => {
                moves.push(Move::Ready(at));
                if deaths {
                    moves.extend([Move::Die(at), Move::Fail(at), Move::TimeOut(at)]);
                    if kind.is_longrun() {
                        moves.push(Move::End(at));
                    }
                    if kind.skips() && self.attempt == 1 {
                        moves.push(Move::Skip(at));
                    }
                }
            }
            State::Up if deaths && kind.is_longrun() => {
                moves.extend([Move::Die(at), Move::Reborn(at), Move::Fail(at), Move::End(at)]);
            }
            // Nobody can say when.
            State::Stopping if self.stuck => {}
            State::Stopping => {
                moves.push(Move::Gone(at));
                if self.wishes_up && self.attempt > 0 {
                    moves.push(Move::GoneFailed(at));
                }
            }
            State::Delayed => moves.push(Move::Again(at)),
            State::Up
            | State::Down
            | State::Failed
            | State::Done
            | State::Skipped
            | State::Queued
            | State::Spawning => {}
        }
    }
}

/// The commands that mean something for a slot in this phase; the others are refused or change nothing.
pub fn commands(at: u8, phase: Phase, forgets: bool, moves: &mut Vec<Move>) {
    moves.extend([Move::Start(at), Move::Stop(at), Move::Restart(at), Move::Release(at)]);
    if forgets || matches!(phase, Phase::Failed | Phase::Done | Phase::Skipped) {
        moves.push(Move::Reset(at));
    }
}

/// Gives `act` the engine's input of a move.
pub fn with_input<R>(next: Move, rows: &[Row], act: impl FnOnce(Input<'_>) -> R) -> R {
    if let Some(at) = next.told() {
        return act(Input::Report(SlotId(u32::from(at)), &rows[usize::from(at)].report()));
    }
    let command = |verb, at: u8, act: &mut dyn FnMut(Input<'_>)| {
        act(Input::Command { verb, targets: &[Target::Slot(SlotId(u32::from(at)))], uid: NOBODY });
    };
    let mut act = Some(act);
    let mut result = None;
    let mut call = |input: Input<'_>| result = act.take().map(|act| act(input));
    match next {
        Move::Start(at) => command(Verb::Start, at, &mut call),
        Move::Stop(at) => command(Verb::Stop, at, &mut call),
        Move::Restart(at) => command(Verb::Restart, at, &mut call),
        Move::Switch(at) => command(Verb::Switch, at, &mut call),
        Move::RestartWithDependents(at) => command(Verb::RestartWithDependents, at, &mut call),
        Move::Reset(at) => command(Verb::Reset, at, &mut call),
        Move::Release(at) => command(Verb::Release, at, &mut call),
        Move::Boot(at) => call(Input::Boot(SlotId(u32::from(at)))),
        Move::On => call(Input::On { fact: b"net", sender: Sender::default(), lease: 0 }),
        Move::Off => call(Input::Off { fact: b"net" }),
        Move::Changing => call(Input::Changing { fact: b"net", for_ms: 10_000 }),
        Move::Shutdown => call(Input::Shutdown(NOBODY)),
        _ => call(Input::Tick),
    }
    result.expect("called once")
}

/// What the engine orders of each slot now.
pub fn orders(engine: &Engine<'_>, count: usize) -> [OrderRow; super::graphs::MOST] {
    let mut orders = [OrderRow::default(); super::graphs::MOST];
    for (at, order) in orders.iter_mut().enumerate().take(count) {
        *order = engine.order(SlotId(at as u32));
    }
    orders
}
