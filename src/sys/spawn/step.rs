//! What a child does before its program runs, by name: so that a failure can say where.
//!
//! Where a step does several things in turn, what is told has above its low 8 bits which one it was, from 1 on: of
//! `Limits` the number of the resource, of the chain-loader's the place among the values.

use pintle::text::nth;

/// The steps, in the order in which a child takes them. The numbers go through the status pipe, or are left where there
/// is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Step {
    /// Not a failure: the child has a descriptor table of its own.
    Unshared = 1,
    Unshare = 2,
    Session = 3,
    Descriptors = 4,
    Terminal = 5,
    Limits = 6,
    Nice = 7,
    Root = 8,
    Directory = 9,
    NoNewPrivileges = 10,
    Groups = 11,
    Group = 12,
    User = 13,
    Execute = 14,
    /// Of a chain-loader.
    OomScore = 15,
    /// Of a chain-loader.
    EnvironmentFile = 16,
    /// A look led to `FAILS`. Taken behind `Descriptors`.
    Look = 17,
    /// Of a chain-loader, all that the database has in a list for it.
    Setup = 18,
    /// Of a chain-loader: the notify socket at its path inside.
    NotifySocket = 19,
    /// The control group: made by the supervisor, entered by a chain-loader.
    Cgroup = 20,
}

const ALL: [Step; 20] = [
    Step::Unshared,
    Step::Unshare,
    Step::Session,
    Step::Descriptors,
    Step::Terminal,
    Step::Limits,
    Step::Nice,
    Step::Root,
    Step::Directory,
    Step::NoNewPrivileges,
    Step::Groups,
    Step::Group,
    Step::User,
    Step::Execute,
    Step::OomScore,
    Step::EnvironmentFile,
    Step::Look,
    Step::Setup,
    Step::NotifySocket,
    Step::Cgroup,
];

impl Step {
    /// What is told of this one of several.
    pub const fn at(self, which: u8) -> u32 {
        self as u32 | (which as u32) << 8
    }

    /// The step with this number. 0 and numbers from elsewhere have none.
    pub fn from_number(number: u32) -> Option<Step> {
        ALL.get((number as usize).wrapping_sub(1)).copied() // they are in order, from 1 on
    }

    /// As it stands in a message: `nginx: chdir /srv/www: No such file or directory`.
    pub fn name(self) -> &'static str {
        // In the order of their numbers, which begin with 1.
        const NAMES: &str = "close_range close_range setsid dup terminal setrlimit nice chroot chdir no-new-privileges \
                             setgroups setgid setuid exec oom-score-adj env-file only-if setup notify-socket cgroup";
        nth(NAMES, b' ', self as usize - 1)
    }
}
