//! What is said on the connections of the engine: a request is read, stepped and answered; who waits or follows is told
//! of phases as they change, and at the end of the results. The lines are those of `pintle::protocol`.

use core::fmt::Write;
use pintle::access;
use pintle::database::{Image, header};
use pintle::engine::{Capacities, Outcome, Sender, Standing, words_needed};
use pintle::fact;
use pintle::graph::{Phase, Relation};
use pintle::ident::SlotId;
use pintle::limits::{ACCESS_RULES_MAX, CLIENTS_MAX, LINE_BYTES_MAX};
use pintle::packed;
use pintle::protocol::{self, Bad, Request, Verb as Asked};
use pintle::status::{View, why};
use pintle::text::small_number;
use pintle::time::Instant;

use super::super::clients::{Answer, Rules, Talk};
use super::asking::take;
use super::{Host, LEASE_GRACE_MS, lease};
use crate::sys::errno::Words;
use crate::sys::socket::GROUPS;
use crate::sys::{AsFd, accounts, clock, mapping};

/// Requests that are taken before anything else has its turn again: more than one connection's input holds of usual
/// ones.
const REQUESTS_A_TURN: usize = 256;

/// Finds the rules that are for a user in these groups; `strangers` are the numbers that stand for all users, and for all
/// groups, that have none in our namespace. The files of names are read each time, since they may have changed.
#[inline(never)]
fn find_rules(image: &Image<'_>, uid: u32, groups: &[u32], strangers: [Option<u32>; 2], own: &mut Rules) {
    let rules = image.list(image.header(header::ACCESS));
    if rules.is_empty() {
        return;
    }
    let mut mark = |is_meant: &mut dyn FnMut(&str) -> bool| {
        for (at, rule) in rules.iter().enumerate().take(ACCESS_RULES_MAX) {
            if access::who(image.text(rule)).is_some_and(&mut *is_meant) {
                own[at / 64] |= 1 << (at % 64);
            }
        }
    };
    let is_user = |number: u32| number == uid && Some(uid) != strangers[0];
    let is_group = |number: u32| groups.contains(&number) && Some(number) != strangers[1];
    mark(&mut |who| match who.strip_prefix('@') {
        Some(group) => small_number(group.as_bytes()).is_some_and(is_group),
        None => who == access::ALL || small_number(who.as_bytes()).is_some_and(is_user),
    });
    let uid = if is_user(uid) { uid } else { u32::MAX };
    let known: heapless::Vec<u32, { GROUPS }> = groups.iter().copied().filter(|gid| is_group(*gid)).collect();
    accounts::names(uid, &known, &mut |is_group, name| {
        mark(&mut |who| match who.strip_prefix('@') {
            Some(group) => is_group && group.as_bytes() == name,
            None => !is_group && who.as_bytes() == name,
        });
    });
}

impl Host {
    /// Requests, one of each connection in turn, as long as any has one, but not for ever.
    pub(super) fn take_requests(&mut self, now: Instant) {
        if self.clients.is_empty() {
            return;
        }
        let asking = self.clients.asking();
        if asking != 0 {
            self.take_requests_of(asking, now);
        }
    }

    // On pages of the stack that are used only when there are requests.
    #[inline(never)]
    fn take_requests_of(&mut self, mut asking: u64, mut now: Instant) {
        let (mut room, mut answer) = ([0; LINE_BYTES_MAX], Answer::new());
        for _ in 0..REQUESTS_A_TURN {
            let Some(at) = self.clients.next_of(asking) else { return };
            let Some(line) = self.clients.next_line(at) else {
                asking &= !(1 << at);
                continue;
            };
            let request = protocol::parse(line, &mut room);
            self.take_request(at, request, now, &mut answer);
            // What it moves is written before the next is looked at; all else before the answers go out.
            if self.engine.has_moved() {
                self.flush(now);
            }
            if self.follower.behind(self.view.reports.words()) {
                now = clock::now();
                self.take_reports(now);
                self.flush(now);
            }
        }
    }

    #[inline(never)]
    fn take_request(&mut self, at: usize, request: Result<Request<'_>, Bad<'_>>, now: Instant, answer: &mut Answer) {
        answer.clear();
        let waited = self.answer(at, request, now, answer);
        self.clients.say(at, answer);
        match waited {
            None => {}
            Some(Talk::Waiting(number)) => {
                self.clients.set_talk(at, Talk::Waiting(number));
                let mut cursor = 0;
                while let Some((slot, _)) = self.engine.transaction_next(number, &mut cursor) {
                    self.watch(at, slot);
                }
                // The reasons that are told are read from what is published. Whoever waits for what ends now is told
                // there.
                self.flush(now);
                if matches!(self.clients.talk(at), Talk::Waiting(of) if of == number)
                    && self.engine.transaction(number) != Standing::Running
                {
                    self.finish_waiting(at, number, now);
                }
            }
            Some(talk) => self.clients.set_talk(at, talk),
        }
    }

    /// Whoever waits for a service is told of what it needs and of what needs it, too: these move with it.
    fn watch(&mut self, at: usize, slot: SlotId) {
        let (image, engine) = (self.view.image, &self.engine);
        let definition = |slot: SlotId| match engine.instance(slot) {
            Some((template, _)) => template,
            None => slot,
        };
        self.clients.watch(at, slot, &|slot, lead| {
            for edge in image.edges(definition(slot)) {
                if edge.relation.is_in(Relation::PULLS) {
                    lead(edge.slot);
                }
            }
        });
        self.clients.watch(at, slot, &|slot, lead| {
            for edge in image.reverse(definition(slot)) {
                if matches!(edge.relation, Relation::Needs | Relation::Binds) {
                    lead(edge.slot);
                }
            }
        });
    }

    /// Writes the answer to a request; gives what the connection is at from now on, if that is something.
    #[inline(never)]
    fn answer(
        &mut self,
        at: usize,
        request: Result<Request<'_>, Bad<'_>>,
        now: Instant,
        answer: &mut Answer,
    ) -> Option<Talk> {
        let request = match request {
            Ok(request) => request,
            Err(bad) => {
                let _ = write!(answer, "bad {bad}");
                return None;
            }
        };
        let (sender, trusted) = self.clients.who(at)?;
        let looks = request.verb.looks();
        if !trusted && !self.is_allowed(at, sender, &request) {
            answer.text(packed!("no only root, the user of pintle and whom `access` allows it may do this, not uid "));
            answer.number(sender.uid);
            return None;
        }
        if !trusted && !looks && self.engine.is_crowded() {
            answer.text(packed!("no the last quarter of the room for commands, conditions and instances is root's"));
            return None;
        }
        let stays = request.waits || looks || request.verb == Asked::Hold;
        if stays && !self.clients.may_stay(at) {
            answer.text(packed!(
                "no 48 clients wait, follow or hold, or 16 of users who may not do everything: no more may"
            ));
            return None;
        }
        if matches!(request.verb, Asked::Events | Asked::Journal) {
            return Some(self.read_journal(at, &request, answer));
        }
        if request.verb == Asked::Memory {
            self.hand_over_memory(at, now, answer);
            return None;
        }
        let number =
            take(&mut self.engine, &self.view.image, &request, (sender, lease(self.life, at)), trusted, now, answer)
                .ok()?;
        if request.verb == Asked::Hold {
            self.clients.set_leases(at);
            if !self.held.is_empty() {
                // Perhaps it is one that was waited for, which says now what it holds.
                self.grace = now.plus_ms(LEASE_GRACE_MS);
            }
        }
        answer.accept(number);
        let parent = if request.verb == Asked::Await { self.engine.parent(number) } else { 0 };
        if parent != 0 {
            answer.text(packed!(" set in motion by transaction "));
            answer.number(parent);
        }
        if matches!(request.verb, Asked::On | Asked::Off | Asked::Hold | Asked::Emit) {
            let name = fact::name(request.fact());
            if let Some(template) = self.engine.nameless() {
                answer.text(packed!(" no instance of "));
                answer.bytes(self.engine.name(template).as_str().as_bytes());
                answer.text(packed!(" is made: its attributes give no valid name"));
            } else if self.view.image.leaves_named(name).is_empty() {
                answer.text(packed!(" no service listens to "));
                answer.bytes(name);
            }
        }
        let mut before = &b" no longer held down: "[..];
        while let Some(slot) = self.engine.take_lifted() {
            answer.bytes(before);
            answer.bytes(self.engine.name(slot).as_str().as_bytes()); // what does not fit is cut
            before = b", ";
        }
        match request.verb {
            Asked::Follow => Some(Talk::Following),
            verb => (request.waits || verb == Asked::Await).then_some(Talk::Waiting(number)),
        }
    }

    /// Whether the rules of `access` let a client ask for this.
    #[inline(never)]
    fn is_allowed(&mut self, at: usize, sender: Sender, request: &Request<'_>) -> bool {
        let image = self.view.image;
        let rules = image.list(image.header(header::ACCESS));
        let verb = request.verb;
        if verb.looks() {
            return !rules.iter().any(|rule| access::is_private(image.text(rule)));
        }
        let strangers = self.strangers;
        let own = self.clients.rules(at, &mut |groups, own| find_rules(&image, sender.uid, groups, strangers, own));
        let is_own = |at: &usize| own[at / 64] >> (at % 64) & 1 == 1;
        let is_ruled = |name| {
            let mut own = rules.iter().enumerate().filter(|(at, _)| is_own(at));
            own.any(|(_, rule)| access::allows(image.text(rule), verb, name))
        };
        match verb {
            Asked::Shutdown => is_ruled(None),
            _ if verb.has_fact() => is_ruled(Some(fact::name(request.fact()))),
            _ => {
                let mut named = request.words().skip(usize::from(verb == Asked::Signal)).peekable();
                named.peek().is_some() && named.all(|name| is_ruled(Some(name.as_bytes())))
            }
        }
    }

    /// Where somebody begins to read the journal; the answer is the number of the next line to come.
    #[inline(never)]
    fn read_journal(&mut self, at: usize, request: &Request<'_>, answer: &mut Answer) -> Talk {
        let next = self.engine.journal_number();
        answer.accept(next);
        let (follows, first) = (request.verb == Asked::Events, request.words().next());
        let number = match first {
            None if follows => next,
            Some("last") => next.saturating_sub(request.number).max(self.engine.journal_at(0).number()),
            Some(_) | None => request.number,
        };
        *self.clients.cursor(at) = self.engine.journal_at(number);
        Talk::Reading(follows)
    }

    /// A copy of the engine's memory goes to whoever wants to see what a command would do; the engine does not wait for
    /// it.
    #[cold]
    fn hand_over_memory(&mut self, at: usize, now: Instant, answer: &mut Answer) {
        if !self.clients.may_copy(at) {
            answer.text(packed!("no copies of the engine's memory wait to be received; receive them first"));
            return;
        }
        let (image, geometry) = (&self.view.image, self.view.reports.geometry());
        let count = words_needed(image, geometry, Capacities::of(image));
        let copy = mapping::copied_words(c"pintle-memory", self.engine.kept(), count);
        self.clients.send(at, now);
        if let Err(error) = copy.and_then(|copy| self.clients.hand_over(at, b"ok 0\n", copy.as_fd())) {
            let _ = write!(answer, "no the engine cannot hand over a copy of its memory: {}", Words(error));
        }
    }

    /// The transaction that a place waits for has ended: from now on it is told the results.
    pub(super) fn finish_waiting(&mut self, at: usize, number: u32, now: Instant) {
        self.look(&mut false);
        // Phases that it has not read yet: what does not fit now is told by the results.
        let _ = self.clients.catch_up(at, now, &mut |slot, answer| write_phase(&self.view, slot, answer));
        self.clients.set_talk(at, Talk::Telling(number, 0));
        self.tell_results(at, now);
    }

    fn tell_results(&mut self, at: usize, now: Instant) {
        while let Talk::Telling(number, mut cursor) = self.clients.talk(at) {
            if !self.clients.has_room(at, now) {
                return;
            }
            let mut answer = Answer::new();
            let next = match self.engine.transaction_next(number, &mut cursor) {
                Some((slot, outcome)) => {
                    // By what is published: an instance that has ended may be no more.
                    answer.bytes(b"result ");
                    if let Some((_, name)) = self.view.name(slot) {
                        name.write(&mut answer);
                    }
                    answer.bytes(b" ");
                    answer.bytes(outcome.name().as_bytes());
                    // The reasons of now are those of then for what has not moved since.
                    let row = self.view.row(slot).filter(|row| row.since <= self.engine.end_of(number));
                    // What is up, or down as this transaction has asked, needs none.
                    let well = matches!(outcome, Outcome::Up | Outcome::Done | Outcome::Superseded)
                        || outcome == Outcome::Down && why::was_taken_down(&self.view, slot, number);
                    match &row {
                        _ if well => {}
                        Some(row) => {
                            let failed = outcome == Outcome::Failed;
                            self.view.say(&mut answer, row, if failed { packed!(" $E") } else { packed!(" $w") });
                        }
                        None => answer.bytes(b" it has changed since"),
                    }
                    Talk::Telling(number, cursor)
                }
                None => {
                    // Where nothing was to be waited for, all is done.
                    let standing = if number == 0 { Standing::Done } else { self.engine.transaction(number) };
                    answer.bytes(b"end ");
                    answer.number(number);
                    answer.bytes(b" ");
                    answer.bytes(standing.name().as_bytes());
                    Talk::Idle
                }
            };
            self.clients.say(at, &mut answer);
            self.clients.set_talk(at, next);
        }
    }

    /// Sends what waits to be sent, and what the slow ones have missed.
    pub(super) fn tell(&mut self, now: Instant) {
        if self.clients.is_empty() {
            return;
        }
        let mut looked = false;
        for at in 0..CLIENTS_MAX {
            self.clients.send(at, now);
            match self.clients.talk(at) {
                Talk::Waiting(_) | Talk::Following => {
                    self.look(&mut looked);
                    self.clients.catch_up(at, now, &mut |slot, answer| write_phase(&self.view, slot, answer));
                    self.clients.send(at, now);
                }
                Talk::Telling(..) => {
                    self.look(&mut looked);
                    self.tell_results(at, now);
                    self.clients.send(at, now);
                }
                Talk::Idle | Talk::Reading(_) => {}
            }
        }
        self.tell_events(now);
    }
}

/// `phase NAME PHASE [TEXT]`.
pub(super) fn write_phase(view: &View<'_>, slot: SlotId, answer: &mut Answer) {
    let Some(row) = view.row(slot) else {
        // An instance that is no more.
        if let Some((_, name)) = view.name(slot) {
            answer.bytes(b"phase ");
            name.write(answer);
            answer.bytes(b" down");
        }
        return;
    };
    let template = match row.phase {
        Phase::Failed => packed!("phase $n $P $E"),
        Phase::Waiting => packed!("phase $n $P $s"),
        Phase::Down
        | Phase::Starting
        | Phase::Up
        | Phase::Restarting
        | Phase::Stopping
        | Phase::Skipped
        | Phase::Done => packed!("phase $n $P"),
    };
    view.say(answer, &row, template);
}
