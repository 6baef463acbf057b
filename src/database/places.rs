//! Where a database has the value of each key: one table for the writer and for the text of a dump.

use super::{EXEC_WORDS, POLICY_WORDS, SERVICE_WORDS, exec, policy, service};
use crate::lang::keys::{self, KEYS, Value, same};

/// A service's record with its exec record and its policy record behind it.
pub type Record = [u32; SERVICE_WORDS + EXEC_WORDS + POLICY_WORDS];
/// Where the exec record begins in a `Record`.
pub const EXEC: usize = SERVICE_WORDS;
/// Where the policy record begins in a `Record`.
pub const POLICY: usize = SERVICE_WORDS + EXEC_WORDS;

/// Keys whose value is a word of a `Record`, and which.
const WORDS: [(&str, usize); 53] = [
    ("description", service::DESCRIPTION),
    ("command", service::COMMAND),
    ("stop", service::STOP),
    ("reload", service::RELOAD),
    ("while", service::WHILE),
    ("start-on", service::START_ON),
    ("stop-on", service::STOP_ON),
    ("for-each", service::FOR_EACH),
    ("only-if", service::ONLY_IF),
    ("cleanup", service::CLEANUP),
    ("pre-start", service::PRE_START),
    ("within", service::WITHIN),
    ("instance", service::INSTANCE),
    ("pass", service::PASS),
    ("provides", service::PROVIDES),
    // Two words: the descriptor is behind it.
    ("ready", POLICY + policy::READY),
    ("restart", POLICY + policy::RESTART),
    ("restart-delay", POLICY + policy::DELAY_MS),
    ("restart-delay-max", POLICY + policy::DELAY_MS_MAX),
    ("restart-limit", POLICY + policy::LIMIT),
    ("restart-window", POLICY + policy::WINDOW_MS),
    ("start-timeout", POLICY + policy::START_TIMEOUT_MS),
    ("stop-timeout", POLICY + policy::STOP_TIMEOUT_MS),
    ("kill-mode", POLICY + policy::KILL_MODE),
    ("overlap", POLICY + policy::OVERLAP),
    ("success-exit", POLICY + policy::SUCCESS_EXIT),
    ("no-restart-exit", POLICY + policy::NO_RESTART_EXIT),
    ("watchdog", POLICY + policy::WATCHDOG_MS),
    ("fd-store-max", POLICY + policy::FD_STORE_MAX),
    ("check-interval", POLICY + policy::CHECK_INTERVAL_MS),
    ("health", service::HEALTH),
    ("health-interval", POLICY + policy::HEALTH_INTERVAL_MS),
    ("health-timeout", POLICY + policy::HEALTH_TIMEOUT_MS),
    ("health-failures", POLICY + policy::HEALTH_FAILURES),
    // A oneshot has no key that the place is named for.
    ("retries", POLICY + policy::LIMIT),
    ("retry-delay", POLICY + policy::DELAY_MS),
    ("user", EXEC + exec::USER),
    ("group", EXEC + exec::GROUP),
    ("directory", EXEC + exec::DIRECTORY),
    ("umask", EXEC + exec::UMASK),
    ("env", EXEC + exec::ENV),
    ("env-file", EXEC + exec::ENV_FILES),
    ("nice", EXEC + exec::NICE),
    ("oom-score-adj", EXEC + exec::OOM),
    ("log", EXEC + exec::LOG),
    ("log-size", EXEC + exec::LOG_SIZE),
    ("log-keep", EXEC + exec::LOG_KEEP),
    ("log-age", EXEC + exec::LOG_AGE_MS),
    ("log-rate", EXEC + exec::LOG_RATE),
    ("log-line", EXEC + exec::LOG_LINE),
    ("log-stamp", EXEC + exec::LOG_STAMP),
    ("limit-", EXEC + exec::LIMITS),
    ("setup", EXEC + exec::SETUP),
];

/// The flag of each switch, by the number of its key, and whether it says no.
pub static SWITCHES: [(u8, u32, bool); 3] = [
    (keys::ESSENTIAL, service::flags::ESSENTIAL, false),
    (keys::REMAIN, service::flags::NO_REMAIN, true),
    (keys::SKIP_OK, service::flags::SKIP_OK, false),
];

/// The word of a `Record` that has the value of each key of `KEYS`. Of `type` and the switches it is `KIND_FLAGS`,
/// which has all of them. Relations of the service's own are edges, and have none: this says the same.
pub static PLACES: [u8; KEYS.len()] = {
    let mut places = [service::KIND_FLAGS as u8; KEYS.len()];
    let mut at = 0;
    while at < places.len() {
        let mut row = 0;
        while row < WORDS.len() {
            let name = match KEYS[at].value {
                Value::Limit(_) => "limit-",
                Value::Setup(..) => "setup",
                _ => KEYS[at].name(),
            };
            if same(name, WORDS[row].0) {
                places[at] = WORDS[row].1 as u8;
            }
            row += 1;
        }
        if let Value::Inverse(_) = KEYS[at].value {
            places[at] = service::WRITTEN as u8;
        }
        at += 1;
    }
    places
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_place_and_every_place_a_key() {
        for (key, place) in KEYS.iter().zip(PLACES) {
            let flag = matches!(key.value, Value::Relation(_) | Value::Switch | Value::Choice(0));
            assert_eq!(usize::from(place) == service::KIND_FLAGS, flag, "{}", key.name());
        }
        for (name, place) in WORDS {
            assert!(PLACES.contains(&(place as u8)), "{name}");
        }
    }
}
