//! Several small pieces, written as one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Up to here to copy the pieces together costs less than to have the kernel gather them, in bytes: most heads with a short
/// body.
const SMALL: usize = 2048;

/// Writes the pieces, as many of their bytes as go.
///
/// # Errors
/// The socket's.
pub fn write<S: AsyncWrite>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let mut filled = pieces.iter().filter(|piece| !piece.is_empty());
    match (filled.next(), filled.next()) {
        (None, _) => stream.poll_write(cx, &[]),
        (Some(only), None) => stream.poll_write(cx, only),
        _ => {
            let mut together = [0; SMALL];
            match copy(pieces, &mut together) {
                Some(bytes) => stream.poll_write(cx, bytes),
                None => stream.poll_write_vectored(cx, pieces),
            }
        }
    }
}

/// All pieces in a row, if there is room for them.
fn copy<'a>(pieces: &[IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for piece in pieces {
        room.get_mut(end..end + piece.len())?.copy_from_slice(piece);
        end += piece.len();
    }
    room.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_in_a_row_where_there_is_room() {
        let pieces = [b"ab".as_slice(), b"", b"cde"].map(IoSlice::new);
        assert_eq!(copy(&pieces, &mut [0; 5]), Some(b"abcde".as_slice()));
        assert_eq!(copy(&pieces, &mut [0; 9]), Some(b"abcde".as_slice()));
        assert_eq!(copy(&pieces, &mut [0; 4]), None);
    }
}
