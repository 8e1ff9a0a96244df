//! How many machines this desk has memory for.
//!
//! Each counts with all that its guest may touch: QEMU takes it page by page, and the kernel ends
//! some process when there is no more.

use l4re_twin::Config;

/// So many machines of the twin have room at once in the memory that is free now, if that can be
/// told; one always has.
pub fn machines(config: &Config) -> Option<usize> {
    let known = fs_err::read_to_string("/proc/meminfo").ok()?;
    fitting(&known, config.max_memory_mib)
}

fn fitting(meminfo: &str, each_mib: u32) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free_kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let machines = free_kib.checked_div(u64::from(each_mib) * 1024)?;
    usize::try_from(machines.max(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_fit_into_what_is_free() {
        let of = |free: &str| format!("MemTotal:  99999999 kB\nMemAvailable:  {free}\n");
        assert_eq!(fitting(&of("6291456 kB"), 1024), Some(6));
        assert_eq!(fitting(&of("6291455 kB"), 1024), Some(5));
        assert_eq!(fitting(&of("100 kB"), 1024), Some(1), "one is tried");
        assert_eq!(fitting(&of("many"), 1024), None);
        assert_eq!(fitting("MemTotal: 1 kB\n", 1024), None);
    }
}
