//! What a page shows, against what a command printed.
//!
//! `...` stands for what differs from run to run: within a line for any text, as a line of its own for any number of lines.
//! Blanks are compared as one, since the columns of a table move with the lengths of names; those at the end of a line, and empty
//! lines at the end of everything, do not count.

/// Whether `printed` is what the page shows.
pub(super) fn is(shown: &[String], printed: &str) -> bool {
    let shown: Vec<String> = shown.iter().map(|line| squeezed(line)).collect();
    let printed: Vec<String> = printed.trim_end().lines().map(squeezed).collect();
    lines(&shown, &printed)
}

fn squeezed(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    // What begins a line is layout of code, JSON or YAML.
    let indent = line.len() - line.trim_start().len();
    format!("{}{}", &line[..indent], words.join(" "))
}

fn lines(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((any, rest)) if any == "..." => (0..=printed.len()).any(|skipped| lines(rest, &printed[skipped..])),
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, others)| one(first, line) && lines(rest, others))
        }
    }
}

/// The pieces between the gaps, in their order: the first at the beginning, the last at the end.
fn one(shown: &str, printed: &str) -> bool {
    let Some((first, rest)) = shown.split_once("...") else { return shown == printed };
    let Some(mut left) = printed.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split("...").collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, behind)) = left.split_once(piece) else { return false };
        left = behind;
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::is;

    fn shown(page: &str, printed: &str) -> bool {
        let lines: Vec<String> = page.lines().map(str::to_owned).collect();
        is(&lines, printed)
    }

    #[test]
    fn the_same() {
        for (page, printed) in [
            ("", ""),
            ("", "\n"),
            ("a\nb", "a\r\nb\n\n"),
            ("NAME   AGE\nx      1s", "NAME       AGE   \nx          1s"),
            ("a...c", "abc"),
            ("a...", "a"),
            ("... ready", "pod x ready"),
            ("a...c...e", "a b c d e"),
            ("...", ""),
            ("...", "a\nb"),
            ("a\n...\nd", "a\nb\nc\nd"),
            ("...\nb\n...", "a\nb\nb"),
            ("{\n  \"a\": 1\n}", "{\n  \"a\": 1\n}"),
        ] {
            assert!(shown(page, printed), "{page:?} {printed:?}");
        }
    }

    #[test]
    fn not_the_same() {
        for (page, printed) in [
            ("", "a"),
            ("a", ""),
            ("a", "a\nb"),
            ("a\nb", "a"),
            ("a", "ab"),
            ("a", "ba"),
            ("a...c", "abd"),
            ("a...c", "xabc"),
            ("ab...bc", "abc"),
            ("a...b...b", "ab"),
            ("a\n...\nd", "a\nb"),
            ("a b", "ab"),
            ("a", " a"),
        ] {
            assert!(!shown(page, printed), "{page:?} {printed:?}");
        }
    }
}
