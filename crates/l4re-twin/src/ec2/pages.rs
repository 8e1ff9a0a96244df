//! Pages as EC2 has them: `MaxResults`, `NextToken`, and when they are refused.

use serde_json::Value;

use crate::fault::Fault;
use crate::paging;
use crate::query::Scope;

/// Cuts a list to the page that is asked for; the token of the next one, if there is one.
pub(super) fn page(
    items: Vec<Value>,
    root: &Scope<'_>,
    range: std::ops::RangeInclusive<usize>,
) -> Result<(Vec<Value>, Value), Fault> {
    let size = root.number::<usize>("MaxResults")?;
    if let Some(size) = size
        && !range.contains(&size)
    {
        return Err(Fault::invalid(format!(
            "Value ( {size} ) for parameter maxResults is invalid. Expecting a value between \
             {} and {}.",
            range.start(),
            range.end()
        )));
    }
    let token = root.get("NextToken");
    let (items, next) = paging::page(items, size, token).ok_or_else(|| {
        let message = format!("The token '{}' is invalid.", token.unwrap_or_default());
        Fault::client("InvalidNextToken", message)
    })?;
    Ok((items, next.map_or(Value::Null, Value::from)))
}

/// EC2 gives no pages of what is named.
pub(super) fn refuse_pages_of_named(
    root: &Scope<'_>,
    ids: &[&str],
    set: &str,
) -> Result<(), Fault> {
    if ids.is_empty() || root.get("MaxResults").is_none() {
        return Ok(());
    }
    let message = format!("The parameter {set} cannot be used with the parameter maxResults");
    Err(Fault::client("InvalidParameterCombination", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Params;

    fn ask(form: &str) -> Result<(Vec<Value>, Value), Fault> {
        let items = (0..12).map(Value::from).collect();
        page(items, &Params::parse(form.as_bytes()).unwrap().root(), 5..=1000)
    }

    #[test]
    fn sizes_and_tokens_that_are_none_are_refused() {
        assert_eq!(ask("MaxResults=4").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(ask("NextToken=zzz").unwrap_err().code, "InvalidNextToken");
    }
}
