//! The fields of an expression, one by one: the parser does not say which one is wrong.

use super::timetable::parser;
use crate::error::ServiceError;

/// A field: its name, what may stand in it, and the words that are allowed.
struct Field {
    name: &'static str,
    values: &'static str,
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", values: "0 to 59", words: &[] },
    Field { name: "hour", values: "0 to 23", words: &[] },
    Field { name: "day of the month", values: "1 to 31 or L (the last)", words: &["L", "W"] },
    Field {
        name: "month",
        values: "1 to 12 or jan to dec",
        words: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    },
    Field {
        name: "day of the week",
        values: "0 to 7 (0 and 7 are Sunday) or mon to sun",
        words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "L"],
    },
];

/// Checks that an expression has five fields, each of which is valid.
///
/// # Errors
/// The first field that is wrong, and what may stand there.
pub(super) fn check(expression: &str) -> Result<(), ServiceError> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(refused(expression));
    }
    for (at, (text, field)) in fields.iter().zip(&FIELDS).enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[at] = text;
        let has_gaps = text.split(',').any(str::is_empty);
        if has_gaps
            || !has_known_words(text, field.words)
            || parser().parse(&alone.join(" ")).is_err()
        {
            let what = format!("the {} {text:?} is not valid", field.name);
            let fix = format!(
                "write {}, a list (1,5), a range (1-5), a step (*/2), or * for each",
                field.values
            );
            return Err(ServiceError::invalid("every", what).fix(fix));
        }
    }
    Ok(())
}

/// Returns `true` if a field has no word but these.
fn has_known_words(text: &str, words: &[&str]) -> bool {
    let found = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    found.into_iter().all(|word| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// Returns the error of an expression as a whole.
pub(super) fn refused(expression: &str) -> ServiceError {
    let what = match expression.split_whitespace().count() {
        0 => "it is empty".to_string(),
        1 => format!("{expression:?} has 1 field, and 5 are expected"),
        count => format!("{expression:?} has {count} fields, and 5 are expected"),
    };
    ServiceError::invalid("every", what).fix(
        "write minute, hour, day of the month, month, day of the week (30 2 * * mon-fri), a name (@daily), or an \
         interval (5m)",
    )
}
