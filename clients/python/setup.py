"""The build hook: hearth.v1 is generated from proto/, which an sdist carries with it."""

import importlib.metadata
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).parent
PROTOS = ("hearth/v1/inference.proto", "hearth/v1/error_details.proto")
HAS_GRPC_TOOLS = importlib.util.find_spec("grpc_tools") is not None


def protoc():
    if HAS_GRPC_TOOLS:
        return [sys.executable, "-m", "grpc_tools.protoc"]
    plugin = shutil.which("grpc_python_plugin")
    if not plugin or not shutil.which("protoc"):
        sys.exit("hearth: needs grpcio-tools, or protoc and grpc_python_plugin, to be built")
    return ["protoc", f"--plugin=protoc-gen-grpc_python={plugin}"]


def dependencies():
    """Generated code runs with what is at least as new as its generator."""
    if not HAS_GRPC_TOOLS:
        return ["grpcio>=1.51", "protobuf>=4.21"]
    return [needed for needed in importlib.metadata.requires("grpcio-tools")
            if needed.startswith(("grpcio", "protobuf"))]


class BuildWithProtos(build_py):

    def run(self):
        super().run()
        out = HERE if self.editable_mode else pathlib.Path(self.build_lib)
        subprocess.run([*protoc(), f"-I{HERE / 'proto'}", f"--python_out={out}",
                        f"--pyi_out={out}", f"--grpc_python_out={out}", *PROTOS], check=True)


# What a build leaves behind lies outside of the checkout.
with tempfile.TemporaryDirectory(prefix="hearth-python-") as scratch:
    setup(cmdclass={"build_py": BuildWithProtos}, install_requires=dependencies(),
          options={"build": {"build_base": scratch}, "egg_info": {"egg_base": scratch}})
