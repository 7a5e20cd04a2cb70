//! Lists in pages.
//!
//! A page token is the key of the last element of the page before, so a list may change between two
//! pages: an element that exists all the time is returned exactly once.

use tonic::Status;
use uuid::Uuid;

use super::status::bad_field;

const DEFAULT: usize = 100;
const MOST: usize = 1000;

/// Which page of a list in order of keys is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<K = Uuid> {
    size: usize,
    after: Option<K>,
}

impl Page<String> {
    /// [`Page::of`], for a list in order of names.
    pub(crate) fn of_names(size: u32, token: &str) -> Result<Self, Status> {
        let after = (!token.is_empty()).then(|| token.to_owned());
        Ok(Self { size: checked(size)?, after })
    }
}

impl Page {
    /// The page that a request's `page_size` and `page_token` select.
    pub(crate) fn of(size: u32, token: &str) -> Result<Self, Status> {
        let size = checked(size)?;
        let after = match token {
            "" => None,
            token => Some(
                Uuid::try_parse(token)
                    .map_err(|_| bad_field("page_token", "is not a token of this service"))?,
            ),
        };
        Ok(Self { size, after })
    }
}

fn checked(size: u32) -> Result<usize, Status> {
    match size as usize {
        0 => Ok(DEFAULT),
        size if size > MOST => Err(bad_field("page_size", format!("is {size}, and may be at most {MOST}"))),
        size => Ok(size),
    }
}

impl<K: Ord + Clone + ToString> Page<K> {
    /// The elements of this page in order of their keys, and the token of the next; empty on the
    /// last page. Takes time in proportion to the elements, however many pages there are.
    pub(crate) fn take<T>(self, elements: impl IntoIterator<Item = (K, T)>) -> (Vec<T>, String) {
        let is_further = |(key, _): &(K, T)| self.after.as_ref().is_none_or(|after| key > after);
        let mut page: Vec<(K, T)> = elements.into_iter().filter(is_further).collect();
        let is_last = page.len() <= self.size;
        if !is_last {
            page.select_nth_unstable_by(self.size, |(one, _), (other, _)| one.cmp(other));
            page.truncate(self.size);
        }
        page.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let next = page.last().filter(|_| !is_last).map(|(key, _)| key.to_string()).unwrap_or_default();
        (page.into_iter().map(|(_, element)| element).collect(), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_in_order() {
        let all = || [5, 1, 4, 2, 3].map(|number: u128| (Uuid::from_u128(number), number));
        let (first, token) = Page::of(2, "").unwrap().take(all());
        assert_eq!(first, [1, 2]);
        let (second, token) = Page::of(2, &token).unwrap().take(all());
        assert_eq!(second, [3, 4]);
        assert_eq!(Page::of(2, &token).unwrap().take(all()), (vec![5], String::new()));
        assert_eq!(Page::of(5, "").unwrap().take(all()).1, "");
        assert_eq!(Page::of(0, "").unwrap().size, 100);
        assert!(Page::of(1001, "").is_err());
        assert!(Page::of(1, "x").is_err());
    }
}
