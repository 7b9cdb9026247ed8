//! Texts that are too long for where they go.

const CUT: &str = "…";

/// `text` in at most `most` bytes. Of several lines the middle goes, as a trace says at one of its ends what happened: Node's at
/// its beginning, Python's at its end. Of one line, the end.
pub fn to_bytes(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let Some(room) = most.checked_sub(CUT.len()) else { return String::new() };
    // Whole lines of the last two thirds, or as much of the last line as fits.
    let from = text.len() - (room - room / 3);
    let tail = text.get(ceil(text, from)..).unwrap_or_default();
    let tail = tail.split_once('\n').map(|(_, whole)| whole).filter(|whole| !whole.trim().is_empty());
    let Some(tail) = tail else { return format!("{}{CUT}", &text[..floor(text, room)]) };
    // What the last lines leave, and that they are lines.
    let Some(room) = room.checked_sub(tail.len() + 2) else { return tail.to_owned() };
    let head = &text[..floor(text, room)];
    let head = head.rsplit_once('\n').map_or(head, |(whole, _)| whole);
    format!("{head}\n{CUT}\n{tail}")
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_ends_of_a_trace_are_kept() {
        let frames: String = (0..99).map(|n| format!("  File \"function.py\", line {n}, in f\n")).collect();
        let trace = format!("The source raised ValueError.\nTraceback:\n{frames}ValueError: seven\n");
        let short = to_bytes(&trace, 200);
        assert!(short.starts_with("The source raised ValueError.\nTraceback:\n"), "{short}");
        assert!(short.contains("\n…\n") && short.ends_with("line 98, in f\nValueError: seven\n"), "{short}");
    }

    #[test]
    fn a_single_line_loses_its_end() {
        assert_eq!(to_bytes(&"é".repeat(9), 10), "ééé…");
        assert_eq!(to_bytes(&format!("one\n{}", "x".repeat(99)), 10), "one\nxxx…");
        assert_eq!((to_bytes("short", 5).as_str(), to_bytes("longer", 2).as_str()), ("short", ""));
    }

    proptest! {
        #[test]
        fn it_fits(text in "[a-zé\n]{0,200}", most in 0_usize..150) {
            let short = to_bytes(&text, most);
            prop_assert!(short.len() <= most, "{} bytes", short.len());
            prop_assert!(text.len() > most || short == text);
        }
    }
}
