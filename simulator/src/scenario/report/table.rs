//! Tables of a page.

use crate::report::format::Escaped;
use crate::scenario::statistics::Interval;

/// The content of a cell, as HTML.
pub(super) struct Cell(String);

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(Escaped(text.as_ref()).to_string())
    }
}

impl Cell {
    /// A mean of amounts, with its interval in a line below unless they are the same. No amount is
    /// below 0.
    pub(super) fn interval(Interval { mean, low, high }: Interval, digits: usize) -> Self {
        if high - low < 1e-12 {
            return format!("{mean:.digits$}").into();
        }
        Self(format!("{mean:.digits$}<small>{:.digits$} – {high:.digits$}</small>", low.max(0.0)))
    }
}

/// A table whose first column names the rows.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let mut html = "<div class=\"scroll\"><table><thead><tr>".to_owned();
    html.extend(head.iter().map(|name| format!("<th scope=\"col\">{}</th>", Escaped(name))));
    html.push_str("</tr></thead><tbody>\n");
    for row in rows {
        let mut cells = row.into_iter();
        let name = cells.next().map(|Cell(name)| format!("<tr><th scope=\"row\">{name}</th>"));
        html.extend(name);
        html.extend(cells.map(|Cell(cell)| format!("<td>{cell}</td>")));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}
