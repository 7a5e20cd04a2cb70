//! Lists of `name=ratio`.

use crate::python::float;

/// The names and ratios of a list of `name=ratio`. What does not look like it is ignored, as in
/// Nova.
#[must_use]
pub fn settings(list: &[String]) -> Vec<(String, f64)> {
    let read = |entry: &String| {
        let (name, ratio) = entry.split_once('=')?;
        Some((name.to_owned(), float(ratio).ok()?)).filter(|_| !name.is_empty())
    };
    list.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_malformed_is_ignored() {
        let list = ["a=1.5", "b", "=2", "c=x", "d= -1 "].map(str::to_owned);
        assert_eq!(settings(&list), [("a".to_owned(), 1.5), ("d".to_owned(), -1.0)]);
    }
}
