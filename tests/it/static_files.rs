//! The stylesheet and the scripts of the pages: their file sizes, and the text sizes in the
//! stylesheet.

use crate::support::app::App;
use crate::widget_script::gzipped_size;

/// The text sizes by CSS variable, in pixels at a browser's default text size.
const TEXT_SIZES: [(&str, f64); 5] = [
    ("--text-xs", 12.0),
    ("--text-s", 13.0),
    ("--text-m", 15.0),
    ("--text-l", 17.0),
    ("--text-xl", 22.0),
];

#[track_caller]
fn get(app: &App, name: &str) -> String {
    let path = format!("/static/{name}");
    app.api_without_token().get(&path).expect(200).text
}

/// Returns the values of all declarations of a property in a stylesheet.
fn values_of<'a>(stylesheet: &'a str, property: &str) -> Vec<&'a str> {
    let declarations = stylesheet
        .split(['{', '}', ';'])
        .filter_map(|part| part.split_once(':'));
    declarations
        .filter(|(name, _)| name.trim() == property)
        .map(|(_, value)| value.trim())
        .collect()
}

#[test]
fn the_stylesheet_is_less_than_10_1_kb_gzipped() {
    let stylesheet = get(&App::start(), "style.css");
    let size = gzipped_size(&stylesheet);
    assert!(size < 10_100, "{size} bytes");
    assert!(!stylesheet.contains("/*") && !stylesheet.contains('\n'));
}

#[test]
fn each_script_is_less_than_10_kb_gzipped() {
    let app = App::start();
    for name in ["app.js", "feedback.js", "connection_check.js", "docs.js"] {
        let script = get(&app, name);
        let size = gzipped_size(&script);
        assert!(size < 10_000, "{name}: {size} bytes");
        let comment = script.lines().find(|line| line.contains("//"));
        assert_eq!(comment, None, "{name}");
    }
}

#[test]
fn the_stylesheet_uses_only_the_five_text_sizes() {
    let stylesheet = get(&App::start(), "style.css");
    for (token, pixels) in TEXT_SIZES {
        let rem = format!("{}rem", pixels / 16.0);
        assert_eq!(values_of(&stylesheet, token), [rem], "{token}");
    }
    let sizes = values_of(&stylesheet, "font-size");
    let fonts = values_of(&stylesheet, "font");
    assert!(sizes.len() > 10 && !fonts.is_empty(), "{sizes:?} {fonts:?}");
    let is_on_scale = |value: &&str| {
        let uses_token = |(token, _): &(&str, f64)| value.contains(&format!("var({token})"));
        *value == "inherit" || TEXT_SIZES.iter().any(uses_token)
    };
    let others: Vec<_> = sizes.into_iter().chain(fonts).collect();
    let others: Vec<_> = others.iter().filter(|value| !is_on_scale(value)).collect();
    assert!(others.is_empty(), "other text sizes: {others:?}");
}
