//! What a process holds: memory and file descriptors, once a second.

#[derive(Default)]
pub(crate) struct Gauge {
    /// KiB.
    memory: Vec<u64>,
    descriptors: Vec<u64>,
}

/// The level of a figure early and late in the run, and how far it may have moved.
pub(crate) struct Level {
    pub(crate) early: u64,
    pub(crate) late: u64,
    pub(crate) allowed: u64,
}

impl Gauge {
    pub(crate) fn sample(&mut self, process: u32) {
        self.memory.extend(resident_kib(process));
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"));
        self.descriptors.extend(descriptors.map(|all| all.count() as u64));
    }

    /// A hundredth and 256 KiB more are the allocator's, not a leak.
    pub(crate) fn memory(&self) -> Level {
        let (early, late) = levels(&self.memory);
        Level { early, late, allowed: early / 100 + 256 }
    }

    /// As many connections as there are accounts may be open or not.
    pub(crate) fn descriptors(&self) -> Level {
        let (early, late) = levels(&self.descriptors);
        Level { early, late, allowed: 24 }
    }
}

/// The medians of the second and the last quarter.
fn levels(samples: &[u64]) -> (u64, u64) {
    let quarter = samples.len() / 4;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default()
    };
    (median(&samples[quarter..2 * quarter]), median(&samples[3 * quarter..]))
}

fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
