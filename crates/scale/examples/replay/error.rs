//! What can be wrong with the files.

use std::path::PathBuf;

/// What can be wrong with the files; lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{path}: {source}")]
    Open { path: PathBuf, source: std::io::Error },
    /// The message of the csv crate names the line.
    #[error("{path}: {source}")]
    Csv { path: PathBuf, source: csv::Error },
    #[error("{path} line 1: the header is that of no known layout: it begins with {found:?}; wanted {wanted}")]
    Header { path: PathBuf, found: String, wanted: &'static str },
    #[error("{path} line {line}: {found} columns, where the header has {wanted}")]
    Columns { path: PathBuf, line: u64, found: usize, wanted: usize },
    #[error("{path} line {line}, column {column}: {found:?} is not {wanted}")]
    Field { path: PathBuf, line: u64, column: usize, found: String, wanted: &'static str },
    #[error("{path}: there is nothing in it but a header")]
    Empty { path: PathBuf },
    #[error("{path}: {problem}")]
    Draw { path: PathBuf, problem: String },
}
