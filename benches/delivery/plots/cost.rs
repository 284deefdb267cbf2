//! The plot of costs, which has two panels. The first compares the CPU cost of a delivery, by
//! thread, with the bare loop. The second shows the delivery rate while a backlog drains.

use std::fmt::Write;

use super::{
    COLORS, MARGIN_LEFT, MARGIN_TOP, WIDTH, draw_curve, draw_grid_line, draw_text, draw_title,
    start_svg,
};
use crate::report::{WorkloadReport, format_number};

const PANEL_HEIGHT: f64 = 300.0;
const PLOT_HEIGHT: f64 = 190.0;
const GRAY: &str = "#999";
const BARE_LOOP: &str = "bare loop";

/// A stacked bar: its name and its segments from the bottom up.
type Bar = (String, Vec<(String, f64)>);

pub fn svg(reports: &[WorkloadReport]) -> String {
    let label = "CPU cost of a delivery and rate of a draining backlog";
    let mut svg = start_svg(2.0 * PANEL_HEIGHT, label);
    draw_cost(&mut svg, reports, 0.0);
    draw_drain(&mut svg, reports, PANEL_HEIGHT);
    svg.push_str("</svg>\n");
    svg
}

fn draw_rect(svg: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         fill=\"{fill}\"/>"
    );
}

/// Draws the title, the grid, and a scale from 0 to `top` on the left.
fn draw_panel(svg: &mut String, y: f64, title: &str, top: f64, right: f64) {
    draw_title(svg, y + 24.0, title);
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let at = y + MARGIN_TOP + PLOT_HEIGHT * (1.0 - share);
        draw_grid_line(svg, (MARGIN_LEFT, at), (right, at));
        draw_text(
            svg,
            MARGIN_LEFT - 6.0,
            at + 4.0,
            "end",
            &format_number(top * share),
        );
    }
}

/// Rounds up to 1, 2, 4, or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 10.0];
    let step = steps.iter().find(|step| **step * power >= value);
    step.unwrap_or(&10.0) * power
}

fn bars(reports: &[WorkloadReport]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for report in reports
        .iter()
        .filter(|report| ["w1", "w2"].contains(&report.key))
    {
        let webhooks = if report.key == "w1" {
            "1 webhook"
        } else {
            "5 webhooks"
        };
        bars.push((webhooks.to_owned(), report.threads()));
        let bare = report.median("baseline: bare loop, CPU per 1,000 posts");
        bars.extend(bare.map(|cpu| (BARE_LOOP.to_owned(), vec![(BARE_LOOP.to_owned(), cpu)])));
    }
    bars
}

/// Draws the stacked bars with a legend on the right.
fn draw_cost(svg: &mut String, reports: &[WorkloadReport], y: f64) {
    let bars = bars(reports);
    let total = |bar: &Bar| bar.1.iter().map(|(_, cpu)| cpu).sum::<f64>();
    let top = round_up(bars.iter().map(total).fold(0.0, f64::max));
    let right = 470.0;
    let title = "CPU seconds per 1,000 deliveries, by thread";
    draw_panel(svg, y, title, top, right);
    if bars.is_empty() {
        draw_text(
            svg,
            MARGIN_LEFT + 20.0,
            y + 120.0,
            "start",
            "not measured: w1, w2",
        );
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in bars.iter().flat_map(|bar| &bar.1) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let step = (right - MARGIN_LEFT) / bars.len() as f64;
    for (index, bar) in bars.iter().enumerate() {
        let x = MARGIN_LEFT + step * (index as f64 + 0.2);
        let center = x + step * 0.3;
        let mut base = y + MARGIN_TOP + PLOT_HEIGHT;
        draw_text(svg, center, base + 18.0, "middle", &bar.0);
        for (name, cpu) in &bar.1 {
            let height = cpu / top * PLOT_HEIGHT;
            base -= height;
            draw_rect(svg, (x, base), (step * 0.6, height), color(&names, name));
        }
        draw_text(
            svg,
            center,
            base - 5.0,
            "middle",
            &format_number(total(bar)),
        );
    }
    for (index, name) in names.iter().enumerate() {
        let at = y + MARGIN_TOP + 8.0 + index as f64 * 20.0;
        let corner = (right + 16.0, at - 10.0);
        draw_rect(svg, corner, (12.0, 12.0), color(&names, name));
        draw_text(svg, right + 34.0, at, "start", name);
    }
}

/// Returns the color of a segment: gray for the bare loop.
fn color(names: &[&str], name: &str) -> &'static str {
    let index = names.iter().position(|known| *known == name);
    match index {
        Some(index) if name != BARE_LOOP => COLORS[index % COLORS.len()],
        _ => GRAY,
    }
}

/// Draws the delivery rate against the number of pending deliveries, while a backlog drains.
fn draw_drain(svg: &mut String, reports: &[WorkloadReport], y: f64) {
    let curve = reports
        .iter()
        .find(|report| report.key == "w5")
        .map(WorkloadReport::curve);
    let curve = curve.unwrap_or(&[]);
    let top = round_up(curve.iter().map(|(_, rate)| *rate).fold(0.0, f64::max));
    let max = curve
        .iter()
        .map(|(pending, _)| *pending)
        .fold(1.0, f64::max);
    let right = WIDTH - 24.0;
    let title = "Deliveries per second while a backlog drains";
    draw_panel(svg, y, title, top, right);
    if curve.is_empty() {
        let x = MARGIN_LEFT + 20.0;
        draw_text(svg, x, y + 120.0, "start", "not measured: w5");
        return;
    }
    let bottom = y + MARGIN_TOP + PLOT_HEIGHT;
    // The x-axis shows the pending deliveries, from the full backlog on the left to zero.
    let point = |(pending, rate): &(f64, f64)| {
        let x = MARGIN_LEFT + (right - MARGIN_LEFT) * (1.0 - pending / max);
        (x, bottom - rate / top * PLOT_HEIGHT)
    };
    let points: Vec<(f64, f64)> = curve.iter().map(point).collect();
    draw_curve(svg, &points, COLORS[0], "");
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let x = MARGIN_LEFT + (right - MARGIN_LEFT) * share;
        let pending = format_number(max * (1.0 - share));
        draw_text(svg, x, bottom + 18.0, "middle", &pending);
    }
    let center = (MARGIN_LEFT + right) / 2.0;
    draw_text(svg, center, bottom + 38.0, "middle", "pending deliveries");
}
