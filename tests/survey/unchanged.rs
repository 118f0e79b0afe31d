//! A server's second survey of a workspace: the same answer while nothing changed, a new one after any change.

use super::{look, made};
use landfall::survey::{Cache, Options};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longer than the steps in which file systems count time.
fn settle() {
    std::thread::sleep(Duration::from_millis(80));
}

fn check(change: impl FnOnce(&Path), seen: bool) {
    let folder = made(&[
        ("requirements.txt", "fastapi==0.115.0\n"),
        ("main.py", "import os\nfrom fastapi import FastAPI\napp = FastAPI()\nA = os.environ['A']\n"),
        ("Dockerfile", "FROM python:3.13-slim\nCOPY requirements.txt uv.lock ./\nCOPY . .\nCMD [\"uvicorn\", \"main:app\"]\n"),
        (".gitignore", "uv.lock\n*.tmp\n"),
        ("landfall.toml", "schema = 1\n"),
    ]);
    let cache = Cache::default();
    let survey = || cache.survey(folder.path(), &Options::default()).expect("a survey");
    settle();
    let first = survey();
    assert!(Arc::ptr_eq(&first, &survey()), "an unchanged workspace is not read again");
    change(folder.path());
    let second = survey();
    assert_eq!(!Arc::ptr_eq(&first, &second), seen);
    assert_eq!(*second, look(folder.path()), "what is answered is what a fresh look says");
}

#[test]
fn is_answered_without_reading() {
    check(|_| {}, false);
    check(|root| drop(fs::read(root.join("main.py"))), false);
    // What git ignores and nobody asked for is no part of it.
    check(|root| fs::write(root.join("scratch.tmp"), "x").expect("written"), false);
}

#[test]
fn is_read_again_by_who_looks_once() {
    let folder = made(&[("requirements.txt", "fastapi==0.115.0\n"), ("main.py", "from fastapi import FastAPI\napp = FastAPI()\n")]);
    let cache = Cache::forgetful();
    settle();
    let survey = || cache.survey(folder.path(), &Options::default()).expect("a survey");
    let (first, second) = (survey(), survey());
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!((&*first, &*second), (&look(folder.path()), &look(folder.path())));
}

#[test]
fn ends_with_any_change() {
    check(|root| fs::write(root.join("main.py"), "import os\nB = os.environ['LONGER']\n").expect("written"), true);
    check(|root| fs::write(root.join("worker.py"), "import os\nos.environ['C']\n").expect("written"), true);
    check(|root| fs::remove_file(root.join("Dockerfile")).expect("removed"), true);
    check(|root| fs::rename(root.join("main.py"), root.join("api.py")).expect("renamed"), true);
    check(|root| fs::write(root.join("landfall.toml"), "schema = 1\n\n").expect("written"), true);
    check(|root| fs::write(root.join(".gitignore"), "*.py\n").expect("written"), true);
    check(|root| fs::create_dir(root.join("venv")).expect("made"), true);
}

#[test]
fn ends_with_an_edit_that_keeps_size_and_time() {
    check(
        |root| {
            let path = root.join("main.py");
            let before = fs::metadata(&path).expect("metadata").modified().expect("a time");
            fs::write(&path, "import os\nfrom fastapi import FastAPI\napp = FastAPI()\nA = os.environ['B']\n").expect("written");
            fs::File::options().write(true).open(&path).expect("opened").set_modified(before).expect("set back");
        },
        true,
    );
}

#[test]
fn ends_when_an_ignored_file_appears_that_a_copy_asks_for() {
    check(|root| fs::write(root.join("uv.lock"), "version = 1\n").expect("written"), true);
}

#[test]
fn does_not_hold_for_what_changed_a_moment_ago() {
    let folder = made(&[("requirements.txt", "flask\n")]);
    let cache = Cache::default();
    fs::write(folder.path().join("main.py"), "x = 1\n").expect("written");
    let first = cache.survey(folder.path(), &Options::default()).expect("a survey");
    assert!(!Arc::ptr_eq(&first, &cache.survey(folder.path(), &Options::default()).expect("a survey")));
}
