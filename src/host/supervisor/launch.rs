//! One child from its definition: arguments, environment and plan, put into a draft. Text that needs no expansion is
//! passed as it lies in the mapped database.

use crate::host::accounts::Accounts;
use crate::host::exec_plan;
use crate::host::failure::Failure;
use crate::sys::spawn::{Draft, Limit, Pass, Pending, Plan, Refused, Text};
use crate::sys::{BorrowedFd, process};
use core::sync::atomic::AtomicU32;
use pintle::board::orders::PASS_BYTES_MAX;
use pintle::database::{Image, exec, header, service};
use pintle::expand::{Piece, pieces};
use pintle::ident::SlotId;
use pintle::limits::INSTANCE_BYTES_MAX;
use pintle::names;
use pintle::words::Short;

/// Which command of a definition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// `command`.
    Main,
    /// `stop`; the main process has this pid, 0 for none.
    Stop(u32),
    /// `reload`.
    Reload(u32),
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
    /// Enough descriptors are held for sharing the table to be cheaper than copying it.
    pub share_descriptors: bool,
}

/// What this one child has.
pub struct Child<'a> {
    pub definition: SlotId,
    pub command: Command,
    pub variables: &'a Variables,
    pub output: Output<'a>,
    /// The writing end for readiness, and the child's number for it.
    pub ready: Option<(BorrowedFd<'a>, i32)>,
    /// `$NOTIFY_SOCKET`; empty for none.
    pub notify: &'a [u8],
}

/// The instance's name and the attributes to pass, as far as they are believed.
pub struct Variables {
    instance: [u8; INSTANCE_BYTES_MAX + 1],
    pass: [u8; PASS_BYTES_MAX],
}

impl Variables {
    pub const NONE: Variables = Variables { instance: [0; INSTANCE_BYTES_MAX + 1], pass: [0; PASS_BYTES_MAX] };

    /// For `Orders::read_text` to fill in.
    pub fn buffers(&mut self) -> (&mut [u8; INSTANCE_BYTES_MAX + 1], &mut [u8; PASS_BYTES_MAX]) {
        (&mut self.instance, &mut self.pass)
    }

    /// The instance's name as it came, NUL behind it.
    pub fn name(&self) -> &[u8; INSTANCE_BYTES_MAX + 1] {
        &self.instance
    }

    /// The instance's name; empty for none.
    pub fn instance(&self) -> &[u8] {
        self.instance.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Whether the name is one (or there is none).
    pub fn are_valid(&self) -> bool {
        let name = self.instance();
        name.is_empty() || core::str::from_utf8(name).is_ok_and(|name| names::check_instance(name).is_ok())
    }

    /// The attributes that this definition lets pass, as `KEY=VALUE`. The engine's word is not enough for others.
    fn passed<'a>(&'a self, image: &'a Image<'static>, definition: SlotId) -> impl Iterator<Item = &'a [u8]> {
        let allowed = image.list(image.service(definition, service::PASS));
        let texts = self.pass.split(|byte| *byte == 0).take_while(|text| !text.is_empty());
        texts.filter(move |text| {
            let name = name_of(text);
            name.len() < text.len() && allowed.iter().any(|allowed| image.bytes_of(allowed) == name)
        })
    }

    /// What stands for `${NAME}`.
    fn value<'a>(&'a self, image: &'a Image<'static>, definition: SlotId, name: &[u8]) -> &'a [u8] {
        if name == b"INSTANCE" {
            return instance_of(image, definition, self);
        }
        let found = self.passed(image, definition).find(|text| name_of(text) == name);
        found.and_then(|text| text.get(name.len() + 1..)).unwrap_or_default()
    }
}

/// The name of the instance, made at run time or by the compiler.
fn instance_of<'a>(image: &Image<'a>, definition: SlotId, variables: &'a Variables) -> &'a [u8] {
    let is_template = image.flags(definition) & service::flags::TEMPLATE != 0;
    if is_template { variables.instance() } else { image.bytes_of(image.service(definition, service::INSTANCE)) }
}

fn name_of(variable: &[u8]) -> &[u8] {
    variable.split(|byte| *byte == b'=').next().unwrap_or_default()
}

/// Starts it.
pub fn launch(
    common: &mut Common,
    mut draft: Draft<'_>,
    child: &Child<'_>,
    pid: &AtomicU32,
) -> Result<Pending, Failure> {
    let image = common.image;
    let definition = child.definition;
    let index = image.service(definition, service::EXEC);
    let word = |field| image.exec(index, field);
    let mut account = common.accounts.resolve(image.bytes_of(word(exec::USER)), image.bytes_of(word(exec::GROUP)))?;
    account.seen_from(common.uid, common.gid);
    let ready = child.ready.map(|(_, number)| number);
    let rich = word(exec::RICH) != 0;
    let directory = match word(exec::DIRECTORY) {
        0 => Text::lasting(c"/"),
        path => text(&mut draft, &image, child, path),
    };

    let list = match child.command {
        Command::Main => service::COMMAND,
        Command::Stop(_) => service::STOP,
        Command::Reload(_) => service::RELOAD,
    };
    let words = image.list(image.service(definition, list));
    // The first word of an action says that it is a command.
    let skipped = usize::from(child.command != Command::Main);
    let program = if words.len() > skipped {
        text(&mut draft, &image, child, words.get(skipped))
    } else {
        return Err(Failure::NO_DEFINITION);
    };
    let status = exec_plan::status_target(ready);
    if rich {
        let score = Some(word(exec::OOM)).filter(|score| *score != 0).map(|score| score as i32 - 2000);
        exec_plan::begin(&mut draft, status, score, directory, &account);
        for path in image.list(word(exec::ENV_FILES)).iter() {
            let path = text(&mut draft, &image, child, path);
            exec_plan::environment_file(&mut draft, path);
        }
        exec_plan::end(&mut draft);
    }
    draft.argument(program);
    for at in skipped + 1..words.len() {
        let argument = text(&mut draft, &image, child, words.get(at));
        draft.argument(argument);
    }
    environment(&mut draft, &image, child, word(exec::ENV));
    if let Some(refused) = draft.refused() {
        return Err(refused.into());
    }

    let mut limits: heapless::Vec<Limit, 16> = heapless::Vec::new();
    let written = image.list(word(exec::LIMITS));
    for at in 0..written.len() / 5 {
        let wide = |low: usize| u64::from(written.get(at * 5 + low)) | u64::from(written.get(at * 5 + low + 1)) << 32;
        let _ = limits.push(Limit { resource: written.get(at * 5), soft: wide(1), hard: wide(3) }); // 16 exist in all
    }
    const RLIMIT_NOFILE: u32 = 7;
    if let Some((soft, hard)) = common.descriptor_limit
        && !limits.iter().any(|limit| limit.resource == RLIMIT_NOFILE)
    {
        let _ = limits.push(Limit { resource: RLIMIT_NOFILE, soft, hard }); // it was not among them
    }

    let input = process::standard_input();
    let mut passes: heapless::Vec<Pass<'_>, 4> = heapless::Vec::new();
    let output = match child.output {
        Output::Inherit => None,
        Output::Null => Some(input), // /dev/null, see `start`
        Output::Pipe(pipe) => Some(pipe),
    };
    // Three at most.
    if let Some(source) = output {
        let _ = passes.push(Pass { source, target: 1 });
        let _ = passes.push(Pass { source, target: 2 });
    }
    if let Some((source, target)) = child.ready {
        let _ = passes.push(Pass { source, target });
    }
    let plan = Plan {
        program: Some(if rich { Text::lasting(common.program) } else { program }),
        directory: (!rich).then_some(directory),
        root: None,
        uid: account.uid.filter(|_| !rich),
        gid: account.gid.filter(|_| !rich),
        groups: account.groups().filter(|_| !rich),
        limits: &limits,
        descriptors: &passes,
        umask: Some(word(exec::UMASK)),
        nice: Some(word(exec::NICE)).filter(|nice| *nice != 0).map(|nice| nice as i32 - 100),
        no_new_privileges: false,
        controlling_terminal: false,
        share_descriptors: common.share_descriptors,
        status_target: rich.then_some(status),
    };
    draft.spawn(&plan, pid).map_err(Failure::of_clone)
}

/// A string of the definition, expanded where that is needed.
fn text(draft: &mut Draft<'_>, image: &Image<'static>, child: &Child<'_>, offset: u32) -> Text {
    if image.flags(child.definition) & service::flags::EXPANDS == 0 {
        return Text::lasting(image.cstr(offset));
    }
    let mut parts: heapless::Vec<&[u8], 32> = heapless::Vec::new();
    for piece in pieces(image.text(offset)) {
        let part = match piece {
            Piece::Literal(literal) => literal.as_bytes(),
            Piece::Placeholder(name) => child.variables.value(image, child.definition, name.as_bytes()),
            Piece::Unclosed(rest) => rest.as_bytes(),
        };
        if parts.push(part).is_err() {
            draft.refuse(Refused::TooMany);
        }
    }
    draft.text(&parts)
}

/// Variables, the strongest word last: the database's, the definition's, passed attributes, our own. No name twice.
fn environment(draft: &mut Draft<'_>, image: &Image<'static>, child: &Child<'_>, own: u32) {
    let own = image.list(own);
    let passed = |name: &[u8]| child.variables.passed(image, child.definition).any(|text| name_of(text) == name);
    let overridden = |name: &[u8]| passed(name) || own.iter().any(|text| name_of(image.bytes_of(text)) == name);
    for variable in image.list(image.header(header::ENVIRONMENT)).iter() {
        let value = image.cstr(variable);
        if !overridden(name_of(value.to_bytes())) {
            draft.variable(Text::lasting(value));
        }
    }
    for variable in own.iter() {
        if !passed(name_of(image.bytes_of(variable))) {
            let variable = text(draft, image, child, variable);
            draft.variable(variable);
        }
    }
    for variable in child.variables.passed(image, child.definition) {
        put(draft, &[variable]);
    }
    let is_template = image.flags(child.definition) & service::flags::TEMPLATE != 0;
    let suffix = if is_template { child.variables.instance() } else { &[] };
    put(draft, &[b"PINTLE_SERVICE=", image.name(child.definition).as_bytes(), suffix]);
    let instance = instance_of(image, child.definition, child.variables);
    if !instance.is_empty() {
        put(draft, &[b"INSTANCE=", instance]);
    }
    if !child.notify.is_empty() {
        put(draft, &[b"NOTIFY_SOCKET=", child.notify]);
    }
    match child.command {
        Command::Stop(pid) | Command::Reload(pid) if pid != 0 => {
            let mut digits = Short::new();
            let _ = core::fmt::write(&mut digits, format_args!("{pid}")); // ten digits at most
            put(draft, &[b"MAINPID=", digits.as_bytes()]);
        }
        Command::Main | Command::Stop(_) | Command::Reload(_) => {}
    }
}

/// One variable.
fn put(draft: &mut Draft<'_>, parts: &[&[u8]]) {
    let variable = draft.text(parts);
    draft.variable(variable);
}
