//! Small charts for a terminal.

use crate::http::TOTAL;

/// Columns of the longest bar.
const WIDTH: f64 = 48.0;
/// Eighths of a column.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The phases of a request, one below the other, each beginning where the one before ended.
pub fn timeline(phases: &[(String, f64)]) -> String {
    let phases: Vec<_> = phases.iter().filter(|(name, _)| name != TOTAL).collect();
    let whole: f64 = phases.iter().map(|(_, ms)| ms).sum();
    let mut lines = String::new();
    let mut begun = 0.0;
    for (name, ms) in &phases {
        let column = |at: f64| at / whole.max(0.001) * WIDTH;
        lines.push_str(&format!("  {name:<12} {ms:>8.1} ms  {}\n", bar(column(begun), column(begun + ms))));
        begun += ms;
    }
    lines.push_str(&format!("  {TOTAL:<12} {whole:>8.1} ms\n"));
    lines
}

/// A bar between two places, in columns. Never empty, so that a short phase is still seen.
fn bar(from: f64, to: f64) -> String {
    // Both are between 0 and WIDTH.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let (start, eighths) = (from as usize, (((to - from.floor()) * 8.0).round() as usize).max(1));
    let mut text = " ".repeat(start);
    text.push_str(&"█".repeat(eighths / 8));
    if eighths % 8 > 0 {
        text.push(EIGHTHS[eighths % 8]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_begins_where_the_one_before_ended() {
        let phases = [("patch".to_owned(), 25.0), ("start".to_owned(), 75.0), (TOTAL.to_owned(), 100.0)];
        let drawn = timeline(&phases);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], format!("  patch            25.0 ms  {}", "█".repeat(12)));
        assert_eq!(lines[1], format!("  start            75.0 ms  {}{}", " ".repeat(12), "█".repeat(36)));
        assert_eq!(lines[2], "  total           100.0 ms");
    }

    #[test]
    fn a_short_phase_is_seen() {
        assert_eq!(bar(3.0, 3.001), "   ▏");
    }
}
