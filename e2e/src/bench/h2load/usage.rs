//! CPU time and memory of the processes of a pod.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::bench::idle;

/// The processes of one pod, but for its sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    pids: Vec<u32>,
}

impl Processes {
    /// Those of a pod of this machine's node.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn of_pod(uid: &str) -> Result<Self> {
        let all = idle::processes_of(uid)?.into_iter();
        let pids: Vec<u32> = all.filter(|(_, name)| name != "pause").map(|(pid, _)| pid).collect();
        ensure!(!pids.is_empty(), "no process of the pod {uid} on this machine");
        Ok(Self { pids })
    }

    /// User and system time of every thread so far, ended ones included.
    ///
    /// From the processes' CPU clocks (`clock_getcpuclockid(3)`): the sum of `utime` and `stime` in `/proc/PID/stat` is the
    /// same count, cut to ticks of 10 ms, which over two seconds would be percents. `schedstat` has nanoseconds, but not of
    /// threads that have ended.
    ///
    /// # Errors
    /// When a process has ended.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.pids.iter().map(|pid| cpu(*pid)).sum()
    }

    /// Resident memory, in KiB: what several processes share is counted in shares (`Pss`), so that it counts once.
    ///
    /// # Errors
    /// When a process has ended.
    pub(crate) fn memory_kib(&self) -> Result<u64> {
        self.pids.iter().map(|pid| memory_kib(*pid)).sum()
    }
}

fn cpu(pid: u32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into()?)).with_context(|| gone(pid))?;
    Ok(clock_gettime(clock).with_context(|| gone(pid))?.into())
}

fn memory_kib(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).with_context(|| gone(pid))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    line.trim().trim_end_matches(" kB").parse().context("Pss is no number")
}

fn gone(pid: u32) -> String {
    format!("the process {pid} has ended")
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Instant;

    use super::*;

    struct Busy(Child);

    impl Drop for Busy {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// Sum of fields 14 and 15 of `proc_pid_stat(5)`, in ticks.
    fn ticks(pid: u32) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    #[test]
    fn the_clock_is_what_proc_counts() {
        let busy = Busy(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let pid = busy.0.id();
        let deadline = Instant::now() + Duration::from_secs(60);
        while ticks(pid) < 20 {
            assert!(Instant::now() < deadline, "the shell gets no CPU");
        }
        let before = ticks(pid);
        let clock = Processes { pids: vec![pid] }.cpu().unwrap();
        let after = ticks(pid);
        // User and system time are each cut to whole ticks.
        let (least, most) = (Duration::from_millis(before * 10), Duration::from_millis((after + 2) * 10));
        assert!((least..=most).contains(&clock), "{clock:?} is not in {least:?} to {most:?}");
    }

    #[test]
    fn shared_pages_count_in_shares() {
        let one = Busy(Command::new("sleep").arg("60").spawn().unwrap());
        let other = Busy(Command::new("sleep").arg("60").spawn().unwrap());
        let pids = vec![one.0.id(), other.0.id()];
        let deadline = Instant::now() + Duration::from_secs(20);
        // It takes a moment until both have their program.
        loop {
            let resident: f64 = pids.iter().map(|pid| idle::rss_kib(*pid).unwrap()).sum();
            let kib = Processes { pids: pids.clone() }.memory_kib().unwrap();
            if resident > 1_000.0 && kib > 100 && (kib as f64) < resident {
                break;
            }
            assert!(Instant::now() < deadline, "{kib} of {resident}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_an_error() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let gone = Processes { pids: vec![child.id()] };
        assert!(gone.cpu().is_err() && gone.memory_kib().is_err());
    }
}
