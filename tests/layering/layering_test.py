"""The house rules a compiler does not check: who may include and link whom, what rooms may be
called, and that every row of a table has its file."""

import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else __file__).resolve()
if ROOT.is_file():
    ROOT = ROOT.parents[2]

# Lower ranks first; a folder includes only itself and strictly lower ones. Rank 0 is one room.
RANKS = {
    "engine (values)": 0, "engine/tensor": 0,
    "engine/kernels": 1, "engine/formats": 1, "engine/cache": 1, "engine/tokenizer": 1,
    "engine/sampling": 1,
    "engine/ops": 2, "engine/scheduler": 2, "engine/constrain": 2, "engine/chat": 2,
    "engine/models": 3,
    "engine": 4,
    "server": 5,
    "server/http": 6, "server/grpc": 6,
    "server (commands)": 7,
    "clients/cpp": 5, "clients/cli": 5,
}
VALUES = {"request.h", "constraint_source.h", "arithmetic.h", "batch.h", "kv_type.h", "vocabulary.h",
          "check.h", "mix.h", "model_work.h", "status_macros.h", "strict_json.h"}
# The files that put the daemon together.
COMMANDS = {"main.cc", "serve.cc"}
# What a server may know of the engine.
SERVER_SEES = {"engine", "engine (values)", "engine/tokenizer", "engine/chat"}

FORBIDDEN = {"manager", "util", "utils", "helper", "helpers", "common", "misc", "impl", "base",
             "handler", "context"}
SOURCES = (".h", ".cc", ".inc")


def room(path):
    """The folder of the house that a source path belongs to."""
    parts = path.split("/")
    folder = "/".join(parts[:-1])
    if folder == "engine" and parts[-1] in VALUES:
        return "engine (values)"
    if folder == "server" and parts[-1] in COMMANDS:
        return "server (commands)"
    return folder


def include_error(source, included):
    """What is wrong with `source` including `included`, or None."""
    here, there = room(source), room(included)
    if there not in RANKS:
        return f"{source}: includes {included}, which is in no room of the house"
    if here == there:
        return None
    if here.startswith("clients"):
        return f"{source}: clients include only proto, not {included}"
    if here.startswith("server") and there.startswith("engine") and there not in SERVER_SEES:
        return f"{source}: the server does not know {there}"
    if RANKS[there] < RANKS[here] or RANKS[there] == RANKS[here] == 0:
        return None
    return f"{source}: rank {RANKS[here]} includes {included} of rank {RANKS[there]}"


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SOURCES:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def included_by(text):
    return re.findall(r'^\s*#\s*include\s+"((?:engine|server|clients|tests)/[^"]+)"', text, re.M)


def words_of(name):
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return {word.lower() for word in re.split(r"[^A-Za-z0-9]+|_", spaced) if word}


def links():
    """(folder, its libraries) of every hearth_library."""
    for path in sorted(ROOT.glob("engine/**/CMakeLists.txt")) + sorted(
            ROOT.glob("server/**/CMakeLists.txt")):
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        for name, body in re.findall(r"hearth_library\(\s*(\w+)([^)]*)\)", text):
            libraries = re.findall(r"\bhearth_\w+", body.partition("LIBS")[2])
            yield path.parent.relative_to(ROOT).as_posix(), name, libraries


class Checker(unittest.TestCase):
    """The check itself: it must be able to fail."""

    def test_upward_include_is_found(self):
        for source, included in [
                ("engine/kernels/scalar.cc", "engine/ops/matmul.h"),
                ("engine/kernels/scalar.cc", "engine/cache/kv_store.h"),
                ("engine/tensor/dtype.h", "engine/kernels/kernels.h"),
                ("engine/request.h", "engine/engine.h"),
                ("engine/models/phi3.cc", "engine/engine.h"),
                ("engine/engine.cc", "server/daemon.h"),
                ("server/session.cc", "engine/models/model.h"),
                ("server/session.cc", "server/http/gate.h"),
                ("server/http/gate.cc", "server/grpc/call_gate.h"),
                ("clients/cli/main.cc", "engine/request.h"),
                ("clients/cli/connection.cc", "clients/cpp/call.h"),
                ("engine/ops/matmul.cc", "tests/fakes/sink.h")]:
            self.assertIsNotNone(include_error(source, included), (source, included))

    def test_downward_include_is_fine(self):
        for source, included in [
                ("engine/ops/matmul.cc", "engine/kernels/kernels.h"),
                ("engine/tensor/dtype.cc", "engine/check.h"),
                ("engine/vocabulary.h", "engine/request.h"),
                ("engine/engine.cc", "engine/models/model.h"),
                ("server/http/gate.cc", "server/accept_loop.h"),
                ("server/serve.cc", "server/grpc/grpc_server.h"),
                ("server/session.cc", "engine/chat/chat_format.h")]:
            self.assertIsNone(include_error(source, included), (source, included))

    def test_words(self):
        self.assertEqual(words_of("HttpContextImpl"), {"http", "context", "impl"})
        self.assertEqual(words_of("block_pool.cc"), {"block", "pool", "cc"})
        self.assertEqual(words_of("max_context"), {"max", "context"})


class House(unittest.TestCase):

    def test_includes_look_down(self):
        errors = []
        count = 0
        for path, text in sources("engine", "server", "clients"):
            for included in included_by(text):
                count += 1
                error = include_error(path, included)
                if error:
                    errors.append(error)
                # What is made of a JSON document by CMake has its name.
                made_of = ROOT / included.replace("_json.inc", ".json")
                if not (ROOT / included).exists() and not made_of.exists():
                    errors.append(f"{path}: includes {included}, which does not exist")
        self.assertEqual(errors, [])
        self.assertGreater(count, 100)

    def test_links_look_down(self):
        folders = {name: folder for folder, name, _ in links()}
        errors = []
        for folder, name, libraries in links():
            for library in libraries:
                other = folders.get(library)
                if other not in (None, folder) and RANKS[other] >= RANKS[folder]:
                    errors.append(f"{name} of rank {RANKS[folder]} links {library} of rank "
                                  f"{RANKS[other]}")
        self.assertEqual(errors, [])
        self.assertGreater(len(folders), 8)

    def test_names(self):
        errors = []
        for path, text in sources("engine", "server", "clients", "tests"):
            for part in path.split("/"):
                if words_of(pathlib.PurePath(part).stem) & FORBIDDEN:
                    errors.append(f"{path}: a room or file of no meaning")
            for name in re.findall(r"^\s*(?:class|struct|enum class|namespace)\s+(\w+)", text,
                                   re.M):
                if words_of(name) & FORBIDDEN:
                    errors.append(f"{path}: {name}")
        self.assertEqual(errors, [])

    def test_header_guards_name_their_files(self):
        errors = []
        for path, text in sources("engine", "server", "clients", "tests"):
            guard = "HEARTH_" + re.sub(r"[/.]", "_", path).upper() + "_"
            if path.endswith(".h") and f"#ifndef {guard}\n#define {guard}\n" not in text:
                errors.append(f"{path}: expected guard {guard}")
        self.assertEqual(errors, [])

    def test_nothing_is_left_to_do(self):
        errors = [path for path, text in sources("engine", "server", "clients", "tests")
                  if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)]
        self.assertEqual(errors, [])


class Tables(unittest.TestCase):

    def definitions(self, folder, name):
        """Files of the folder that define the function `name`."""
        return [path for path, text in sources(folder)
                if path.endswith(".cc") and re.search(rf"\b{name}\([^;]*?\)[^;]*?\{{", text, re.S)]

    def test_kernels(self):
        table = (ROOT / "engine/kernels/kernels.inc").read_text(encoding="utf-8")
        rows = re.findall(r"^KERNEL(?:_\w+)?\((\w+), (\w+)\)", table, re.M)
        isas = re.findall(r"^ISA(?:_\w+)?\((\w+),", table, re.M)
        self.assertGreater(len(rows), 10)
        for isa in isas:
            self.assertTrue((ROOT / f"engine/kernels/{isa}.cc").exists(), isa)
        for operation, isa in rows:
            self.assertIn(isa, isas)
            self.assertIn((operation, "scalar"), rows, "every kernel has its definition")
            files = [ROOT / f"engine/kernels/{isa}{part}.cc" for part in ("", "_products")]
            found = [path.name for path in files if path.exists() and
                     re.search(rf"\b{operation}\(", self.with_parts(path))]
            self.assertEqual(len(found), 1, f"{operation} in {isa}.cc: {found}")

    def with_parts(self, path):
        """The text of a file and of the .inc files it includes, but for tables."""
        text = path.read_text(encoding="utf-8")
        for part in re.findall(r'^#include "(engine/kernels/\w+\.inc)"', text, re.M):
            text += (ROOT / part).read_text(encoding="utf-8")
        return text

    def test_models(self):
        table = (ROOT / "engine/models/models.inc").read_text(encoding="utf-8")
        rows = re.findall(r'^MODEL\("([\w-]+)", (\w+)\)', table, re.M)
        self.assertGreaterEqual(len(rows), 2)
        for architecture, function in rows:
            self.assertEqual(self.definitions("engine/models", function),
                             [f"engine/models/{architecture}.cc"])

    def test_endpoints(self):
        table = (ROOT / "server/http/endpoints.inc").read_text(encoding="utf-8")
        rows = re.findall(r'^HEARTH_ENDPOINT\("(\w+)", "([^"]+)", (\w+), (\w+), \w+\)', table, re.M)
        self.assertGreaterEqual(len(rows), 8)
        self.assertEqual(len({(method, path) for method, path, _, _ in rows}), len(rows))
        for _, path, function, _ in rows:
            self.assertEqual(len(self.definitions("server/http", function)), 1, function)
        self.assertEqual([path for _, path, _, key in rows if key == "false"], ["/health"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
