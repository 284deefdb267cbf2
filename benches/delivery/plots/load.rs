//! The plot of W7: how long deliveries take at each load, on a logarithmic scale.

use std::fmt::Write;

use super::{
    COLORS, MARGIN_LEFT, MARGIN_TOP, WIDTH, draw_curve, draw_grid_line, draw_text, draw_title,
    start_svg,
};
use crate::report::WorkloadReport;
use crate::workloads::open_loop::{DELIVERED_IN_A_BURST, LOADS, metric_name};

const HEIGHT: f64 = 380.0;
const BOTTOM: f64 = HEIGHT - 60.0;
const RIGHT: f64 = WIDTH - 24.0;
/// The load at the right edge, in percent.
const LOAD_MAX: f64 = 130.0;
/// Powers of ten of the lowest and the highest time on the y-axis, in milliseconds.
const DECADES: (i32, i32) = (-1, 4);

struct Curve {
    metric: &'static str,
    label: &'static str,
    color: &'static str,
    /// Additional attributes.
    style: &'static str,
}

const CURVES: [Curve; 3] = [
    Curve {
        metric: "acceptance p99",
        label: "99% of the requests are accepted within",
        color: COLORS[5],
        style: " stroke-dasharray=\"5 4\"",
    },
    Curve {
        metric: "acceptance to arrival p99",
        label: "then 99% of the deliveries arrive within",
        color: COLORS[0],
        style: "",
    },
    Curve {
        metric: "acceptance to arrival p50",
        label: "then half of the deliveries arrive within",
        color: COLORS[4],
        style: "",
    },
];

pub fn svg(report: &WorkloadReport) -> String {
    let mut svg = start_svg(HEIGHT, "Time from acceptance to arrival at each load");
    draw_title(&mut svg, 24.0, "Acceptance and delivery under load");
    draw_axes(&mut svg, report);
    for (index, curve) in CURVES.iter().enumerate() {
        let median = |load: &u64| report.median(&metric_name(*load, curve.metric));
        let point = |load: &u64| Some((x_of(*load as f64), y_of(median(load)?)));
        let points: Vec<(f64, f64)> = LOADS.iter().filter_map(point).collect();
        draw_curve(&mut svg, &points, curve.color, curve.style);
        for (x, y) in points {
            let color = curve.color;
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>"
            );
        }
        let (x, y) = (MARGIN_LEFT + 14.0, MARGIN_TOP + 16.0 + index as f64 * 17.0);
        let sample = [(x, y - 4.0), (x + 26.0, y - 4.0)];
        draw_curve(&mut svg, &sample, curve.color, curve.style);
        draw_text(&mut svg, x + 34.0, y, "start", curve.label);
    }
    svg.push_str("</svg>\n");
    svg
}

fn x_of(load: f64) -> f64 {
    MARGIN_LEFT + (RIGHT - MARGIN_LEFT) * load / LOAD_MAX
}

/// Returns the position of a time in milliseconds. Times outside the axis are drawn at its end.
fn y_of(millis: f64) -> f64 {
    let (lowest, highest) = (f64::from(DECADES.0), f64::from(DECADES.1));
    let decade = millis.log10().clamp(lowest, highest);
    BOTTOM - (BOTTOM - MARGIN_TOP) * (decade - lowest) / (highest - lowest)
}

fn draw_axes(svg: &mut String, report: &WorkloadReport) {
    let (x, width, height) = (x_of(100.0), RIGHT - x_of(100.0), BOTTOM - MARGIN_TOP);
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{MARGIN_TOP}\" width=\"{width:.1}\" height=\"{height}\" \
         class=\"shade\"/>"
    );
    draw_text(svg, x + 6.0, MARGIN_TOP + 16.0, "start", "overload");
    for decade in DECADES.0..=DECADES.1 {
        let millis = 10_f64.powi(decade);
        let y = y_of(millis);
        let label = if millis < 1000.0 {
            format!("{millis} ms")
        } else {
            format!("{} s", millis / 1000.0)
        };
        draw_grid_line(svg, (MARGIN_LEFT, y), (RIGHT, y));
        draw_text(svg, MARGIN_LEFT - 6.0, y + 4.0, "end", &label);
    }
    for load in LOADS {
        let label = format!("{load}%");
        draw_text(svg, x_of(load as f64), BOTTOM + 18.0, "middle", &label);
    }
    let capacity = report.median(DELIVERED_IN_A_BURST).unwrap_or(0.0);
    let title = format!("load (100% = {capacity:.0} deliveries per second to 5 webhooks)");
    let center = (MARGIN_LEFT + RIGHT) / 2.0;
    draw_text(svg, center, BOTTOM + 40.0, "middle", &title);
}
