//! One child from its definition: arguments, environment and plan, put into a draft. Text that needs no expansion is
//! passed as it lies in the mapped database.

use super::cgroups::Group;
use super::store::Stored;
use crate::host::accounts::{Account, Accounts};
use crate::host::exec_plan;
use crate::host::failure::Failure;
use crate::host::mark::MARK;
use crate::sys::spawn::{Draft, FAILS, GOES_ON, Limit, Look, Pass, Pending, Plan, Refused, Step, Text};
use crate::sys::{AsFd, BorrowedFd, Errno, entry, process};
use core::sync::atomic::AtomicU32;
use pintle::board::orders::TEXT_BYTES;
use pintle::database::image::List;
use pintle::database::{EXEC_WORDS, Image, NONE, exec, header, node, service};
use pintle::expand::{Piece, pieces};
use pintle::ident::SlotId;
use pintle::limits::{EXPRESSION_NODES_MAX, INSTANCE_BYTES_MAX, STORED_MAX, TESTS_MAX};
use pintle::names;
use pintle::setup::may_stand;
use pintle::supervision::precondition::{self, Next};
use pintle::text::digits;

/// The supervisor's own: a child that is to have it needs no call for it.
pub const UMASK: u32 = 0o022;

/// Which command of a definition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// `command`.
    Main,
    /// `stop`; the main process has this pid, 0 for none.
    Stop(u32),
    /// `reload`.
    Reload(u32),
    /// `cleanup`, and with `clears` what removes `runtime-directory`.
    Cleanup { clears: bool },
    /// The command of `ready = check`.
    Check(u32),
    /// `health`.
    Health(u32),
    /// `pre-start`.
    PreStart,
}

/// Where output goes.
#[derive(Clone, Copy)]
pub enum Output<'a> {
    /// The supervisor's own.
    Inherit,
    /// Nowhere.
    Null,
    /// This pipe.
    Pipe(BorrowedFd<'a>),
}

/// What all children have in common.
pub struct Common {
    pub image: Image<'static>,
    pub accounts: Accounts,
    /// The program that helpers and chain-loaders are: our own.
    pub program: &'static core::ffi::CStr,
    /// Ours.
    pub uid: u32,
    /// Ours.
    pub gid: u32,
    /// The limit of descriptors as it was before we raised it: (soft, hard).
    pub descriptor_limit: Option<(u64, u64)>,
    /// The kernel's command line.
    pub kernel: &'static [u8],
    /// Enough descriptors are held for sharing the table to be cheaper than copying it.
    pub share_descriptors: bool,
}

/// What this one child has.
pub struct Child<'a> {
    pub definition: SlotId,
    pub command: Command,
    /// Its `only-if` is looked at.
    pub looks: bool,
    /// Its exec is waited for.
    pub awaited: bool,
    pub variables: &'a Variables,
    pub output: Output<'a>,
    /// Its standard input; none: `/dev/null`.
    pub input: Option<BorrowedFd<'a>>,
    /// The writing end for readiness, and the child's number for it.
    pub ready: Option<(BorrowedFd<'a>, i32)>,
    /// Its control group, and the path of all groups.
    pub group: &'a Group,
    pub groups: &'a [u8],
    /// `$NOTIFY_SOCKET`; empty for none.
    pub notify: &'a [u8],
    /// What was kept of an earlier life.
    pub stored: Stored<'a>,
    /// Where the chain-loader tells what it does beside; empty for nowhere.
    pub socket: &'a [u8],
    /// It goes into the background, and has so long to end when it is told. Milliseconds.
    pub forks: Option<u32>,
    /// How long its watchdog waits, in milliseconds; 0 for none.
    pub watchdog_ms: u32,
}

/// The instance's name and the attributes to pass, as far as they are believed.
pub struct Variables([u8; TEXT_BYTES]);

impl Variables {
    pub const NONE: Variables = Variables([0; TEXT_BYTES]);

    /// For `Orders::read_text` to fill in.
    pub fn text(&mut self) -> &mut [u8; TEXT_BYTES] {
        &mut self.0
    }

    /// The instance's name as it came, `INSTANCE_BYTES_MAX` bytes with NULs behind it and one more.
    pub fn name(&self) -> &[u8] {
        &self.0[..=INSTANCE_BYTES_MAX]
    }

    /// The instance's name; empty for none.
    pub fn instance(&self) -> &[u8] {
        before(&self.0, 0)
    }

    /// Whether the name is one (or there is none).
    pub fn are_valid(&self) -> bool {
        let name = self.instance();
        name.is_empty() || core::str::from_utf8(name).is_ok_and(|name| names::check_instance(name).is_ok())
    }

    /// The next of the attributes that a definition lets pass, as `KEY=VALUE`: the engine's word is not enough for
    /// others. `at` is where it begins among them, and then where the one behind it does.
    fn next_passed(&self, allowed: &List<'_>, image: &Image<'static>, at: &mut usize) -> Option<&[u8]> {
        loop {
            let text = before(self.0.get(INSTANCE_BYTES_MAX + 1 + *at..)?, 0);
            if text.is_empty() {
                return None;
            }
            *at += text.len() + 1;
            let name = name_of(text);
            if name.len() < text.len() && has_name(allowed, image, name) {
                return Some(text);
            }
        }
    }

    /// The one of this name.
    fn passed(&self, allowed: &List<'_>, image: &Image<'static>, name: &[u8]) -> Option<&[u8]> {
        let mut at = 0;
        loop {
            let text = self.next_passed(allowed, image, &mut at)?;
            if name_of(text) == name {
                return Some(text);
            }
        }
    }
}

fn name_of(variable: &[u8]) -> &[u8] {
    before(variable, b'=')
}

/// What stands before this byte; all where there is none.
#[inline(never)]
pub fn before(text: &[u8], end: u8) -> &[u8] {
    text.split(|byte| *byte == end).next().unwrap_or_default()
}

/// Whether one of these names, or variables, has this name.
#[inline(never)]
fn has_name(list: &List<'_>, image: &Image<'static>, name: &[u8]) -> bool {
    (0..list.len()).any(|at| name_of(image.bytes_of(list.get(at))) == name)
}

/// Starts it.
#[inline(never)]
pub fn launch(
    common: &mut Common,
    draft: &mut Draft<'_>,
    child: &Child<'_>,
    pid: &AtomicU32,
) -> Result<Pending, Failure> {
    let image = &common.image;
    let definition = child.definition;
    let index = image.service(definition, service::EXEC);
    let mut record = [0; EXEC_WORDS];
    image.exec_record(index, &mut record);
    let allowed = image.list(image.service(definition, service::PASS));
    let is_template = image.flags(definition) & service::flags::TEMPLATE != 0;
    let mut launch = Launch { draft, image, child, allowed, is_template };

    let mut looks = heapless::Vec::new();
    let only_if = image.service(definition, service::ONLY_IF);
    if child.looks && only_if != NONE {
        launch.looks(only_if, common.kernel, &mut looks)?;
    }
    let user = image.bytes_of(record[exec::USER]);
    let mut nobody = Account::default();
    let account = match common.accounts.resolve(user, image.bytes_of(record[exec::GROUP])) {
        Ok(account) => account,
        Err(unknown) if looks.is_empty() => return Err(unknown.into()),
        Err(unknown) => {
            // It counts only where the looks let it go on, and never goes on then.
            let fails = FAILS | Failure::from(unknown).behind_looks();
            for look in &mut looks {
                look.then = look.then.map(|to| if to == GOES_ON { fails } else { to });
            }
            &mut nobody
        }
    };
    account.seen_from(common.uid, common.gid);

    let list = match child.command {
        Command::Main => service::COMMAND,
        Command::Stop(_) => service::STOP,
        Command::Reload(_) => service::RELOAD,
        Command::Cleanup { .. } => service::CLEANUP,
        Command::Check(_) => service::CHECK,
        Command::Health(_) => service::HEALTH,
        Command::PreStart => service::PRE_START,
    };
    let words = image.list(image.service(definition, list));
    // The first word of an action says that it is a command.
    let skipped = usize::from(matches!(child.command, Command::Stop(_) | Command::Reload(_)));
    // What is to be removed takes no command.
    let is_empty = words.len() <= skipped;
    if is_empty && child.command != (Command::Cleanup { clears: true }) {
        return Err(Failure::NO_DEFINITION);
    }
    let mut program = if is_empty { Text::lasting(common.program) } else { launch.text(words.get(skipped)) };
    let mut directory = match record[exec::DIRECTORY] {
        0 => None, // the supervisor's, which is /
        path => Some(launch.text(path)),
    };
    let mut status = None;
    let first = program;
    if record[exec::RICH] != 0 || matches!(child.group, Group::Enter(_)) {
        let number = exec_plan::status_target(child.ready.map(|(_, number)| number), child.stored.room);
        let score = Some(record[exec::OOM]).filter(|score| *score != 0).map(|score| score as i32 - 2000);
        exec_plan::begin(launch.draft, number, score, directory, account);
        if let Group::Enter(name) = child.group {
            let path = launch.draft.text(&[child.groups, b"/", name]);
            exec_plan::setup(launch.draft, b'C', path);
        }
        let files = image.list(record[exec::ENV_FILES]);
        for at in 0..files.len() {
            let path = launch.text(files.get(at));
            exec_plan::environment_file(launch.draft, path);
        }
        let setup = image.list(record[exec::SETUP]);
        // The commands beside a process are where it is, and leave it its terminal.
        let (beside, left) = match child.command {
            Command::Main => (0, &b"K"[..]),
            Command::Stop(pid @ 1..)
            | Command::Reload(pid @ 1..)
            | Command::Check(pid @ 1..)
            | Command::Health(pid @ 1..) => (pid, &b"DZKlPITBrXMhwqfWx"[..]),
            Command::Stop(0)
            | Command::Reload(0)
            | Command::Check(0)
            | Command::Health(0)
            | Command::Cleanup { .. }
            | Command::PreStart => (0, &b"KlPIT"[..]),
        };
        if !child.socket.is_empty() {
            exec_plan::beside(launch.draft, child.socket, &child.stored.names, child.forks);
        }
        if beside != 0 && (0..setup.len()).step_by(2).any(|at| b"NBrX".contains(&(setup.get(at) as u8))) {
            exec_plan::join(launch.draft, beside);
        }
        for at in (0..setup.len()).step_by(2) {
            if left.contains(&(setup.get(at) as u8)) {
                continue;
            }
            let (letter, word) = (setup.get(at) as u8, setup.get(at + 1));
            if !launch.may_stand(letter, word) {
                // At most `setup::ALL_WORDS_MAX` words.
                return Err(Failure::of_step(Step::Setup, Errno::INVAL, (at / 2 + 1) as u8));
            }
            let value = launch.text(word);
            exec_plan::setup(launch.draft, letter, value);
            if letter == b'Z' && child.command == (Command::Cleanup { clears: true }) {
                exec_plan::setup(launch.draft, b'z', value);
            }
        }
        exec_plan::end(launch.draft);
        // What the chain-loader does is left to it.
        (program, directory, status) = (Text::lasting(common.program), None, Some(number));
        *account = Account::default();
    }
    if !is_empty {
        launch.draft.argument(first);
    }
    for at in skipped + 1..words.len() {
        launch.argument(words.get(at));
    }
    launch.environment(record[exec::ENV]);
    if let Some(refused) = launch.draft.refused() {
        return Err(refused.into());
    }

    let mut limits = heapless::Vec::new();
    set_limits(&image.list(record[exec::LIMITS]), common.descriptor_limit, &mut limits);

    let mut passes: heapless::Vec<Pass<'_>, { 4 + STORED_MAX }> = heapless::Vec::new();
    let output = match child.output {
        Output::Inherit => None,
        Output::Null => Some(process::standard_input()), // /dev/null, see `start`
        Output::Pipe(pipe) => Some(pipe),
    };
    // Four of these at most.
    if let Some(source) = output {
        let _ = passes.push(Pass { source, target: 1 });
        let _ = passes.push(Pass { source, target: 2 });
    }
    if let Some(source) = child.input {
        let _ = passes.push(Pass { source, target: 0 });
    }
    if let Some((source, target)) = child.ready {
        let _ = passes.push(Pass { source, target });
    }
    for (source, target) in child.stored.descriptors.iter().zip(3..) {
        let _ = passes.push(Pass { source: *source, target });
    }
    let plan = Plan {
        program: Some(program),
        directory,
        root: None,
        uid: account.uid,
        gid: account.gid,
        groups: account.groups(),
        looks: &looks,
        limits: &limits,
        descriptors: &passes,
        umask: Some(record[exec::UMASK]).filter(|umask| *umask != UMASK),
        nice: Some(record[exec::NICE]).filter(|nice| *nice != 0).map(|nice| nice as i32 - 100),
        cgroup: match child.group {
            Group::Into(group) => Some(group.as_fd()),
            Group::Ours | Group::Enter(_) => None,
        },
        no_new_privileges: false,
        controlling_terminal: false,
        share_descriptors: common.share_descriptors,
        status_target: status,
        quiet: !child.awaited,
    };
    launch.draft.spawn(&plan, pid).map_err(Failure::of_clone)
}

/// The limits of a definition, and that of descriptors where it has none of its own.
#[inline(never)]
fn set_limits(written: &List<'_>, mut descriptor_limit: Option<(u64, u64)>, limits: &mut heapless::Vec<Limit, 16>) {
    const RLIMIT_NOFILE: u32 = 7;
    let mut add = |soft, hard, resource| {
        let _ = limits.push(Limit { soft, hard, resource }); // 16 exist in all
    };
    for at in 0..written.len() / 5 {
        let [resource, soft, soft_high, hard, hard_high] =
            core::array::from_fn(|word| u64::from(written.get(at * 5 + word)));
        if resource as u32 == RLIMIT_NOFILE {
            descriptor_limit = None;
        }
        add(soft | soft_high << 32, hard | hard_high << 32, resource as u32);
    }
    if let Some((soft, hard)) = descriptor_limit {
        add(soft, hard, RLIMIT_NOFILE); // it was not among them
    }
}

/// A child on its way into a draft.
struct Launch<'a, 's> {
    draft: &'a mut Draft<'s>,
    image: &'a Image<'static>,
    child: &'a Child<'a>,
    /// Names of attributes that the definition lets pass.
    allowed: List<'static>,
    is_template: bool,
}

impl<'a> Launch<'a, '_> {
    /// A string of the definition, expanded where that is needed.
    #[inline(never)]
    fn text(&mut self, offset: u32) -> Text {
        if !self.expands() {
            return Text::lasting(self.image.cstr(offset));
        }
        let parts = self.parts(offset);
        self.draft.text(&parts)
    }

    fn expands(&self) -> bool {
        self.image.flags(self.child.definition) & service::flags::EXPANDS != 0
    }

    /// Whether the attributes in a word for the chain-loader leave it what the file says.
    #[inline(never)]
    fn may_stand(&self, letter: u8, word: u32) -> bool {
        pieces(self.image.text(word)).all(|piece| match piece {
            Piece::Placeholder(name) if self.expands() => may_stand(letter, self.value(name.as_bytes())),
            Piece::Literal(_) | Piece::Placeholder(_) | Piece::Unclosed(_) => true,
        })
    }

    /// What a string of the definition is made of.
    #[inline(never)]
    fn parts(&mut self, offset: u32) -> heapless::Vec<&'a [u8], 32> {
        let mut parts = heapless::Vec::new();
        if !self.expands() {
            let _ = parts.push(self.image.bytes_of(offset)); // the first
            return parts;
        }
        for piece in pieces(self.image.text(offset)) {
            let part = match piece {
                Piece::Literal(text) | Piece::Unclosed(text) => text.as_bytes(),
                Piece::Placeholder(name) => self.value(name.as_bytes()),
            };
            if parts.push(part).is_err() {
                self.draft.refuse(Refused::TooMany);
            }
        }
        parts
    }

    /// What the child is to look at before anything else. What can be said without a file system is said here, so that
    /// a child is made only where there is a path to look for.
    #[inline(never)]
    fn looks(&mut self, root: u32, kernel: &[u8], looks: &mut heapless::Vec<Look, TESTS_MAX>) -> Result<(), Failure> {
        let image = self.image;
        let mut nodes: heapless::Vec<u32, TESTS_MAX> = heapless::Vec::new();
        // The nodes of an expression stand together, its root first.
        for at in root..root.saturating_add(EXPRESSION_NODES_MAX as u32) {
            if at != root && image.node(at, node::PARENT) == NONE {
                break;
            }
            if image.node(at, node::KIND) == node::PATH {
                let _ = nodes.push(at); // the database has no more
            }
        }
        let start = self.lead(Next::Test(precondition::first(image, root)), root, kernel, &nodes);
        if start & FAILS != 0 {
            return if start == GOES_ON { Ok(()) } else { Err(Failure::unmet((start & !FAILS) - 1)) };
        }
        // The first look is where it begins: what stands before it is not looked at.
        for at in nodes.get(start as usize..).unwrap_or_default() {
            let path = self.text(image.node(*at, node::A));
            let then = [false, true].map(|there| {
                let next = self.lead(precondition::after(image, *at, there), *at, kernel, &nodes);
                if next & FAILS == 0 { next - start } else { next }
            });
            let _ = looks.push(Look { path, then }); // as many
        }
        Ok(())
    }

    /// Where it goes on behind the test at `before`: the place of the next path among `nodes`, or as `Look` has it.
    fn lead(&mut self, mut next: Next, mut before: u32, kernel: &[u8], nodes: &[u32]) -> u32 {
        let image = self.image;
        loop {
            let at = match next {
                Next::End(true) => return GOES_ON,
                Next::End(false) => return FAILS | (image.node(before, node::LEAF) + 1),
                Next::Test(at) => at,
            };
            if let Some(place) = nodes.iter().position(|node| *node == at) {
                return place as u32;
            }
            let parts = self.parts(image.node(at, node::A));
            let holds = match image.node(at, node::KIND) {
                node::ENV => entry::environment().any(|variable| precondition::says(variable, None, &parts)),
                _ => precondition::kernel_says(kernel, &parts),
            };
            (before, next) = (at, precondition::after(image, at, holds));
        }
    }

    /// What stands for `${NAME}`.
    fn value(&self, name: &[u8]) -> &'a [u8] {
        if name == b"INSTANCE" {
            return self.instance();
        }
        let found = self.child.variables.passed(&self.allowed, self.image, name);
        found.and_then(|text| text.get(name.len() + 1..)).unwrap_or_default()
    }

    /// The name of the instance, made at run time or by the compiler.
    fn instance(&self) -> &'a [u8] {
        match self.is_template {
            true => self.child.variables.instance(),
            false => self.image.bytes_of(self.image.service(self.child.definition, service::INSTANCE)),
        }
    }

    fn argument(&mut self, offset: u32) {
        let text = self.text(offset);
        self.draft.argument(text);
    }

    /// Variables, the strongest word last: the database's, the definition's, passed attributes, our own. No name twice.
    #[inline(never)]
    fn environment(&mut self, own: u32) {
        let Launch { image, child, allowed, is_template, .. } = *self;
        let own = image.list(own);
        let variables = child.variables;
        let database = image.list(image.header(header::ENVIRONMENT));
        for (list, of_database) in [(&database, true), (&own, false)] {
            for at in 0..list.len() {
                let offset = list.get(at);
                let name = name_of(image.bytes_of(offset));
                if variables.passed(&allowed, image, name).is_some() || of_database && has_name(&own, image, name) {
                    continue;
                }
                let variable = if of_database { Text::lasting(image.cstr(offset)) } else { self.text(offset) };
                self.draft.variable(variable);
            }
        }
        let mut at = 0;
        while let Some(variable) = variables.next_passed(&allowed, image, &mut at) {
            self.put(variable, b"", b"");
        }
        let suffix = if is_template { variables.instance() } else { &[] };
        self.put(MARK, image.name(child.definition).as_bytes(), suffix);
        let (mut room, mut pid_text) = ([0; 10], &[][..]);
        if let Command::Stop(pid @ 1..) | Command::Reload(pid @ 1..) | Command::Check(pid) | Command::Health(pid) =
            child.command
        {
            pid_text = digits(pid, &mut room);
        }
        self.put_value(b"INSTANCE=", self.instance());
        self.put_value(b"NOTIFY_SOCKET=", child.notify);
        self.put_value(b"MAINPID=", pid_text);
        if child.watchdog_ms != 0 {
            // See sd_watchdog_enabled(3).
            self.put(b"WATCHDOG_USEC=", digits(child.watchdog_ms, &mut [0; 10]), b"000");
            self.draft.own_pid(b"WATCHDOG_PID=");
        }
    }

    /// A variable of our own, if it has a value.
    #[inline(never)]
    fn put_value(&mut self, name: &[u8], value: &[u8]) {
        if !value.is_empty() {
            self.put(name, value, b"");
        }
    }

    /// One variable, put together.
    #[inline(never)]
    fn put(&mut self, name: &[u8], value: &[u8], suffix: &[u8]) {
        let variable = self.draft.text(&[name, value, suffix]);
        self.draft.variable(variable);
    }
}
