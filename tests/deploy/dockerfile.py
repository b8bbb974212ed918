"""Read a Dockerfile, and carry out its steps by hand below a directory that stands for the root.

There is no Docker engine where the tests run. What this keeps: each RUN with the environment of the ENVs before it,
each COPY with the rules of .dockerignore, absolute paths of the image moved below the directory. What it cannot keep:
the base image (a fresh virtual environment stands for it) and the layers' isolation.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CleanRoot", "Instruction", "read_stages"]

_MOVED = re.compile(r"(?<![\w./-])/(?=(?:src|opt|tmp)\b)")
_PASSED_ON = re.compile(r"(PIP_(?!REQUIRE)\w+|\w*(SSL|CA)_\w+|\w+_proxy|\w+_PROXY)$")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, with its continued lines joined."""

    name: str
    arguments: str

    @property
    def words(self) -> list[str]:
        """The exec form's words."""
        return [str(word) for word in json.loads(self.arguments)]


def read_stages(dockerfile: Path) -> list[list[Instruction]]:
    """Return what stands before the first FROM, and then each stage's instructions."""
    lines = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    stages: list[list[Instruction]] = [[]]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            if name == "FROM":
                stages.append([])
            stages[-1].append(Instruction(name, arguments.strip()))
    return stages


@dataclass
class CleanRoot:
    """A directory that stands for an image's root, with a fresh Python as the base image has."""

    directory: Path
    context: Path
    environment: dict[str, str] = field(default_factory=dict)
    work_directory: str = "/"

    def start(self) -> None:
        """Make the base: a Python with pip, and nothing else."""
        (self.directory / "tmp").mkdir()
        subprocess.run([_base_python(), "-m", "venv", self.directory / "usr/local"], check=True, timeout=120)
        path = f"{self.directory}/usr/local/bin:/usr/bin:/bin"
        passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.match(name)}
        self.environment = {"PATH": path, "HOME": str(self.directory / "tmp"), "LANG": "C.UTF-8", **passed_on}

    def begin_stage(self) -> None:
        """Forget what the stage before left behind, but for what COPY --from can take."""
        for name in ("src", "tmp"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        (self.directory / "tmp").mkdir()
        self.work_directory = "/"

    def moved(self, text: str) -> str:
        """Return the text with the image's absolute paths below the directory."""
        return _MOVED.sub(f"{self.directory}/", text)

    def carry_out(self, instruction: Instruction) -> None:
        """Do what the instruction says, as far as it changes the file system or the environment."""
        match instruction.name:
            case "ENV":
                for name, _, value in (
                    pair.partition("=") for pair in re.findall(r'\w+="[^"]*"|\S+', instruction.arguments)
                ):
                    given = self.moved(value.strip('"'))
                    self.environment[name] = given.replace("$PATH", self.environment["PATH"])
            case "WORKDIR":
                self.work_directory = instruction.arguments
                self._here().mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(instruction.arguments.split())
            case "RUN":
                self._run(instruction.arguments)

    def _here(self) -> Path:
        return self.directory / self.work_directory.lstrip("/")

    def _run(self, command: str) -> None:
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", self.moved(command)],
            cwd=self._here(),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise AssertionError(f"RUN {command}\n{done.stdout[-3000:]}")

    def _copy(self, words: list[str]) -> None:
        if words[0].startswith("--from="):
            source, target = (self.directory / word.lstrip("/") for word in words[1:])
            assert source == target, "this stand-in has one root for all stages"
            assert source.is_dir(), source
            return
        *sources, target_name = words
        for name in sources:
            into_directory = target_name.endswith("/")
            target = self._here() / target_name / (Path(name).name if into_directory else "")
            for file in sorted(self._in_context(self.context / name)):
                place = target / file.relative_to(self.context / name) if (self.context / name).is_dir() else target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)

    def _in_context(self, source: Path) -> list[Path]:
        """Return the files below the source that .dockerignore lets through; each source must have some."""
        files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
        let_through = [path for path in files if self._is_sent(path.relative_to(self.context).as_posix())]
        assert let_through, f"COPY {source.name}: .dockerignore keeps it from the build"
        return let_through

    def _is_sent(self, path: str) -> bool:
        sent = True
        for line in (self.context / ".dockerignore").read_text(encoding="utf-8").splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            bare = pattern.lstrip("!")
            if bare == "*" or _matches(path, bare):
                sent = pattern.startswith("!")
        return sent


def _base_python() -> str:
    """Return the system's Python where it will do, for every user may start it; else the tests' own."""
    probe = "import ensurepip, sys; raise SystemExit(sys.version_info < (3, 11))"
    done = subprocess.run(["/usr/bin/python3", "-c", probe], check=False, stderr=subprocess.DEVNULL, timeout=30)
    return "/usr/bin/python3" if done.returncode == 0 else sys.executable


def _matches(path: str, pattern: str) -> bool:
    """Tell whether the path, or a directory above it, matches a pattern of .dockerignore."""
    parts = path.split("/")
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
    depth = pattern.count("/") + 1
    pairs = zip(parts, pattern.split("/"), strict=False)
    return len(parts) >= depth and all(fnmatch.fnmatchcase(part, wanted) for part, wanted in pairs)
