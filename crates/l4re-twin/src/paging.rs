//! Pages of long answers. A token is the place in the list at which the next page begins, and
//! a sum of what was asked: it is no other question's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The page that a token asks for, the first without one, and the next one's token if there
/// is a next one. None: the token is not one of what is asked.
pub(crate) fn page<T>(
    asked: &str,
    items: Vec<T>,
    size: Option<usize>,
    token: Option<&str>,
) -> Option<(Vec<T>, Option<String>)> {
    let sum = hex::encode(&Sha256::digest(asked)[..8]);
    let start = token.map_or(Some(0), |token| read(token, &sum))?;
    let end = size.map_or(items.len(), |size| start.saturating_add(size).min(items.len()));
    let next = (end < items.len()).then(|| STANDARD_NO_PAD.encode(format!("{sum} {end}")));
    Some((items.into_iter().skip(start).take(end.saturating_sub(start)).collect(), next))
}

fn read(token: &str, sum: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix(sum)?.strip_prefix(' ')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let items = || (0..12).collect::<Vec<u32>>();
        let ask = |size, token: Option<&str>| page("x", items(), size, token);
        let (first, next) = ask(Some(5), None).unwrap();
        assert_eq!(first, [0, 1, 2, 3, 4]);
        assert_eq!(page("y", items(), Some(5), next.as_deref()), None, "another question's");
        let (second, next) = ask(Some(5), next.as_deref()).unwrap();
        assert_eq!(second, [5, 6, 7, 8, 9]);
        assert_eq!(ask(Some(5), next.as_deref()).unwrap(), (vec![10, 11], None));
        assert_eq!(ask(None, None).unwrap().0.len(), 12);
        for bad in ["zzz", "?", "", "ZnJvbSB4"] {
            assert_eq!(ask(None, Some(bad)), None, "{bad}");
        }
        // What is gone meanwhile is no error.
        let (first, next) = page("x", items(), Some(11), None).unwrap();
        assert_eq!(first.len(), 11);
        assert_eq!(page::<u32>("x", vec![], Some(5), next.as_deref()).unwrap(), (vec![], None));
    }
}
