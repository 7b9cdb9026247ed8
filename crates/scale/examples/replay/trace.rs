//! Reading the Azure Functions traces.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
};

use csv::{ReaderBuilder, StringRecord};

use crate::{
    error::Error,
    function::{Calls, Function, MINUTE_MS},
};

const WANTED: &str = "HashOwner,HashApp,HashFunction,Trigger,1,2,… (2019) or app,func,end_timestamp,duration (2021)";

/// Reads the functions of either layout: the first so many of them, and their first so many minutes.
pub(crate) fn read(path: &Path, functions: usize, minutes: Option<usize>) -> Result<Vec<Function>, Error> {
    let table = Table::open(path)?;
    let read = if table.begins_with(&["HashOwner", "HashApp", "HashFunction", "Trigger", "1"]) {
        per_minute(table, functions, minutes)?
    } else if table.begins_with(&["app", "func", "end_timestamp", "duration"]) {
        exact(table, functions, minutes)?
    } else {
        return Err(table.unknown(WANTED));
    };
    if read.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(read) }
}

fn per_minute(mut table: Table, functions: usize, minutes: Option<usize>) -> Result<Vec<Function>, Error> {
    const FIRST: usize = 4;
    let in_order = table.header.iter().skip(FIRST).zip(1_usize..).all(|(name, minute)| name == minute.to_string());
    if !in_order {
        return Err(table.unknown("the minutes 1, 2, 3, … as columns after Trigger"));
    }
    let columns = table.header.len().min(minutes.map_or(usize::MAX, |minutes| FIRST.saturating_add(minutes)));
    let mut all = Vec::new();
    while all.len() < functions
        && let Some(row) = table.next()?
    {
        let counts: Result<_, _> = (FIRST..columns).map(|column| row.count(column)).collect();
        all.push(Function { name: row.name(), calls: Calls::PerMinute(counts?), durations: None });
    }
    Ok(all)
}

fn exact(mut table: Table, functions: usize, minutes: Option<usize>) -> Result<Vec<Function>, Error> {
    const SECONDS: &str = "a number of seconds, at least 0";
    let end = minutes.map_or(u64::MAX, |minutes| u64::try_from(minutes).unwrap_or(u64::MAX).saturating_mul(MINUTE_MS));
    let mut all = Vec::<Function>::new();
    let mut places = HashMap::new();
    while let Some(row) = table.next()? {
        let (ended, duration) = (row.number(2, SECONDS)?, row.number(3, SECONDS)?);
        let start = milliseconds((ended - duration).max(0.0));
        let name = [row.fields[0].to_owned(), row.fields[1].to_owned(), String::new()];
        if start >= end || (all.len() == functions && !places.contains_key(&name)) {
            continue;
        }
        let place = *places.entry(name.clone()).or_insert_with(|| {
            all.push(Function { name, calls: Calls::Exact(Vec::new()), durations: None });
            all.len() - 1
        });
        if let Calls::Exact(calls) = &mut all[place].calls {
            calls.push((start, milliseconds(duration)));
        }
    }
    Ok(all)
}

fn milliseconds(seconds: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let milliseconds = (seconds * 1000.0).round() as u64;
    milliseconds
}

/// A file of comma-separated values with a header.
pub(crate) struct Table {
    path: PathBuf,
    pub(crate) header: StringRecord,
    reader: csv::Reader<File>,
}

/// One line of it.
pub(crate) struct Row<'a> {
    path: &'a Path,
    line: u64,
    pub(crate) fields: StringRecord,
}

impl Table {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.headers().map_err(|source| Error::Csv { path: path.to_owned(), source })?.clone();
        Ok(Self { path: path.to_owned(), header, reader })
    }

    pub(crate) fn begins_with(&self, names: &[&str]) -> bool {
        names.iter().enumerate().all(|(column, name)| self.header.get(column) == Some(*name))
    }

    pub(crate) fn unknown(&self, wanted: &'static str) -> Error {
        let found = self.header.iter().take(8).collect::<Vec<_>>().join(",");
        Error::Header { path: self.path.clone(), found, wanted }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>, Error> {
        let mut fields = StringRecord::new();
        let more = self.reader.read_record(&mut fields);
        if !more.map_err(|source| Error::Csv { path: self.path.clone(), source })? {
            return Ok(None);
        }
        let line = fields.position().map_or(0, csv::Position::line);
        let (found, wanted) = (fields.len(), self.header.len());
        if found != wanted {
            return Err(Error::Columns { path: self.path.clone(), line, found, wanted });
        }
        Ok(Some(Row { path: &self.path, line, fields }))
    }
}

impl Row<'_> {
    /// The first three fields of a 2019 file.
    pub(crate) fn name(&self) -> [String; 3] {
        [0, 1, 2].map(|column| self.fields[column].to_owned())
    }

    /// A finite number, at least 0.
    pub(crate) fn number(&self, column: usize, wanted: &'static str) -> Result<f64, Error> {
        let number = self.fields[column].trim().parse().ok();
        number.filter(|number: &f64| number.is_finite() && *number >= 0.0).ok_or_else(|| self.wrong(column, wanted))
    }

    fn count(&self, column: usize) -> Result<u32, Error> {
        self.fields[column].trim().parse().map_err(|_| self.wrong(column, "a number of requests"))
    }

    fn wrong(&self, column: usize, wanted: &'static str) -> Error {
        let found = self.fields[column].to_owned();
        Error::Field { path: self.path.to_owned(), line: self.line, column: column + 1, found, wanted }
    }
}

#[cfg(test)]
mod tests;
