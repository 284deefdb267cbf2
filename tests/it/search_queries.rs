//! Search queries: equivalent spellings, and the limits of a query.

use std::fmt::Write;

use crate::support::app::App;

fn encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

#[test]
fn finds_all_spellings_of_a_word() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let spellings: [&[&str]; 8] = [
        &["doesn't", "doesn’t", "DOESN´T"],
        &["well-known", "well–known", "well\u{2011}known"],
        &["σίσυφος", "ΣΊΣΥΦΟΣ"],
        &["straße", "strasse", "STRASSE"],
        &["soft\u{ad}ware", "software", "soft\u{200b}ware"],
        &["crème brûlée", "cre\u{300}me\u{a0}bru\u{302}lee"],
        &["«quoted text»", "“quoted text”", "\"quoted text\""],
        &["ısı", "ISI"],
    ];
    for text in spellings.iter().copied().flatten() {
        api.create_feedback("shop", &format!("Before {text} after"));
    }
    for row in spellings {
        for query in row {
            let path = format!("/api/v1/feedback?q={}", encoded(query));
            let found = api.get(&path).expect(200).json();
            assert_eq!(
                found["data"].as_array().unwrap().len(),
                row.len(),
                "{query}"
            );
        }
    }
}

#[test]
fn a_query_has_at_most_200_characters_and_16_different_words() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    api.create_feedback("shop", "w0 w1 w2");
    let mut ada = app.signed_in();
    let words = |count| (0..count).map(|n| format!("w{n} ")).collect::<String>();
    for (query, message) in [
        (
            "ä".repeat(201),
            "The search text is too long. Use at most 200 characters.",
        ),
        (
            words(17),
            "The search has too many words. Use at most 16 different words.",
        ),
    ] {
        let query = encoded(&query);
        let rejected = api.get(&format!("/api/v1/feedback?q={query}"));
        assert_eq!(rejected.problem_at("q"), message);
        let page = ada.get(&format!("/feedback?q={query}")).expect(422);
        assert!(page.text().contains(message), "{}", page.text());
        assert_eq!(encoded(&page.field_value("Search")), query);
        let page = ada
            .get(&format!("/feedback/export.csv?q={query}"))
            .expect(422);
        assert!(page.text().contains(message), "{}", page.text());
    }
    for query in ["ä".repeat(200), words(16), "w0 W0 w1 ".repeat(20)] {
        let query = encoded(&query);
        api.get(&format!("/api/v1/feedback?q={query}")).expect(200);
        ada.get(&format!("/feedback?q={query}")).expect(200);
    }
}

#[test]
fn highlights_stay_small_in_repetitive_text() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let (one, many) = ("a".repeat(10_000), "a b ".repeat(2_500));
    api.create_feedback("shop", &one);
    let feedback = api.create_feedback("shop", &many);
    let id = feedback["id"].as_str().unwrap();
    let mut ada = app.signed_in();
    let page = ada.get("/feedback?q=aaa+aaaa+AAAAA").expect(200);
    assert_eq!(page.response.text.matches("<mark>").count(), 1);
    let page = ada
        .get(&format!("/feedback?open={id}&q=a+b+A+B"))
        .expect(200);
    assert!(page.response.text.matches("<mark>").count() <= 200);
    assert!(page.response.text.contains("<mark>"));
}
