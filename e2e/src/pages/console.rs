//! The commands of a page.

use anyhow::{Context, Result};

/// How the block of a file begins, up to the file's name.
const FILE: &str = "```yaml file=";
/// What ends a file where it is typed.
const END: &str = "END OF FILE";

/// A command, and what the page shows below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Its line in the page, from 1.
    pub(super) line: usize,
    /// What the reader types.
    pub(super) typed: String,
    /// What the page says that it prints, line by line.
    pub(super) shown: Vec<String>,
}

/// The commands of all `console` blocks, in their order. A block that begins with ` ```yaml file=NAME ` is a file that its reader saves:
/// a command that writes it.
///
/// # Errors
/// When a block does not begin with a command, or does not end.
pub(super) fn commands(text: &str) -> Result<Vec<Command>> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, opens)) = lines.find(|(_, text)| *text == "```console" || text.starts_with(FILE)) {
        if let Some(name) = opens.strip_prefix(FILE) {
            let content: Vec<&str> = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```").collect();
            let typed = format!("cat > {name} <<'{END}'\n{}\n{END}", content.join("\n"));
            found.push(Command { line, typed, shown: Vec::new() });
            continue;
        }
        let mut block: Vec<Command> = Vec::new();
        loop {
            let (line, text) = lines.next().with_context(|| format!("the block of line {line} does not end"))?;
            if text == "```" {
                break;
            }
            if let Some(typed) = text.strip_prefix("$ ") {
                block.push(Command { line, typed: typed.to_owned(), shown: Vec::new() });
                continue;
            }
            let command = block.last_mut().with_context(|| format!("line {line} belongs to no command"))?;
            match text.strip_prefix('>') {
                Some(more) if command.shown.is_empty() => {
                    command.typed.push('\n');
                    command.typed.push_str(more.strip_prefix(' ').unwrap_or(more));
                }
                _ => command.shown.push(text.to_owned()),
            }
        }
        found.append(&mut block);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_all_blocks_in_order() {
        let page = "# Page\n```console\n$ one\n1\n\n> 2\n$ two\n```\nwords\n```sh\n$ not this\n```\n```console\n$ three <<E\n> a\n>\n>   b\n3\n```\n";
        let command = |line, typed: &str, shown: &[&str]| Command {
            line,
            typed: typed.to_owned(),
            shown: shown.iter().map(|line| line.to_string()).collect(),
        };
        let wanted =
            [command(3, "one", &["1", "", "> 2"]), command(7, "two", &[]), command(14, "three <<E\na\n\n  b", &["3"])];
        assert_eq!(commands(page).unwrap(), wanted);
    }

    #[test]
    fn a_file_is_saved_where_it_stands() {
        let page = "```yaml\na: 1\n```\n```yaml file=a.yaml\na:\n  - $b\n```\n```console\n$ one\n```\n";
        let read = commands(page).unwrap();
        let typed: Vec<(usize, &str)> = read.iter().map(|command| (command.line, command.typed.as_str())).collect();
        assert_eq!(typed, [(4, "cat > a.yaml <<'END OF FILE'\na:\n  - $b\nEND OF FILE"), (9, "one")]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (page, why) in [
            ("```console\n1\n```", "line 2 belongs to no command"),
            ("```console\n$ one\n", "the block of line 1 does not end"),
            ("```console\n$ one\n```\n```console\n1\n```", "line 5 belongs to no command"),
        ] {
            assert_eq!(commands(page).unwrap_err().to_string(), why);
        }
    }
}
