//! `at(yyyy-mm-ddThh:mm:ss)` in a time zone: the only kind of expression that the twin runs.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The moment, or what is wrong with the expression.
pub(super) fn moment(expression: &str, zone: &str) -> Result<Timestamp, String> {
    if expression.starts_with("rate(") || expression.starts_with("cron(") {
        return Err(format!("The twin runs one-time schedules only, not {expression}."));
    }
    let time = expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')'));
    let time = time.filter(|time| time.len() == "yyyy-mm-ddThh:mm:ss".len());
    let time = time.and_then(|time| DateTime::strptime("%Y-%m-%dT%H:%M:%S", time).ok());
    let time = time.ok_or_else(|| format!("Invalid Schedule Expression {expression}."))?;
    let zone = TimeZone::get(zone)
        .map_err(|_| format!("The Schedule Expression Timezone '{zone}' is invalid."))?;
    time.to_zoned(zone).map(|time| time.timestamp()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_of_its_time_zone_and_everything_else_is_refused() {
        let at = |expression: &str, zone: &str| moment(expression, zone).map(|t| t.to_string());
        assert_eq!(at("at(2026-11-23T10:00:07)", "UTC").unwrap(), "2026-11-23T10:00:07Z");
        assert_eq!(at("at(2026-11-23T10:00:07)", "Europe/Berlin").unwrap(), "2026-11-23T09:00:07Z");
        for bad in [
            "rate(5 minutes)",
            "cron(0 10 * * ? *)",
            "at(2026-11-23)",
            "at(2026-13-23T10:00:07)",
            "",
            "at()",
        ] {
            assert!(at(bad, "UTC").is_err(), "{bad}");
        }
        assert!(at("at(2026-11-23T10:00:07)", "Nowhere/None").is_err());
    }
}
