//! Inputs of the fuzz targets: bytes that stand for themselves, or for something longer that matters.

/// Most words that an input of nothing but words has: of random ones a longer list makes no more sense.
const MOST: usize = 32;

/// Bytes from 0x80 on are numbers of `words`; the others are what they are, so that a corpus can be read. If the first byte is
/// such a number all are, which gives random bytes a chance to mean something.
pub(crate) fn spell(input: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let only_words = input.first().is_some_and(|first| *first >= 0x80);
    let most = if only_words { MOST } else { input.len() };
    let word = |byte: u8| words[usize::from(byte & 0x7f) % words.len()];
    let mut spelt = Vec::new();
    for byte in input.iter().take(most) {
        if only_words || *byte >= 0x80 {
            spelt.extend_from_slice(word(*byte));
        } else {
            spelt.push(*byte);
        }
    }
    spelt
}

/// Cuts `bytes` as `input` happens to say.
pub(crate) fn cut<'a>(bytes: &'a [u8], input: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for length in input.iter().rev().map(|byte| usize::from(byte % 23) + 1).cycle() {
        if rest.len() <= length {
            break;
        }
        let (piece, more) = rest.split_at(length);
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}

#[test]
fn words_and_pieces() {
    let words: [&[u8]; 2] = [b"zero", b"one"];
    assert_eq!(spell(b"a\x81b", &words), b"aoneb");
    assert_eq!(spell(b"\x81\x00\x02", &words), b"onezerozero");
    assert_eq!(cut(b"abcdef", b"\x01\x00"), [b"a".as_slice(), b"bc", b"d", b"ef"]);
    assert_eq!(cut(b"abc", b""), [b"abc"]);
}
