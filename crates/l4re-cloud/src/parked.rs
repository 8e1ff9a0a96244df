//! The user data of a parked machine: an iPXE script that waits for another script.
//!
//! Invariants: pure; it asks for one presigned object again and again, with pauses that grow
//! from one second to a longest one and stay there; it gives up at the machine's expiry by
//! switching the machine off, which terminates it. Cloud builds of iPXE can do that; one that
//! cannot (Debian's of 2019) waits on for `gc`. All other commands that one has, too.

use std::fmt::Write;
use std::time::Duration;

use crate::error::CloudError;
use crate::script::{USER_DATA_LIMIT, check_url};

/// Seconds between two questions, in the end, unless somebody wants it quicker: each of them
/// is a request that S3 counts.
pub(crate) const LONGEST_PAUSE: u64 = 5;

/// Milliseconds without a byte after which iPXE gives a question up.
const ASK_TIMEOUT_MS: u32 = 60_000;

/// Questions that fit into `waits`; what they take themselves comes on top.
fn polls(waits: Duration, longest: u64) -> u64 {
    let growing: u64 = (1..longest).sum();
    let steady = waits.as_secs().saturating_sub(growing).div_ceil(longest);
    // A question before each pause, and one after the last.
    longest - 1 + steady + 1
}

/// The script that waits for the script at `url`.
///
/// A question that finds nothing leaves nothing behind; one that found something which is no
/// script may, and a name that is loaded is not fetched again: so all is freed, which unlike
/// freeing one by its name says nothing when there is none.
pub(crate) fn parked_script(
    url: &str,
    waits: Duration,
    longest: u64,
) -> Result<String, CloudError> {
    check_url(url)?;
    let longest = longest.max(1);
    let polls = polls(waits, longest);
    let mut text = String::with_capacity(1024 + url.len());
    let _ = write!(
        text,
        "#!ipxe\n\
         echo l4re: parked ipxe=${{version}}\n\
         echo l4re: parked machine=${{product}} platform=${{platform}} arch=${{buildarch}}\n\
         echo l4re: parked polls={polls} pause={longest}s\n\
         set poll:int32 1\n\
         set pause:int32 1\n\
         :poll\n\
         chain --replace --autofree --name next --timeout {ASK_TIMEOUT_MS} {url} ||\n\
         imgfree ||\n\
         iseq ${{poll}} {polls} && goto over ||\n\
         sleep ${{pause}} ||\n\
         inc poll\n\
         iseq ${{pause}} {longest} || inc pause\n\
         goto poll\n\
         :over\n\
         echo l4re: parked over polls=${{poll}} then=poweroff\n\
         poweroff ||\n\
         :wait\n\
         sleep 3600 ||\n\
         goto wait\n"
    );
    if text.len() > USER_DATA_LIMIT {
        return Err(CloudError::UserDataTooLarge { size: text.len(), limit: USER_DATA_LIMIT });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_until_the_expiry_and_not_much_longer() {
        for seconds in [0, 1, 11, 60, 7200, 7 * 24 * 3600] {
            let asked = polls(Duration::from_secs(seconds), LONGEST_PAUSE);
            // The pauses that lie between so many questions.
            let paused: u64 = (1..asked).map(|n| n.min(LONGEST_PAUSE)).sum();
            assert!(paused >= seconds && paused <= seconds + 10, "{seconds}: {asked}, {paused}");
        }
    }

    #[test]
    fn the_script() {
        let url =
            "http://b.s3.eu-central-1.amazonaws.com/l4re/next/x/next.ipxe?X-Amz-Signature=5ec";
        let text = parked_script(url, Duration::from_secs(3600), LONGEST_PAUSE).unwrap();
        insta::assert_snapshot!(text);
        for mark in text.lines().filter_map(|line| line.strip_prefix("echo ")) {
            assert!(!mark.contains("http") && mark.len() < 80, "{mark}");
        }
    }

    #[test]
    fn a_url_that_would_be_a_command_is_refused() {
        assert!(parked_script("http://h/x || reboot", Duration::ZERO, 1).is_err());
        assert!(parked_script("ftp://h/x", Duration::ZERO, 1).is_err());
    }
}
