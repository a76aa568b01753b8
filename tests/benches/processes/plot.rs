//! Distributions as pictures.

use std::{fs, path::Path};

use plotters::prelude::*;

use crate::numbers::Sorted;

/// The colours that people with any kind of sight tell apart (Okabe and Ito's).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(0, 158, 115),
];

/// Draws how many of a hundred took no longer, by how long they took.
pub(crate) fn draw(file: &Path, title: &str, series: &[(&str, Sorted)]) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let area = SVGBackend::new(file, (760, 380)).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        // The last number of the axis is wider than that.
        .margin_right(28)
        .caption(title, ("sans-serif", 18))
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d((1.0..100_000.0).log_scale(), 0.0..100.0)
        .unwrap();
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("milliseconds; what took less than one stands at one")
        .y_desc("of a hundred, so many took no longer")
        .x_label_formatter(&|it| format!("{it}"))
        .draw()
        .unwrap();
    for ((name, numbers), colour) in series.iter().zip(COLOURS) {
        let line = chart.draw_series(LineSeries::new(steps(numbers), colour.stroke_width(2)));
        let mark = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
        line.unwrap().label(*name).legend(mark);
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .draw()
        .unwrap();
    area.present().unwrap();
}

/// The corners of the staircase.
fn steps(numbers: &Sorted) -> Vec<(f64, f64)> {
    let millis: Vec<f64> = numbers.0.iter().map(|it| (it * 1e3).max(1.0)).collect();
    #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
    let share = |count: usize| 100.0 * count as f64 / millis.len() as f64;
    let corners = millis.iter().enumerate();
    let corners = corners.flat_map(|(rank, &at)| [(at, share(rank)), (at, share(rank + 1))]);
    corners.collect()
}
