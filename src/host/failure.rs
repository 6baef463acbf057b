//! Why a spawn failed, as the one word that a report keeps: errno in the low 16 bits, the step in 8 above them, and
//! above those which one, where the step does several things; 0 where it does not say. Steps below `FIRST` are the
//! child's own (`sys::spawn::Step`); the others happen before there is a child.

use super::accounts::Unknown;
use crate::sys::spawn::{Refused, Step};
use crate::sys::{Errno, accounts, errno};
use core::fmt;
use pintle::packed;
use pintle::packed::Packed;
use pintle::supervision::Trouble;

const FIRST: u32 = 64;
const USER: u32 = 64;
const GROUP: u32 = 65;
const GROUPS: u32 = 66;
const ACCOUNTS: u32 = 67;
const TOO_LONG: u32 = 68;
const TOO_MANY: u32 = 69;
const PIPE: u32 = 70;
const NOTIFY: u32 = 71;
const CLONE: u32 = 72;
const DEFINITION: u32 = 73;
const INSTANCE: u32 = 74;
const LOST: u32 = 75;

/// The word. Shown as `chdir: No such file or directory`, `no such user`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure(pub u32);

impl Failure {
    /// There is no process for such an order: a bundle, a template, a slot without a definition.
    pub const NO_DEFINITION: Failure = Failure(DEFINITION << 16);
    /// The instance's name is not one.
    pub const BAD_INSTANCE: Failure = Failure(INSTANCE << 16);

    /// What a child has told a supervisor that has crashed.
    pub const LOST: Failure = Failure(LOST << 16);

    /// A step of the child.
    pub fn of_step(step: Step, error: Errno, which: u8) -> Failure {
        if let (Step::Look, Some(told)) = (step, number(error).checked_sub(FIRST)) {
            return Failure(((told >> 8) + FIRST) << 16 | told & 0xff);
        }
        Failure(step.at(which) << 16 | number(error))
    }

    /// No pipe could be made.
    pub fn of_pipe(error: Errno) -> Failure {
        Failure(PIPE << 16 | number(error))
    }

    /// No notify socket could be made.
    pub fn of_notify(error: Errno) -> Failure {
        Failure(NOTIFY << 16 | number(error))
    }

    /// No process could be made.
    pub fn of_clone(error: Errno) -> Failure {
        Failure(CLONE << 16 | number(error))
    }

    /// Whether it is that no process could be made, for one of these reasons.
    pub fn is_of_clone(self, errors: &[Errno]) -> bool {
        self.0 >> 16 == CLONE && errors.iter().any(|error| number(*error) == self.0 & 0xffff)
    }

    /// As what a look fails with, where this is found before but counts only behind the looks. Errnos are below 256.
    pub fn behind_looks(self) -> u32 {
        FIRST + ((self.0 >> 16).saturating_sub(FIRST) << 8 | self.0 & 0xff)
    }

    /// This test of `only-if` does not hold; tests are counted from 0.
    pub fn unmet(test: u32) -> Failure {
        Failure((Step::Look as u32) << 16 | (test + 1))
    }

    /// What is to become of a service that has it.
    pub fn trouble(self) -> Trouble {
        match self.0 >> 16 == Step::Look as u32 {
            true => Trouble::Unmet,
            false if self.is_temporary() => Trouble::Passing,
            false => Trouble::Lasting,
        }
    }

    /// Whether the reason may pass by itself.
    fn is_temporary(self) -> bool {
        let number = self.0 & 0xffff;
        number != 0 && errno::from_number(number).may_pass()
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::TooLong => Failure(TOO_LONG << 16),
            Refused::TooMany => Failure(TOO_MANY << 16),
        }
    }
}

impl From<Unknown> for Failure {
    fn from(unknown: Unknown) -> Failure {
        let (unknown, why) = match unknown {
            Unknown::User(why) => (USER, why),
            Unknown::Group(why) => (GROUP, why),
        };
        match why {
            accounts::Unknown::Absent => Failure(unknown << 16),
            accounts::Unknown::TooManyGroups => Failure(GROUPS << 16),
            accounts::Unknown::Unreadable(error) => Failure(ACCOUNTS << 16 | number(error)),
        }
    }
}

fn number(error: Errno) -> u32 {
    error.number() // 1 to 4095
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In the order of the numbers from `FIRST` on.
        const NAMES: Packed = packed!(
            "no such user\0no such group\0the user is in too many groups\0users cannot be read\0\
                             arguments and environment are too long\0too many arguments or variables\0pipe\0\
                             notify socket\0clone\0nothing to run\0not a name of an instance\0\
                             the supervisor crashed"
        );
        let (step, number) = (self.0 >> 16 & 0xff, self.0 & 0xffff);
        match step.checked_sub(FIRST) {
            None => to.write_str(Step::from_number(step).map_or("spawn", Step::name)),
            Some(at) => NAMES.write_part(at as usize, to),
        }?;
        // The rest says enough by itself.
        if number == 0 { Ok(()) } else { write!(to, ": {}", errno::Words(errno::from_number(number))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_can_be_told_behind_the_looks() {
        let unreadable = Unknown::User(accounts::Unknown::Unreadable(Errno::MFILE)).into();
        let failures = [Unknown::User(accounts::Unknown::Absent).into(), Failure(GROUPS << 16), unreadable];
        for failure in failures {
            let told = errno::from_number(failure.behind_looks());
            assert_eq!(Failure::of_step(Step::Look, told, 0), failure);
        }
        let unmet = Failure::unmet(31);
        assert_eq!(Failure::of_step(Step::Look, errno::from_number(unmet.0 & 0xffff), 0), unmet);
        assert_eq!(unmet.trouble(), Trouble::Unmet);
    }

    #[test]
    fn a_failure_says_where_and_why() {
        for (failure, text, temporary) in [
            (Failure::of_step(Step::Directory, Errno::NOENT, 0), "chdir: No such file or directory", false),
            (Failure::of_step(Step::Limits, Errno::PERM, 8), "setrlimit: Operation not permitted", false),
            (Failure::of_clone(Errno::AGAIN), "clone: Resource temporarily unavailable", true),
            (Failure::of_notify(Errno::ROFS), "notify socket: Read-only file system", true),
            (Unknown::User(accounts::Unknown::Absent).into(), "no such user", false),
            (
                Unknown::User(accounts::Unknown::Unreadable(Errno::MFILE)).into(),
                "users cannot be read: Too many open files",
                true,
            ),
        ] {
            assert_eq!((failure.to_string().as_str(), failure.is_temporary()), (text, temporary));
        }
    }
}
