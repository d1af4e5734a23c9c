"""Completions and man pages: as new as the programs, and of use in their shells."""

import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

from daemon import HEARTHD, PATIENCE, SOURCE, TestCase

CLI = os.environ["HEARTH_CLI"]
DEPLOY = SOURCE / "deploy"
PROGRAMS = {"hearth": CLI, "hearthd": HEARTHD}
FILES = ["completions/hearth.bash", "completions/_hearth", "completions/hearth.fish",
         "completions/hearthd.bash", "completions/_hearthd", "completions/hearthd.fish",
         "man/hearth.1", "man/hearthd.8"]


def names_in_help(program):
    """Of every command: its name and the options its --help shows."""
    def ask(*arguments):
        return subprocess.run([PROGRAMS[program], *arguments, "--help"], check=True,
                              capture_output=True, text=True).stdout
    commands = re.findall(r"^  (\w+) ", ask().partition("Subcommands:")[2], re.M)
    return {command: set(re.findall(r"^ +(?:-\w,)?(--[\w-]+)", ask(command), re.M))
            for command in commands}


class Written(TestCase):

    def test_as_new_as_the_programs(self):
        subprocess.run([sys.executable, DEPLOY / "write-shell-files",
                        pathlib.Path(CLI).parent, self.folder], check=True)
        for name in FILES:
            self.assertEqual((DEPLOY / name).read_text(), (self.folder / name).read_text(),
                             f"{name}: run deploy/write-shell-files build/release/bin")

    def test_every_command_and_option_is_there(self):
        for program in PROGRAMS:
            commands = names_in_help(program)
            self.assertGreater(len(commands), 4)
            for path in [name for name in FILES if re.search(rf"\b_?{program}\b", name)]:
                text = (DEPLOY / path).read_text().replace("\\-", "-")
                for command, options in commands.items():
                    self.assertIn(command, text, path)
                    self.assertGreater(len(options), 1)
                    for option in options:
                        spelt = f"-l {option[2:]} " if path.endswith(".fish") else option
                        self.assertIn(spelt, text, (path, command))


class Man(unittest.TestCase):

    def test_pages_are_clean(self):
        for page in ("hearth.1", "hearthd.8"):
            shown = subprocess.run(
                ["man", "--warnings", "-E", "UTF-8", "-l", DEPLOY / "man" / page],
                capture_output=True, text=True, check=True,
                env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
            self.assertEqual(shown.stderr, "", page)
            for heading in ("NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS"):
                self.assertIn(f"\n{heading}\n", shown.stdout)


class Bash(TestCase):

    def complete(self, *words, program="hearth"):
        script = f"""source {DEPLOY}/completions/{program}.bash
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _{program}
            printf '%s\\n' "${{COMPREPLY[@]}}\""""
        done = subprocess.run(["bash", "-c", script, "bash", program, *words],
                              capture_output=True, text=True, check=True, cwd=self.folder)
        self.assertEqual(done.stderr, "")
        return set(done.stdout.split("\n")) - {""}

    def test_commands(self):
        self.assertEqual(self.complete("e"), {"estimate", "embed"})
        self.assertEqual(self.complete("--v"), {"--version"})
        self.assertLessEqual({"serve", "bench"}, self.complete("", program="hearthd"))

    def test_options(self):
        self.assertEqual(self.complete("chat", "--prio"), {"--priority"})
        self.assertEqual(self.complete("embed", "--prio"), set())
        self.assertEqual(self.complete("chat", "hello", "--syst"), {"--system"})

    def test_values(self):
        self.assertEqual(self.complete("chat", "--priority", ""), {"low", "normal", "high"})
        self.assertEqual(self.complete("serve", "--kv-type", "f", program="hearthd"),
                         {"f16", "f32"})
        self.assertEqual(self.complete("chat", "--max-tokens", ""), set())

    def test_files(self):
        (self.folder / "my schema.json").touch()
        self.assertEqual(self.complete("chat", "--json-schema", "my"), {"my schema.json"})
        self.assertEqual(self.complete("inspect", "my", program="hearthd"), {"my schema.json"})
        for words in (("chat", "--json-schema", "=", "my"), ("chat", "--json-schema", "="),
                      ("load", "--address", "unix", ":", "my"), ("load", "--address", "unix", ":")):
            self.assertEqual(self.complete(*words), {"my schema.json"})
        self.assertEqual(self.complete("load", "--address", "tls", ":", "my"), set())
        self.assertEqual(self.complete("inspect", "--js", program="hearthd"), {"--json"})


class Fish(TestCase):

    def complete(self, line, program="hearth"):
        done = subprocess.run(
            ["fish", "--no-config", "-c",
             f"source {DEPLOY}/completions/{program}.fish; complete -C '{line}'"],
            capture_output=True, text=True, check=True, cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder)})
        return {row.split("\t")[0] for row in done.stdout.splitlines()}

    def test_commands_options_values_files(self):
        (self.folder / "schema.json").touch()
        self.assertEqual(self.complete("hearth e"), {"estimate", "embed"})
        self.assertEqual(self.complete("hearth chat --pri"), {"--priority"})
        self.assertEqual(self.complete("hearth embed --pri"), set())
        self.assertEqual(self.complete("hearth chat --priority "), {"low", "normal", "high"})
        self.assertEqual(self.complete("hearth chat --json-schema sch"), {"schema.json"})
        self.assertEqual(self.complete("hearth chat sch"), set())
        self.assertEqual(self.complete("hearthd inspect sch", "hearthd"), {"schema.json"})


class Zsh(TestCase):
    """On a terminal, as completion has no other way in."""

    def complete(self, line):
        """What the line becomes when Tab is pressed at its end."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"],
                       {**os.environ, "HOME": str(self.folder), "TERM": "dumb", "PS1": "ready> "})
        try:
            os.write(terminal, f"fpath=({DEPLOY}/completions $fpath); autoload -Uz compinit; "
                               "compinit -u -D; unsetopt zle_bracketed_paste; PS1='set'; "
                               "PS1+='up> '\n".encode())
            self.read_until(terminal, "setup> ")
            os.write(terminal, line.encode() + b"\t")
            return self.read_until(terminal, None)
        finally:
            os.close(terminal)
            os.waitpid(child, 0)

    def read_until(self, terminal, mark):
        """What is shown up to `mark`; without one, until nothing more comes for a second."""
        shown = ""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not (mark and mark in shown):
            if not select.select([terminal], [], [], PATIENCE if mark else 1)[0]:
                break
            shown += os.read(terminal, 4096).decode(errors="replace")
        return shown

    def test_commands_options_values_files(self):
        (self.folder / "schema.json").touch()
        self.assertIn("hearth estimate", self.complete("hearth est"))
        self.assertIn("--priority", self.complete("hearth chat --pri"))
        self.assertIn("normal", self.complete("hearth chat --priority n"))
        self.assertIn("schema.json", self.complete("hearth chat --json-schema sch"))
        self.assertIn("schema.json", self.complete("hearthd inspect sch"))
