"""The wheel in an environment of its own: alone it works; beside a stranger of the same name it says what is wrong."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
STRANGER = "RELEASE = '0.37'\n"

pytestmark = pytest.mark.skipif(UV is None, reason="needs uv, which `make setup` brings")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel; without the network, from what uv has kept."""
    place = tmp_path_factory.mktemp("wheel")
    for options in (["--offline"], []):
        done = run([UV, "build", "--wheel", *options, "--out-dir", place, ROOT], ROOT)
        if done.returncode == 0:
            return next(place.glob("ebbtide-*.whl"))
    raise AssertionError(done.stderr)


@pytest.fixture
def python(wheel, tmp_path):
    """Install the wheel into a new environment, which borrows the dependencies of this one and nothing else."""
    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], tmp_path).check_returncode()
    python = tmp_path / "bare" / "bin" / "python"
    (site(python) / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    install(python, wheel)
    return python


def run(command, folder, **more):
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=env, **more
    )


def install(python, *what):
    run([UV, "pip", "install", "--offline", "--no-deps", "--python", python, *what], ROOT).check_returncode()


def site(python):
    return next((python.parents[1] / "lib").glob("python*")) / "site-packages"


def stranger(folder):
    """Make another distribution, which installs `protocol/__init__.py` and `protocol/base.py` as we do the former."""
    wheel = folder / "protocol-0.37-py3-none-any.whl"
    files = {
        "protocol/__init__.py": STRANGER,
        "protocol/base.py": "",
        "protocol-0.37.dist-info/METADATA": "Metadata-Version: 2.1\nName: protocol\nVersion: 0.37\n",
        "protocol-0.37.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, "protocol-0.37.dist-info/RECORD"])
    with ZipFile(wheel, "w") as made:
        for name, text in {**files, "protocol-0.37.dist-info/RECORD": record}.items():
            made.writestr(name, text)
    return wheel


def refusal(done):
    """Return the last line of what a program said when it failed."""
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Ebbtide")
    return last


def test_alone_it_works(python, tmp_path):
    shutil.copy(ROOT / "examples" / "two_agents.py", tmp_path)
    done = run([python, "two_agents.py"], tmp_path)
    assert done.stdout.splitlines()[-1] == "after: {('paid', 'tea'): 4}", done.stderr
    done = run([python, "-c", "import ebbtide, peer; print(ebbtide.Agent is peer.Agent, ebbtide.__file__)"], tmp_path)
    assert done.stdout.split() == ["True", str(site(python) / "ebbtide.py")]
    done = run([python.with_name("ebbtide"), "--help"], tmp_path)
    assert all(command in done.stdout for command in ("bench", "demo", "gossip", "log", "sim")), done.stderr
    assert "cannot be used" not in done.stdout
    assert {path.name for path in site(python).iterdir() if path.suffix != ".pth" and path.name[0] != "_"} == {
        "benchmarks", "ebbtide.py", "ebbtide-0.1.0.dist-info", "peer", "protocol", "sims",
    }  # fmt: skip
    assert all((site(python) / package / "py.typed").is_file() for package in ("peer", "protocol", "sims"))


def test_a_distribution_that_overwrites_ours_is_named(python, tmp_path):
    install(python, stranger(tmp_path))
    ours = site(python) / "protocol" / "__init__.py"
    assert ours.read_text() == STRANGER
    last = refusal(run([python, "-c", "import ebbtide"], tmp_path))
    assert str(ours) in last
    assert str(site(python) / "ebbtide.py") in last
    assert "installs a package of that name: protocol. Uninstall that one" in last


def test_a_distribution_in_another_place_is_named(python, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    run([UV, "pip", "install", "--offline", "--target", elsewhere, stranger(tmp_path)], ROOT).check_returncode()
    code = f"import sys; sys.path.insert(0, {str(elsewhere)!r}); import ebbtide"
    last = refusal(run([python, "-c", code], tmp_path))
    assert str(elsewhere / "protocol" / "__init__.py") in last
    assert str(site(python) / "protocol" / "__init__.py") in last
    assert "virtual environment" in last


@pytest.mark.parametrize("name", ["protocol", "peer"])
@pytest.mark.parametrize("is_package", [False, True])
def test_a_file_of_the_users_own_is_named(python, tmp_path, name, is_package):
    own = tmp_path / name / "__init__.py" if is_package else tmp_path / f"{name}.py"
    own.parent.mkdir(exist_ok=True)
    own.write_text("raise RuntimeError('it was imported')\n")
    (tmp_path / "mine.py").write_text("from ebbtide import Agent\n")
    last = refusal(run([python, "mine.py"], tmp_path))
    assert str(own) in last
    assert str(site(python) / name / "__init__.py") in last
    assert "rename it" in last


def test_a_package_that_is_gone_is_named(python, tmp_path):
    shutil.rmtree(site(python) / "protocol")
    last = refusal(run([python, "-c", "import ebbtide"], tmp_path))
    assert "'protocol' is missing" in last
    assert str(site(python) / "protocol" / "__init__.py") in last
