//! Pages of long answers: `MaxResults`, `NextToken`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::fault::Fault;
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
    let start = root.get("NextToken").map_or(Ok(0), read_token)?;
    let end = size.map_or(items.len(), |size| start.saturating_add(size).min(items.len()));
    let next = if end < items.len() { Value::from(token(end)) } else { Value::Null };
    Ok((items.into_iter().skip(start).take(end.saturating_sub(start)).collect(), next))
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

fn token(offset: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("from {offset}"))
}

fn read_token(token: &str) -> Result<usize, Fault> {
    let decoded = URL_SAFE_NO_PAD.decode(token).ok();
    decoded
        .and_then(|bytes| String::from_utf8(bytes).ok()?.strip_prefix("from ")?.parse().ok())
        .ok_or_else(|| {
            Fault::client("InvalidNextToken", format!("The token '{token}' is invalid."))
        })
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
    fn pages_follow_one_another_to_the_end() {
        let (first, next) = ask("MaxResults=5").unwrap();
        assert_eq!(first.len(), 5);
        let (second, next) =
            ask(&format!("MaxResults=5&NextToken={}", next.as_str().unwrap())).unwrap();
        assert_eq!(second[0], 5);
        let (third, next) =
            ask(&format!("MaxResults=5&NextToken={}", next.as_str().unwrap())).unwrap();
        assert_eq!((third.len(), next), (2, Value::Null));
    }

    #[test]
    fn sizes_and_tokens_that_are_none_are_refused() {
        assert_eq!(ask("MaxResults=4").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(ask("NextToken=zzz").unwrap_err().code, "InvalidNextToken");
    }
}
