//! Pages of long answers. A token is the place in the list at which the next page begins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The page that a token asks for, the first without one, and the next one's token if there
/// is a next one. None: the token is not one of these.
pub(crate) fn page<T>(
    items: Vec<T>,
    size: Option<usize>,
    token: Option<&str>,
) -> Option<(Vec<T>, Option<String>)> {
    let start = token.map_or(Some(0), read)?;
    let end = size.map_or(items.len(), |size| start.saturating_add(size).min(items.len()));
    let next = (end < items.len()).then(|| STANDARD_NO_PAD.encode(format!("from {end}")));
    Some((items.into_iter().skip(start).take(end.saturating_sub(start)).collect(), next))
}

fn read(token: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("from ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let items = || (0..12).collect::<Vec<u32>>();
        let (first, next) = page(items(), Some(5), None).unwrap();
        assert_eq!(first, [0, 1, 2, 3, 4]);
        let (second, next) = page(items(), Some(5), next.as_deref()).unwrap();
        assert_eq!(second, [5, 6, 7, 8, 9]);
        assert_eq!(page(items(), Some(5), next.as_deref()).unwrap(), (vec![10, 11], None));
        assert_eq!(page(items(), None, None).unwrap().0.len(), 12);
        for bad in ["zzz", "?", "", "ZnJvbSB4"] {
            assert_eq!(page(items(), None, Some(bad)), None, "{bad}");
        }
        // What is gone meanwhile is no error.
        let beyond = STANDARD_NO_PAD.encode("from 99");
        assert_eq!(page(items(), Some(5), Some(&beyond)).unwrap(), (vec![], None));
    }
}
