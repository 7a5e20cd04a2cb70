//! Tables without lines, as the commands print them.

use berth_process::printable;
use comfy_table::{CellAlignment, Table, presets};

/// A table whose cells cannot act on a terminal.
pub(crate) struct Grid(Table);

/// The text of a cell.
pub(crate) struct Cell(String);

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(printable::line(text.as_ref()).into_owned())
    }
}

impl Cell {
    /// Texts below each other.
    pub(crate) fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let lines: Vec<_> = texts.into_iter().map(|text| Self::from(text).0).collect();
        Self(lines.join("\n"))
    }
}

impl Grid {
    /// A table without rows whose first column begins at the margin.
    pub(crate) fn new<T: Into<Cell>>(header: impl IntoIterator<Item = T>) -> Self {
        let mut grid = Self::indented(header);
        for column in grid.0.column_iter_mut() {
            column.set_padding((0, 2));
        }
        grid
    }

    /// A table without rows, one blank from the margin.
    pub(crate) fn indented<T: Into<Cell>>(header: impl IntoIterator<Item = T>) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let header: Vec<_> = header.into_iter().map(|cell| cell.into().0).collect();
        if !header.is_empty() {
            table.set_header(header);
        }
        Self(table)
    }

    pub(crate) fn row<T: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.0.add_row(cells.into_iter().map(|cell| cell.into().0));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.row_count()
    }

    /// Aligns these columns as numbers are.
    pub(crate) fn align_right(&mut self, columns: impl IntoIterator<Item = usize>) {
        for column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    /// Its lines, without blanks at their ends.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.lines().map(|line| line.trim_end().to_owned())
    }

    pub(crate) fn text(&self) -> String {
        self.lines().map(|line| line + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with a line end made rows of its own, and one with U+202E was shown backwards.
    #[test]
    fn a_name_stays_in_its_cell() {
        let mut grid = Grid::new(["name", "parts"]);
        grid.row([Cell::from("a\u{202e}\u{1b}[2J\nb"), Cell::lines(["x\n", "y"])]);
        let lines: Vec<_> = grid.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].starts_with("a\\u{202e}\\u{1b}[2J\\nb  x\\n"), "{lines:?}");
        assert_eq!(lines[2].trim(), "y");
    }
}
