//! The answers of a reader on one connection, as its caller sees them.

use anyhow::{Context, Result, bail};

use super::reading::Reading;

/// What became of the bytes that a reader was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The requests that it has read, in order.
    pub readings: Vec<Reading>,
    /// The status with which it refused what came behind them.
    pub refused: Option<u16>,
    /// It was still waiting for more when the patience of its caller was at an end.
    pub waits: bool,
}

/// Takes the answers apart as they come.
#[derive(Debug, Default)]
pub(super) struct Parser {
    bytes: Vec<u8>,
    pub(super) answers: Answers,
}

impl Parser {
    /// Goes on through what has come.
    ///
    /// # Errors
    /// When it is no answer of a reader.
    pub(super) fn came(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        // Behind a refusal there is nothing but its text.
        while self.answers.refused.is_none()
            && let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
            self.head(&String::from_utf8_lossy(&head))?;
        }
        Ok(())
    }

    fn head(&mut self, head: &str) -> Result<()> {
        let status: u16 = head.get(9..12).and_then(|digits| digits.parse().ok()).with_context(|| head.to_owned())?;
        match (status, field(head, "x-reading")) {
            (100..200, _) => {}
            (200, Some(digits)) => self.answers.readings.push(Reading::parse(digits)?),
            (400.., _) => self.answers.refused = Some(status),
            _ => bail!("no reader answers this: {head:?}"),
        }
        Ok(())
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_pieces() {
        let json = r#"{"method":"GET","target":"/","host":"a","fields":[],"body":""}"#;
        let digits: String = json.bytes().map(|byte| format!("{byte:02x}")).collect();
        let one = format!("HTTP/1.1 200 OK\r\nX-READING: {digits}\r\nContent-Length: 0\r\n\r\n");
        let all = format!("HTTP/1.1 100 Continue\r\n\r\n{one}{one}HTTP/1.1 400 Bad Request\r\n\r\nHTTP/1.1 is\r\n\r\n");
        let mut parser = Parser::default();
        for byte in all.bytes() {
            parser.came(&[byte]).unwrap();
        }
        assert_eq!((parser.answers.readings.len(), parser.answers.refused), (2, Some(400)));
        assert!(Parser::default().came(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
