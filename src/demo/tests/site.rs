//! Tests of the sample site's content and Content-Security-Policy.

use super::{DemoServer, bind_listener, get};
use crate::demo::site;

fn start_site() -> DemoServer {
    site::start(
        bind_listener(),
        "http://127.0.0.1:4999".to_owned(),
        "fernweh".to_owned(),
        "http://127.0.0.1:4998".to_owned(),
    )
    .unwrap()
}

#[actix_web::test]
async fn has_the_widget_and_a_link_for_browsers_without_javascript() {
    let site = start_site();
    let page = get(format!("{}/", site.url)).await.text;
    let tag = r##"<script src="http://127.0.0.1:4999/widget.js" data-project="fernweh" data-color="#a5401f" defer></script>"##;
    assert!(page.contains(tag), "{page}");
    assert!(page.contains(r#"href="http://127.0.0.1:4999/f/fernweh" data-miniback-open"#));
    site.stop().await.unwrap();
}

#[actix_web::test]
async fn loads_only_from_miniback_and_frames_only_the_receiver() {
    let site = start_site();
    let page = get(format!("{}/", site.url)).await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src http://127.0.0.1:4999;",
        "connect-src http://127.0.0.1:4999;",
        "frame-src http://127.0.0.1:4998;",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"));
    assert!(page.text.contains("<iframe src=\"http://127.0.0.1:4998/\""));
    assert!(!page.text.contains(" style=") && !page.text.contains("<script>"));
    assert_eq!(get(format!("{}/nowhere", site.url)).await.status, 404);
    for file in ["demo.css", "icon.svg"] {
        assert_eq!(get(format!("{}/{file}", site.url)).await.status, 200);
    }
    site.stop().await.unwrap();
}
