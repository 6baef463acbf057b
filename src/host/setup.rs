//! What the chain-loader does for each word of the keys that it knows by a letter (`lang::keys`): from the word to the
//! system call. It may allocate, and wait: it runs in a process of its own.

use crate::sys::{Errno, Result, privileges, process, scheduling};
use alloc::vec::Vec;
use pintle::setup::{self, Form};

/// Does what a word says. What is not done with each word by itself is in `finish`.
#[inline(never)]
pub fn act(letter: u8, word: &str, all: &mut Together) -> Result<()> {
    // Words that the compiler has not let through come only from people who try it out.
    let find = |form: Form| form.find(word).ok_or(Errno::INVAL);
    match letter {
        b'i' => find(Form::IoPriority).and_then(|(class, level)| scheduling::set_io_priority(class, level)),
        b's' => find(Form::Scheduler).and_then(|(policy, priority)| scheduling::set_scheduler(policy, priority)),
        b'c' => {
            let mut list = Vec::new();
            setup::processors(word, &mut |processor| list.push(processor)).ok_or(Errno::INVAL)?;
            scheduling::set_processors(&list)
        }
        b'p' => scheduling::set_personality(find(Form::Personality)?.0),
        b't' => scheduling::set_timer_slack(setup::nanoseconds(word).ok_or(Errno::INVAL)?),
        b'k' => {
            let kept = all.capabilities.get_or_insert(0);
            if word != "none" {
                let capability = setup::capability(word).ok_or(Errno::INVAL)?;
                privileges::is_bounding(capability)?;
                *kept |= 1 << capability;
            }
            Ok(())
        }
        b'a' => privileges::set_ambient(setup::capability(word).ok_or(Errno::INVAL)?),
        b'S' => privileges::set_secure_bit(find(Form::SecureBits)?.0),
        b'n' => match find(Form::Switch)? {
            (0, _) => Ok(()),
            _ => process::set_no_new_privileges(),
        },
        _ => Err(Errno::INVAL),
    }
}

/// What counts only when all words of a key are known.
#[derive(Default)]
pub struct Together {
    /// Bits that stay in the bounding set.
    capabilities: Option<u64>,
}

impl Together {
    /// Behind the last word of each key.
    pub fn finish(&mut self) -> Result<()> {
        match self.capabilities.take() {
            Some(kept) => privileges::set_bounding(kept),
            None => Ok(()),
        }
    }
}
