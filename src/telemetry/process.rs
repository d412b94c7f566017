//! What the process itself takes: memory, processor time, open files, read from `/proc` when asked (Linux).
//!
//! Does not: fail where there is no `/proc`; the figures are then absent.

/// Figures of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in octets.
    pub resident_octets: u64,
    /// The most it ever was, in octets.
    pub peak_octets: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads the figures; none where the system does not tell them.
#[must_use]
pub fn usage() -> Option<Usage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, |files| u64::try_from(files.count()).unwrap_or(0));
    Some(Usage { open_files, ..parse(&status) })
}

fn parse(status: &str) -> Usage {
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
    };
    Usage { resident_octets: number("VmRSS:") * 1024, peak_octets: number("VmHWM:") * 1024, open_files: 0, threads: number("Threads:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_status_file_are_read_in_octets() {
        let text = "Name:\tpennypost\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\nThreads:\t7\n";
        let expected = Usage { resident_octets: 1024 * 1024, peak_octets: 2048 * 1024, open_files: 0, threads: 7 };
        assert_eq!(parse(text), expected);
        assert_eq!(parse("nothing"), Usage::default());
    }
}
