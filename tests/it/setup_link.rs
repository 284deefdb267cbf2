//! `miniback setup-link`: a new one-time setup URL, with and without a running server.

use tempfile::TempDir;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::{CommandOutput, run_on_data_dir};

/// Returns the URL, which must be alone on standard output.
#[track_caller]
fn printed_url(output: CommandOutput) -> String {
    let output = output.success();
    let lines: Vec<&str> = output.stdout.lines().collect();
    let [url] = lines.as_slice() else {
        panic!("expected one line: {output:#?}")
    };
    assert!(output.stderr.contains("within 1 hour"), "{output:#?}");
    (*url).to_owned()
}

#[test]
fn prints_a_url_of_the_running_server_and_ends_earlier_ones() {
    let app = App::builder().without_admin().start();
    let logged = app.log.setup_path();
    // The command doesn't know the server's port, except from the server.
    let first = printed_url(app.run(&["setup-link"], ""));
    let second = printed_url(app.run(&["setup-link"], ""));
    let path = |url: &str| {
        let path = url.strip_prefix(&app.url).expect(url);
        assert!(path.starts_with("/setup?token="), "{url}");
        path.to_owned()
    };
    let mut visitor = app.visitor();
    for invalid in [logged, path(&first)] {
        visitor.get(&invalid).expect(410);
    }
    let form = visitor.get(&path(&second)).expect(200).forms().remove(0);
    let form = form.fill("Email", ADMIN).fill("Password", PASSWORD);
    visitor.submit(&form.press_first().unwrap()).expect(303);
    app.visitor().sign_in(ADMIN, PASSWORD);

    let line = app.run(&["setup-link"], "").error_line(1);
    assert!(
        line.contains("already a user") && line.contains("user add"),
        "{line}"
    );
}

#[test]
fn the_host_is_the_base_url_or_the_listen_address() {
    let data = TempDir::new().unwrap();
    run_on_data_dir(data.path(), &["init"], "").success();
    for (options, start) in [
        (&[][..], "http://127.0.0.1:8080/setup?token="),
        (
            &["--listen", "127.0.0.2:9000"],
            "http://127.0.0.2:9000/setup?token=",
        ),
        (
            &["--listen", "localhost:9000"],
            "http://localhost:9000/setup?token=",
        ),
        (
            &["--listen", "unix:/run/miniback.sock"],
            "http://localhost/setup?token=",
        ),
        (
            &["--base-url", "https://example.com/miniback"],
            "https://example.com/miniback/setup?token=",
        ),
    ] {
        let args = [&["setup-link"], options].concat();
        let url = printed_url(run_on_data_dir(data.path(), &args, ""));
        assert!(url.starts_with(start), "{url}");
    }
    let app = App::builder()
        .without_admin()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let url = printed_url(app.run(&["setup-link"], ""));
    assert!(
        url.starts_with("https://example.com/miniback/setup?"),
        "{url}"
    );
}
