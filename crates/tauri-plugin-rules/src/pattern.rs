//! Regular expressions for arguments. A pattern matches ASCII alone unless its author asks for
//! Unicode with `(?u)`.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};
use regex_syntax::{Parser, ParserBuilder};

/// Maximum size of a compiled pattern in bytes. A pattern for an argument needs far less.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// What a pattern decides, and so in which direction it must be strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternUse {
    /// What it matches may run. `\w`, `\d`, `\s`, `\b`, `.`, `[^..]` and `(?i)` know ASCII alone.
    Allow,
    /// What it matches may not run. The same are those of Unicode, and `.` matches a line feed,
    /// too, so that no character gets past a pattern that was meant to match anything.
    Deny,
}

/// Compiles a pattern so that it matches a whole argument.
///
/// ```
/// use tauri_plugin_execution_engine_rules::{PatternUse, compile_pattern};
///
/// let name = compile_pattern(r"\w+\.png", PatternUse::Allow).unwrap();
/// assert!(name.is_match("chart.png"));
/// assert!(!name.is_match("größe.png") && !name.is_match("a chart.png"));
/// let name = compile_pattern(r"(?u)\w+\.png", PatternUse::Allow).unwrap();
/// assert!(name.is_match("größe.png"));
/// ```
///
/// # Errors
/// The text says what is wrong with the pattern.
pub fn compile_pattern(pattern: &str, decides: PatternUse) -> Result<Regex, String> {
    let hir = match decides {
        PatternUse::Allow => {
            let parsed = parse(ParserBuilder::new().unicode(false).utf8(false).build(), pattern)?;
            only_ascii_classes(&parsed)?
        }
        PatternUse::Deny => {
            parse(ParserBuilder::new().dot_matches_new_line(true).build(), pattern)?
        }
    };
    // A pattern that matches somewhere inside allows anything around it. It is anchored after it was
    // parsed alone, because in the text `a)|(b` would close a group of ours and escape the anchors.
    let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    RegexBuilder::new(&whole.to_string())
        .size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|error| error.to_string())
}

fn parse(mut parser: Parser, pattern: &str) -> Result<Hir, String> {
    parser.parse(pattern).map_err(|error| match &error {
        regex_syntax::Error::Translate(inner)
            if *inner.kind() == regex_syntax::hir::ErrorKind::UnicodeNotAllowed =>
        {
            format!("{inner}: begin the pattern with (?u)")
        }
        _ => error.to_string(),
    })
}

/// Returns the expression with its byte classes reduced to ASCII. The parser makes byte classes of
/// all that was not asked for with `(?u)`; a byte above ASCII is no character of an argument.
fn only_ascii_classes(hir: &Hir) -> Result<Hir, String> {
    let all = |subs: &[Hir]| subs.iter().map(only_ascii_classes).collect::<Result<Vec<_>, _>>();
    Ok(match hir.kind() {
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.intersect(&ClassBytes::new([ClassBytesRange::new(0, 0x7f)]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Literal(literal) if str::from_utf8(&literal.0).is_err() => {
            return Err("a byte above \\x7F is no character; write the character".to_string());
        }
        HirKind::Look(Look::WordAsciiNegate) => {
            return Err("\\B needs (?u)".to_string());
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(only_ascii_classes(&repetition.sub)?);
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Capture(capture) => only_ascii_classes(&capture.sub)?,
        HirKind::Concat(subs) => Hir::concat(all(subs)?),
        HirKind::Alternation(subs) => Hir::alternation(all(subs)?),
    })
}
