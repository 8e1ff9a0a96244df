//! This machine's clock against AWS's, by the date of an answer.
//!
//! AWS refuses requests that are signed more than five minutes off (S3: fifteen).

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::{SignedDuration, Timestamp};

use super::Finding;

const CHECK: &str = "clock";
const FIX: &str = "set the clock: `timedatectl set-ntp true`";
/// Off by this much is worth a word.
const NOTABLE: SignedDuration = SignedDuration::from_secs(30);
/// Beyond this AWS refuses.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// Remembers how far the other side's clock is from this one.
#[derive(Debug, Clone, Default)]
pub(super) struct SeeDate(Arc<Mutex<Option<SignedDuration>>>);

impl SeeDate {
    /// What was seen.
    pub(super) fn finding(&self) -> Finding {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.map_or_else(|| Finding::note(CHECK, "not known: no answer had a date"), judge)
    }
}

impl Intercept for SeeDate {
    fn name(&self) -> &'static str {
        "see date"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date")
            && let Ok(theirs) = jiff::fmt::rfc2822::parse(date)
        {
            let ahead = Timestamp::now().duration_since(theirs.timestamp());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        }
        Ok(())
    }
}

fn judge(ahead: SignedDuration) -> Finding {
    let off = ahead.unsigned_abs();
    let way = if ahead.is_negative() { "behind" } else { "ahead of" };
    let text = format!("this clock is {} s {way} AWS's", off.as_secs());
    let off = SignedDuration::try_from(off).unwrap_or(SignedDuration::MAX);
    match off {
        off if off >= REFUSED => Finding::problem(CHECK, text, FIX),
        off if off >= NOTABLE => Finding::warning(CHECK, text, FIX),
        _ => Finding::good(CHECK, "this clock agrees with AWS's"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn five_minutes_are_too_much() {
        let level = |seconds| judge(SignedDuration::from_secs(seconds)).level;
        assert_eq!(level(-2), Level::Good);
        assert_eq!(level(60), Level::Warning);
        assert_eq!(level(-400), Level::Problem);
        let text = judge(SignedDuration::from_secs(-400)).text;
        assert_eq!(text, "this clock is 400 s behind AWS's");
    }

    #[test]
    fn the_date_of_http_is_read() {
        let date = jiff::fmt::rfc2822::parse("Mon, 23 Nov 2026 08:12:19 GMT").unwrap();
        assert_eq!(date.timestamp().to_string(), "2026-11-23T08:12:19Z");
    }
}
