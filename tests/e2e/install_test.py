"""What `cmake --install` puts where, and what others can build on it."""

import os
import pathlib
import subprocess
import unittest

import demo_model
from daemon import PATIENCE, SANITIZED, SOURCE, Daemon, TestCase

BUILD = pathlib.Path(os.environ["HEARTH_BUILD"])
FILES = [
    "bin/hearth", "bin/hearthd",
    "share/man/man1/hearth.1", "share/man/man8/hearthd.8",
    "share/bash-completion/completions/hearth", "share/bash-completion/completions/hearthd",
    "share/zsh/vendor-completions/_hearth", "share/zsh/vendor-completions/_hearthd",
    "share/fish/vendor_completions.d/hearth.fish", "share/fish/vendor_completions.d/hearthd.fish",
    "lib/systemd/system/hearthd.service", "lib/sysusers.d/hearth.conf",
    "share/doc/hearth/README.md", "share/doc/hearth/examples/service.json",
    "include/hearth/client.h", "include/hearth/v1/inference.pb.h",
]


def run(*command, **kwargs):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class Install(TestCase):

    def test_everything_has_its_place(self):
        run("cmake", "--install", BUILD, "--prefix", self.folder)
        for name in FILES:
            self.assertTrue((self.folder / name).is_file(), name)
        for header in (self.folder / "include/hearth").glob("*.h"):
            self.assertNotIn('"clients/', header.read_text(), header)
        self.assertRegex(run(self.folder / "bin/hearth", "--version"), r"^hearth \d")

    @unittest.skipIf(SANITIZED, "what links a sanitized library needs its sanitizer")
    def test_others_build_on_the_cpp_client(self):
        prefix, build = self.folder / "prefix", self.folder / "build"
        run("cmake", "--install", BUILD, "--prefix", prefix, "--component", "dev")
        run("cmake", "-G", "Ninja", "-S", SOURCE / "tests/clients/installed", "-B", build,
            f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wshadow -Werror",
            "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF")
        run("cmake", "--build", build)
        with Daemon("--model-id", "m", model=demo_model.PATH) as daemon:
            text = run(build / "installed_client", daemon.grpc[0], "Who are you?", timeout=PATIENCE)
            self.assertIn("demo model", text)
