//! Medians, how far the runs lay apart, and ratios to nginx; as rows of the JSON and as a table.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use super::cell::Cell;
use super::order::Turn;
use super::rival::Proxy;
use crate::bench::h2load::Figures;

/// One proxy under one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Which proxy.
    pub proxy: Proxy,
    /// Which load.
    #[serde(flatten)]
    pub cell: Cell,
    /// Medians, by nearest rank.
    #[serde(flatten)]
    pub median: Figures,
    /// How many runs.
    pub n: usize,
    /// Smallest of the runs.
    pub min: Figures,
    /// Largest of the runs.
    pub max: Figures,
    /// Medians of each run as a multiple of nginx' run of the same round.
    pub to_nginx: Figures,
}

/// The rows, cell by cell. Every proxy must have run in every round.
pub(super) fn rows(cells: &[Cell], runs: &[(Turn, Figures)]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for cell in cells {
        let of = |proxy| -> BTreeMap<usize, Figures> {
            let its = runs.iter().filter(|(turn, _)| turn.cell == *cell && turn.proxy == proxy);
            its.map(|(turn, figures)| (turn.round, *figures)).collect()
        };
        let nginx = of(Proxy::Nginx);
        for proxy in Proxy::ALL {
            let all = of(proxy);
            let ratios: Option<Vec<Figures>> =
                all.iter().map(|(round, figures)| Some(figures.over(*nginx.get(round)?))).collect();
            let ratios = ratios.context("nginx has not run in every round")?;
            let all: Vec<Figures> = all.into_values().collect();
            let none = || format!("{proxy} has not run {cell}");
            rows.push(Row {
                proxy,
                cell: *cell,
                n: all.len(),
                median: Figures::each(&all, |spread| spread.p50).with_context(none)?,
                min: Figures::each(&all, |spread| spread.min).with_context(none)?,
                max: Figures::each(&all, |spread| spread.max).with_context(none)?,
                to_nginx: Figures::each(&ratios, |spread| spread.p50).with_context(none)?,
            });
        }
    }
    Ok(rows)
}

/// The same for people.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut cell = None;
    for row in rows {
        if cell.replace(row.cell) != Some(row.cell) {
            let _ = write!(text, "\n{:<16}", row.cell.to_string());
            for (head, width) in COLUMNS {
                let _ = write!(text, " {head:>width$}");
            }
            text.push('\n');
        }
        let Row { median, min, max, to_nginx, .. } = row;
        let spread = |min: f64, max: f64, digits: usize| format!("{min:.digits$} to {max:.digits$}");
        let number = |value: Option<f64>, digits: usize| value.map(|value| format!("{value:.digits$}"));
        let fields = [
            number(Some(median.rps), 0),
            Some(spread(min.rps, max.rps, 0)),
            number(Some(median.p50_us), 0),
            number(Some(median.p99_us), 0),
            number(Some(median.mean_us), 0),
            number(median.cpu_us, 1),
            min.cpu_us.zip(max.cpu_us).map(|(min, max)| spread(min, max, 1)),
            number(to_nginx.cpu_us, 2),
            number(median.rss_kib.map(|kib| kib / 1024.0), 1),
        ];
        let _ = write!(text, "  {:<14}", row.proxy);
        for (field, (_, width)) in fields.into_iter().zip(COLUMNS) {
            let _ = write!(text, " {:>width$}", field.as_deref().unwrap_or("-"));
        }
        text.push('\n');
    }
    text
}

/// Head and width of each.
const COLUMNS: [(&str, usize); 9] = [
    ("requests/s", 10),
    ("min to max", 16),
    ("p50 µs", 7),
    ("p99 µs", 7),
    ("mean µs", 7),
    ("CPU µs", 7),
    ("min to max", 16),
    ("to nginx", 8),
    ("RSS MiB", 7),
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::order::turns;
    use super::*;

    fn figures(factor: f64, proxy: bool) -> Figures {
        Figures {
            rps: 1_000.0 / factor,
            p50_us: 10.0 * factor,
            p99_us: 40.0 * factor,
            mean_us: 20.0 * factor,
            cpu_us: proxy.then_some(8.0 * factor),
            rss_kib: proxy.then_some(2_048.0),
        }
    }

    /// Three rounds on a machine that is twice as slow in the second and four times in the third. The activator costs 1, 3 and
    /// 1.25 times what nginx does.
    fn runs(cells: &[Cell]) -> Vec<(Turn, Figures)> {
        let run = |turn: Turn| {
            let machine = [1.0, 2.0, 4.0][turn.round];
            let itself = if turn.proxy == Proxy::Activator { [1.0, 3.0, 1.25][turn.round] } else { 1.0 };
            (turn, figures(machine * itself, turn.proxy != Proxy::None))
        };
        turns(3, cells).into_iter().map(run).collect()
    }

    fn row(rows: &[Row], proxy: Proxy) -> Value {
        serde_json::to_value(rows.iter().find(|row| row.proxy == proxy).unwrap()).unwrap()
    }

    #[test]
    fn ratios_are_of_pairs_and_a_row_has_the_keys_asked_for() {
        let cells = &Cell::all()[3..4];
        let rows = rows(cells, &runs(cells)).unwrap();
        let order: Vec<Proxy> = rows.iter().map(|row| row.proxy).collect();
        assert_eq!(order, Proxy::ALL);
        let activator = row(&rows, Proxy::Activator);
        // Of pairs 1.25; of the medians it would be 40 to 16.
        let ratio =
            json!({"rps": 0.8, "p50_us": 1.25, "p99_us": 1.25, "mean_us": 1.25, "cpu_us": 1.25, "rss_kib": 1.0});
        assert_eq!(activator["to_nginx"], ratio);
        assert_eq!((&activator["min"]["cpu_us"], &activator["max"]["cpu_us"]), (&json!(8.0), &json!(48.0)));
        let flat: Vec<(&String, &Value)> =
            activator.as_object().unwrap().iter().filter(|(_, value)| !value.is_object()).collect();
        let wanted = json!({
            "proxy": "activator", "connections": 64, "body_bytes": 13, "protocol": "http1", "rps": 200.0, "p50_us": 50.0,
            "p99_us": 200.0, "mean_us": 100.0, "cpu_us": 40.0, "rss_kib": 2048.0, "n": 3,
        });
        assert_eq!(flat, wanted.as_object().unwrap().iter().collect::<Vec<_>>());
    }

    #[test]
    fn without_a_proxy_there_is_no_cpu_time() {
        let cells = &Cell::all()[..1];
        let rows = rows(cells, &runs(cells)).unwrap();
        let none = row(&rows, Proxy::None);
        assert_eq!((&none["cpu_us"], &none["to_nginx"]["cpu_us"]), (&Value::Null, &Value::Null));
        assert_eq!((&none["rps"], &none["to_nginx"]["rps"]), (&json!(500.0), &json!(1.0)));
    }

    #[test]
    fn a_proxy_that_has_not_run_is_an_error() {
        let cells = &Cell::all()[..1];
        let mut runs = runs(cells);
        runs.retain(|(turn, _)| turn.proxy != Proxy::Nginx);
        assert!(rows(cells, &runs).unwrap_err().to_string().contains("nginx"));
    }

    #[test]
    fn the_table_has_a_head_for_each_load_and_a_line_for_each_proxy() {
        let cells = &Cell::all()[..2];
        let text = table(&rows(cells, &runs(cells)).unwrap());
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 2 * 6, "{text}");
        assert!(lines[0].starts_with("http1/1/13 ") && lines[6].starts_with("http1/1/16384 "), "{text}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[1]), "none 500 250 to 1000 20 80 40 - - - -");
        assert_eq!(words(lines[5]), "activator 200 167 to 1000 50 200 100 40.0 8.0 to 48.0 1.25 2.0");
        let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    }
}
