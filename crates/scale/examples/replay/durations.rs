//! How long the requests of a 2019 trace take.

use std::{collections::HashMap, path::Path};

use crate::{error::Error, function::Function, trace::Table};

const PERCENTILE: &str = "percentile_Average_";

/// Lengths of one function's requests: percent and milliseconds, rising in both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Durations(Vec<(f64, f64)>);

impl Durations {
    /// Points must be in order of their percent.
    pub(crate) fn new(mut points: Vec<(f64, f64)>) -> Self {
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Self(points)
    }

    /// The length of which the given share of the requests, 0 to 1, is shorter; straight lines between the points.
    pub(crate) fn at(&self, share: f64) -> u64 {
        let percent = share * 100.0;
        let after = self.0.partition_point(|(of, _)| *of <= percent);
        let milliseconds = match (after.checked_sub(1).map(|before| self.0[before]), self.0.get(after).copied()) {
            (Some((from, short)), Some((to, long))) => short + (long - short) * (percent - from) / (to - from),
            (Some((_, only)), None) | (None, Some((_, only))) => only,
            (None, None) => 0.0,
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = milliseconds.round().max(1.0) as u64;
        whole
    }
}

/// The durations of all functions.
pub(crate) struct All(HashMap<[String; 3], Durations>);

impl All {
    /// Gives each function its own, if there are any.
    pub(crate) fn give(&self, functions: &mut [Function]) {
        for function in functions {
            function.durations = self.0.get(&function.name).cloned();
        }
    }
}

/// Reads the 2019 layout.
pub(crate) fn read(path: &Path) -> Result<All, Error> {
    const WANTED: &str =
        "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum and columns percentile_Average_0 to _100";
    let mut table = Table::open(path)?;
    let begins = ["HashOwner", "HashApp", "HashFunction", "Average", "Count", "Minimum", "Maximum"];
    let columns: Vec<(usize, f64)> = table
        .header
        .iter()
        .enumerate()
        .filter_map(|(column, name)| Some((column, name.strip_prefix(PERCENTILE)?.parse().ok()?)))
        .collect();
    if !table.begins_with(&begins) || columns.len() < 2 {
        return Err(table.unknown(WANTED));
    }
    let mut all = HashMap::new();
    while let Some(row) = table.next()? {
        let points: Result<_, _> = columns
            .iter()
            .map(|(column, percent)| {
                let wanted = "a number of milliseconds, at least 0";
                Ok((*percent, row.number(*column, wanted)?))
            })
            .collect();
        all.insert(row.name(), Durations::new(points?));
    }
    if all.is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    Ok(All(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_points_is_a_straight_line() {
        let durations = Durations::new(vec![(100.0, 900.0), (0.0, 10.0), (50.0, 100.0)]);
        for (share, milliseconds) in [(0.0, 10), (0.25, 55), (0.5, 100), (0.75, 500), (1.0, 900)] {
            assert_eq!(durations.at(share), milliseconds, "{share}");
        }
        assert_eq!(Durations::new(vec![(50.0, 0.0)]).at(0.1), 1);
    }
}
