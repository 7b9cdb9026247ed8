//! A soak's report as a picture: above, what was asked and what waited; below, how many replicas there were.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, anyhow};
use plotters::{coord::Shift, prelude::*};
use serde_json::Value;

/// Of the Okabe-Ito palette: told apart by people with any kind of colour vision.
const COLOURS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];

/// Over time, in seconds since the run began.
type Line = Vec<(f64, f64)>;

/// Draws a report (as `--json` wrote it) to `path`, as SVG.
///
/// # Errors
/// The report has no load over time, or `path` cannot be written.
pub fn draw(report: &Value, path: &Path) -> Result<()> {
    let series = &report["series"];
    let requests = [
        ("sent per second", per_second(series, "sent")),
        ("in flight or held, by the callers", per_second(series, "in_flight")),
        ("held, by the activators", held(series)),
    ];
    let end = requests.iter().flat_map(|(_, line)| line).map(|(at, _)| *at).fold(0.0, f64::max) + 1.0;
    let replicas = [("replicas wanted", steps(series, "wanted", end)), ("replicas ready", steps(series, "ready", end))];
    anyhow::ensure!(end > 1.0, "there is no load over time in it: is it what `cargo e2e soak NAME --json FILE` wrote?");

    let area = SVGBackend::new(path, (960, 640)).into_drawing_area();
    let drawn = || -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        area.fill(&WHITE)?;
        let (above, below) = area.split_vertically(360);
        let caption = report["about"].as_str().unwrap_or_default();
        chart(&above, caption, "requests", end, &requests)?;
        chart(&below, "", "replicas", end, &replicas)?;
        area.present()
    };
    drawn().map_err(|error| anyhow!("{error}")).with_context(|| format!("cannot write {}", path.display()))
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    unit: &str,
    end: f64,
    lines: &[(&str, Line)],
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let most = lines.iter().flat_map(|(_, line)| line).map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 14))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .x_label_formatter(&|second| format!("{second:.0}"))
        .y_desc(unit)
        .max_light_lines(0)
        .draw()?;
    for ((name, line), colour) in lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(())
}

/// Of all loads together, at the middle of each second; between two loads nothing was sent.
fn per_second(series: &Value, what: &str) -> Line {
    let mut sums: BTreeMap<u64, f64> = BTreeMap::new();
    for second in
        series["load"].as_object().into_iter().flat_map(|loads| loads.values()).filter_map(Value::as_array).flatten()
    {
        if let Some(at) = second["second"].as_u64() {
            *sums.entry(at).or_default() += second[what].as_f64().unwrap_or_default();
        }
    }
    let Some(last) = sums.keys().next_back().copied() else { return Line::new() };
    let all = (0..=last).map(|second| (second, sums.get(&second).copied().unwrap_or_default()));
    // A count of seconds is exact in an f64.
    #[allow(clippy::cast_precision_loss)]
    all.map(|(second, sum)| (second as f64 + 0.5, sum)).collect()
}

/// Of all activators, each with its last word.
fn held(series: &Value) -> Line {
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    let words = series["activators"].as_array().into_iter().flatten();
    words
        .filter_map(|word| {
            let held = word["levels"]["rouse_activator_held_requests"].as_f64().unwrap_or_default();
            last.insert(word["activator"].as_str()?, held);
            Some((word["at"].as_f64()?, last.values().sum()))
        })
        .collect()
}

/// Of all Deployments, in steps.
fn steps(series: &Value, what: &str, end: f64) -> Line {
    let mut now: BTreeMap<&str, f64> = BTreeMap::new();
    let mut line = vec![(0.0, 0.0)];
    for change in series["replicas"].as_array().into_iter().flatten() {
        let (Some(at), Some(deployment)) = (change["at"].as_f64(), change["deployment"].as_str()) else { continue };
        let before = line.last().map_or(0.0, |(_, y)| *y);
        now.insert(deployment, change[what].as_f64().unwrap_or_default());
        line.extend([(at, before), (at, now.values().sum())]);
    }
    line.push((end, line.last().map_or(0.0, |(_, y)| *y)));
    line.retain(|(at, _)| *at <= end);
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn loads_and_replicas_are_added_up_over_time() {
        let series = json!({
            "load": {"a": [{"second": 0, "sent": 3, "in_flight": 1}, {"second": 2, "sent": 4, "in_flight": 2}],
                     "b": [{"second": 2, "sent": 10, "in_flight": 5}]},
            "activators": [{"activator": "x", "at": 0.5, "levels": {"rouse_activator_held_requests": 2.0}},
                           {"activator": "y", "at": 1.0, "levels": {"rouse_activator_held_requests": 3.0}},
                           {"activator": "x", "at": 2.0, "levels": {}}],
            "replicas": [{"at": 1.0, "deployment": "d", "wanted": 2, "ready": 0}, {"at": 2.0, "deployment": "e", "wanted": 1, "ready": 1}],
        });
        assert_eq!(per_second(&series, "sent"), [(0.5, 3.0), (1.5, 0.0), (2.5, 14.0)]);
        assert_eq!(held(&series), [(0.5, 2.0), (1.0, 5.0), (2.0, 3.0)]);
        let wanted = steps(&series, "wanted", 4.0);
        assert_eq!(wanted, [(0.0, 0.0), (1.0, 0.0), (1.0, 2.0), (2.0, 2.0), (2.0, 3.0), (4.0, 3.0)]);

        let path = std::env::temp_dir().join(format!("soak-{}.svg", std::process::id()));
        draw(&json!({"about": "a run", "series": series}), &path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.trim_end().ends_with("</svg>") && svg.contains("a run") && svg.contains("replicas ready"));
        std::fs::remove_file(&path).unwrap();
        assert!(draw(&json!({}), &path).unwrap_err().to_string().contains("no load over time"));
    }
}
