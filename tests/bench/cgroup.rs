//! What a tree of processes costs, as the kernel counts it: one control group per run, CPU time and memory of all that
//! is in it, and the certainty that nothing is left of it afterwards. Works with cgroup v1 (cpuacct and memory) and v2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A group of its own in each hierarchy that is needed; killed and removed when dropped.
pub struct Group {
    cpu: PathBuf,
    memory: PathBuf,
    version: u8,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Group {
    /// Makes the group below this process's own. The error says what is missing.
    pub fn new() -> Result<Group, String> {
        let name = format!("pintle-bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (cpu, memory, version) = match (own_directory("cpuacct"), own_directory("memory")) {
            (Some(cpu), Some(memory)) => (cpu.join(&name), memory.join(&name), 1),
            _ => {
                let own = own_directory("").ok_or("no cgroup hierarchy is mounted")?;
                let there = own.join(&name);
                (there.clone(), there, 2)
            }
        };
        for directory in [&cpu, &memory] {
            if let Err(error) = fs::create_dir(directory)
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(format!("cannot make the control group {}: {error}", directory.display()));
            }
        }
        let group = Group { cpu, memory, version };
        if version == 2 && !group.memory.join("memory.current").exists() {
            return Err("the cgroup v2 memory controller is not enabled here (cgroup.subtree_control)".into());
        }
        Ok(group)
    }

    /// The files to which a process writes "0" to enter.
    pub fn doors(&self) -> Vec<PathBuf> {
        let mut doors = vec![self.cpu.join("cgroup.procs")];
        if self.memory != self.cpu {
            doors.push(self.memory.join("cgroup.procs"));
        }
        doors
    }

    /// CPU time of everything that was ever in the group, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        if self.version == 1 {
            return read_number(&self.cpu.join("cpuacct.usage"));
        }
        let text = fs::read_to_string(self.cpu.join("cpu.stat")).unwrap_or_default();
        let usec = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).and_then(|n| n.parse::<u64>().ok());
        usec.unwrap_or(0) * 1000
    }

    /// Waits until the group has used no CPU time for 30 ms (3 s at most), then tells its CPU time: what a manager
    /// still does after the last process has begun is its cost too.
    pub fn cpu_ns_at_rest(&self) -> u64 {
        let end = Instant::now() + Duration::from_secs(3);
        let mut last = self.cpu_ns();
        loop {
            sleep(Duration::from_millis(30));
            let now = self.cpu_ns();
            if now == last || Instant::now() > end {
                return now;
            }
            last = now;
        }
    }

    /// All memory charged to the group, the kernel's for it included, and the kernel's part, in bytes.
    pub fn memory_bytes(&self) -> (u64, u64) {
        if self.version == 1 {
            let kernel = read_number(&self.memory.join("memory.kmem.usage_in_bytes"));
            return (read_number(&self.memory.join("memory.usage_in_bytes")), kernel);
        }
        let text = fs::read_to_string(self.memory.join("memory.stat")).unwrap_or_default();
        let kernel = text.lines().find_map(|line| line.strip_prefix("kernel ")).and_then(|n| n.parse().ok());
        (read_number(&self.memory.join("memory.current")), kernel.unwrap_or(0))
    }

    pub fn pids(&self) -> Vec<i32> {
        pids_of(&self.cpu)
    }

    /// Waits until no process is left; false after the time limit.
    pub fn wait_empty(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.pids().is_empty() {
            if Instant::now() > end {
                return false;
            }
            sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill_and_remove(&self.cpu);
        kill_and_remove(&self.memory);
    }
}

/// Kills and removes every group of this prefix below this process's own.
pub fn kill_all(prefix: &str) {
    for parent in ["cpuacct", "memory", ""].into_iter().filter_map(own_directory) {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                kill_and_remove(&entry.path());
            }
        }
    }
}

fn kill_and_remove(directory: &Path) {
    let end = Instant::now() + Duration::from_secs(10);
    // A group with processes on their way out is busy for a moment.
    while directory.exists() && fs::remove_dir(directory).is_err() && Instant::now() < end {
        for pid in pids_of(directory) {
            // SAFETY: kill takes numbers; these were in this bench's own group a moment ago.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        sleep(Duration::from_millis(5));
    }
}

fn pids_of(directory: &Path) -> Vec<i32> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// This process's directory in the hierarchy of a v1 controller, or of v2 for an empty name.
fn own_directory(controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let kind = if controller.is_empty() { "cgroup2" } else { "cgroup" };
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| {
        fields.get(2) == Some(&kind)
            && (controller.is_empty() || fields.get(3).is_some_and(|o| o.split(',').any(|o| o == controller)))
    })?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>()).find_map(|fields| {
        let mine = if controller.is_empty() {
            fields.first() == Some(&"0")
        } else {
            fields.get(1)?.split(',').any(|c| c == controller)
        };
        if mine { fields.get(2).copied() } else { None }
    })?;
    let directory = Path::new(mount[1]).join(path.trim_start_matches('/'));
    // In a cgroup namespace or a container the path may be seen from elsewhere: the mount's root then.
    Some(if directory.is_dir() { directory } else { PathBuf::from(mount[1]) })
}

fn read_number(path: &Path) -> u64 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
