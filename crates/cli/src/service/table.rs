//! Tables for people.

use std::fmt::Write as _;

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) colour: Colour,
}

impl Cell {
    /// Creates a cell without a colour.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: Colour::None }
    }
}

/// Colour of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    None,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Colour {
    pub(crate) fn code(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Red => Some(31),
            Self::Green => Some(32),
            Self::Yellow => Some(33),
            Self::Cyan => Some(36),
        }
    }
}

/// Space between two columns.
const GAP: usize = 2;

/// Returns a table with a head. The last column takes what is left of the width and is cut there; a
/// column in which nothing is, is left out.
pub(crate) fn table(
    head: &[&str],
    rows: &[Vec<Cell>],
    width: Option<usize>,
    colours: bool,
) -> String {
    let longest =
        |column: usize| rows.iter().map(|row| row[column].text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len())
        .map(|column| match longest(column) {
            0 if !rows.is_empty() => 0,
            longest => longest.max(head[column].len()),
        })
        .collect();
    let head: Vec<Cell> = head.iter().map(|name| Cell::plain(*name)).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let line = line(row, &widths, width, colours);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn line(row: &[Cell], widths: &[usize], width: Option<usize>, colours: bool) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (index, (cell, column)) in row.iter().zip(widths).enumerate().filter(|(_, it)| *it.1 > 0) {
        let is_last = index + 1 == row.len();
        // A line that is too narrow for anything is better broken by the terminal.
        let room = width.and_then(|width| width.checked_sub(used)).filter(|room| *room >= 10);
        let text = if is_last { cut(&cell.text, room) } else { cell.text.clone() };
        let pad = column + GAP - cell.text.chars().count().min(*column);
        match cell.colour.code().filter(|_| colours) {
            // Writing to a String does not fail.
            Some(code) => drop(write!(line, "\x1b[{code}m{text}\x1b[0m")),
            None => line.push_str(&text),
        }
        if !is_last {
            line.extend(std::iter::repeat_n(' ', pad));
        }
        used += column + GAP;
    }
    line
}

/// Returns a text that is no longer than the room there is.
fn cut(text: &str, room: Option<usize>) -> String {
    match room {
        Some(room) if text.chars().count() > room => {
            text.chars().take(room - 1).chain(['\u{2026}']).collect()
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        let lost = Cell { text: "lost".into(), colour: Colour::Red };
        vec![
            vec![
                Cell::plain("1"),
                Cell::plain(""),
                Cell::plain("a"),
                Cell::plain("make all the things"),
            ],
            vec![Cell::plain("22"), Cell::plain(""), lost, Cell::plain("true")],
        ]
    }

    const HEAD: [&str; 4] = ["ID", "TAGS", "STATUS", "COMMAND"];

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let expected = "ID  STATUS  COMMAND\n\
                        1   a       make all the things\n\
                        22  lost    true\n";
        assert_eq!(table(&HEAD, &rows(), None, false), expected);
        assert_eq!(table(&HEAD, &[], None, false), "ID  TAGS  STATUS  COMMAND\n");
    }

    #[test]
    fn last_column_fits_the_terminal() {
        let text = table(&HEAD, &rows(), Some(24), false);
        assert_eq!(text.lines().nth(1), Some("1   a       make all th\u{2026}"));
        let narrow = table(&HEAD, &rows(), Some(14), false);
        assert_eq!(narrow.lines().nth(1), Some("1   a       make all the things"));
    }

    #[test]
    fn colours_take_no_room() {
        let text = table(&HEAD, &rows(), None, true);
        assert_eq!(text.lines().nth(2), Some("22  \x1b[31mlost\x1b[0m    true"));
    }
}
