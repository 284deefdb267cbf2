//! Tests of the test harness itself. A search that finds nothing or a receiver with wrong responses
//! could make other tests pass by mistake.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::browser::{Browser, BrowserOptions};
use crate::support::forms::Form;
use crate::support::power_cut_fs::disk::{Disk, Inode, ROOT};
use crate::support::power_cut_fs::versions::ContentChange;
use crate::support::receiver::{Receiver, Reply};

const PAGE: &str = r#"<!doctype html><html lang="en"><title>Tiny</title><body>
<h1>Tiny page</h1>
<p id="script">scripts are off</p>
<article aria-label="http://one.example"><button>Test</button>
  <details><summary>More</summary><p>inside</p></details></article>
<article aria-label="http://two.example"><button>Test</button><button hidden>Secret</button>
  <input type="checkbox" role="switch" aria-label="Enabled" checked></article>
<form method="get"><label for="u">Endpoint URL</label><input id="u" name="u"><button>Add</button>
<label for="p">Password</label><input id="p" type="password"></form>
<script>document.getElementById('script').textContent = 'scripts are on';</script>
"#;

fn test_site() -> Receiver {
    Receiver::script(|_| Reply::body(200, PAGE).header("Content-Type", "text/html; charset=utf-8"))
}

fn find_by_role_and_name(browser: &Browser) {
    let site = test_site();
    browser.open(&site.url("/"));
    assert_eq!(browser.title(), "Tiny");
    assert_eq!(browser.all("button", "Test").len(), 2);
    let two = browser.find("article", "http://two.example");
    assert_eq!(two.all("button", "Test").len(), 1);
    assert!(
        two.all("button", "Secret").is_empty(),
        "a hidden button was found"
    );
    assert!(two.find("switch", "Enabled").is_checked());
    two.find("switch", "Enabled").press();
    assert!(!two.find("switch", "Enabled").is_checked());
    browser.find("heading", "Tiny page");
    browser.find("textbox", "Password").fill("a password field");
    // `DisclosureTriangle` is Chromium's role for `summary` elements.
    let one = browser.find("article", "http://one.example");
    one.find("DisclosureTriangle", "More").press();
    browser.wait_for_text("inside");
    browser
        .find("textbox", "Endpoint URL")
        .fill("http://x.example/");
    assert_eq!(
        browser.find("textbox", "Endpoint URL").value(),
        "http://x.example/"
    );
    browser.find("button", "Add").press();
    browser.wait_until("the form is submitted", || {
        browser.url().contains("?u=http").then_some(())
    });
}

#[test]
fn finds_elements_by_role_and_name_with_scripts() {
    let browser = Browser::start();
    find_by_role_and_name(&browser);
    browser.wait_for_text("scripts are on");
}

#[test]
fn finds_elements_by_role_and_name_without_scripts() {
    let browser = Browser::without_javascript();
    find_by_role_and_name(&browser);
    browser.wait_for_text("scripts are off");
}

#[test]
fn the_page_has_the_requested_width() {
    let browser = Browser::with_options(BrowserOptions {
        width: 360,
        height: 700,
        ..BrowserOptions::default()
    });
    let site = test_site();
    browser.open(&site.url("/"));
    assert_eq!(browser.script("return window.innerWidth"), 360);
}

#[test]
fn the_receiver_records_requests_and_sends_its_replies() {
    let receiver = Receiver::queue(vec![
        Reply::body(418, "tea").header("X-Pot", "short"),
        Reply::status(204).preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"),
        Reply::Close,
    ]);
    let mut stream = TcpStream::connect(receiver.address()).unwrap();
    let send = |stream: &mut TcpStream| {
        let request = b"POST /a HTTP/1.1\r\nx-CASE: Kept\r\nContent-Length: 2\r\n\r\nhi";
        stream.write_all(request).unwrap();
    };
    send(&mut stream);
    send(&mut stream);
    send(&mut stream);
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert_eq!(
        response,
        "HTTP/1.1 418 Whatever\r\nX-Pot: short\r\nContent-Length: 3\r\n\r\ntea\
         HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 Whatever\r\nContent-Length: 0\r\n\r\n"
    );
    let received = receiver.wait_for(3);
    assert_eq!(received[0].request_line, "POST /a HTTP/1.1");
    assert_eq!(received[0].headers[0], ("x-CASE".into(), "Kept".into()));
    assert_eq!(received[0].body, b"hi");
    assert!(received[0].raw.ends_with(b"\r\n\r\nhi"));
    assert!(received[0].at <= received[1].at);
    let positions: Vec<_> = received.iter().map(|r| (r.connection, r.index)).collect();
    assert_eq!(positions, [(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn reads_forms_by_label_and_submits_them_like_a_browser() {
    let html = r##"<article aria-label="http://one.example"><form method="post" action="save?x=1">
        <input type="hidden" name="id" value="7">
        <label>New Feedback <small>feedback.created</small> <input type="checkbox" name="t" value="new" checked></label>
        <label for="c">Status Changed</label><input id="c" type="checkbox" name="t" value="changed">
        <label for="s">Project</label><select id="s" name="p"><option value="a">A<option value="b" selected>B</select>
        <textarea name="d" aria-label="Description">old</textarea>
        <button type="button">Copy</button><button name="do" value="save">Save</button>
      </form></article><button form="other" formaction="/delete" aria-label="Delete webhook">x</button>
      <form id="other" method="post"></form>"##;
    let forms = Form::read_all(html, "/miniback/settings/page?open=1");
    assert_eq!(forms.len(), 2);
    assert_eq!(forms[0].enclosing_labels, ["http://one.example"]);
    assert!(
        !forms[0].has_button("Copy"),
        "a button that doesn't submit was read as a submit button"
    );
    assert_eq!(forms[0].value("Description"), "old");
    let form = forms[0].clone().set_checked("New Feedback", false);
    let filled = form
        .set_checked("Status Changed", true)
        .fill("Description", "new")
        .press("Save");
    assert_eq!(filled.action, "/miniback/settings/save?x=1");
    let fields: Vec<(&str, &str)> = filled
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("id", "7"),
        ("t", "changed"),
        ("p", "b"),
        ("d", "new"),
        ("do", "save"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(forms[1].press("Delete webhook").action, "/delete");
}

#[test]
fn a_power_cut_keeps_synced_bytes_and_tears_other_writes() {
    let mut torn = 0;
    for seed in 0..100 {
        let mut disk = Disk::new(seed);
        let file = Inode::file(0o600, 0, 0);
        let file = disk.create(ROOT, "file".as_ref(), file).unwrap();
        let write = |disk: &mut Disk, offset, bytes| {
            let change = ContentChange::Write { offset, bytes };
            disk.change_content(file, change).unwrap();
        };
        let (before, mut after) = (vec![1; 2048], vec![1; 2048]);
        after[256..1280].fill(2);
        write(&mut disk, 0, before.clone());
        disk.sync(file).unwrap();
        disk.sync(ROOT).unwrap();
        write(&mut disk, 256, vec![2; 1024]);
        disk.cut_power();
        assert!(disk.content(file).is_err(), "the disk works without power");
        let (disk, dropped) = disk.restart();
        let left = disk.content(file).unwrap();
        for range in [256..512, 512..1024, 1024..1280] {
            let part = &left[range.clone()];
            assert!(part == &before[range.clone()] || part == &after[range]);
        }
        let old = left[256..1280].iter().filter(|byte| **byte == 1).count();
        assert_eq!(dropped.bytes.into_values().collect::<Vec<_>>(), [old]);
        torn += usize::from((1..1024).contains(&old));
    }
    assert!(torn > 10, "only {torn} of 100 writes were torn");
}

#[test]
fn a_power_cut_drops_directory_entries_that_are_not_synced() {
    let names = |seed| {
        let mut disk = Disk::new(seed);
        for name in ["synced", "renamed", "removed"] {
            let file = Inode::file(0o600, 0, 0);
            disk.create(ROOT, name.as_ref(), file).unwrap();
        }
        disk.sync(ROOT).unwrap();
        disk.rename(ROOT, "renamed".as_ref(), "new".as_ref())
            .unwrap();
        disk.remove(ROOT, "removed".as_ref()).unwrap();
        disk.cut_power();
        let paths = disk.restart().0.paths().into_keys();
        let names = paths.map(|path| path.to_string_lossy().into_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    let found: BTreeSet<String> = (0..100).map(names).collect();
    let expected = [
        "new removed synced",
        "new synced",
        "removed renamed synced",
        "renamed synced",
    ];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}
