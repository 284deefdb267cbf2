//! What the sample site hands on, and what its page says afterwards.

use serde_json::json;

use super::{Api, DemoServer, an_api, get, listener, post_form};
use crate::demo::site;

fn a_site(api: Api) -> DemoServer {
    site::start(
        listener(),
        api,
        "fernweh".to_owned(),
        "http://127.0.0.1:4998".to_owned(),
    )
    .unwrap()
}

#[actix_web::test]
async fn the_form_goes_to_the_api_and_then_to_a_page_that_says_thanks() {
    let (api, calls) = an_api(201);
    let site = a_site(api);
    let to = format!("{}/feedback", site.url);
    let form = &[
        ("key", "k"),
        ("message", "two\r\nlines"),
        ("email", " ada@example.com "),
    ];
    let answer = post_form(to.clone(), form).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (303, &"/?sent#feedback".parse().unwrap())
    );
    assert!(
        get(format!("{}/?sent", site.url))
            .await
            .text
            .contains("Thank you")
    );

    post_form(to.clone(), form).await;
    post_form(
        to,
        &[("key", "k"), ("message", "other words"), ("email", "")],
    )
    .await;
    let calls = calls.lock().unwrap();
    let expected = json!({"project": "fernweh", "message": "two\nlines", "email": "ada@example.com", "url": site.url});
    assert_eq!(
        (calls[0].what.as_str(), &calls[0].body),
        ("POST /api/v1/feedback", &expected)
    );
    assert!(calls[2].body.get("email").is_none());
    // Two presses are one feedback; other words are another.
    let keys: Vec<_> = calls
        .iter()
        .map(|call| call.idempotency_key.clone().unwrap())
        .collect();
    assert!(keys[0] == keys[1] && keys[1] != keys[2]);
}

#[actix_web::test]
async fn what_the_api_refuses_is_said_at_the_field_and_the_words_stay() {
    let (api, _) = an_api(422);
    let site = a_site(api);
    let answer = post_form(
        format!("{}/feedback", site.url),
        &[("message", "a </textarea><b>"), ("email", "ada@")],
    )
    .await;
    assert_eq!(answer.status, 422);
    assert!(
        answer
            .text
            .contains("<p class=\"error\" id=\"email-error\">This is no e-mail address.</p>")
    );
    assert!(
        answer
            .text
            .contains("a &#60;/textarea&#62;&#60;b&#62;</textarea>")
    );
    site.stop().await.unwrap();
}

#[actix_web::test]
async fn the_words_stay_when_miniback_is_away() {
    let closed = format!("http://{}", listener().local_addr().unwrap());
    let site = a_site(Api::new(closed, "mb_token"));
    let answer = post_form(
        format!("{}/feedback", site.url),
        &[("message", "hello there")],
    )
    .await;
    assert_eq!(answer.status, 502);
    assert!(answer.text.contains("did not get through") && answer.text.contains("hello there"));
    site.stop().await.unwrap();
}

#[actix_web::test]
async fn the_site_frames_the_receiver_and_nothing_else() {
    let site = a_site(Api::new("http://127.0.0.1:9", "mb_token"));
    let page = get(format!("{}/", site.url)).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-src http://127.0.0.1:4998;") && !policy.contains("unsafe"));
    assert!(page.text.contains("<iframe src=\"http://127.0.0.1:4998/\""));
    assert!(!page.text.contains(" style=") && !page.text.contains("<script>"));
    assert_eq!(get(format!("{}/nowhere", site.url)).await.status, 404);
    for file in ["demo.css", "demo.js", "icon.svg"] {
        assert_eq!(get(format!("{}/{file}", site.url)).await.status, 200);
    }
    site.stop().await.unwrap();
}
