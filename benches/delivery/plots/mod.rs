//! Draws the plots as SVG files.

mod cost;
mod load;

use std::fmt::Write;
use std::path::Path;

use crate::Error;
use crate::report::WorkloadReport;

const WIDTH: f64 = 760.0;
const MARGIN_LEFT: f64 = 64.0;
const MARGIN_TOP: f64 = 44.0;
/// The colors of the Okabe–Ito palette, which people with color blindness can distinguish.
const COLORS: [&str; 7] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442",
];
/// An image has its own background, because a page doesn't tell an image whether the page is dark.
const STYLE: &str = "<style>.back{fill:#fff}text{fill:#222}.grid{stroke:#ccc}\
    .shade{fill:#f0f0f0}@media(prefers-color-scheme:dark){.back{fill:#16181d}text{fill:#ddd}\
    .grid{stroke:#444}.shade{fill:#22262e}}</style>";

/// Writes the plots of the measured workloads to a directory.
pub fn write_all(dir: &Path, reports: &[WorkloadReport]) -> Result<(), Error> {
    std::fs::create_dir_all(dir)?;
    if let Some(report) = reports.iter().find(|report| report.key == "w7") {
        std::fs::write(dir.join("load.svg"), load::svg(report))?;
    }
    if reports
        .iter()
        .any(|report| ["w1", "w2", "w5"].contains(&report.key))
    {
        std::fs::write(dir.join("performance.svg"), cost::svg(reports))?;
    }
    Ok(())
}

/// Starts an image. `label` describes the image for screen readers.
fn start_svg(height: f64, label: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{label}\">\n{STYLE}\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" class=\"back\"/>\n"
    )
}

fn draw_title(svg: &mut String, y: f64, title: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{y}\" font-weight=\"bold\">{title}</text>"
    );
}

fn draw_text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

fn draw_grid_line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        svg,
        "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" class=\"grid\"/>"
    );
}

/// Draws a line through points. `style` contains additional attributes.
fn draw_curve(svg: &mut String, points: &[(f64, f64)], color: &str, style: &str) {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"{style}/>"
    );
}
