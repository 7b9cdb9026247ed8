//! The replicas over time as SVG.

use std::path::Path;

use plotters::prelude::*;

use crate::{error::Error, function::MINUTE_MS, outcome::Outcome};

/// Of the Okabe-Ito palette: told apart by people with any kind of colour vision.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(230, 159, 0),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
];

/// One line a policy: the average number of replicas, of all functions, in each minute.
pub(crate) fn draw(path: &Path, outcomes: &[(&str, Outcome)], synthetic: bool) -> Result<(), Error> {
    chart(path, outcomes, synthetic)
        .map_err(|problem| Error::Draw { path: path.to_owned(), problem: problem.to_string() })
}

#[allow(clippy::cast_precision_loss)]
fn chart(
    path: &Path,
    outcomes: &[(&str, Outcome)],
    synthetic: bool,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let replicas = |replica_ms: &u64| *replica_ms as f64 / MINUTE_MS as f64;
    let all = outcomes.iter().flat_map(|(_, outcome)| &outcome.minutes).map(replicas);
    let most = all.fold(1.0, f64::max) * 1.1;
    let minutes = outcomes.iter().map(|(_, outcome)| outcome.minutes.len()).max().unwrap_or(0).max(1) as f64;
    let caption = if synthetic { "Replicas over time (SYNTHETIC load)" } else { "Replicas over time" };

    let area = SVGBackend::new(path, (960, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..minutes, 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc("minute")
        .x_label_formatter(&|minute| format!("{minute:.0}"))
        .y_desc("replicas of all functions")
        .max_light_lines(0)
        .draw()?;
    for ((name, outcome), colour) in outcomes.iter().zip(COLOURS.into_iter().cycle()) {
        // A minute's average stands at its middle.
        let points = outcome.minutes.iter().enumerate().map(|(minute, sum)| (minute as f64 + 0.5, replicas(sum)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    area.present()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_one_name_a_policy() {
        let path = std::env::temp_dir().join(format!("replay-{}.svg", std::process::id()));
        for minutes in [0, 1, 480] {
            let one = Outcome { minutes: vec![MINUTE_MS * 3; minutes], ..Outcome::default() };
            draw(&path, &[("first", one.clone()), ("second", one)], true).unwrap();
            let svg = std::fs::read_to_string(&path).unwrap();
            assert!(svg.trim_end().ends_with("</svg>") && svg.contains("SYNTHETIC"), "{minutes}");
            assert!(svg.contains("first") && svg.contains("second"), "{minutes}");
            let blue = COLOURS[0];
            let blue = format!("stroke=\"#{:02X}{:02X}{:02X}\"", blue.0, blue.1, blue.2);
            assert!(svg.contains(&blue), "{minutes}");
        }
        std::fs::remove_file(path).unwrap();
        assert!(draw(Path::new("/no/such/place.svg"), &[], false).unwrap_err().to_string().contains("place.svg"));
    }
}
