//! The form of EC2's ids: a prefix for the kind, and 8 or 17 hexadecimal digits.

use crate::fault::Fault;

/// Refuses what is no id of a kind, with the code that EC2 has for that.
pub(super) fn check(prefix: &str, id: &str, code: &'static str) -> Result<(), Fault> {
    let digits = id.strip_prefix(prefix);
    let has_form = digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|c| c.is_ascii_hexdigit())
    });
    match (has_form, digits) {
        (true, _) => Ok(()),
        (false, Some(_)) => Err(Fault::client(code, format!("Invalid id: \"{id}\""))),
        (false, None) => {
            let message = format!("Invalid id: \"{id}\" (expecting \"{prefix}...\")");
            Err(Fault::client(code, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_prefix_and_8_or_17_digits() {
        let message = |id: &str| check("i-", id, "Malformed").map_err(|fault| fault.message);
        assert_eq!(message("i-0123456789abcdef0"), Ok(()));
        assert_eq!(message("i-01234567"), Ok(()));
        assert_eq!(message("i-0123456g").unwrap_err(), "Invalid id: \"i-0123456g\"");
        assert_eq!(message("ami-1").unwrap_err(), "Invalid id: \"ami-1\" (expecting \"i-...\")");
        assert_eq!(message("").unwrap_err(), "Invalid id: \"\" (expecting \"i-...\")");
    }
}
