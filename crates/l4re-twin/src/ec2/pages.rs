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
    let size = root.number::<i64>("MaxResults")?;
    let size = size.map(|size| within(size, &range)).transpose()?;
    let token = root.get("NextToken");
    let (items, next) = paging::page(&asked(root), items, size, token).ok_or_else(|| {
        let message = format!("The token '{}' is invalid.", token.unwrap_or_default());
        Fault::client("InvalidNextToken", message)
    })?;
    Ok((items, next.map_or(Value::Null, Value::from)))
}

fn within(size: i64, range: &std::ops::RangeInclusive<usize>) -> Result<usize, Fault> {
    match usize::try_from(size) {
        Ok(fits) if range.contains(&fits) => Ok(fits),
        Ok(large) if large > *range.end() => Err(Fault::invalid(format!(
            "Value ( {large} ) for parameter maxResults is invalid. Expecting a value less than \
             or equal to {}.",
            range.end()
        ))),
        _ => Err(Fault::invalid(format!(
            "Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than \
             {}.",
            range.start()
        ))),
    }
}

/// What the request asks for, whichever page of it.
fn asked(root: &Scope<'_>) -> String {
    let same = root.all().filter(|(name, _)| !["MaxResults", "NextToken"].contains(name));
    same.map(|(name, value)| format!("{}:{name}{}:{value}", name.len(), value.len())).collect()
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
        for (size, ends) in
            [("4", "greater than 5."), ("-1", "greater than 5."), ("1001", "to 1000.")]
        {
            let fault = ask(&format!("MaxResults={size}")).unwrap_err();
            assert_eq!(fault.code, "InvalidParameterValue");
            assert!(fault.message.ends_with(ends), "{fault:?}");
        }
        assert_eq!(ask("NextToken=zzz").unwrap_err().code, "InvalidNextToken");
        let (_, next) = ask("Action=A&MaxResults=5").unwrap();
        let next = next.as_str().unwrap();
        assert_eq!(ask(&format!("Action=A&MaxResults=7&NextToken={next}")).unwrap().0.len(), 7);
        let other = format!("Action=B&MaxResults=5&NextToken={next}");
        assert_eq!(ask(&other).unwrap_err().code, "InvalidNextToken");
    }
}
