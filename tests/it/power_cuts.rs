//! Cuts the power 50 times under load. No acknowledged change is lost, every delivery arrives, and
//! the database stays intact. The same test fails if the disk ignores `fsync`.
//!
//! `MINIBACK_POWER_CUTS=500` changes the number of cuts. A failure message contains a seed. To
//! repeat the run, set `MINIBACK_POWER_CUT_SEED` to this seed. The seed determines when the power
//! fails and which changes are dropped, but not how the system schedules the processes.

mod checks;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use self::checks::{check_arrival, check_database, check_feedback};
use crate::support::api::Api;
use crate::support::app::{ADMIN, App, AppBuilder};
use crate::support::load_generator::LoadGenerator;
use crate::support::power_cut_fs::PowerCutFs;
use crate::support::power_cut_fs::disk::{CutAfter, Disk, DroppedChanges, Fault};
use crate::support::receiver::{Receiver, Reply};

const CUTS: usize = 50;
/// The number of power cuts per installation that drop bytes of the database. The test then creates
/// a new installation, which can fail in ways that an older installation can't.
const CUTS_PER_INSTALLATION: usize = 10;
/// The number of new installations for which the test schedules a power cut during the first start.
const STARTS: usize = 40;
const CLIENTS: usize = 6;
/// Approximate numbers of file system changes: during a restart, during a first start, and during a
/// first start until the database exists.
const RESTART_CHANGES: usize = 20;
const FIRST_START_CHANGES: usize = 220;
const CREATION_CHANGES: usize = 20;
/// The upper limit for the number of changes before a power cut during a backup. It exceeds the
/// number of changes of a backup, so some backups finish.
const BACKUP_CHANGES: usize = 150;
/// The files that contain acknowledged changes.
const DATABASE_FILES: [&str; 2] = ["miniback.db", "miniback.db-wal"];

/// The totals of all installations in a test.
#[derive(Debug, Default)]
struct Totals {
    /// The number of power cuts that dropped unsynced bytes of the database.
    cuts: usize,
    /// The number of power cuts that dropped no bytes of the database.
    harmless_cuts: usize,
    /// The number of power cuts between a start and the first request.
    cuts_during_start: usize,
    dropped_bytes: [usize; DATABASE_FILES.len()],
    dropped_entries: usize,
    acknowledged: usize,
    received: usize,
}

impl Totals {
    fn add(&mut self, dropped: &DroppedChanges) {
        let mut is_harmless = true;
        for (index, name) in DATABASE_FILES.iter().enumerate() {
            let path = Path::new("data").join(name);
            let bytes = dropped.bytes.get(&path).copied().unwrap_or_default();
            self.dropped_bytes[index] += bytes;
            is_harmless &= bytes == 0;
        }
        self.dropped_entries += dropped.entries.len();
        self.cuts += usize::from(!is_harmless);
        self.harmless_cuts += usize::from(is_harmless);
    }
}

struct Endpoint {
    receiver: Receiver,
    webhook: Value,
}

fn builder() -> AppBuilder {
    App::builder().option("--retry-delays", "200ms,400ms")
}

/// Creates an endpoint that accepts all attempts, and an endpoint that fails the first attempt of
/// each delivery.
fn create_endpoints(api: &Api) -> [Endpoint; 2] {
    api.create_project("Shop");
    let mut failed = BTreeSet::new();
    let flaky = Receiver::script(move |request| {
        let is_first = failed.insert(request.delivery().to_owned());
        Reply::status(if is_first { 500 } else { 200 })
    });
    [Receiver::ok(), flaky].map(|receiver| Endpoint {
        webhook: api.create_webhook(&receiver.url("/")),
        receiver,
    })
}

/// Chooses a random point for the next power cut. The first power cut of an installation occurs
/// shortly after the first acknowledged change.
fn next_cut(rng: &mut Rng, is_first: bool) -> CutAfter {
    // SQLite writes to the database file only during a checkpoint. To cut the power during a
    // checkpoint, count only changes to this file.
    let is_checkpoint = !is_first && rng.u8(..4) == 0;
    let changes = match (is_first, is_checkpoint) {
        (true, _) => rng.usize(1..40),
        (false, true) => rng.usize(1..300),
        (false, false) => rng.usize(1..2_000),
    };
    CutAfter {
        changes,
        file: is_checkpoint.then_some(DATABASE_FILES[0]),
    }
}

/// Creates installations and cuts their power until `cuts` power cuts have dropped bytes of the
/// database. Returns the totals, or an error that describes the first loss.
fn cut_power_under_load(seed: u64, cuts: usize, fault: Fault) -> Result<Totals, String> {
    let mut rng = Rng::with_seed(seed);
    let mut totals = Totals::default();
    while totals.cuts < cuts {
        let last = cuts.min(totals.cuts + CUTS_PER_INSTALLATION);
        cut_power_of_one_installation(&mut rng, last, fault, &mut totals)?;
        println!("{totals:?}");
        assert!(
            totals.harmless_cuts <= 20 + 2 * totals.cuts,
            "too many power cuts dropped nothing: {totals:?}"
        );
    }
    Ok(totals)
}

/// Cuts the power of a new installation until `totals.cuts` is `last`. Returns an error if a change
/// was lost.
fn cut_power_of_one_installation(
    rng: &mut Rng,
    last: usize,
    fault: Fault,
    totals: &mut Totals,
) -> Result<(), String> {
    let data = Arc::new(TempDir::new().expect("create a temporary directory"));
    let mut fs = PowerCutFs::mount(Disk::new(rng.u64(..)), data.path());
    if fault == Fault::IgnoresDirectorySync {
        fs.set_fault(fault);
    }
    let mut app = builder().with_data_dir(Arc::clone(&data)).start();
    let token = app.token(ADMIN, "full");
    let endpoints = create_endpoints(&app.api_with(&token));
    let load = LoadGenerator::start(&app, CLIENTS, |_| "shop");
    load.wait_for_more_changes(1);
    // SQLite syncs directories only when it creates files, so `IgnoresDirectorySync` has no effect
    // after this point. `IgnoresFileSync` starts only here, so that the checks have to find
    // individual lost changes in an intact database.
    fs.set_fault(fault);
    let mut is_first = true;
    while totals.cuts < last {
        fs.cut_after(next_cut(rng, is_first));
        is_first = false;
        fs.wait_for_cut();
        app.sigkill();
        let acknowledged = load.acknowledged_changes();
        let check = |disk: &Disk| check_database(disk, &acknowledged, &endpoints);
        (fs, app) = restart(fs, rng, &data, totals, check)?;
        check_feedback(&app.api_with(&token), &acknowledged)?;
        load.switch_to(&app);
    }
    let (acknowledged, rejected) = load.stop();
    if let Some((_, responses)) = rejected.iter().find(|(status, _)| **status < 500) {
        return Err(format!("a request was rejected: {:?}", responses[0]));
    }
    let api = app.api_with(&token);
    check_feedback(&api, &acknowledged)?;
    for endpoint in &endpoints {
        check_arrival(&api, endpoint, &acknowledged)?;
        totals.received += endpoint.receiver.received().len();
    }
    totals.acknowledged += acknowledged.len();
    let (status, _) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0), "serve didn't exit with 0");
    fs.unmount();
    Ok(())
}

/// Checks the disk after a power cut and restarts the program. Sometimes cuts the power again
/// during the start, and then repeats both steps.
fn restart(
    mut fs: PowerCutFs,
    rng: &mut Rng,
    data: &Arc<TempDir>,
    totals: &mut Totals,
    check: impl Fn(&Disk) -> Result<(), String>,
) -> Result<(PowerCutFs, App), String> {
    loop {
        let (disk, dropped) = fs.unmount().restart();
        totals.add(&dropped);
        check(&disk).map_err(|error| format!("{error}\nThe power cut dropped: {dropped:#?}"))?;
        fs = PowerCutFs::mount(disk, data.path());
        if rng.u8(..4) == 0 {
            let changes = rng.usize(1..RESTART_CHANGES);
            fs.cut_after(CutAfter {
                changes,
                file: None,
            });
        }
        let started = builder().with_data_dir(Arc::clone(data)).try_start();
        match (started, fs.cancel_power_cut()) {
            (Ok(app), true) => return Ok((fs, app)),
            (Err(error), true) => return Err(error),
            (_, false) => totals.cuts_during_start += 1,
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number")),
    )
}

fn seed() -> u64 {
    variable("MINIBACK_POWER_CUT_SEED").unwrap_or_else(|| Rng::new().u64(..))
}

#[test]
fn fifty_power_cuts_under_load_lose_no_acknowledged_change() {
    let cuts = variable("MINIBACK_POWER_CUTS").map_or(CUTS, |cuts| cuts as usize);
    let seed = seed();
    match cut_power_under_load(seed, cuts, Fault::None) {
        Ok(totals) => {
            println!("{totals:?}");
            assert!(
                totals.acknowledged > 10 * cuts,
                "too little load: {totals:?}"
            );
        }
        Err(error) => panic!("MINIBACK_POWER_CUT_SEED={seed}: {error}"),
    }
}

/// Checks that the test detects lost changes on a disk with this fault.
#[track_caller]
fn assert_detected(fault: Fault) {
    let seed = seed();
    match cut_power_under_load(seed, CUTS, fault) {
        Ok(totals) => panic!("MINIBACK_POWER_CUT_SEED={seed}: nothing was lost: {totals:?}"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn power_cuts_lose_changes_if_the_disk_ignores_fsync() {
    assert_detected(Fault::IgnoresFileSync);
}

#[test]
fn power_cuts_lose_changes_if_the_disk_ignores_fsync_of_directories() {
    assert_detected(Fault::IgnoresDirectorySync);
}

#[test]
fn a_power_cut_during_the_first_start_does_not_prevent_the_next() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut interrupted = 0;
    for most in [FIRST_START_CHANGES, CREATION_CHANGES].repeat(STARTS / 2) {
        let data = Arc::new(TempDir::new().expect("create a temporary directory"));
        let fs = PowerCutFs::mount(Disk::new(rng.u64(..)), data.path());
        let changes = rng.usize(1..most);
        fs.cut_after(CutAfter {
            changes,
            file: None,
        });
        let started = builder().with_data_dir(Arc::clone(&data)).try_start();
        if fs.cancel_power_cut() {
            fs.cut_power();
        } else {
            interrupted += 1;
        }
        drop(started);
        let (disk, dropped) = fs.unmount().restart();
        let fs = PowerCutFs::mount(disk, data.path());
        match builder().with_data_dir(Arc::clone(&data)).try_start() {
            Ok(app) => drop(app.signed_in()),
            Err(error) => panic!("MINIBACK_POWER_CUT_SEED={seed}: {error}\n{dropped:#?}"),
        }
        fs.unmount();
    }
    assert!(
        interrupted >= STARTS / 2,
        "only {interrupted} starts were interrupted"
    );
}

#[test]
fn a_power_cut_preserves_the_last_finished_backup() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    for _ in 0..10 {
        let data = Arc::new(TempDir::new().expect("create a temporary directory"));
        let fs = PowerCutFs::mount(Disk::new(rng.u64(..)), data.path());
        let app = builder().with_data_dir(Arc::clone(&data)).start();
        let target = data.path().join("backup.db");
        let back_up = || app.run(&["backup", target.to_str().unwrap()], "");
        app.api().create_project("Shop");
        back_up().success();
        app.api().create_project("Desk");
        let changes = rng.usize(1..BACKUP_CHANGES);
        fs.cut_after(CutAfter {
            changes,
            file: None,
        });
        let is_finished = back_up().code == Some(0);
        if fs.cancel_power_cut() {
            fs.cut_power();
        }
        app.sigkill();
        let (disk, dropped) = fs.unmount().restart();
        let copy = TempDir::new().expect("create a temporary directory");
        disk.copy_to(copy.path());
        let read = Connection::open(copy.path().join("backup.db")).and_then(|backup| {
            let query =
                "SELECT integrity_check || ' ' || group_concat(name, ' ' ORDER BY name DESC)
                FROM pragma_integrity_check, projects";
            backup.query_row(query, [], |row| row.get::<_, String>(0))
        });
        let is_complete = match read.as_deref() {
            Ok("ok Shop Desk") => true,
            Ok("ok Shop") => !is_finished,
            _ => false,
        };
        assert!(
            is_complete,
            "MINIBACK_POWER_CUT_SEED={seed}: {read:?} {dropped:#?}"
        );
    }
}
