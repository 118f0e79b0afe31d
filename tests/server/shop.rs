//! A small application on disk, on a machine that has no cluster.

use crate::lines::PROGRAM;
use std::path::PathBuf;
use std::process::{Command, Output};

pub(crate) const MINE: &str = "# mine\n";

pub(crate) struct Shop {
    /// Home, state and minikube's folder: empty, so that no cluster of this machine is seen.
    home: tempfile::TempDir,
    folder: tempfile::TempDir,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::Builder::new().prefix("shop").tempdir().unwrap());
        std::fs::write(folder.path().join("requirements.txt"), "fastapi==0.115.0\nuvicorn==0.32.0\n").unwrap();
        std::fs::write(
            folder.path().join("main.py"),
            "from fastapi import FastAPI\napp = FastAPI()\n\n@app.get(\"/health\")\ndef health():\n    return {\"ok\": True}\n",
        )
        .unwrap();
        std::fs::write(folder.path().join("landfall.toml"), "schema = 1\n[app]\nname = \"shop\"\n[service.shop]\ndir = \".\"\n").unwrap();
        Self { home, folder }
    }

    /// A shop on whose machine `helm lint` refuses after three seconds: time to look at a running operation.
    pub(crate) fn slow() -> Self {
        let shop = Self::new();
        shop.helm(3);
        shop
    }

    /// A stand-in for helm that renders nothing and refuses every chart, after this many seconds.
    pub(crate) fn helm(&self, seconds: u32) {
        self.stand_in("helm", &format!("case \"$1\" in version) echo v3.16.4;; template) ;; lint) sleep {seconds}; echo no >&2; exit 1;; *) exit 1;; esac"));
    }

    /// Puts a program where a package manager would put it for one user.
    pub(crate) fn stand_in(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.home.path().join("home/.local/bin");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.home.path().join("home")
    }

    /// The name of its only service.
    pub(crate) fn service(&self) -> String {
        self.values().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned()
    }

    pub(crate) fn workspace(&self) -> String {
        std::fs::canonicalize(self.folder.path()).unwrap().to_string_lossy().into_owned()
    }

    /// The program, on this shop's machine.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        for (name, value) in self.machine() {
            command.env(name, value);
        }
        command
    }

    pub(crate) fn machine(&self) -> Vec<(&'static str, PathBuf)> {
        // Stand-ins come before the programs that this machine may have.
        let path = format!("{}:/usr/bin:/bin", self.home().join(".local/bin").display());
        let folders = ["HOME", "LANDFALL_STATE", "MINIKUBE_HOME"].into_iter().map(|name| (name, self.home.path().join(name.to_lowercase())));
        folders.chain([("PATH", PathBuf::from(path))]).collect()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    pub(crate) fn values(&self) -> PathBuf {
        let charts = self.folder.path().join("deploy/charts");
        let service = std::fs::read_dir(&charts).unwrap().next().unwrap().unwrap();
        service.path().join("values.yaml")
    }

    /// A chart that a person changed and that would be written differently now: replacing it needs a word.
    pub(crate) fn in_conflict() -> Self {
        let shop = Self::new();
        let done = shop.run(&["chart", &shop.workspace(), "--json"]);
        assert!(!done.stdout.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        let values = shop.values();
        let text = std::fs::read_to_string(&values).unwrap();
        std::fs::write(&values, format!("{text}{MINE}")).unwrap();
        let service = values.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        std::fs::write(shop.folder.path().join("landfall.toml"), format!("schema = 1\n[app]\nname = \"shop\"\n[service.{service}]\nreplicas = 2\n")).unwrap();
        shop
    }

    /// True while the person's change is there.
    pub(crate) fn kept(&self) -> bool {
        std::fs::read_to_string(self.values()).unwrap().contains(MINE)
    }
}
